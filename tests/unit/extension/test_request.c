/* extension/request.h: what a program asks for, by the parameters of a file name or by the environment. */
#include "unit.h"

#include "extension/request.h"

static struct request_text text;

static int read_text(const char *variable, struct reader_options *o, bool *asked, struct err *e)
{
    bool ours = false;
    *asked = false;
    if (request_decode(variable, "/data/app.db", &text, &ours, e))
        return -1;
    if (!ours)
        return 0;
    return request_read(request_text_get, &text, o, asked, e);
}

static struct reader_options asked_for(const char *variable)
{
    struct reader_options o = {0};
    struct err e;
    bool asked = false;
    assert_ok(read_text(variable, &o, &asked, &e), &e);
    assert_true(asked);
    return o;
}

static void parameters_are_read(void **state)
{
    (void)state;
    struct reader_options o = asked_for("app.db?replica=s3%3A%2F%2Fb%2Fp%3Fregion%3Dx%26profile%3dy&txid=12");
    assert_string_equal(o.url, "s3://b/p?region=x&profile=y");
    assert_true(o.moment.kind == MOMENT_TXID && o.moment.txid == 12 && o.follow_ms == 0 && !o.cache);
    o = asked_for("app.db?replica=/r&follow=250ms&cache-dir=/c&cache-size=2G");
    assert_true(o.moment.kind == MOMENT_NEWEST && o.follow_ms == 250 && o.cache_bytes == 2ull << 30);
    assert_string_equal(o.cache, "/c");
    o = asked_for("app.db?at=2026-03-01T12:00:00Z&vfs=seawall&replica=r&mode=ro&immutable&");
    assert_true(o.moment.kind == MOMENT_TIME && o.moment.time_ms == 1772366400000);
    assert_true(o.cache_bytes == DISK_BYTES_DEFAULT);
}

static void the_variable_is_for_one_file_name(void **state)
{
    struct reader_options o;
    struct err e;
    bool asked = true;
    static const char *const others[] = {"b.db?replica=/r", "b.db", "b.db?replca=%zz", "/x/app.db?replica=/r", ""};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        assert_ok(read_text(others[i], &o, &asked, &e), &e);
        assert_false(asked);
    }
    assert_string_equal(asked_for("/data/app.db?replica=/r").url, "/r");
    assert_string_equal(asked_for("%61pp.db?replica=/r").url, "/r");
}

static void what_does_not_fit_into_memory_is_refused(void **state)
{
    static char longest[3 * REQUEST_BYTES_MAX];
    (void)state;
    bool ours = false;
    struct err e;
    for (size_t n = REQUEST_BYTES_MAX - 30; n < REQUEST_BYTES_MAX + 30; n++) {
        snprintf(longest, sizeof longest, "app.db?replica=%0*d", (int)n, 1);
        if (request_decode(longest, "app.db", &text, &ours, &e) == 0)
            assert_int_equal(strlen(request_text_get(&text, "replica")), n);
        else
            assert_true(n > REQUEST_BYTES_MAX - 20);
    }
    assert_error(request_decode(longest, "app.db", &text, &ours, &e), &e, ERR_CONFIG);
    memset(longest, 'a', sizeof longest - 1);
    assert_error(request_decode(longest, "app.db", &text, &ours, &e), &e, ERR_CONFIG);
}

static void invalid_values_are_named(void **state)
{
    static const char *const wrong[][2] = {
        {"app.db?replica=", "missing replica URL"},    {"app.db?replica", "missing replica URL"},
        {"app.db?replica=r&txid=0", "txid"},           {"app.db?replica=r&txid=9223372036854775808", "txid"},
        {"app.db?replica=r&txid=x", "txid"},           {"app.db?replica=r&at=x", "at: "},
        {"app.db?replica=r&at=now&txid=1", "exclude"}, {"app.db?replica=r&follow=x", "follow"},
        {"app.db?replica=r&follow=25h", "follow"},     {"app.db?replica=r&follow=1s&txid=1", "exclude"},
        {"app.db?replica=r&cache-dir=", "cache-dir"},  {"app.db?replica=r&cache-size=1K", "cache-size"},
    };
    struct reader_options o;
    struct err e;
    bool asked = false;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        assert_error(read_text(wrong[i][0], &o, &asked, &e), &e, ERR_CONFIG);
        assert_contains(e.msg, wrong[i][1]);
    }
}

/* Otherwise the program would write a new database of this name. */
static void what_can_not_be_understood_is_refused(void **state)
{
    static const char *const wrong[][2] = {
        {"app.db", "lacks replica"},
        {"app.db?", "lacks replica"},
        {"app.db?txid=1", "lacks replica"},
        {"app.db?replca=/r", "unknown parameter 'replca'"},
        {"app.db?replica=/r&folow=1s", "unknown parameter 'folow'"},
        {"app.db?replica=/r&tixd=1", "unknown parameter 'tixd'"},
        {"app.db?replica=/r&=z", "unknown parameter ''"},
        {"/data/app.db?Replica=/r", "unknown parameter 'Replica'"},
        {"app.db?replica=%zz", "parameters"},
        {"app.db?replica=%00", "parameters"},
        {"app.db?replica=%4", "parameters"},
        {"app.db?replica=/r&%", "parameters"},
        {"app.db?replica=/r&cache=shared", "cache=shared"},
        {"?replica=/r", "no file name"},
        {"%", "file name"},
        {"%zz.db?replica=/r", "file name"},
    };
    struct reader_options o;
    struct err e;
    bool asked = false;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        assert_error(read_text(wrong[i][0], &o, &asked, &e), &e, ERR_CONFIG);
        assert_contains(e.msg, wrong[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_read),
        cmocka_unit_test(the_variable_is_for_one_file_name),
        cmocka_unit_test(what_does_not_fit_into_memory_is_refused),
        cmocka_unit_test(invalid_values_are_named),
        cmocka_unit_test(what_can_not_be_understood_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
