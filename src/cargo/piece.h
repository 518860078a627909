/* cargo/piece.h - pages that were read from the local database at one moment, on their way into one object.
 *
 * The local job fills a piece. Afterwards nothing changes it. It has one owner at a time: the report of the local
 * job, then the transfer that asked for it, then the job that puts it. */
#ifndef SEAWALL_CARGO_PIECE_H
#define SEAWALL_CARGO_PIECE_H

#include "base/trial.h"
#include "format/segment.h"

#define PIECE_BYTES SCALE(8u << 20, 2048u) /* bytes of pages in a piece, at most. At most three pieces are in memory */

struct piece {
    struct version *versions; /* in ascending order of page numbers; owned */
    size_t version_count, version_cap;
    struct buf payload;             /* the bytes of the versions, one after the other */
    uint32_t first_page, last_page; /* the range of pages that was read; 0, 0: none */
    struct commit_record record;    /* the state of the database at that moment */
    uint32_t page_size;
    bool last;      /* catch-up, level: with this piece the copy is complete as of record.txid */
    unsigned index; /* its place among the pieces of the copy, from 0 */
};

void piece_free(struct piece *p); /* NULL is fine */

#endif
