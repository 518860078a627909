/* daemon/outage.h: the replicas of a store that is down share one back-off and one probe. */
#include "unit.h"

#include "daemon/outage.h"

#include <string.h>

#define USERS 3

static struct outages *outages;
static struct outage_user users[USERS];
static int told[USERS];
static const struct err silence = {.code = ERR_TIMEOUT, .msg = "no answer"};

static void note(void *context)
{
    (*(int *)context)++;
}

static void join(int i, const char *store)
{
    struct err e;
    users[i] = (struct outage_user){.changed = note, .context = &told[i]};
    told[i] = 0;
    assert_ok(outage_join(outages, store, "s3://bucket/x", &users[i], &e), &e);
}

static int begin(void **state)
{
    struct err e;
    (void)state;
    assert_ok(outages_open(&outages, &e), &e);
    for (int i = 0; i < USERS; i++)
        join(i, "s3://bucket");
    return 0;
}

static int end(void **state)
{
    (void)state;
    for (int i = 0; i < USERS; i++)
        outage_leave(&users[i]);
    outages_close(outages);
    return 0;
}

/* The one that was asked to probe; -1: none was. */
static int prober(void)
{
    int which = -1;
    for (int i = 0; i < USERS; i++) {
        if (!users[i].probes)
            continue;
        assert_int_equal(which, -1);
        which = i;
    }
    return which;
}

static void fall(int64_t now)
{
    assert_true(outage_unanswered(&users[0], now - 10, &silence, now));
}

static void one_request_without_an_answer_holds_all_replicas_there(void **state)
{
    struct err e;
    struct outage_user elsewhere = {.changed = note, .context = &told[0]}, folder = {.of = NULL};
    (void)state;
    assert_ok(outage_join(outages, "s3://other", "s3://other/x", &elsewhere, &e), &e);
    fall(1000);
    for (int i = 0; i < USERS; i++)
        assert_false(outage_admits(&users[i]));
    assert_true(outage_admits(&elsewhere) && outage_admits(&folder));
    assert_string_equal(outage_why(&users[2])->msg, "no answer");
    outage_leave(&elsewhere);
}

static void an_answer_since_it_began_speaks_for_the_store(void **state)
{
    (void)state;
    outage_answered(&users[1], 995);
    assert_false(outage_unanswered(&users[0], 990, &silence, 1000));
    assert_true(outage_admits(&users[0]));
    assert_true(outage_unanswered(&users[0], 996, &silence, 1000));
}

static void one_at_a_time_probes_each_in_its_turn(void **state)
{
    int64_t now = 1000;
    bool seen[USERS] = {false};
    (void)state;
    fall(now);
    for (int round = 0; round < USERS; round++) {
        assert_int_equal(prober(), -1);
        now += outages_turn(outages, now);
        outages_turn(outages, now);
        const int p = prober();
        assert_in_range(p, 0, USERS - 1);
        assert_false(seen[p]);
        seen[p] = true;
        outage_began(&users[p]);
        assert_true(outages_turn(outages, now + 600000) >= 60000); /* it may take its time */
        assert_int_equal(prober(), p);
        assert_false(outage_unanswered(&users[p], now, &silence, now + 5));
        now += 5;
    }
}

static void what_was_under_way_when_it_fell_lengthens_no_wait(void **state)
{
    (void)state;
    fall(1000);
    const int wait = outages_turn(outages, 1000);
    for (int i = 0; i < 20; i++)
        assert_false(outage_unanswered(&users[1], 995, &silence, 1000));
    assert_int_equal(outages_turn(outages, 1000), wait);
}

