/* replica/ways.h: the next step of a way is the one that a search through all segments finds, and results of searches
 * stay known. */
#include "unit.h"

#include "dice.h"
#include "failing_alloc.h"
#include "replica/ways.h"

enum { LEVEL0_MAX = 12, LEVELS_MAX = 30, TXIDS = 16 };

/* The segments of a catalog, and the knowledge about them, as plain lists. */
struct slow {
    struct name names[LEVEL0_MAX + LEVELS_MAX]; /* level 0 with ascending min, then the levels in the order of keys */
    size_t level0_count, count;
    bool dropped[2][LEVELS_MAX], broken[LEVELS_MAX], no_beginning[LEVEL0_MAX + LEVELS_MAX];
};

static const struct name *name_at(const void *context, size_t index)
{
    const struct slow *s = context;
    return &s->names[index];
}

static struct slow segments_at_random(struct dice *d)
{
    struct slow s = {.level0_count = dice_below(d, LEVEL0_MAX + 1), .count = dice_below(d, LEVELS_MAX + 1)};
    for (size_t i = 0; i < s.level0_count; i++)
        s.names[i] = (struct name){.kind = NAME_LEVEL0, .min = i + 1};
    for (size_t i = 0; i < s.count; i++) {
        struct name *n = &s.names[s.level0_count + i];
        *n = (struct name){.kind = NAME_LEVEL, .level = dice_between(d, 1, 3), .min = dice_between(d, 1, TXIDS)};
        n->max = dice_between(d, (uint32_t)n->min, TXIDS);
    }
    return s;
}

static struct ways *make(const struct slow *s)
{
    const struct ways_segments segments = {
        .name = name_at, .context = s, .level0_count = s->level0_count, .count = s->count};
    struct ways *w = NULL;
    struct err e;
    assert_ok(ways_make(&segments, &w, &e), &e);
    return w;
}

static const struct name *level_at(const struct slow *s, size_t index)
{
    return &s->names[s->level0_count + index];
}

/* Whether `a` comes before `b`: by the end, then by the level, then by the beginning, in descending order. */
static bool is_before(const struct name *a, const struct name *b)
{
    if (a->max != b->max)
        return a->max < b->max;
    if (a->level != b->level)
        return a->level < b->level;
    return a->min > b->min;
}

/* Compares names: of segments with equal names any one is right. */
static void assert_same(const struct slow *s, const struct ways_place *found, const struct name *expected)
{
    assert_int_equal(found != NULL, expected != NULL);
    if (!found)
        return;
    const struct name *n = level_at(s, found->index);
    assert_true(n->min == found->min && n->max == found->max && n->level == found->level);
    assert_true(n->min == expected->min && n->max == expected->max && n->level == expected->level);
}

static void segments_are_in_the_order_of_their_ends(void **state)
{
    struct dice d = dice_of(1);
    (void)state;
    for (int round = 0; round < 200; round++) {
        struct slow s = segments_at_random(&d);
        struct ways *w = make(&s);
        bool seen[LEVELS_MAX] = {false};
        for (size_t i = 0; i < s.count; i++) {
            assert_false(seen[w->order[i].index]);
            seen[w->order[i].index] = true;
            if (i > 0)
                assert_false(is_before(level_at(&s, w->order[i].index), level_at(&s, w->order[i - 1].index)));
        }
        for (uint64_t txid = 0; txid <= TXIDS + 1; txid++) {
            size_t expected = 0;
            for (size_t i = 0; i < s.count; i++)
                expected += level_at(&s, i)->max <= txid;
            assert_int_equal(ways_upto(w, txid), expected);
        }
        ways_free(w);
    }
}

/* The segment that leads furthest; of several the one of the highest level, then the one that begins first. */
static const struct name *slow_best(const struct slow *s, const bool *taken, bool want, uint64_t pos, uint64_t target)
{
    const struct name *best = NULL;
    for (size_t i = 0; i < s->count; i++) {
        const struct name *n = level_at(s, i);
        if (taken[i] == want && n->min <= pos + 1 && n->max > pos && n->max <= target && (!best || is_before(best, n)))
            best = n;
    }
    return best;
}

