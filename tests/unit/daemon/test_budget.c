/* daemon/budget.h: how often objects may be put into a replica whose requests cost money. */
#include "unit.h"

#include "daemon/budget.h"

#define HOUR_MS INT64_C(3600000)

static void a_full_budget_allows_its_burst_at_once(void **state)
{
    struct budget b = budget_full(60, 3, 1000);
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_true(budget_ready_at_ms(&b, 1000) <= 1000);
        budget_take(&b, 1000);
    }
    assert_int_equal(budget_ready_at_ms(&b, 1000), 1000 + 60000);
}

static void a_token_comes_with_each_refill(void **state)
{
    struct budget b = budget_full(60, 1, 0);
    (void)state;
    for (int64_t minute = 0; minute < 5; minute++) {
        assert_true(budget_ready_at_ms(&b, minute * 60000) <= minute * 60000);
        budget_take(&b, minute * 60000);
        assert_int_equal(budget_ready_at_ms(&b, minute * 60000 + 30000), (minute + 1) * 60000);
    }
}

static void it_never_holds_more_than_its_burst(void **state)
{
    struct budget b = budget_full(60, 2, 0);
    (void)state;
    for (int64_t now = 100 * HOUR_MS, i = 0; i < 2; i++) {
        assert_true(budget_ready_at_ms(&b, now) <= now);
        budget_take(&b, now);
    }
    assert_int_equal(budget_ready_at_ms(&b, 100 * HOUR_MS), 100 * HOUR_MS + 60000);
}

static void an_urgent_put_overdraws_it_and_leaves_no_debt(void **state)
{
    struct budget b = budget_full(60, 1, 0);
    (void)state;
    for (int i = 0; i < 10; i++)
        budget_take(&b, 0);
    assert_int_equal(b.parts, 0);
    assert_int_equal(budget_ready_at_ms(&b, 0), 60000);
}

static void an_overdraft_loses_the_part_of_a_token_that_was_there(void **state)
{
    struct budget b = budget_full(3600, 1, 0);
    (void)state;
    budget_take(&b, 0);
    budget_take(&b, 500);
    assert_int_equal(budget_ready_at_ms(&b, 500), 1500);
}

static void a_rate_that_does_not_divide_the_hour_is_rounded_up_to_a_millisecond(void **state)
{
    struct budget b = budget_full(7, 1, 0);
    (void)state;
    budget_take(&b, 0);
    int64_t at = budget_ready_at_ms(&b, 0);
    assert_int_equal(at, (HOUR_MS + 6) / 7);
    assert_true(budget_ready_at_ms(&b, at) <= at);
    assert_true(budget_ready_at_ms(&b, at - 1) > at - 1);
}

static void a_clock_that_stands_still_or_goes_back_brings_nothing(void **state)
{
    struct budget b = budget_full(60, 1, 5000);
    (void)state;
    budget_take(&b, 5000);
    assert_int_equal(budget_ready_at_ms(&b, 5000), 5000 + 60000);
    assert_int_equal(budget_ready_at_ms(&b, 1000), 1000 + 60000);
}

static void without_a_limit_there_is_always_a_token(void **state)
{
    struct budget b = budget_full(UINT64_MAX, 1, 0);
    (void)state;
    for (int i = 0; i < 1000; i++) {
        assert_true(budget_ready_at_ms(&b, 7) <= 7);
        budget_take(&b, 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(a_full_budget_allows_its_burst_at_once),
        UNIT(a_token_comes_with_each_refill),
        UNIT(it_never_holds_more_than_its_burst),
        UNIT(an_urgent_put_overdraws_it_and_leaves_no_debt),
        UNIT(an_overdraft_loses_the_part_of_a_token_that_was_there),
        UNIT(a_rate_that_does_not_divide_the_hour_is_rounded_up_to_a_millisecond),
        UNIT(a_clock_that_stands_still_or_goes_back_brings_nothing),
        UNIT(without_a_limit_there_is_always_a_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
