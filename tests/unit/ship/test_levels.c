/* ship/levels.h: which level is compacted next, and when a base is due. */
#include "unit.h"

#include "base/clock.h"
#include "ship/levels.h"

#define FANOUT 3
#define NO_INTERVAL UINT64_MAX

/* A history that begins with one object of `bytes` at txid 1. */
static struct levels begun(uint64_t bytes)
{
    struct levels l = {.base_max = 0};
    levels_note_append(&l, 1, 11, bytes, true);
    return l;
}

static uint64_t append(struct levels *l, uint64_t txid, unsigned times, uint64_t bytes)
{
    for (unsigned i = 0; i < times; i++)
        levels_note_append(l, txid + i + 1, txid + i + 1, bytes, false);
    return txid + times;
}

/* Notes the level that is due, as the daemon does after each append. Returns it; 0: none was due. */
static unsigned compact(struct levels *l, uint64_t txid, uint64_t bytes)
{
    unsigned level = levels_due(l, FANOUT);
    if (level > 0)
        levels_note_segment(l, level, &(struct level_end){.txid = txid, .checksum = txid}, bytes);
    return level;
}

static void level_1_is_due_with_the_append_that_makes_fanout_of_them(void **state)
{
    struct levels l = begun(1000);
    (void)state;
    assert_int_equal(levels_due(&l, FANOUT), 0);
    append(&l, 1, FANOUT - 1, 10);
    assert_int_equal(levels_due(&l, FANOUT), 0);
    append(&l, FANOUT, 1, 10);
    assert_int_equal(levels_due(&l, FANOUT), 1);
    assert_int_equal(levels_due(&l, FANOUT + 1), 0);
}

static void the_first_object_of_a_history_is_not_compacted(void **state)
{
    struct levels l = begun(1000);
    (void)state;
    assert_int_equal(l.ends[1].txid, 1);
    assert_int_equal(l.ends[1].checksum, 11);
    assert_int_equal(l.counts[0], 0);
}

/* Levels count like the digits of a number in base `fanout`. A carry through several digits makes one segment, at the
 * highest. */
static void a_segment_that_would_make_the_level_above_due_is_written_there(void **state)
{
    static const unsigned levels[] = {1, 1, 2, 1, 1, 2, 1, 1, 3};
    struct levels l = begun(1000);
    uint64_t txid = 1;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(levels); i++) {
        txid = append(&l, txid, FANOUT, 10);
        assert_int_equal(compact(&l, txid, 25), levels[i]);
        assert_int_equal(levels_due(&l, FANOUT), 0);
    }
}

static void the_end_of_a_level_is_an_end_of_all_levels_below_it(void **state)
{
    struct levels l = begun(1000);
    uint64_t txid = 1;
    (void)state;
    for (unsigned i = 0; i < FANOUT * FANOUT; i++) {
        txid = append(&l, txid, FANOUT, 10);
        compact(&l, txid, 25);
        for (unsigned k = 1; k + 1 < LEVELS; k++)
            assert_true(l.ends[k].txid >= l.ends[k + 1].txid);
    }
    assert_int_equal(l.ends[3].txid, txid);
    assert_int_equal(l.ends[1].txid, txid);
    assert_int_equal(l.ends[4].txid, 1);
}

static void there_is_no_level_above_the_highest(void **state)
{
    struct levels l = begun(1000);
    (void)state;
    append(&l, 1, FANOUT, 10);
    for (unsigned k = 1; k < LEVELS; k++)
        l.counts[k] = FANOUT;
    assert_int_equal(levels_due(&l, FANOUT), SEGMENT_LEVEL_MAX);
}

static void a_new_beginning_forgets_what_came_before(void **state)
{
    struct levels l = begun(1000);
    (void)state;
    append(&l, 1, FANOUT, 1u << 30);
    levels_note_append(&l, 5, 55, 2000, true);
    assert_int_equal(levels_due(&l, FANOUT), 0);
    assert_int_equal(l.ends[2].txid, 5);
    assert_false(levels_base_due(&l, 5, 2000, NO_INTERVAL));
}

static void a_base_is_due_when_a_restore_reads_more_than_one_and_a_half_databases(void **state)
{
    const uint64_t size = 100u << 20;
    struct levels l = begun(size);
    (void)state;
    append(&l, 1, 1, size / 2 + BASE_WEIGHT_MIN);
    assert_false(levels_base_due(&l, 2, size, NO_INTERVAL));
    append(&l, 2, 1, 1);
    assert_true(levels_base_due(&l, 3, size, NO_INTERVAL));
    assert_false(levels_base_due(&l, 3, 2 * size, NO_INTERVAL));
}

static void a_small_database_affords_the_least_weight(void **state)
{
    struct levels l = begun(100);
    (void)state;
    append(&l, 1, 1, BASE_WEIGHT_MIN);
    assert_false(levels_base_due(&l, 2, 100, NO_INTERVAL));
    append(&l, 2, 1, 51);
    assert_true(levels_base_due(&l, 3, 100, NO_INTERVAL));
}

static void compaction_makes_a_base_less_due(void **state)
{
    const uint64_t size = 100u << 20;
    struct levels l = begun(size);
    uint64_t txid = append(&l, 1, FANOUT, size / 4);
    (void)state;
    assert_true(levels_base_due(&l, txid, size, NO_INTERVAL));
    assert_int_equal(compact(&l, txid, size / 4), 1);
    assert_false(levels_base_due(&l, txid, size, NO_INTERVAL));
}

static void a_base_is_due_when_it_is_old_and_something_changed(void **state)
{
    struct levels l = begun(1000);
    (void)state;
    l.base_at_ms = clock_mono_ms() - 5000;
    assert_false(levels_base_due(&l, 1, 1000, 5000)); /* the base has the head */
    append(&l, 1, 1, 10);
    assert_true(levels_base_due(&l, 2, 1000, 5000));
    assert_false(levels_base_due(&l, 2, 1000, 60000));
    assert_false(levels_base_due(&l, 2, 1000, NO_INTERVAL));
}

/* Segments that came after its start are not in the base, so a restore reads them too. */
static void after_a_base_only_segments_since_its_start_have_weight(void **state)
{
    const uint64_t size = 100u << 20;
    struct levels l = begun(size);
    (void)state;
    append(&l, 1, 1, size);
    levels_note_base_begun(&l);
    append(&l, 2, 1, size / 2);
    assert_true(levels_base_due(&l, 3, size, NO_INTERVAL));
    levels_note_base(&l, 2, size);
    assert_int_equal(l.bytes[0], size / 2);
    assert_false(levels_base_due(&l, 3, size, NO_INTERVAL));
    append(&l, 3, 1, BASE_WEIGHT_MIN + 1);
    assert_true(levels_base_due(&l, 4, size, NO_INTERVAL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(level_1_is_due_with_the_append_that_makes_fanout_of_them),
        UNIT(the_first_object_of_a_history_is_not_compacted),
        UNIT(a_segment_that_would_make_the_level_above_due_is_written_there),
        UNIT(the_end_of_a_level_is_an_end_of_all_levels_below_it),
        UNIT(there_is_no_level_above_the_highest),
        UNIT(a_new_beginning_forgets_what_came_before),
        UNIT(a_base_is_due_when_a_restore_reads_more_than_one_and_a_half_databases),
        UNIT(a_small_database_affords_the_least_weight),
        UNIT(compaction_makes_a_base_less_due),
        UNIT(a_base_is_due_when_it_is_old_and_something_changed),
        UNIT(after_a_base_only_segments_since_its_start_have_weight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
