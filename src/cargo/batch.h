/* cargo/batch.h - whole commits as they were captured: every version of every page, not compressed yet.
 *
 * Filled by one local job, immutable afterwards, read by ship jobs. The scheduler alone counts references. */
#ifndef SEAWALL_CARGO_BATCH_H
#define SEAWALL_CARGO_BATCH_H

#include "base/trial.h"
#include "format/segment.h"

/* A pass ends with the commit in which its batch reaches this size, so that it can be shipped while the next is captured. */
#define BATCH_BYTES_TARGET SCALE(2u << 20, 1024u)
/* A commit larger than this is not kept version by version: its pages go out of the local database, in parts. */
#define BATCH_BYTES_MAX SCALE(12u << 20, 6144u)

struct captured {
    struct version version;
    size_t at; /* of its bytes in `payload` */
    bool dead; /* a later frame of the same commit holds the same page */
};

struct batch {
    uint64_t first, last; /* txids; last < first: empty */
    uint32_t page_size;
    struct captured *versions;
    size_t version_count, version_cap;
    struct commit_record *records;
    size_t record_count, record_cap;
    struct buf payload;
    size_t commit_versions, commit_payload; /* where the commit being captured began */
    bool overflow;                          /* the commit being captured is too large to be kept */
    unsigned references;
    struct batch *next;
};

struct batch *batch_new(uint64_t first, uint32_t page_size); /* NULL: out of memory */
void batch_free(struct batch *b);

static inline size_t batch_bytes(const struct batch *b)
{
    return b->payload.len + b->version_count * sizeof *b->versions + b->record_count * sizeof *b->records;
}

void batch_begin_commit(struct batch *b);
/* `page`: whole page. An image or zero version stores or skips it; a patch stores the granules of its mask. */
int batch_add(struct batch *b, const struct version *v, const uint8_t *page, struct err *e) MUST_CHECK;
void batch_forget(struct batch *b, uint32_t pgno); /* of the commit being captured: this version of the page is dead */
void batch_abort_commit(struct batch *b);          /* it is not kept whole: nothing of it stays */
/* Ends the commit; after an overflow it is taken out, and nothing may follow. */
int batch_end_commit(struct batch *b, const struct commit_record *record, struct err *e) MUST_CHECK;

#endif
