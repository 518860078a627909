/* daemon/ration.h: the PUTs of all replicas of a daemon, and whose turn it is. */
#include "unit.h"

#include "daemon/ration.h"

#include <string.h>

static struct ration ration;
static struct ration_user users[3];
static int told;

static void note(void *context)
{
    (*(int *)context)++;
}

static int begin(void **state)
{
    (void)state;
    told = 0;
    ration = (struct ration){.budget = budget_full(3600, 2, 0)};
    for (int i = 0; i < 3; i++)
        users[i] = (struct ration_user){.changed = note, .context = &told};
    return 0;
}

static void spend_burst(void)
{
    ration_take(&ration, &users[0], 0);
    ration_take(&ration, &users[0], 0);
}

static void the_burst_is_taken_at_once(void **state)
{
    (void)state;
    assert_true(ration_admits(&ration, &users[0], 0));
    spend_burst();
    assert_false(ration_admits(&ration, &users[0], 0));
    assert_true(ration_admits(&ration, &users[0], 1000));
}

static void tokens_go_to_those_that_wait_in_their_order(void **state)
{
    (void)state;
    spend_burst();
    for (int i = 0; i < 3; i++)
        ration_wait(&ration, &users[i]);
    assert_int_equal(ration_turn(&ration, 0), 1000);
    assert_int_equal(told, 0);
    assert_int_equal(ration_turn(&ration, 1000), 1000);
    assert_true(users[0].granted && !users[1].granted && told == 1);
    assert_false(ration_admits(&ration, &users[1], 1999)); /* others wait before it */
    ration_take(&ration, &users[0], 1500);
    ration_wait(&ration, &users[0]); /* behind the others */
    ration_turn(&ration, 2000);
    assert_true(users[1].granted && !users[2].granted && !users[0].granted);
    ration_turn(&ration, 4000);
    assert_true(users[2].granted && users[0].granted);
}

static void one_that_comes_later_does_not_pass_those_that_wait(void **state)
{
    (void)state;
    spend_burst();
    ration_wait(&ration, &users[1]);
    assert_false(ration_admits(&ration, &users[2], 1000));
    ration_turn(&ration, 1000);
    assert_true(ration_admits(&ration, &users[1], 1000));
    assert_false(ration_admits(&ration, &users[2], 1000));
    assert_true(ration_admits(&ration, &users[2], 2000));
}

static void what_can_not_wait_takes_a_token_that_is_missing_afterwards(void **state)
{
    (void)state;
    spend_burst();
    ration_wait(&ration, &users[0]);
    ration_take(&ration, &users[0], 500); /* it was asked for: it leaves without a token */
    assert_false(users[0].waits);
    assert_int_equal(ration_turn(&ration, 1000), 60000);
    assert_int_equal(told, 0);
    assert_true(ration_admits(&ration, &users[1], 1500));
}

static void one_that_goes_is_not_waited_for(void **state)
{
    (void)state;
    spend_burst();
    for (int i = 0; i < 3; i++)
        ration_wait(&ration, &users[i]);
    ration_leave(&ration, &users[1]);
    ration_leave(&ration, &users[0]);
    ration_turn(&ration, 1000);
    assert_true(users[2].granted && told == 1);
    ration_leave(&ration, &users[2]);
    assert_false(users[2].granted);
}

static void without_a_rate_nobody_waits(void **state)
{
    (void)state;
    ration.budget = budget_full(UINT64_MAX, 1, 0);
    for (int i = 0; i < 100; i++) {
        assert_true(ration_admits(&ration, &users[0], 0));
        ration_take(&ration, &users[0], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_burst_is_taken_at_once, begin),
        cmocka_unit_test_setup(tokens_go_to_those_that_wait_in_their_order, begin),
        cmocka_unit_test_setup(one_that_comes_later_does_not_pass_those_that_wait, begin),
        cmocka_unit_test_setup(what_can_not_wait_takes_a_token_that_is_missing_afterwards, begin),
        cmocka_unit_test_setup(one_that_goes_is_not_waited_for, begin),
        cmocka_unit_test_setup(without_a_rate_nobody_waits, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
