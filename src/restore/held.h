/* restore/held.h - patches of a range of pages, held in memory until the image of their page is written.
 *
 * One thread adds patches. Afterwards several threads apply them, each page in one thread. */
#ifndef SEAWALL_RESTORE_HELD_H
#define SEAWALL_RESTORE_HELD_H

#include "format/segment.h"
#include "state/map.h"

#include <stdatomic.h>
#include <stdbool.h>

/* The patches of one page. */
struct held_page {
    uint32_t pgno;
    uint32_t first, last; /* its patches, by index in `patches` */
    uint64_t image_txid;  /* of the image or zero version that they apply to */
    atomic_bool written;  /* set by the caller */
};

struct held_patch {
    uint64_t hash; /* of the page after it */
    uint64_t mask;
    size_t at;     /* of its bytes in `bytes` */
    size_t source; /* of the plan, that has it */
    uint64_t txid; /* of the version that it makes */
    uint32_t next; /* patch of the same page, or HELD_END */
};
#define HELD_END UINT32_MAX

struct held {
    uint32_t first_page, last_page; /* the range */
    uint32_t *index;                /* owned: of each page of the range, 1 + its index in `pages`; 0: no patch */
    struct held_page *pages;        /* owned */
    size_t page_count, page_cap;
    struct held_patch *patches; /* owned */
    size_t patch_count, patch_cap;
    struct buf bytes;
};

/* What a patch takes besides its bytes, at most. */
#define HELD_COST (sizeof(struct held_page) + sizeof(struct held_patch))

/* Begins with no patches, and room for `bytes` bytes of them. The caller releases it, also after an error.
 * Precondition: first_page <= last_page. ERR_NOMEM. */
int held_begin(struct held *h, uint32_t first_page, uint32_t last_page, size_t bytes, struct err *e) MUST_CHECK;
void held_release(struct held *h); /* leaves it zeroed; a zeroed one is fine */

/* Adds a patch, behind the other patches of its page. `bytes`: of the patch; copied. `image_txid`: of the version that
 * the first patch of the page applies to; later calls ignore it. Precondition: the page is in the range. ERR_NOMEM;
 * ERR_CORRUPT: more bytes than held_begin made room for. */
struct held_add {
    const struct version *version;
    const uint8_t *bytes;
    uint32_t page_size;
    size_t source;
    uint64_t image_txid;
};
int held_add(struct held *h, const struct held_add *patch, struct err *e) MUST_CHECK;

/* The patches of a page. NULL: it has none. */
struct held_page *held_find(const struct held *h, uint32_t pgno);

/* Applies all patches of a page. Returns the last one, whose hash the page must have now. */
const struct held_patch *held_apply(const struct held *h, const struct held_page *p, uint32_t page_size, uint8_t *page);

#endif
