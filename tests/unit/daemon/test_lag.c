/* daemon/lag.h: the age of the oldest commit that is not durable. It may be too old, never too young, and memory is
 * bounded. */
#include "unit.h"

#include "daemon/lag.h"

static void it_is_the_first_commit_of_the_span_that_holds_the_next_txid(void **state)
{
    struct lag l = {.count = 0};
    (void)state;
    lag_note(&l, 3, 1000, 1);
    lag_note(&l, 5, 2000, 1);
    lag_note(&l, 6, 2500, 1);
    assert_int_equal(lag_since_ms(&l, 0), 1000);
    assert_int_equal(lag_since_ms(&l, 2), 1000);
    assert_int_equal(lag_since_ms(&l, 3), 2000);
    assert_int_equal(lag_since_ms(&l, 5), 2500);
    assert_int_equal(lag_since_ms(&l, 6), 0);
}

static void a_commit_that_was_noted_before_changes_nothing(void **state)
{
    struct lag l = {.count = 0};
    (void)state;
    lag_note(&l, 3, 1000, 1);
    lag_note(&l, 3, 9000, 1);
    lag_note(&l, 2, 9000, 1);
    assert_int_equal(l.count, 1);
    assert_int_equal(lag_since_ms(&l, 2), 1000);
}

static void commits_that_every_replica_has_are_forgotten(void **state)
{
    struct lag l = {.count = 0};
    (void)state;
    for (uint64_t txid = 1; txid <= 10; txid++)
        lag_note(&l, txid, (int64_t)txid * 100, 1);
    lag_trim(&l, 4);
    assert_int_equal(l.count, 6);
    assert_int_equal(lag_since_ms(&l, 4), 500);
    lag_trim(&l, 10);
    assert_int_equal(l.count, 0);
    assert_int_equal(lag_since_ms(&l, 10), 0);
}

static void bytes_after_a_txid_are_those_of_the_spans_behind_it(void **state)
{
    struct lag l = {.count = 0};
    (void)state;
    lag_note(&l, 3, 1000, 100);
    lag_note(&l, 5, 2000, 20);
    lag_note(&l, 6, 2500, 3);
    assert_int_equal(lag_bytes(&l, 0), 123);
    assert_int_equal(lag_bytes(&l, 3), 23);
    assert_int_equal(lag_bytes(&l, 4), 23); /* commits of one span are not told apart: more, never less */
    assert_int_equal(lag_bytes(&l, 6), 0);
    lag_trim(&l, 5);
    assert_int_equal(lag_bytes(&l, 0), 3);
}

/* However many spans become one, no byte is lost. */
static void bytes_of_a_long_outage_are_never_too_few(void **state)
{
    struct lag l = {.count = 0};
    (void)state;
    for (uint64_t txid = 1; txid <= 100000; txid++)
        lag_note(&l, txid, (int64_t)txid, 7);
    assert_int_equal(lag_bytes(&l, 0), 700000);
    for (uint64_t txid = 0; txid < 100000; txid += 997)
        assert_true(lag_bytes(&l, txid) >= 7 * (100000 - txid));
}

/* One replica is away for a million commits. The answer is exact for it, and for a replica that is a few commits
 * behind. In between it is never too young. */
static void a_long_outage_costs_precision_in_the_middle_only(void **state)
{
    struct lag l = {.count = 0};
    uint64_t last = 1000000;
    (void)state;
    for (uint64_t txid = 1; txid <= last; txid++) {
        lag_note(&l, txid, (int64_t)txid * 10, 1);
        assert_true(l.count <= LAG_SPANS_MAX);
    }
    assert_int_equal(lag_since_ms(&l, 0), 10);
    for (uint64_t txid = last - LAG_SPANS_MAX / 4; txid < last; txid++)
        assert_int_equal(lag_since_ms(&l, txid), (int64_t)(txid + 1) * 10);
    for (uint64_t txid = 0; txid < last; txid += 997) {
        int64_t since = lag_since_ms(&l, txid);
        assert_true(since > 0 && since <= (int64_t)(txid + 1) * 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(it_is_the_first_commit_of_the_span_that_holds_the_next_txid),
        UNIT(a_commit_that_was_noted_before_changes_nothing),
        UNIT(commits_that_every_replica_has_are_forgotten),
        UNIT(bytes_after_a_txid_are_those_of_the_spans_behind_it),
        UNIT(bytes_of_a_long_outage_are_never_too_few),
        UNIT(a_long_outage_costs_precision_in_the_middle_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
