/* replica/skipped.h: which newer restore points a search by time passes over because a clock was wrong. */
#include "unit.h"

#include "replica/skipped.h"
#include "replica_fixture.h"

#define MINUTE INT64_C(60000)
#define DAY (1440 * MINUTE)
#define BEGIN INT64_C(1000000000)

static int setup(void **state)
{
    (void)state;
    return replica_fixture(41, 6);
}

/* Puts a commit: the time in its record, what the clock of the writer said, and when the store received it. */
static void put(uint64_t txid, int64_t record_ms, int64_t clock_ms, int64_t store_ms)
{
    ((struct memory_store *)store)->now_ms = store_ms;
    r.time_ms = clock_ms;
    r.model.at[txid].record.time_ms = record_ms;
    replica_put_full(&r, txid, txid, txid == 1 ? SEGMENT_FROM_EMPTY : 0);
}

/* The search at `moment` finds `found` and names `last`; 0: nothing was skipped. */
static void assert_skips(int64_t moment, int64_t now, uint64_t found, uint64_t last, bool future)
{
    struct skipped s;
    struct err e;
    uint64_t txid = 0;
    catalog_release(&catalog);
    assert_ok(catalog_open(&catalog, store, codec, &e), &e);
    assert_ok(points_at_time(&catalog, moment, &txid, &e), &e);
    assert_int_equal(txid, found);
    assert_ok(skipped_find(&catalog, moment, now, txid, &s, &e), &e);
    assert_int_equal(s.last, last);
    assert_int_equal(s.future, last && future);
}

static void a_right_clock_hides_nothing(void **state)
{
    (void)state;
    for (uint64_t t = 1; t <= 6; t++)
        put(t, BEGIN + (int64_t)t * MINUTE, BEGIN + (int64_t)t * MINUTE, BEGIN + (int64_t)t * MINUTE);
    for (uint64_t t = 1; t <= 6; t++)
        assert_skips(BEGIN + (int64_t)t * MINUTE, BEGIN + DAY, t, 0, false);
    assert_skips(BEGIN + 7 * MINUTE, BEGIN + 7 * MINUTE, 6, 0, false);
}

static void commits_behind_a_day_that_was_wrong_are_skipped_until_their_own_time_came(void **state)
{
    (void)state;
    put(1, BEGIN, BEGIN, BEGIN);
    put(2, BEGIN + DAY, BEGIN + DAY, BEGIN + 2 * MINUTE); /* the clock is a day ahead */
    for (uint64_t t = 3; t <= 5; t++)                     /* it was set right */
        put(t, BEGIN + DAY, BEGIN + (int64_t)t * MINUTE, BEGIN + (int64_t)t * MINUTE);
    put(6, BEGIN + 2 * DAY, BEGIN + 2 * DAY, BEGIN + 2 * DAY);
    assert_skips(BEGIN + 1 * MINUTE, BEGIN + 3 * DAY, 1, 0, false);
    assert_skips(BEGIN + 4 * MINUTE, BEGIN + 3 * DAY, 1, 4, false);
    assert_skips(BEGIN + 9 * MINUTE, BEGIN + 3 * DAY, 1, 5, false);
    assert_skips(BEGIN + DAY, BEGIN + 3 * DAY, 5, 0, false);
}

static void the_clock_of_a_bucket_counts_where_that_of_the_writer_was_never_set_right(void **state)
{
    (void)state;
    put(1, BEGIN, BEGIN, BEGIN);
    for (uint64_t t = 2; t <= 6; t++)
        put(t, BEGIN + DAY + (int64_t)t, BEGIN + DAY + (int64_t)t, BEGIN + (int64_t)t * MINUTE);
    assert_skips(BEGIN + 4 * MINUTE, BEGIN + 3 * DAY, 1, 3, false); /* clocks can differ by a minute */
    store->folder = "/";                                            /* times of files prove nothing */
    assert_skips(BEGIN + 4 * MINUTE, BEGIN + 3 * DAY, 1, 0, false);
}

static void a_time_that_has_not_come_is_told(void **state)
{
    (void)state;
    put(1, BEGIN, BEGIN, BEGIN);
    for (uint64_t t = 2; t <= 6; t++)
        put(t, BEGIN + DAY + (int64_t)t, BEGIN + DAY + (int64_t)t, BEGIN + 9 * MINUTE);
    assert_skips(BEGIN + 9 * MINUTE, BEGIN + 9 * MINUTE, 1, 6, true);
    assert_skips(BEGIN + DAY + 4, BEGIN + DAY + 4, 4, 6, false); /* and the bucket says when they came */
}

/* An object that the store does not give may have a newer point; a damaged one has none. */
static void objects_that_the_store_does_not_give_are_counted(void **state)
{
    struct skipped s;
    struct err e;
    (void)state;
    put(1, BEGIN, BEGIN, BEGIN);
    put(2, BEGIN + DAY, BEGIN + DAY, BEGIN + 2 * MINUTE);
    for (uint64_t t = 3; t <= 5; t++)
        put(t, BEGIN + DAY, BEGIN + (int64_t)t * MINUTE, BEGIN + (int64_t)t * MINUTE);
    ((struct memory_store *)store)->unread = "0/0000000000000004";
    assert_ok(catalog_open(&catalog, store, codec, &e), &e);
    assert_ok(skipped_find(&catalog, BEGIN + 4 * MINUTE, BEGIN + 3 * DAY, 1, &s, &e), &e);
    assert_int_equal(s.last, 3); /* txid 4 can't be looked at */
    assert_true(s.unread >= 1);
    ((struct memory_store *)store)->unread = NULL;
    struct memory_object *o = memory_store_object((struct memory_store *)store, "0/0000000000000004");
    o->bytes[o->size - 100] ^= 1;
    catalog_release(&catalog);
    assert_ok(catalog_open(&catalog, store, codec, &e), &e);
    assert_ok(skipped_find(&catalog, BEGIN + 4 * MINUTE, BEGIN + 3 * DAY, 1, &s, &e), &e);
    assert_int_equal(s.last, 3);
    assert_int_equal(s.unread, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_right_clock_hides_nothing, setup, replica_fixture_release),
        cmocka_unit_test_setup_teardown(commits_behind_a_day_that_was_wrong_are_skipped_until_their_own_time_came,
                                        setup, replica_fixture_release),
        cmocka_unit_test_setup_teardown(the_clock_of_a_bucket_counts_where_that_of_the_writer_was_never_set_right,
                                        setup, replica_fixture_release),
        cmocka_unit_test_setup_teardown(objects_that_the_store_does_not_give_are_counted, setup,
                                        replica_fixture_release),
        cmocka_unit_test_setup_teardown(a_time_that_has_not_come_is_told, setup, replica_fixture_release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