static const struct name *slow_first_end(const struct slow *s, uint64_t upto, uint64_t from)
{
    const struct name *first = NULL;
    for (size_t i = 0; i < s->count; i++) {
        const struct name *n = level_at(s, i);
        if (n->min > upto || n->max < from)
            continue;
        bool earlier = !first || n->max < first->max || (n->max == first->max && n->level < first->level) ||
                       (n->max == first->max && n->level == first->level && n->min < first->min);
        first = earlier ? n : first;
    }
    return first;
}

/* Notes the same about one segment in both. */
static void note(struct dice *d, struct slow *s, struct ways *w)
{
    const struct ways_place *place = &w->order[dice_below(d, (uint32_t)s->count)];
    const enum care care = dice_below(d, 2) ? ONLY_COMPLETE : INCOMPLETE_TOO;
    const size_t i = place->index;
    switch (dice_below(d, 3)) {
    case 0:
        if (!s->broken[i])
            ways_drop(w, care, place);
        s->dropped[care][i] |= !s->broken[i];
        break;
    case 1:
        ways_break(w, place, ERR_CORRUPT);
        s->dropped[ONLY_COMPLETE][i] = s->dropped[INCOMPLETE_TOO][i] = s->broken[i] = true;
        break;
    default:
        if (!s->broken[i])
            break;
        ways_mend(w, place);
        s->dropped[ONLY_COMPLETE][i] = s->dropped[INCOMPLETE_TOO][i] = s->broken[i] = false;
    }
    assert_int_equal(w->fault[s->level0_count + i], s->broken[i] ? ERR_CORRUPT : ERR_NONE);
}

static void the_next_step_is_what_a_search_through_all_segments_finds(void **state)
{
    struct dice d = dice_of(2);
    (void)state;
    for (int round = 0; round < 300; round++) {
        struct slow s = segments_at_random(&d);
        struct ways *w = make(&s);
        for (int step = 0; step < 60; step++) {
            const uint64_t pos = dice_below(&d, TXIDS + 2), target = dice_below(&d, TXIDS + 2);
            const size_t below = ways_upto(w, target);
            if (s.count > 0)
                note(&d, &s, w);
            assert_same(&s, ways_best(w, ONLY_COMPLETE, pos, below), slow_best(&s, s.dropped[0], false, pos, target));
            assert_same(&s, ways_best(w, INCOMPLETE_TOO, pos, below), slow_best(&s, s.dropped[1], false, pos, target));
            assert_same(&s, ways_broken(w, pos, below), slow_best(&s, s.broken, true, pos, target));
            assert_same(&s, ways_first_end(w, pos, target), slow_first_end(&s, pos, target));
        }
        ways_free(w);
    }
}

static void numbers_at_the_end_of_their_range_find_nothing(void **state)
{
    const struct slow s = {.names = {{.kind = NAME_LEVEL, .level = 1, .min = 1, .max = SEGMENT_TXID_MAX}}, .count = 1};
    struct ways *w = make(&s);
    (void)state;
    assert_null(ways_best(w, ONLY_COMPLETE, UINT64_MAX - 1, 1));
    assert_null(ways_best(w, ONLY_COMPLETE, UINT64_MAX, 1));
    assert_null(ways_best(w, ONLY_COMPLETE, SEGMENT_TXID_MAX, 1));
    assert_non_null(ways_best(w, ONLY_COMPLETE, SEGMENT_TXID_MAX - 1, 1));
    assert_null(ways_best(w, ONLY_COMPLETE, 0, 0)); /* below: none */
    assert_null(ways_first_end(w, UINT64_MAX, 0));
    assert_non_null(ways_first_end(w, 1, 0));
    assert_int_equal(ways_upto(w, SEGMENT_TXID_MAX - 1), 0);
    ways_free(w);
    ways_free(NULL);
}

