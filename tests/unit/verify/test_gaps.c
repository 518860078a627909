/* verify/verify.h, rule 5: the gaps that are reported, compared with a slow implementation of the rule, on random
 * histories. */
#include "unit.h"

#include "replica_in_memory.h"

#include "verify/verify.h"

static struct codec *codec;
static struct store *store;
static struct replica r;

static void random_history(struct dice *d)
{
    enum { TXIDS = 30 };
    uint64_t oldest = TXIDS + 1;
    replica_commits(&r, TXIDS, 512);
    for (uint64_t t = 1; t <= TXIDS; t++) {
        struct placed *o = replica_put_full(&r, t, t, t == 1 ? SEGMENT_FROM_EMPTY : 0);
        if (t < TXIDS && dice_below(d, 3) == 0)
            replica_remove(&r, o);
    }
    for (unsigned i = dice_below(d, 6); i > 0; i--) {
        const uint64_t min = dice_between(d, 1, TXIDS - 6), max = dice_between(d, (uint32_t)min + 1, (uint32_t)min + 5);
        const struct name name = {.kind = NAME_LEVEL, .level = 1, .min = min, .max = max};
        char key[NAME_MAX_BYTES];
        name_format(&name, key);
        if (!memory_store_object((struct memory_store *)store, key))
            replica_put_last(&r, 1, min, max, min == 1 ? SEGMENT_FROM_EMPTY : 0);
    }
    for (unsigned i = dice_below(d, 8); i > 0; i--) {
        const uint64_t start = dice_between(d, 1, TXIDS - 4);
        r.run.bytes[15]++;
        replica_put_base(&r, start, dice_between(d, (uint32_t)start, (uint32_t)start + 3));
        oldest = start < oldest ? start : oldest;
    }
    const bool cut = dice_below(d, 4) != 0 && oldest <= TXIDS;
    for (size_t i = 0; cut && i < r.placed_count; i++) { /* as retention does */
        struct placed *o = &r.placed[i];
        if (!o->gone && o->name.kind != NAME_MARKER && o->max < oldest)
            replica_remove(&r, o);
    }
}

struct span {
    uint64_t min, max;
};

static bool is_between_bases(const struct placed *oldest, const struct span *before, const struct span *behind)
{
    bool begins = false, ends = false;
    uint64_t first = UINT64_MAX;
    for (size_t i = 0; i < r.placed_count; i++) {
        const struct placed *o = &r.placed[i];
        if (o->gone || o->name.kind != NAME_MARKER)
            continue;
        first = o->start < first ? o->start : first;
        begins |= o->max >= before->min && o->max <= before->max;
        ends |= o->start + 1 >= behind->min && o->start <= behind->max;
    }
    return begins && ends && oldest->max >= first;
}

static int by_min(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    return (x->min > y->min) - (x->min < y->min);
}

/* Writes the gaps that must be reported to `out`, as "first-last ...". Returns how many gaps retention has made, which
 * are not reported. */
static unsigned expected_gaps(const struct verify_result *found, char out[1000])
{
    struct span spans[PLACED_MAX];
    const struct placed *first = NULL;
    size_t count = 0;
    uint64_t origin = found->points ? found->oldest.txid : UINT64_MAX;
    for (size_t i = 0; i < r.placed_count; i++) {
        const struct placed *o = &r.placed[i];
        const bool marker = o->name.kind == NAME_MARKER;
        const uint64_t start = marker ? o->start : o->min - 1;
        if (o->gone)
            continue;
        if ((marker || found->points == 0) && start < origin)
            origin = start;
        if (marker)
            continue;
        spans[count++] = (struct span){o->min, o->max};
        if (o->name.kind == NAME_LEVEL0 && (!first || o->min < first->min))
            first = o;
    }
    qsort(spans, count, sizeof *spans, by_min);
    struct span far = {origin, origin};
    unsigned forgiven = 0;
    out[0] = 0;
    for (size_t i = 0; i < count; i++) {
        if (spans[i].max <= origin)
            continue;
        bool gap = spans[i].min > far.max + 1, between = gap && is_between_bases(first, &far, &spans[i]);
        forgiven += between;
        if (gap && !between)
            snprintf(out + strlen(out), 1000 - strlen(out), "%d-%d ", (int)far.max + 1, (int)spans[i].min - 1);
        if (spans[i].max > far.max)
            far = spans[i];
    }
    return forgiven;
}

/* Writes the gaps that were reported to `out`. False: other problems were reported too. */
static bool reported_gaps(const struct verify_result *found, char out[1000])
{
    out[0] = 0;
    for (size_t i = 0; i < found->problem_count; i++) {
        const char *text = strstr(found->problems[i].text, "no object has the txids ");
        unsigned first = 0, last = 0;
        if (!text || sscanf(text, "no object has the txids %u to %u", &first, &last) != 2)
            return false;
        snprintf(out + strlen(out), 1000 - strlen(out), "%u-%u ", first, last);
    }
    return true;
}

static void gaps_of_random_histories_are_those_of_the_rule(void **state)
{
    unsigned compared = 0, gaps = 0, forgiven = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 600; seed++) {
        const struct verify_options options = {.flags = 0};
        struct verify_result found = {0};
        struct dice d = dice_of(seed);
        char expected[1000], reported[1000];
        struct err e;
        assert_int_equal(replica_in_memory(&r, &store, &codec, seed), 0);
        random_history(&d);
        struct replica_handle handle = replica_handle_borrow(store, codec);
        if (verify_run(&handle, &options, &found, &e) == 0 && reported_gaps(&found, reported)) {
            forgiven += expected_gaps(&found, expected);
            if (strcmp(expected, reported) != 0)
                fail_msg("seed %d: '%s' in place of '%s'", (int)seed, reported, expected);
            compared++;
            gaps += reported[0] != 0;
        }
        verify_result_release(&found);
        replica_handle_close(&handle);
        replica_in_memory_release(&r, store, codec);
    }
    assert_true(compared > 300 && gaps > 200 && forgiven > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(gaps_of_random_histories_are_those_of_the_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
