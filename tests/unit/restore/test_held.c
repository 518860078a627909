/* restore/held.h: patches of a page are applied in the order in which they were added. */
#include "failing_alloc.h"
#include "unit.h"

#include "format/patch.h"
#include "restore/held.h"

enum { PAGE = 4096, GRANULE = PAGE / PATCH_GRANULES, FIRST = 100, LAST = 300, BYTES = 1 << 20 };

static int add(struct held *h, uint32_t pgno, uint64_t txid, uint64_t mask, const uint8_t *bytes, struct err *e)
{
    const struct version v = {
        .pgno = pgno, .kind = VERSION_PATCH, .txid = txid, .from = txid - 1, .hash = 1000 + txid, .mask = mask};
    const struct held_add patch = {
        .version = &v, .bytes = bytes, .page_size = PAGE, .source = txid % 7, .image_txid = txid - 1};
    return held_add(h, &patch, e);
}

static void the_patches_of_a_page_make_its_newest_version(void **state)
{
    enum { ROUNDS = 600 };
    static uint8_t want[LAST + 1][PAGE], got[PAGE];
    uint64_t newest[LAST + 1] = {0}, image[LAST + 1] = {0};
    struct dice d = dice_of(21);
    struct held h;
    struct err e;
    (void)state;
    assert_ok(held_begin(&h, FIRST, LAST, BYTES, &e), &e);
    for (uint64_t txid = 2; txid < ROUNDS; txid++) {
        uint8_t bytes[PAGE];
        uint32_t pgno = FIRST + dice_below(&d, LAST - FIRST + 1);
        uint64_t mask = UINT64_C(1) << dice_below(&d, 64) | UINT64_C(1) << dice_below(&d, 64);
        dice_fill(&d, bytes, sizeof bytes);
        assert_ok(add(&h, pgno, txid, mask, bytes, &e), &e);
        patch_apply(mask, bytes, PAGE, want[pgno]);
        newest[pgno] = txid;
        image[pgno] = image[pgno] ? image[pgno] : txid - 1;
    }
    for (uint32_t pgno = FIRST; pgno <= LAST; pgno++) {
        const struct held_page *page = held_find(&h, pgno);
        assert_int_equal(page != NULL, newest[pgno] != 0);
        if (!page)
            continue;
        assert_int_equal(page->pgno, pgno);
        assert_int_equal(page->image_txid, image[pgno]);
        memset(got, 0, sizeof got);
        const struct held_patch *last = held_apply(&h, page, PAGE, got);
        assert_int_equal(last->txid, newest[pgno]);
        assert_int_equal(last->hash, 1000 + newest[pgno]);
        assert_int_equal(last->source, newest[pgno] % 7);
        assert_memory_equal(got, want[pgno], PAGE);
    }
    held_release(&h);
}

static void pages_outside_the_range_have_no_patches(void **state)
{
    static const uint8_t bytes[GRANULE] = {1};
    struct held h;
    struct err e;
    (void)state;
    assert_ok(held_begin(&h, FIRST, LAST, BYTES, &e), &e);
    assert_ok(add(&h, FIRST, 5, 1, bytes, &e), &e);
    assert_ok(add(&h, LAST, 5, 1, bytes, &e), &e);
    assert_non_null(held_find(&h, FIRST));
    assert_non_null(held_find(&h, LAST));
    assert_null(held_find(&h, FIRST - 1));
    assert_null(held_find(&h, FIRST + 1));
    assert_null(held_find(&h, LAST + 1));
    held_release(&h);
    assert_null(held_find(&h, FIRST));
    held_release(&h);
}

static void more_bytes_than_were_announced_are_corrupt(void **state)
{
    static const uint8_t bytes[3 * GRANULE] = {1};
    struct held h;
    struct err e;
    (void)state;
    assert_ok(held_begin(&h, FIRST, LAST, 3 * GRANULE, &e), &e);
    assert_ok(add(&h, FIRST, 5, 3, bytes, &e), &e);
    assert_error(add(&h, FIRST, 6, 3, bytes, &e), &e, ERR_CORRUPT);
    assert_ok(add(&h, FIRST, 6, 1, bytes, &e), &e);
    held_release(&h);
    assert_ok(held_begin(&h, FIRST, LAST, 0, &e), &e);
    assert_null(held_find(&h, FIRST));
    assert_error(add(&h, FIRST, 6, 1, bytes, &e), &e, ERR_CORRUPT);
    held_release(&h);
}

static int hold_one(void *context, struct err *e)
{
    static const uint8_t bytes[GRANULE] = {1};
    struct held h;
    (void)context;
    int rc = held_begin(&h, FIRST, LAST, BYTES, e);
    if (rc == 0)
        rc = add(&h, FIRST, 5, 1, bytes, e);
    held_release(&h);
    return rc;
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    assert_true(assert_each_allocation_fails_once(hold_one, NULL) >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(the_patches_of_a_page_make_its_newest_version),
        UNIT(pages_outside_the_range_have_no_patches),
        UNIT(more_bytes_than_were_announced_are_corrupt),
        UNIT(each_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
