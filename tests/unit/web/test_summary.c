/* web/summary.h: figures of all databases, and the worst of them. */
#include "unit.h"

#include "web/summary.h"

static struct json *parsed(const char *text)
{
    struct json *j = NULL;
    struct err e;
    assert_ok(json_parse(text, strlen(text), &j, &e), &e);
    return j;
}

static struct json *document(const char *path, const char *condition, bool well, int64_t lag_ms)
{
    struct json *j = json_object_new(), *replicas = json_list_new(), *r = json_object_new();
    json_set_text(j, "database", path);
    json_set_text(j, "state", "resting");
    json_set_text(j, "condition", condition);
    json_set_flag(j, "running", true);
    json_set_flag(j, "well", well);
    json_set_number(r, "lag_ms", lag_ms);
    json_set_flag(r, "well", well);
    json_push(replicas, r);
    json_set(j, "replicas", replicas);
    return j;
}

static void figures_of_databases_are_added_up(void **state)
{
    struct summary s = {.databases = 0};
    struct json *a = parsed(
                    "{\"running\":true,\"well\":false,\"condition\":\"behind\",\"state\":\"following\",\"replicas\":["
                    "{\"well\":true,\"lag_ms\":0,\"requests\":{\"put\":2,\"failed\":1,\"sent_bytes\":9},"
                    "\"restore_points\":{\"bytes\":100}},"
                    "{\"well\":false,\"lag_ms\":70000,\"lag_transactions\":3,\"lag_bytes\":4096,\"requests\":null,"
                    "\"restore_points\":{\"bytes\":5}}]}"),
                *b = parsed(
                    "{\"running\":true,\"well\":true,\"condition\":\"following\",\"state\":\"asleep\",\"replicas\":["
                    "{\"well\":true,\"lag_ms\":0,\"requests\":{\"put\":5}}]}"),
                *c = parsed("{\"running\":false,\"error\":\"x\"}");
    uint64_t requests[REQUEST_FIGURES] = {[REQUEST_PUT] = 100};
    (void)state;
    summary_add(&s, a);
    summary_add(&s, b);
    summary_add(&s, c);
    summary_add_asleep(&s, 2, requests);
    summary_add_asleep(&s, 1, NULL);
    assert_int_equal(s.databases, 5);
    assert_int_equal(s.down, 1);
    assert_int_equal(s.asleep, 3);
    assert_int_equal(s.not_well, 2);
    assert_int_equal(s.in_condition[0], 3);
    assert_int_equal(s.in_condition[3], 1);
    assert_int_equal(s.replicas, 6);
    assert_int_equal(s.replicas_not_well, 1);
    assert_int_equal(s.lag_ms, 70000);
    assert_int_equal(s.lag_transactions, 3);
    assert_int_equal(s.lag_bytes, 4096);
    assert_int_equal(s.requests[REQUEST_PUT], 107);
    assert_int_equal(s.requests[REQUEST_FAILED], 1);
    assert_int_equal(s.requests[REQUEST_SENT_BYTES], 9);
    assert_int_equal(s.stored_bytes, 100); /* a folder costs nothing */
    json_free(a);
    json_free(b);
    json_free(c);
}

static void assert_path(const struct json *list, size_t index, const char *path)
{
    assert_string_equal(json_get_text(json_at(list, index), "database"), path);
}

static void the_worst_come_first(void **state)
{
    struct worst w = {.count = 0};
    (void)state;
    worst_add(&w, document("/well-b", "following", true, 0));
    worst_add(&w, document("/well-a", "following", true, 0));
    worst_add(&w, document("/lag", "behind", true, 900));
    worst_add(&w, document("/late", "behind", false, 70000));
    worst_add(&w, document("/later", "behind", false, 90000));
    worst_add(&w, document("/conflict", "conflict", false, 0));
    worst_add(&w, parsed("{\"database\":\"/down\",\"running\":false}"));
    worst_add(&w, NULL);
    struct json *list = worst_take(&w);
    static const char *const expected[] = {"/down", "/conflict", "/later", "/late", "/lag", "/well-a", "/well-b"};
    assert_int_equal(json_count(list), 7);
    for (size_t i = 0; i < 7; i++)
        assert_path(list, i, expected[i]);
    json_free(list);
}

/* However many there are, and in whatever order they come. */
static void only_so_many_are_kept_and_the_others_are_counted(void **state)
{
    struct worst w = {.count = 0};
    char path[32];
    (void)state;
    for (int i = 0; i < 3000; i++) {
        const int lag_ms = i * 7919 % 3000;
        snprintf(path, sizeof path, "/%d", lag_ms);
        worst_add(&w, document(path, "behind", true, lag_ms));
        assert_true(w.count <= WORST_MAX);
    }
    assert_int_equal(w.left_out, 3000 - WORST_MAX);
    struct json *list = worst_take(&w);
    assert_int_equal(json_count(list), WORST_MAX);
    for (size_t i = 0; i < WORST_MAX; i++)
        assert_int_equal(summary_greatest(json_at(list, i), "lag_ms"), 2999 - i);
    json_free(list);
}

static void a_database_that_sleeps_and_is_well_has_no_metrics_of_its_own(void **state)
{
    struct json *asleep = parsed("{\"state\":\"asleep\",\"well\":true}"),
                *ill = parsed("{\"state\":\"asleep\",\"well\":false}"),
                *awake = parsed("{\"state\":\"resting\",\"well\":true}"), *down = parsed("{\"running\":false}");
    (void)state;
    assert_false(worst_counts(asleep));
    assert_true(worst_counts(ill));
    assert_true(worst_counts(awake));
    assert_true(worst_counts(down));
    json_free(asleep);
    json_free(ill);
    json_free(awake);
    json_free(down);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(figures_of_databases_are_added_up),
        UNIT(the_worst_come_first),
        UNIT(only_so_many_are_kept_and_the_others_are_counted),
        UNIT(a_database_that_sleeps_and_is_well_has_no_metrics_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
