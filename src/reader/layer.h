/* reader/layer.h - where the versions of pages are: the indexes of some segments, in one sorted list.
 *
 * A layer has, of each page, the newest image (or zeros) that its segments have, and the patches after it. It never
 * changes once it is made, and many snapshots share it. */
#ifndef SEAWALL_READER_LAYER_H
#define SEAWALL_READER_LAYER_H

#include "format/names.h"
#include "format/segment.h"

#include <stdatomic.h>

/* A segment or part whose blocks are read. Shared by layers. */
struct layer_source {
    atomic_uint users;
    char key[NAME_MAX_BYTES];
    uint8_t id[UID_BYTES]; /* of its nonce and the checksum of its index: no other object has it */
    struct segment_block *blocks;
    uint32_t block_count;
    size_t charged;
};

/* One version of a page. */
struct place {
    uint64_t hash, txid;
    uint32_t pgno;
    uint32_t block;
    uint32_t source;     /* index in the layer, in the order of the plan */
    uint32_t kind : 2;   /* enum version_kind */
    uint32_t extra : 30; /* of an image: offset in the block; of a patch: index in `patches` */
};

struct place_patch {
    uint64_t from, mask;
    uint32_t offset; /* in the block */
};

struct layer {
    atomic_uint users;
    struct place *places; /* ascending pgno, source, txid */
    size_t count, cap;
    struct place_patch *patches;
    size_t patch_count, patch_cap;
    struct layer_source **sources;
    size_t source_count, source_cap;
    size_t sorted;  /* while it is made: places that were pruned before */
    size_t charged; /* bytes taken from the budget */
    uint64_t upto;  /* versions after this txid do not count */
    uint32_t page_size;
};

/* Begins a layer with room for `sources` sources. The caller releases it. ERR_NOMEM. */
int layer_begin(uint64_t upto, uint32_t page_size, size_t sources, struct layer **ret_layer, struct err *e) MUST_CHECK;

/* Adds the versions of a segment or part, with blocks and versions, as source number `source`, in any order of the
 * numbers. Takes over `s->blocks`. ERR_NOMEM, ERR_CLAIM, ERR_LIMIT. */
int layer_add(struct layer *l, size_t source, const char *key, struct segment *s, struct err *e) MUST_CHECK;

/* Sorts. Afterwards the layer never changes. */
void layer_end(struct layer *l);

/* Makes one layer of two that are ended; the sources of `newer` come after those of `older`. Errors: as layer_add. */
int layer_merge(const struct layer *older, const struct layer *newer, struct layer **ret_layer,
                struct err *e) MUST_CHECK;

struct layer *layer_retain(struct layer *l);
void layer_release(struct layer *l); /* NULL does nothing */

/* The places of a page: *ret_count of them. NULL: none. */
const struct place *layer_find(const struct layer *l, uint32_t pgno, size_t *ret_count);

#endif
