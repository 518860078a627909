/* base/claim.h: one budget of memory for all claims of replicas. */
#include "unit.h"

#include "base/claim.h"

#include <pthread.h>

#define MIB ((size_t)1 << 20)

static int setup(void **state)
{
    (void)state;
    claim_set_limit(16 * MIB);
    return 0;
}

static void all_of_it_can_be_taken_and_not_a_byte_more(void **state)
{
    struct err e;
    (void)state;
    assert_ok(claim_take(10 * MIB, &e), &e);
    assert_error(claim_take(6 * MIB + 1, &e), &e, ERR_CLAIM);
    assert_ok(claim_take(6 * MIB, &e), &e);
    assert_error(claim_take(1, &e), &e, ERR_CLAIM);
    claim_give(16 * MIB);
    assert_ok(claim_take(16 * MIB, &e), &e);
    claim_give(16 * MIB);
}

static void a_refusal_says_how_much_is_needed_and_how_much_is_left(void **state)
{
    struct err e;
    (void)state;
    assert_ok(claim_take(5 * MIB, &e), &e);
    assert_error(claim_take(100 * MIB - 1, &e), &e, ERR_CLAIM);
    assert_string_equal(e.msg,
                        "needs 100 MiB of memory, and 11 of 16 MiB are left for what is read from replicas\n"
                        "  HINT: a damaged or forged object can claim anything. If you trust this replica, raise "
                        "--memory");
    claim_give(5 * MIB);
}

static void a_claim_beyond_all_numbers_is_refused(void **state)
{
    struct err e;
    (void)state;
    assert_ok(claim_take(1, &e), &e);
    assert_error(claim_take(SIZE_MAX, &e), &e, ERR_CLAIM);
    claim_give(1);
}

static void it_is_tight_when_more_than_half_is_taken(void **state)
{
    struct err e;
    (void)state;
    assert_ok(claim_take(8 * MIB, &e), &e);
    assert_false(claim_is_tight());
    assert_ok(claim_take(1, &e), &e);
    assert_true(claim_is_tight());
    claim_give(8 * MIB + 1);
    assert_false(claim_is_tight());
}

static void a_lower_limit_leaves_what_is_taken(void **state)
{
    struct err e;
    (void)state;
    assert_ok(claim_take(8 * MIB, &e), &e);
    claim_set_limit(4 * MIB);
    assert_error(claim_take(1, &e), &e, ERR_CLAIM);
    claim_give(8 * MIB);
    assert_ok(claim_take(4 * MIB, &e), &e);
    claim_give(4 * MIB);
}

static void *take_and_give(void *arg)
{
    size_t *refused = arg;
    struct err e;
    for (int i = 0; i < 20000; i++)
        if (claim_take(5 * MIB, &e) == 0)
            claim_give(5 * MIB);
        else
            ++*refused;
    return NULL;
}

static void threads_share_it(void **state)
{
    pthread_t threads[4];
    size_t refused[4] = {0};
    struct err e;
    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &refused[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_ok(claim_take(16 * MIB, &e), &e); /* the threads have given everything back */
    claim_give(16 * MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(all_of_it_can_be_taken_and_not_a_byte_more, setup),
        cmocka_unit_test_setup(a_refusal_says_how_much_is_needed_and_how_much_is_left, setup),
        cmocka_unit_test_setup(a_claim_beyond_all_numbers_is_refused, setup),
        cmocka_unit_test_setup(it_is_tight_when_more_than_half_is_taken, setup),
        cmocka_unit_test_setup(a_lower_limit_leaves_what_is_taken, setup),
        cmocka_unit_test_setup(threads_share_it, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
