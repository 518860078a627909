/* format/patch.c */
#include "format/patch.h"

#include "base/page.h"

#include <assert.h>
#include <string.h>

uint64_t patch_diff(const uint8_t *before, const uint8_t *after, uint32_t page_size)
{
    assert(page_size_valid(page_size));
    size_t granule = page_size / PATCH_GRANULES;
    uint64_t mask = 0;
    for (unsigned i = 0; i < PATCH_GRANULES; i++)
        if (memcmp(before + i * granule, after + i * granule, granule) != 0)
            mask |= UINT64_C(1) << i;
    return mask;
}

void patch_cut(uint64_t mask, const uint8_t *page, uint32_t page_size, uint8_t *out)
{
    assert(page_size_valid(page_size));
    size_t granule = page_size / PATCH_GRANULES;
    for (; mask; mask &= mask - 1, out += granule)
        memcpy(out, page + (size_t)__builtin_ctzll(mask) * granule, granule);
}

void patch_apply(uint64_t mask, const uint8_t *patch, uint32_t page_size, uint8_t *page)
{
    assert(page_size_valid(page_size));
    size_t granule = page_size / PATCH_GRANULES;
    for (; mask; mask &= mask - 1, patch += granule)
        memcpy(page + (size_t)__builtin_ctzll(mask) * granule, patch, granule);
}
