/* cargo/batch.h - whole commits as they were captured: every version of every page, not compressed yet.
 *
 * One local job fills a batch. Afterwards nothing changes it, and ship jobs read it. Only the main thread counts
 * the references. */
#ifndef SEAWALL_CARGO_BATCH_H
#define SEAWALL_CARGO_BATCH_H

#include "base/trial.h"
#include "format/segment.h"

/* A batch ends with the commit in which it reaches this size, so that it can be shipped while the next one is
 * captured. */
#define BATCH_BYTES_TARGET SCALE(2u << 20, 1024u)
/* The versions of a larger commit are not kept. Its pages are read from the local database instead, as a catch-up. */
#define BATCH_BYTES_MAX SCALE(12u << 20, 6144u)

struct captured {
    struct version version;
    size_t at; /* offset of its bytes in `payload` */
    bool dead; /* a later frame of the same commit has the same page */
};

struct batch {
    uint64_t first, last; /* txids; last < first: the batch is empty */
    uint32_t page_size;
    struct captured *versions; /* owned */
    size_t version_count, version_cap;
    struct commit_record *records; /* owned */
    size_t record_count, record_cap;
    struct buf payload;
    size_t commit_versions, commit_payload; /* counts when the commit that is being captured began */
    bool overflow;                          /* a commit was too large: the batch ends before it */
    unsigned references;
    struct batch *next;
};

/* Makes an empty batch. `first`: the txid of its first commit, at least 1. The caller frees it. NULL: out of memory. */
struct batch *batch_new(uint64_t first, uint32_t page_size);
void batch_free(struct batch *b); /* NULL is fine */

/* The memory that the batch takes, in bytes. */
static inline size_t batch_bytes(const struct batch *b)
{
    return b->payload.len + b->version_count * sizeof *b->versions + b->record_count * sizeof *b->records;
}

/* Begins a commit. Precondition: no commit of this batch was too large. */
void batch_begin_commit(struct batch *b);

/* Adds a version to the commit. `page`: the whole page; may be NULL for a zero version. Copies the whole page for an
 * image, the granules of the mask for a patch, and nothing for a zero version. If the commit gets larger than
 * BATCH_BYTES_MAX, `overflow` becomes true and its versions are dropped; then further calls do nothing. Precondition:
 * v->txid is `last` + 1. ERR_NOMEM: call batch_abort_commit. */
int batch_add(struct batch *b, const struct version *v, const uint8_t *page, struct err *e) MUST_CHECK;

/* Marks the versions of this page in the current commit as dead. A later version replaces them. */
void batch_forget(struct batch *b, uint32_t pgno);

/* Drops the commit that is being captured. */
void batch_abort_commit(struct batch *b);

/* Ends the commit and makes it part of the batch. If it was too large (`overflow`), the batch stays without it, and no
 * commit may begin any more. Precondition: record->txid is `last` + 1. ERR_NOMEM: call batch_abort_commit. */
int batch_end_commit(struct batch *b, const struct commit_record *record, struct err *e) MUST_CHECK;

#endif
