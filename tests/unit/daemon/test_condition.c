/* daemon/condition.h: the condition of a replica, and whether all is well. */
#include "daemon/condition.h"
#include "web/summary.h"

#include "unit.h"

#include <string.h>

static struct database db;
static struct lane lane;
static struct verification_record record;

/* An attached replica that has everything. */
static int begin(void **state)
{
    (void)state;
    memset(&db, 0, sizeof db);
    memset(&lane, 0, sizeof lane);
    memset(&record, 0, sizeof record);
    db.lanes.captured.txid = 5;
    lane.asked = true;
    lane.seen.state = DESTINATION_ATTACHED;
    lane.seen.durable = 5;
    return 0;
}

static void assert_condition(enum condition expected, bool well)
{
    int64_t for_ms = 0;
    enum condition c = condition_of_replica(&db, &lane, &record, 1000000, &for_ms);
    assert_string_equal(condition_name(c), condition_name(expected));
    assert_int_equal(condition_is_well(c, for_ms), well);
}

static void a_replica_that_has_everything_follows(void **state)
{
    (void)state;
    assert_condition(CONDITION_FOLLOWING, true);
}

static void a_replica_that_was_not_asked_yet_starts(void **state)
{
    (void)state;
    lane.asked = false;
    assert_condition(CONDITION_STARTING, true);
}

static void a_first_copy_is_under_way_until_it_can_be_restored(void **state)
{
    (void)state;
    lane.seen.base_owed = true;
    assert_condition(CONDITION_FIRST_COPY, true);
}

static void a_replica_may_be_behind_for_a_minute(void **state)
{
    (void)state;
    lag_note(&db.lag, 5, 1000000 - 59999, 1);
    lag_note(&db.lag, 6, 1000000 - 59999, 1);
    db.lanes.captured.txid = 6;
    assert_condition(CONDITION_BEHIND, true);
    db.lag = (struct lag){.count = 0};
    lag_note(&db.lag, 5, 1000000 - 60000, 1);
    lag_note(&db.lag, 6, 1000000 - 60000, 1);
    assert_condition(CONDITION_BEHIND, false);
}

static void a_store_may_fail_for_a_minute(void **state)
{
    (void)state;
    lane.failing_since_ms = 1000000 - 59999;
    assert_condition(CONDITION_FAILING, true);
    lane.failing_since_ms--;
    assert_condition(CONDITION_FAILING, false);
}

static void a_conflict_is_worse_than_a_loss_and_a_loss_than_problems(void **state)
{
    (void)state;
    record.verified_ms = 1;
    assert_condition(CONDITION_VERIFICATION_FAILED, false);
    lane.loss.since_ms = 1;
    assert_condition(CONDITION_LOST, false);
    lane.seen.state = DESTINATION_CONFLICT;
    assert_condition(CONDITION_CONFLICT, false);
}

static void what_waits_for_the_first_base_is_as_old_as_its_oldest_commit(void **state)
{
    (void)state;
    assert_int_equal(condition_behind_since_ms(&db, &lane), 0);
    lane.seen.base_owed = true;
    lag_note(&db.lag, 4, 700000, 1);
    lag_note(&db.lag, 5, 800000, 1);
    assert_int_equal(condition_behind_since_ms(&db, &lane), 700000);
}

static void after_a_loss_the_age_counts_from_its_notice(void **state)
{
    (void)state;
    lane.seen.base_owed = true;
    lane.loss.since_ms = 900000;
    assert_int_equal(condition_behind_since_ms(&db, &lane), 900000);
}

#define CONDITION_UNIT(test) cmocka_unit_test_setup(test, begin)

static void a_summary_has_the_same_conditions(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SUMMARY_CONDITIONS; i++)
        assert_string_equal(summary_conditions[i], condition_name((enum condition)i));
    assert_int_equal(SUMMARY_CONDITIONS, CONDITION_CONFLICT + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(a_summary_has_the_same_conditions),
        CONDITION_UNIT(a_replica_that_has_everything_follows),
        CONDITION_UNIT(a_replica_that_was_not_asked_yet_starts),
        CONDITION_UNIT(a_first_copy_is_under_way_until_it_can_be_restored),
        CONDITION_UNIT(a_replica_may_be_behind_for_a_minute),
        CONDITION_UNIT(a_store_may_fail_for_a_minute),
        CONDITION_UNIT(what_waits_for_the_first_base_is_as_old_as_its_oldest_commit),
        CONDITION_UNIT(after_a_loss_the_age_counts_from_its_notice),
        CONDITION_UNIT(a_conflict_is_worse_than_a_loss_and_a_loss_than_problems),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
