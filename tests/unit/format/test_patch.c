/* format/patch.h: a mask covers all differences, a patch fits every version in between, and masks combine by OR. */
#include "unit.h"

#include "base/page.h"
#include "format/patch.h"

enum { VERSIONS = 8 };

/* Changes some bytes of a page: none, a few, a run over a granule's border, or all. */
static void change(struct dice *d, uint8_t *page, uint32_t page_size)
{
    uint32_t at = dice_below(d, page_size), n = 0;
    switch (dice_below(d, 4)) {
    case 0:
        n = 1;
        break;
    case 1:
        n = dice_below(d, page_size - at) + 1;
        break;
    case 2:
        at = 0;
        n = page_size;
        break;
    default:
        break;
    }
    dice_fill(d, page + at, n);
}

static void a_patch_turns_every_version_between_from_and_to_into_to(void **state)
{
    static uint8_t version[VERSIONS][PAGE_SIZE_MAX], page[PAGE_SIZE_MAX], patch[PAGE_SIZE_MAX];
    struct dice d = dice_of(4);
    (void)state;
    for (int round = 0; round < 400; round++) {
        uint32_t page_size = PAGE_SIZE_MIN << dice_below(&d, 8);
        uint64_t mask = 0;
        dice_fill(&d, version[0], page_size);
        for (int i = 1; i < VERSIONS; i++) {
            memcpy(version[i], version[i - 1], page_size);
            change(&d, version[i], page_size);
            mask |= patch_diff(version[i - 1], version[i], page_size); /* at the end: from 0 to VERSIONS - 1 */
        }
        if (dice_below(&d, 2))
            mask |= dice_next(&d) & dice_next(&d); /* a mask may cover more than what differs */
        patch_cut(mask, version[VERSIONS - 1], page_size, patch);
        for (int from = 0; from < VERSIONS; from++) {
            memcpy(page, version[from], page_size);
            patch_apply(mask, patch, page_size, page);
            assert_memory_equal(page, version[VERSIONS - 1], page_size);
        }
    }
}

static void a_mask_names_exactly_the_granules_that_differ(void **state)
{
    static uint8_t a[PAGE_SIZE_MAX], b[PAGE_SIZE_MAX];
    (void)state;
    for (uint32_t page_size = PAGE_SIZE_MIN; page_size <= PAGE_SIZE_MAX; page_size *= 2) {
        uint32_t granule = page_size / PATCH_GRANULES;
        assert_true(patch_diff(a, b, page_size) == 0);
        for (uint32_t i = 0; i < PATCH_GRANULES; i++)
            for (uint32_t at = i * granule; at < (i + 1) * granule; at += granule - 1) {
                b[at] = 1;
                assert_true(patch_diff(a, b, page_size) == UINT64_C(1) << i);
                b[at] = 0;
            }
    }
}

static void the_size_of_a_patch_is_that_of_its_granules(void **state)
{
    (void)state;
    assert_int_equal(patch_size(0, 4096), 0);
    assert_int_equal(patch_size(1, 512), 8);
    assert_int_equal(patch_size(UINT64_C(0x8000000000000001), 4096), 128);
    assert_int_equal(patch_size(UINT64_MAX, 65536), 65536);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(a_patch_turns_every_version_between_from_and_to_into_to),
        UNIT(a_mask_names_exactly_the_granules_that_differ),
        UNIT(the_size_of_a_patch_is_that_of_its_granules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
