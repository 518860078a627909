/* web/page.h, web/html.h, web/chart.h, web/cost.h: the status page. */
#include "unit.h"

#include "web/answers.h"
#include "web/chart.h"
#include "web/cost.h"
#include "web/html.h"
#include "web/page.h"

static char *html_of(const char *text)
{
    char *out = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&out, &n);
    assert_non_null(f);
    html_text(f, text);
    fclose(f);
    return out;
}

static void a_text_from_outside_can_not_leave_its_place(void **state)
{
    static const char *const texts[][2] = {
        {"<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"},
        {"\" onload='x' &amp;", "&quot; onload=&#39;x&#39; &amp;amp;"},
        {"a\nb\x1b[31m\xff", "a\\x0ab\\x1b[31m\\xff"},
        {"x\n  HINT: y", "x\\x0a  HINT: y"},
        {"\xe2\x80\xae"
         "evil",
         "\\u202eevil"},
        {"\xc3\xa4", "\xc3\xa4"},
        {"", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char *out = html_of(texts[i][0]);
        assert_string_equal(out, texts[i][1]);
        free(out);
    }
}

static struct report *report_of(const char *databases)
{
    struct report *r = calloc(1, sizeof *r);
    struct err e;
    assert_non_null(r);
    assert_ok(json_parse(databases, strlen(databases), &r->databases, &e), &e);
    struct json *whole = r->databases;
    r->databases = json_share(json_get(whole, "databases"));
    json_free(whole);
    r->sleepers = json_list_new();
    r->boot_ms = 1000000000;
    r->wall_ms = 1750000000000;
    r->started_ms = r->wall_ms - 7200000;
    for (size_t i = 0; i < json_count(r->databases); i++)
        summary_add(&r->summary, json_at(r->databases, i));
    return r;
}

static struct answer answer_of(enum answer_path path, const struct report *r)
{
    struct answer a;
    struct err e;
    assert_ok(answer_make(path, r, &a, &e), &e);
    assert_int_equal(strlen(a.text), a.bytes);
    return a;
}

static void no_name_of_a_database_becomes_markup(void **state)
{
    struct report *r =
        report_of("{\"databases\":[{\"database\":\"/srv/\\\"><script>alert(1)</script>\\n</title>.db\","
                  "\"running\":true,\"well\":false,\"condition\":\"<b>\",\"error\":\"<i>x</i>\\n  HINT: <u>\","
                  "\"state\":\"resting\",\"replicas\":[{\"url\":\"s3://b/<s>\",\"well\":false,"
                  "\"condition\":\"failing\",\"error\":\"<em>\",\"lost\":\"<tt>\",\"retention_error\":\"<q>\","
                  "\"verification\":{\"time\":\"2025-06-01T00:00:00Z\",\"ok\":false,\"problem\":\"<var>\","
                  "\"error\":\"<dfn>\",\"database_problem\":\"<kbd>\"}}]}]}");
    struct answer a = answer_of(ANSWER_PAGE, r);
    static const char *const tags[] = {"<script", "<b>\n", "<i>",   "<u>",   "<s>",   "<em>",
                                       "<tt>",    "<q>",   "<var>", "<dfn>", "<kbd>", "\n</title>"};
    (void)state;
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++)
        assert_null(strstr(a.text, tags[i]));
    assert_contains(a.text, "&lt;script&gt;");
    assert_contains(a.text, "HINT: &lt;u&gt;");
    assert_null(strstr(a.text, "style=\"")); /* the policy allows no other style than the sheet */
    assert_null(strstr(a.text, "http://"));
    assert_null(strstr(a.text, "https://"));
    free(a.text);
    a = answer_of(ANSWER_METRICS, r);
    assert_contains(a.text, "database=\"/srv/\\\"><script>alert(1)</script>\\n</title>.db\"");
    free(a.text);
    a = answer_of(ANSWER_HEALTH, r);
    assert_int_equal(a.code, 503);
    assert_contains(a.text, "not well: 1 of 1 databases\n");
    assert_contains(a.text, "</script>\\x0a</title>.db\n");
    free(a.text);
    report_free(r);
}

