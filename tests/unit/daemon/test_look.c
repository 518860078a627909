/* daemon/look.h: when a look is due, and when a loss is certain. */
#include "daemon/look.h"

#include "unit.h"

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)
#define CONFIRM_MS INT64_C(2000)

static struct look look;

/* The look is made at 0 ms, and no job runs. */
static int begin(void **state)
{
    (void)state;
    look_init(&look, "/replica", NULL, 0);
    return 0;
}

/* Ends a job that began when `objects` objects had been put. */
static enum look_end end_look(int rc, bool whole, uint64_t objects, int64_t now_ms)
{
    look.busy = true;
    look.due_ms = INT64_MAX;
    look.rc = rc;
    look.put = objects;
    look.found.whole = whole;
    return look_ended(&look, CONFIRM_MS, now_ms);
}

static void the_first_look_is_due_a_minute_after_the_start(void **state)
{
    (void)state;
    assert_false(look_due(&look, 0, MINUTE_MS - 1));
    assert_true(look_due(&look, 0, MINUTE_MS));
}

static void an_idle_replica_is_not_looked_at_again(void **state)
{
    (void)state;
    assert_int_equal(end_look(0, true, 7, MINUTE_MS), LOOK_WHOLE);
    assert_false(look_due(&look, 7, 1000 * HOUR_MS));
}

static void a_replica_that_got_objects_is_looked_at_after_an_hour(void **state)
{
    (void)state;
    assert_int_equal(end_look(0, true, 7, MINUTE_MS), LOOK_WHOLE);
    assert_false(look_due(&look, 8, MINUTE_MS + HOUR_MS - 1));
    assert_true(look_due(&look, 8, MINUTE_MS + HOUR_MS));
}

static void a_look_that_is_asked_for_is_due_then_and_an_earlier_one_stays(void **state)
{
    (void)state;
    look_ask(&look, 500);
    assert_false(look_due(&look, 0, 499));
    assert_true(look_due(&look, 0, 500));
    look_ask(&look, 900);
    assert_true(look_due(&look, 0, 500));
}

static void while_a_look_runs_none_is_due(void **state)
{
    (void)state;
    look.busy = true;
    assert_false(look_due(&look, 100, 1000 * HOUR_MS));
}

static void a_loss_is_certain_when_a_second_look_confirms_it(void **state)
{
    (void)state;
    assert_int_equal(end_look(0, false, 7, 1000), LOOK_AGAIN);
    assert_false(look_due(&look, 7, 1000 + CONFIRM_MS - 1));
    assert_true(look_due(&look, 7, 1000 + CONFIRM_MS));
    assert_int_equal(end_look(0, false, 7, 3000), LOOK_MISSING);
}

static void objects_that_come_back_before_the_second_look_are_no_loss(void **state)
{
    (void)state;
    assert_int_equal(end_look(0, false, 7, 1000), LOOK_AGAIN);
    assert_int_equal(end_look(0, true, 7, 3000), LOOK_WHOLE);
    assert_int_equal(end_look(0, false, 7, 5000), LOOK_AGAIN);
}

static void each_loss_that_comes_back_is_confirmed_after_twice_the_time(void **state)
{
    (void)state;
    for (unsigned losses = 0; losses < 12; losses++) {
        const int64_t wait_ms = CONFIRM_MS << (losses < 10 ? losses : 10);
        assert_int_equal(end_look(0, false, 7, 1000), LOOK_AGAIN);
        assert_int_equal(look.due_ms, 1000 + wait_ms);
        assert_int_equal(end_look(0, false, 7, 1000 + wait_ms), LOOK_MISSING);
    }
    assert_int_equal(end_look(0, true, 7, 1000), LOOK_WHOLE);
    assert_int_equal(end_look(0, false, 7, 2000), LOOK_AGAIN);
    assert_int_equal(look.due_ms, 2000 + CONFIRM_MS);
}

static void a_loss_that_is_doubted_needs_one_more_look(void **state)
{
    (void)state;
    assert_int_equal(end_look(0, false, 7, 1000), LOOK_AGAIN);
    assert_int_equal(end_look(0, false, 7, 3000), LOOK_MISSING);
    look_doubt(&look, 3000);
    assert_true(look_due(&look, 7, 3000));
    assert_int_equal(end_look(0, false, 7, 3100), LOOK_MISSING);
}

static void a_look_that_fails_proves_nothing_and_waits_longer_each_time(void **state)
{
    (void)state;
    assert_int_equal(end_look(0, false, 7, 1000), LOOK_AGAIN);
    for (unsigned failures = 0; failures < 9; failures++) {
        const int64_t wait_ms = failures < 7 ? 30000 << failures : HOUR_MS;
        assert_int_equal(end_look(-1, false, 7, 5000), LOOK_AGAIN);
        assert_int_equal(look.due_ms, 5000 + (wait_ms < HOUR_MS ? wait_ms : HOUR_MS));
    }
    assert_int_equal(end_look(0, false, 7, 9000), LOOK_MISSING); /* the loss of before is confirmed */
}

#define LOOK_UNIT(test) cmocka_unit_test_setup(test, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOK_UNIT(the_first_look_is_due_a_minute_after_the_start),
        LOOK_UNIT(an_idle_replica_is_not_looked_at_again),
        LOOK_UNIT(a_replica_that_got_objects_is_looked_at_after_an_hour),
        LOOK_UNIT(a_look_that_is_asked_for_is_due_then_and_an_earlier_one_stays),
        LOOK_UNIT(while_a_look_runs_none_is_due),
        LOOK_UNIT(a_loss_is_certain_when_a_second_look_confirms_it),
        LOOK_UNIT(objects_that_come_back_before_the_second_look_are_no_loss),
        LOOK_UNIT(each_loss_that_comes_back_is_confirmed_after_twice_the_time),
        LOOK_UNIT(a_loss_that_is_doubted_needs_one_more_look),
        LOOK_UNIT(a_look_that_fails_proves_nothing_and_waits_longer_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
