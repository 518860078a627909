/* retention/timeline.h: to which moments a replica can be restored. */
#include "unit.h"

#include "retention/timeline.h"

static struct timeline made(struct retention_verdict *verdicts, size_t count)
{
    const struct retention_plan plan = {
        .verdicts = verdicts, .count = count, .now_ms = 99, .keep_count = 7, .keep_bytes = 8};
    struct timeline t;
    struct err e;
    assert_ok(timeline_make(&t, &plan, &e), &e);
    return t;
}

static struct retention_verdict point(int64_t time_ms)
{
    return (struct retention_verdict){.name.kind = NAME_LEVEL0, .time_ms = time_ms, .reason = RETENTION_KEEP_ALL};
}

static void what_goes_and_what_can_not_be_restored_is_not_a_point(void **state)
{
    struct retention_verdict v[] = {
        point(50),
        {.name.kind = NAME_LEVEL, .time_ms = 40, .reason = RETENTION_ALONE},
        {.name.kind = NAME_LEVEL0, .time_ms = 10, .goes = true, .reason = RETENTION_COVERED},
        {.name.kind = NAME_MARKER, .time_ms = 20, .reason = RETENTION_BASE_ANCHOR},
        {.name.kind = NAME_MARKER, .time_ms = 15, .reason = RETENTION_BASE_INCOMPLETE},
        {.name.kind = NAME_MARKER, .time_ms = 16, .reason = RETENTION_BASE_DAMAGED},
        {.name.kind = NAME_CHUNK, .time_ms = 5, .reason = RETENTION_CHUNK_STAYS},
        {.name.kind = NAME_PART, .time_ms = 6, .reason = RETENTION_PART_STAYS},
        {.name.kind = NAME_OTHER, .time_ms = 1, .reason = RETENTION_IDENTITY}};
    (void)state;
    const struct timeline t = made(v, sizeof v / sizeof v[0]);
    assert_int_equal(t.listed_ms, 99);
    assert_int_equal(t.objects, 7);
    assert_int_equal(t.bytes, 8);
    assert_int_equal(t.points, 3);
    assert_int_equal(t.count, 3);
    assert_int_equal(t.spans[0].from_ms, 20);
    assert_int_equal(t.spans[1].to_ms, 40);
    assert_int_equal(t.spans[2].to_ms, 50);
}

static void the_largest_gaps_stay(void **state)
{
    struct retention_verdict v[1000];
    (void)state;
    for (int i = 0; i < 1000; i++) /* dense, but for three gaps */
        v[i] = point(1 + i * 10 + (i >= 200 ? 5000 : 0) + (i >= 500 ? 50000 : 0) + (i >= 900 ? 7000 : 0));
    const struct timeline t = made(v, 1000);
    bool large = false;
    unsigned gaps = 0;
    assert_true(t.count <= TIMELINE_SPANS_MAX && t.count >= 4);
    assert_int_equal(t.spans[0].from_ms, 1);
    assert_int_equal(t.spans[t.count - 1].to_ms, 1 + 9990 + 62000);
    for (unsigned i = 1; i < t.count; i++) {
        const int64_t gap_ms = t.spans[i].from_ms - t.spans[i - 1].to_ms;
        assert_true(gap_ms >= 10);
        gaps += gap_ms > 1000;
        large |= gap_ms == 50010;
    }
    assert_int_equal(gaps, 3);
    assert_true(large);
}

static void a_replica_without_points_has_no_spans(void **state)
{
    (void)state;
    assert_int_equal(made(NULL, 0).count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(what_goes_and_what_can_not_be_restored_is_not_a_point),
        UNIT(the_largest_gaps_stay),
        UNIT(a_replica_without_points_has_no_spans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
