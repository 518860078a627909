/* cargo/piece.h - pages of one moment, read out of the local database, on their way into one object.
 *
 * The local job fills a piece. Nothing changes it afterwards. Whoever holds it owns it: first the local job's report, then
 * the transfer that asked for it, then the job that puts it. */
#ifndef SEAWALL_CARGO_PIECE_H
#define SEAWALL_CARGO_PIECE_H

#include "base/trial.h"
#include "format/segment.h"

#define PIECE_BYTES SCALE(8u << 20, 2048u) /* raw bytes of pages in a piece; at most three pieces are in memory */

struct piece {
    struct version *versions; /* ascending page numbers */
    size_t version_count, version_cap;
    struct buf payload;             /* their bytes, one after the other */
    uint32_t first_page, last_page; /* the range of pages that was read */
    struct commit_record record;    /* the state of the database at that moment */
    uint32_t page_size;
    bool last;      /* catch-up, level: with this piece the copy is complete as of record.txid */
    unsigned index; /* its place among the pieces of the copy, from 0 */
};

void piece_free(struct piece *p); /* NULL is fine */

#endif
