/* cargo/copy.h - pages out of the local database, in pieces: a base, everything that a replica has missed, or a compacted
 * segment.
 *
 * Each piece is read at its own moment, in one go under the watch, then encoded and put while capture goes on. So a copy of any
 * size takes bounded memory and never pins the WAL for longer than one piece takes to read. Every page is checked against its hash
 * in the map.
 *
 *   base      every page of a range, as one chunk. The levels from `start` on bring what changed after a chunk was read.
 *   catch-up  every page whose last change is after `after`. What changed again after its piece was read comes again, in the last
 *             piece
 *   level     the same, with patches where it is known what changed (dirty.h): nothing is ever downloaded to compact a replica */
#ifndef SEAWALL_CARGO_COPY_H
#define SEAWALL_CARGO_COPY_H

#include "base/trial.h"
#include "format/segment.h"

#define PIECE_BYTES SCALE(8u << 20, 2048u) /* raw; three of them are in memory at most */
#define COPY_IN_FLIGHT 2                   /* pieces being encoded and put at a time */

enum copy_kind { COPY_CATCH_UP, COPY_BASE, COPY_LEVEL };

/* Pages in ascending order; owned by whoever holds it. */
struct piece {
    struct version *versions;
    size_t version_count, version_cap;
    struct buf payload;
    uint32_t first_page, last_page; /* range that was looked through */
    struct commit_record record;    /* the state it was read at */
    uint32_t page_size;
    bool last;      /* of a catch-up or level: with this piece the copy is complete as of record.txid */
    unsigned index; /* position among the pieces of the copy */
};
void piece_free(struct piece *p);

struct copy {
    enum copy_kind kind;
    uint64_t after; /* catch-up, level: pages with a later txid; base: 0 */
    uint64_t start; /* base: the txid from which on levels are needed beside it */
    struct uid id;  /* base: of its chunks and marker */
    unsigned level; /* level: which */
    uint32_t page_size;
    uint32_t next_page; /* to be looked at */
    uint32_t end_page;  /* base: the last page, */
    uint64_t known_at;  /* as of this txid */
    bool read_all;      /* nothing is left to be read */
    struct range_read {
        uint32_t first_page, last_page;
        uint64_t txid; /* at which the range was read last */
    } * ranges;        /* catch-up, level */
    size_t range_count, range_cap;
    struct listed *list; /* objects that were put, by piece index */
    size_t list_count, list_cap;
    size_t resumed;  /* base: of these, put by an earlier run */
    unsigned pieces; /* handed out */
    unsigned put;    /* of these, durable */
    bool failed;     /* start over */
};

struct copy *copy_new(enum copy_kind kind, uint64_t after, uint32_t page_size); /* NULL: out of memory */

/* The pieces from `index` on were not put: they are read again, from `page` on. Of a base. */
void copy_rewind(struct copy *c, unsigned index, uint32_t page);
void copy_free(struct copy *c);

/* Notes an object that a piece became. */
int copy_note(struct copy *c, unsigned index, const struct listed *object, struct err *e) MUST_CHECK;

#endif