static void all_is_well_or_it_is_not(void **state)
{
    struct report *r = report_of("{\"databases\":[{\"database\":\"/a\",\"running\":true,\"well\":true,"
                                 "\"condition\":\"following\",\"state\":\"resting\",\"replicas\":[]}]}");
    struct answer a = answer_of(ANSWER_HEALTH, r);
    (void)state;
    assert_int_equal(a.code, 200);
    assert_string_equal(a.text, "ok: 1 of 1 databases are well\n");
    free(a.text);
    r->summary.not_well = 1;
    a = answer_of(ANSWER_HEALTH, r);
    assert_int_equal(a.code, 503);
    free(a.text);
    report_free(r);
}

static void a_page_shows_so_many_databases_and_says_how_many_more_there_are(void **state)
{
    struct report *r = report_of("{\"databases\":[]}");
    (void)state;
    for (int i = 0; i < 250; i++) {
        struct json *j = json_object_new();
        json_set_text(j, "database", "/x");
        json_push(r->databases, j);
    }
    r->summary.databases = 10000;
    struct answer a = answer_of(ANSWER_PAGE, r);
    size_t shown = 0;
    for (const char *p = a.text; (p = strstr(p, "<details")); p++)
        shown++;
    assert_int_equal(shown, PAGE_SHOWN_MAX);
    assert_contains(a.text, "9,900 more databases");
    free(a.text);
    report_free(r);
}

static void the_top_of_a_chart_is_round_and_not_below_the_greatest_value(void **state)
{
    (void)state;
    assert_int_equal(chart_top_ms(0), 1000);
    assert_int_equal(chart_top_ms(1000), 1000);
    assert_int_equal(chart_top_ms(1001), 2000);
    assert_int_equal(chart_top_ms(61000), 300000);
    assert_int_equal(chart_top_ms(INT64_C(172800001)), INT64_C(3) * 86400000);
}

static char *chart_of(const struct samples *s, int64_t now_ms)
{
    char *out = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&out, &n);
    assert_non_null(f);
    chart_lag(f, s, now_ms);
    fclose(f);
    return out;
}

static void a_minute_that_is_not_known_is_marked_and_not_drawn_as_zero(void **state)
{
    struct samples s = {.newest = 0};
    const int64_t now_ms = INT64_C(1000) * SAMPLES_MS;
    (void)state;
    char *out = chart_of(&s, now_ms);
    assert_contains(out, "<rect class=\"unknown\" x=\"0\" y=\"0\" width=\"720\"");
    free(out);
    for (int64_t i = 0; i < SAMPLES_COUNT; i++)
        samples_note(&s, now_ms + i * SAMPLES_MS, i == 10 ? 500 : i == 20 ? 120000 : 0, 0);
    out = chart_of(&s, now_ms + (SAMPLES_COUNT - 1) * (int64_t)SAMPLES_MS);
    assert_null(strstr(out, "unknown"));
    assert_contains(out, "class=\"lag\" d=\"M0 0M20 100v-1h2v1z\"");
    assert_contains(out, "class=\"late\" d=\"M0 0M40 100v-40h2v40z\"");
    free(out);
}

static void a_month_costs_what_the_list_says(void **state)
{
    const uint64_t requests[REQUEST_FIGURES] = {
        [REQUEST_PUT] = 3600, [REQUEST_FAILED] = 100, [REQUEST_SENT_BYTES] = 1 << 30};
    (void)state;
    assert_true(cost_of_requests(requests, 3600000) > 13.14 && cost_of_requests(requests, 3600000) < 13.16);
    assert_true(cost_of_bytes(UINT64_C(1) << 30) > 0.0229 && cost_of_bytes(UINT64_C(1) << 30) < 0.0231);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(a_text_from_outside_can_not_leave_its_place),
        UNIT(no_name_of_a_database_becomes_markup),
        UNIT(all_is_well_or_it_is_not),
        UNIT(a_page_shows_so_many_databases_and_says_how_many_more_there_are),
        UNIT(the_top_of_a_chart_is_round_and_not_below_the_greatest_value),
        UNIT(a_minute_that_is_not_known_is_marked_and_not_drawn_as_zero),
        UNIT(a_month_costs_what_the_list_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
