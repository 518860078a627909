/* capture/dirty.h: what is known of the changes of a page, compared with a model that remembers all changes. */
#include "capture/dirty.h"

#include "dice.h"
#include "unit.h"

#include <stdlib.h>

#define PAGES 3000
#define TXIDS 4000

struct change {
    uint32_t pgno;
    uint64_t from, to, mask;
    bool known;
};
static struct change changes[TXIDS + 1]; /* one for each txid */

/* The mask of all changes after the version `from`. False: not known. */
static bool model_since(uint32_t pgno, uint64_t from, uint64_t *ret_mask)
{
    *ret_mask = 0;
    for (uint64_t t = from + 1; t <= TXIDS; t++)
        if (changes[t].pgno == pgno) {
            if (!changes[t].known)
                return false;
            *ret_mask |= changes[t].mask;
        }
    return true;
}

static void whatever_is_said_covers_every_change(void **state)
{
    (void)state;
    struct dice dice = dice_of(5);
    struct dirty *d = dirty_new();
    static uint64_t last[PAGES + 1];
    unsigned said = 0;
    assert_non_null(d);
    for (uint64_t t = 1; t <= TXIDS; t++) {
        uint32_t pgno = 1 + dice_below(&dice, dice_below(&dice, 3) ? 20 : PAGES);
        struct change *c = &changes[t];
        *c = (struct change){
            .pgno = pgno, .from = last[pgno], .to = t, .known = last[pgno] > 0 && dice_below(&dice, 10) > 0};
        c->mask = c->known ? UINT64_C(1) << dice_below(&dice, 64) : 0;
        dirty_note(d, &(struct version){.pgno = pgno,
                                        .txid = t,
                                        .kind = c->known ? VERSION_PATCH : VERSION_IMAGE,
                                        .from = c->known ? c->from : 0,
                                        .mask = c->mask,
                                        .hash = 1});
        last[pgno] = t;
    }
    for (uint32_t pgno = 1; pgno <= PAGES; pgno++)
        for (unsigned i = 0; i < 20; i++) {
            uint64_t after = dice_below(&dice, TXIDS), from = 0, mask = 0, all = 0;
            if (!dirty_since(d, pgno, last[pgno], after, &from, &mask))
                continue;
            said++;
            assert_true(from <= after);
            assert_true(model_since(pgno, from, &all));
            assert_true((all & ~mask) == 0);
        }
    assert_true(said > 100);
    dirty_free(d);
}

static struct version patch_of(uint32_t pgno, uint64_t from, uint64_t to, uint64_t mask)
{
    return (struct version){.pgno = pgno, .kind = VERSION_PATCH, .from = from, .txid = to, .mask = mask, .hash = 1};
}

static void what_is_not_known_is_not_said(void **state)
{
    (void)state;
    struct dirty *d = dirty_new();
    uint64_t from = 0, mask = 0;
    struct version v = patch_of(7, 10, 12, 3);
    assert_non_null(d);
    assert_false(dirty_since(d, 7, 12, 11, &from, &mask));
    dirty_note(d, &v);
    assert_true(dirty_since(d, 7, 12, 11, &from, &mask));
    assert_int_equal(from, 10);
    assert_int_equal(mask, 3);
    assert_false(dirty_since(d, 7, 12, 9, &from, &mask));  /* begins too late */
    assert_false(dirty_since(d, 7, 13, 11, &from, &mask)); /* it changed again, unseen */
    v = patch_of(7, 13, 14, 4);
    dirty_note(d, &v); /* the change from 12 to 13 was not seen */
    assert_false(dirty_since(d, 7, 14, 12, &from, &mask));
    assert_true(dirty_since(d, 7, 14, 13, &from, &mask));
    v.kind = VERSION_ZERO;
    v.txid = 15;
    dirty_note(d, &v);
    assert_false(dirty_since(d, 7, 15, 14, &from, &mask));
    v = patch_of(7, 15, 16, 8);
    dirty_note(d, &v);
    dirty_clear(d);
    assert_false(dirty_since(d, 7, 16, 15, &from, &mask));
    dirty_free(d);
}

static void old_spans_of_a_busy_page_grow_long(void **state)
{
    (void)state;
    struct dirty *d = dirty_new();
    uint64_t from = 0, mask = 0;
    assert_non_null(d);
    for (uint64_t t = 2; t <= 1000; t++) {
        struct version v = patch_of(9, t - 1, t, 1);
        dirty_note(d, &v);
    }
    assert_true(dirty_since(d, 9, 1000, 1, &from, &mask));
    assert_int_equal(from, 1);
    assert_true(dirty_since(d, 9, 1000, 999, &from, &mask));
    assert_int_equal(from, 999);
    assert_true(dirty_since(d, 9, 1000, 990, &from, &mask));
    assert_true(from >= 500); /* the span does not reach back to the beginning */
    dirty_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(whatever_is_said_covers_every_change),
                                       cmocka_unit_test(what_is_not_known_is_not_said),
                                       cmocka_unit_test(old_spans_of_a_busy_page_grow_long)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
