/* format/patch.h - a page is cut into 64 granules; a patch is a mask of granules and their bytes.
 *
 * The mask (bit i, counted from the lowest: granule i) covers every granule that differs between two versions `from` and `to` of
 * the page; it may cover more. So it applies to any version v with from <= v < to, and patches compose by OR of their masks. */
#ifndef SEAWALL_FORMAT_PATCH_H
#define SEAWALL_FORMAT_PATCH_H

#include <stddef.h>
#include <stdint.h>

#define PATCH_GRANULES 64

/* Beyond so many dirty granules an image compresses as well as the patch. */
#define PATCH_GRANULES_WORTH 48

static inline size_t patch_size(uint64_t mask, uint32_t page_size)
{
    return (size_t)__builtin_popcountll(mask) * (page_size / PATCH_GRANULES);
}

uint64_t patch_diff(const uint8_t *before, const uint8_t *after, uint32_t page_size);

/* Writes patch_size(mask) bytes. */
void patch_cut(uint64_t mask, const uint8_t *page, uint32_t page_size, uint8_t *out);

/* Reads patch_size(mask) bytes. */
void patch_apply(uint64_t mask, const uint8_t *patch, uint32_t page_size, uint8_t *page);

#endif
