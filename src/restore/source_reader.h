/* restore/source_reader.h - reads the blocks of the sources of a plan, in large reads.
 *
 * A reader belongs to one thread and to one pass. Its filter says which versions the pass needs. Only blocks with a
 * needed version are fetched, adjacent ones together. */
#ifndef SEAWALL_RESTORE_SOURCE_READER_H
#define SEAWALL_RESTORE_SOURCE_READER_H

#include "replica/plan.h"

#include <stdatomic.h>

/* What all readers of a restore share. */
struct source_origin {
    struct store *store;           /* borrowed */
    const struct plan *plan;       /* borrowed */
    atomic_uint_fast64_t *fetched; /* borrowed: bytes of blocks and indexes that were read are added to it */
};

/* Reads the index of a source, and checks that the object is the one that the plan names. The caller releases
 * *ret_segment. ERR_GONE: the object was listed, but does not exist any more: plan again. ERR_CORRUPT: the message
 * names the object. ERR_CLAIM, ERR_NOMEM, and the errors of the store. */
int source_load(const struct source_origin *from, const struct plan_source *source, struct codec *codec,
                struct segment *ret_segment, struct err *e) MUST_CHECK;

/* Whether the pass needs this version. It is called for each block after the block before it was processed, and may
 * then give another answer. */
typedef bool source_filter_fn(const void *context, const struct version *v);

struct source_reader {
    struct source_origin from;
    source_filter_fn *filter;
    const void *filter_context; /* borrowed */
    struct codec *codec;        /* owned */
    const struct plan_source *source;
    const struct segment *segment;    /* index of the source; NULL: no source is open */
    struct segment own;               /* owned: the index, if the caller did not have it */
    uint32_t next;                    /* block */
    struct buf stored;                /* bytes of the object from stored_at on */
    uint64_t stored_at;               /* offset in the object */
    uint8_t raw[SEGMENT_BLOCK_BYTES]; /* the block that source_reader_next returned */
};

/* Makes a reader. The caller frees it. ERR_NOMEM. */
int source_reader_new(const struct source_origin *from, source_filter_fn *filter, const void *filter_context,
                      struct source_reader **ret_reader, struct err *e) MUST_CHECK;
void source_reader_free(struct source_reader *r); /* NULL does nothing */

/* Opens a source, and closes the one before it. `index`: the index of the source, borrowed while the source is open;
 * NULL: the reader loads it. Errors: those of source_load. */
int source_reader_open(struct source_reader *r, const struct plan_source *source, const struct segment *index,
                       struct err *e) MUST_CHECK;

/* Closes the source that is open, if one is, and releases its index. */
void source_reader_close(struct source_reader *r);

/* Inflates the next block that holds a version which the filter needs, into r->raw. *ret_block is NULL after the last
 * one. Precondition: a source is open. ERR_GONE, ERR_CORRUPT, ERR_NOMEM, and the errors of the store. */
int source_reader_next(struct source_reader *r, const struct segment_block **ret_block, struct err *e) MUST_CHECK;

/* Sets `e` to ERR_CORRUPT: the bytes of this version do not have its hash. Returns -1. */
int source_reader_damaged(const struct source_reader *r, const struct version *v, struct err *e);

#endif