static void beginnings_come_from_the_last_to_the_first_and_are_forgotten_one_by_one(void **state)
{
    struct dice d = dice_of(3);
    (void)state;
    for (int round = 0; round < 200; round++) {
        struct slow s = segments_at_random(&d);
        struct ways *w = make(&s);
        const size_t all = s.level0_count + s.count;
        for (int step = 0; all > 0 && step < 30; step++) {
            const uint64_t target = dice_below(&d, TXIDS + 2);
            size_t at = dice_below(&d, (uint32_t)all), expected = all, found = all;
            s.no_beginning[at] = dice_below(&d, 3) != 0;
            if (s.no_beginning[at])
                ways_no_beginning(w, at);
            else
                ways_loadable(w, at, s.names[at].min);
            while (expected > 0) {
                do
                    expected--;
                while (expected > 0 && (s.no_beginning[expected] || s.names[expected].min > target));
                if (s.no_beginning[expected] || s.names[expected].min > target)
                    break;
                assert_true(ways_beginning(w, target, found, &found));
                assert_int_equal(found, expected);
            }
            assert_false(ways_beginning(w, target, found, &found));
        }
        ways_free(w);
    }
}

static void dead_ends_are_those_of_one_target_and_one_care(void **state)
{
    const struct slow s = {
        .names = {{.kind = NAME_LEVEL0, .min = 1}, {.kind = NAME_LEVEL, .level = 1, .min = 1, .max = 4}},
        .level0_count = 1,
        .count = 1};
    struct ways *w = make(&s);
    (void)state;
    ways_begin(w, 4, ONLY_COMPLETE);
    assert_int_equal(ways_dead_end(w, ONLY_COMPLETE, 1), ERR_NONE);
    ways_note_dead_end(w, ONLY_COMPLETE, 1, ERR_CORRUPT);
    w->rounds[ONLY_COMPLETE].hopeless = ERR_NOTFOUND;
    ways_begin(w, 4, INCOMPLETE_TOO);
    assert_int_equal(ways_dead_end(w, INCOMPLETE_TOO, 1), ERR_NONE);
    ways_note_dead_end(w, INCOMPLETE_TOO, 0, ERR_NOTFOUND);
    ways_begin(w, 4, ONLY_COMPLETE); /* the same target */
    assert_int_equal(ways_dead_end(w, ONLY_COMPLETE, 1), ERR_CORRUPT);
    assert_int_equal(ways_dead_end(w, ONLY_COMPLETE, 0), ERR_NONE);
    assert_int_equal(w->rounds[ONLY_COMPLETE].hopeless, ERR_NOTFOUND);
    ways_begin(w, 3, ONLY_COMPLETE); /* another target */
    assert_int_equal(ways_dead_end(w, ONLY_COMPLETE, 1), ERR_NONE);
    assert_int_equal(w->rounds[ONLY_COMPLETE].hopeless, ERR_NONE);
    ways_begin(w, 4, INCOMPLETE_TOO);
    assert_int_equal(ways_dead_end(w, INCOMPLETE_TOO, 0), ERR_NOTFOUND);
    ways_mend(w, &w->order[0]); /* the segment can be loaded after all: a way may lead through it */
    ways_begin(w, 4, INCOMPLETE_TOO);
    assert_int_equal(ways_dead_end(w, INCOMPLETE_TOO, 0), ERR_NONE);
    ways_free(w);
}

static int make_and_free(void *context, struct err *e)
{
    const struct ways_segments segments = {.name = name_at,
                                           .context = context,
                                           .level0_count = ((struct slow *)context)->level0_count,
                                           .count = ((struct slow *)context)->count};
    struct ways *w = NULL;
    int rc = ways_make(&segments, &w, e);
    ways_free(w);
    return rc;
}

static void each_allocation_fails_once(void **state)
{
    struct dice d = dice_of(4);
    struct slow s = segments_at_random(&d);
    (void)state;
    assert_true(assert_each_allocation_fails_once(make_and_free, &s) > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(segments_are_in_the_order_of_their_ends),
        UNIT(the_next_step_is_what_a_search_through_all_segments_finds),
        UNIT(numbers_at_the_end_of_their_range_find_nothing),
        UNIT(beginnings_come_from_the_last_to_the_first_and_are_forgotten_one_by_one),
        UNIT(dead_ends_are_those_of_one_target_and_one_care),
        UNIT(each_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
