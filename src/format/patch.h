/* format/patch.h - a page is cut into 64 granules of equal size. A patch is a mask of granules, and the bytes of these
 * granules.
 *
 * Bit i of the mask, counted from the lowest, is granule i. The mask has every granule that differs between the
 * versions `from` and `to` of the page, and may have more. So the patch applies to every version v with from <= v < to.
 * Two consecutive patches can become one: its mask is the OR of their masks. */
#ifndef SEAWALL_FORMAT_PATCH_H
#define SEAWALL_FORMAT_PATCH_H

#include <stddef.h>
#include <stdint.h>

#define PATCH_GRANULES 64

/* With more changed granules than this, an image compresses as well as a patch. */
#define PATCH_GRANULES_WORTH 48

/* Bytes of a patch. */
static inline size_t patch_size(uint64_t mask, uint32_t page_size)
{
    return (size_t)__builtin_popcountll(mask) * (page_size / PATCH_GRANULES);
}

/* The mask of the granules that differ. Precondition, here and below: the page size is valid. */
uint64_t patch_diff(const uint8_t *before, const uint8_t *after, uint32_t page_size);

/* Copies the granules of the mask to `out`: patch_size(mask) bytes. */
void patch_cut(uint64_t mask, const uint8_t *page, uint32_t page_size, uint8_t *out);

/* Copies a patch of patch_size(mask) bytes into the page. */
void patch_apply(uint64_t mask, const uint8_t *patch, uint32_t page_size, uint8_t *page);

#endif
