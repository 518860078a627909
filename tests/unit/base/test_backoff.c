/* base/backoff.h: waits that double, with jitter. */
#include "base/backoff.h"

#include "unit.h"

static void backoff_doubles_within_its_bounds_and_is_spread(void **state)
{
    (void)state;
    int64_t wait = 0, expected = 100, least_seen = INT64_MAX, most_seen = 0;
    for (int i = 0; i < 12; i++) {
        int64_t now = backoff_next_ms(&wait, 100, 30000);
        assert_int_equal(wait, expected);
        assert_in_range(now, 50, 50 + expected - 1);
        expected = expected * 2 < 30000 ? expected * 2 : 30000;
    }
    for (int i = 0; i < 200; i++) {
        int64_t now = backoff_next_ms(&wait, 100, 30000);
        least_seen = now < least_seen ? now : least_seen;
        most_seen = now > most_seen ? now : most_seen;
    }
    assert_true(least_seen < 7500 && most_seen > 22500);
    wait = 100; /* a wait that was made with other bounds */
    backoff_next_ms(&wait, 5000, 60000);
    assert_int_equal(wait, 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(backoff_doubles_within_its_bounds_and_is_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