static void the_wait_grows_up_to_its_limit_and_an_answer_ends_it(void **state)
{
    int64_t now = 1000, longest = 0;
    (void)state;
    fall(now);
    for (int round = 0; round < 30; round++) {
        const int64_t wait = outages_turn(outages, now);
        longest = wait > longest ? wait : longest;
        assert_true(wait <= OUTAGE_WAIT_MS_MAX + OUTAGE_WAIT_MS_MIN);
        now += wait;
        outages_turn(outages, now);
        outage_began(&users[prober()]);
        outage_unanswered(&users[prober()], now, &silence, now);
    }
    assert_true(longest > 5000);
    memset(told, 0, sizeof told);
    outage_answered(&users[2], now);
    for (int i = 0; i < USERS; i++) {
        assert_true(outage_admits(&users[i]) && !users[i].probes);
        assert_int_equal(told[i], 1);
    }
    assert_true(outage_unanswered(&users[0], now + 1, &silence, now + 2));
    assert_true(outages_turn(outages, now + 2) <= 2 * OUTAGE_WAIT_MS_MIN);
}

static void a_replica_with_nothing_to_ask_passes_it_on(void **state)
{
    int64_t now = 1000;
    (void)state;
    fall(now);
    now += outages_turn(outages, now);
    outages_turn(outages, now);
    const int first = prober();
    outage_passed(&users[first], now);
    assert_int_equal(prober(), -1);
    outages_turn(outages, now);
    assert_int_not_equal(prober(), first);
    outage_passed(&users[prober()], now);
    outages_turn(outages, now);
    assert_false(outage_admits(&users[first]));
    outage_passed(&users[prober()], now); /* nobody has: each tries by itself when it has */
    for (int i = 0; i < USERS; i++)
        assert_true(outage_admits(&users[i]));
}

static void a_probe_that_fails_on_this_machine_says_nothing_of_the_store(void **state)
{
    int64_t now = 1000;
    (void)state;
    fall(now);
    for (int round = 0; round < 2 * USERS; round++) { /* however many: it does not come up by that */
        now += outages_turn(outages, now);
        outages_turn(outages, now);
        const int p = prober();
        assert_int_not_equal(p, -1);
        outage_began(&users[p]);
        outage_not_asked(&users[p], now);
        assert_int_equal(prober(), -1);
        assert_true(outage_is_down(&users[p]) && outages_turn(outages, now) >= OUTAGE_WAIT_MS_MIN / 2);
    }
    outage_not_asked(&users[0], now); /* it was not asked: nothing changes */
    assert_true(outage_is_down(&users[0]));
}

static void one_that_sends_nothing_or_goes_leaves_the_probe_to_others(void **state)
{
    int64_t now = 1000;
    (void)state;
    fall(now);
    now += outages_turn(outages, now);
    assert_int_equal(outages_turn(outages, now), OUTAGE_BEGIN_MS);
    const int first = prober();
    now += OUTAGE_BEGIN_MS;
    outages_turn(outages, now);
    const int second = prober();
    assert_int_not_equal(first, second);
    outage_leave(&users[second]);
    outages_turn(outages, now);
    assert_int_not_equal(prober(), -1);
    assert_false(outage_admits(&users[first]));
    join(second, "s3://bucket");
    assert_false(outage_admits(&users[second]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_request_without_an_answer_holds_all_replicas_there, begin, end),
        cmocka_unit_test_setup_teardown(an_answer_since_it_began_speaks_for_the_store, begin, end),
        cmocka_unit_test_setup_teardown(one_at_a_time_probes_each_in_its_turn, begin, end),
        cmocka_unit_test_setup_teardown(what_was_under_way_when_it_fell_lengthens_no_wait, begin, end),
        cmocka_unit_test_setup_teardown(the_wait_grows_up_to_its_limit_and_an_answer_ends_it, begin, end),
        cmocka_unit_test_setup_teardown(a_replica_with_nothing_to_ask_passes_it_on, begin, end),
        cmocka_unit_test_setup_teardown(a_probe_that_fails_on_this_machine_says_nothing_of_the_store, begin, end),
        cmocka_unit_test_setup_teardown(one_that_sends_nothing_or_goes_leaves_the_probe_to_others, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
