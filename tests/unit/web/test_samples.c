/* web/samples.h: the lag of the last hours, minute by minute. */
#include "unit.h"

#include "web/samples.h"

#define NOW (INT64_C(1000) * SAMPLES_MS)

static void a_minute_has_the_greatest_lag_that_was_seen_in_it(void **state)
{
    struct samples s = {.newest = 0};
    (void)state;
    samples_note(&s, NOW, 500, 10);
    samples_note(&s, NOW + 1, 2000, 5);
    samples_note(&s, NOW + SAMPLES_MS - 1, 0, 0);
    const struct sample x = samples_at(&s, NOW, 0);
    assert_true(x.known);
    assert_int_equal(x.lag_ms, 2000);
    assert_int_equal(x.lag_bytes, 10);
}

static void a_minute_without_a_note_is_unknown(void **state)
{
    struct samples s = {.newest = 0};
    (void)state;
    assert_false(samples_at(&s, NOW, 0).known);
    samples_note(&s, NOW, 1, 1);
    samples_note(&s, NOW + 3 * SAMPLES_MS, 2, 2);
    assert_true(samples_at(&s, NOW + 3 * SAMPLES_MS, 0).known);
    assert_false(samples_at(&s, NOW + 3 * SAMPLES_MS, 1).known);
    assert_false(samples_at(&s, NOW + 3 * SAMPLES_MS, 2).known);
    assert_true(samples_at(&s, NOW + 3 * SAMPLES_MS, 3).known);
    assert_false(samples_at(&s, NOW + 4 * SAMPLES_MS, 0).known); /* it is not over yet, and was not looked at */
    assert_true(samples_at(&s, NOW + 4 * SAMPLES_MS, 1).known);
}

/* A slot of the ring is of one minute: what was in it hours ago is not shown as of now. */
static void what_is_older_than_the_ring_is_unknown(void **state)
{
    struct samples s = {.newest = 0};
    (void)state;
    for (int64_t i = 0; i < 2 * SAMPLES_COUNT; i++)
        samples_note(&s, NOW + i * SAMPLES_MS, i + 1, 0);
    const int64_t end = NOW + (2 * SAMPLES_COUNT - 1) * SAMPLES_MS;
    assert_int_equal(samples_at(&s, end, 0).lag_ms, 2 * SAMPLES_COUNT);
    assert_int_equal(samples_at(&s, end, SAMPLES_COUNT - 1).lag_ms, SAMPLES_COUNT + 1);
    assert_false(samples_at(&s, end, SAMPLES_COUNT).known);
    samples_note(&s, end + 5 * SAMPLES_COUNT * (int64_t)SAMPLES_MS, 7, 0);
    for (size_t ago = 1; ago < SAMPLES_COUNT; ago++)
        assert_false(samples_at(&s, end + 5 * SAMPLES_COUNT * (int64_t)SAMPLES_MS, ago).known);
}

static void the_first_minute_after_the_start_of_the_machine_counts(void **state)
{
    struct samples s = {.newest = 0};
    (void)state;
    samples_note(&s, 1, 9, 0);
    assert_int_equal(samples_at(&s, 2, 0).lag_ms, 9);
    assert_false(samples_at(&s, 2, 1).known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(a_minute_has_the_greatest_lag_that_was_seen_in_it),
        UNIT(a_minute_without_a_note_is_unknown),
        UNIT(what_is_older_than_the_ring_is_unknown),
        UNIT(the_first_minute_after_the_start_of_the_machine_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
