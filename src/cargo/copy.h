/* cargo/copy.h - pages of the local database on their way into a replica, in pieces: a base, the changes that a
 * replica missed, or a compacted segment.
 *
 * Each piece is read at its own moment, under the watch. It is encoded and put while capture goes on. So a copy of
 * any size takes bounded memory, and keeps the WAL from being reset only while one piece is read.
 *
 *   base      Each piece holds every page of a range, and becomes a chunk. If a page changes after its chunk was read,
 *             the change is in the segments after `start`, which a restore reads too.
 *   catch-up  Every page whose last change is after `after`. A page that changes after its piece was read comes again,
 *             in the last piece.
 *   level     The same, with patches where the changed granules are known. So nothing is downloaded to compact a
 *             replica.
 *
 * A copy has three parts, because three threads work on it:
 *
 *   terms     The task. They never change after the copy began: any thread may hold a copy of them.
 *   cursor    How far the pages are read. Belongs to the local job while it reads a piece, otherwise to the main
 *             thread.
 *   objects   The objects that the pieces became. Belong to the ship job that puts the object which names them all,
 *             otherwise to the main thread. */
#ifndef SEAWALL_CARGO_COPY_H
#define SEAWALL_CARGO_COPY_H

#include "cargo/interior.h"

#define COPY_IN_FLIGHT 2 /* pieces of one copy that are encoded and put at a time */

enum copy_kind { COPY_NONE, COPY_CATCH_UP, COPY_BASE, COPY_LEVEL };

struct copy_terms {
    enum copy_kind kind; /* COPY_NONE: there is no copy */
    uint64_t after;      /* catch-up, level: pages that changed after this txid; base: 0 */
    uint64_t start;      /* base: a restore also needs the segments after this txid */
    struct uid id;       /* base: in the keys of its chunks and its marker */
    unsigned level;      /* level: 1 to SEGMENT_LEVEL_MAX */
    uint32_t page_size;
    uint32_t end_page; /* base: its last page */
    uint64_t known_at; /* base: the txid at which `end_page` was the last page of the database */
};

/* The pages from first_page to last_page were read when the newest commit was `txid`. */
struct page_range {
    uint32_t first_page, last_page;
    uint64_t txid;
};

struct copy_cursor {
    uint32_t next_page;        /* the first page that was never read */
    bool read_all;             /* every page was read */
    bool failed;               /* the copy can't go on; a new one must begin */
    unsigned pieces;           /* read so far */
    struct page_range *ranges; /* catch-up, level: which pages were read, and when; owned */
    size_t range_count, range_cap;
};

struct copy_objects {
    struct listed *list; /* the objects that were put, in the order of the pieces; owned */
    size_t count, cap;
    size_t resumed;            /* base: how many of them an earlier run put */
    unsigned put;              /* pieces that were put */
    struct interior *interior; /* base: of the chunks that this run put; owned; NULL: nothing */
};

struct copy {
    struct copy_terms terms;
    struct copy_cursor cursor;
    struct copy_objects objects;
};

/* Returns a copy of which no page was read yet. Precondition: terms->kind is not COPY_NONE. */
struct copy copy_begin(const struct copy_terms *terms);

/* Frees the memory of the copy; its kind becomes COPY_NONE. A copy that is COPY_NONE is fine. */
void copy_release(struct copy *c);

/* Sets a base back to piece `index`, which begins with page `page`, because that piece was not put. Later pieces may have
 * been put: they are forgotten, read again, and found in the store. Precondition: every piece before `index` was put,
 * index <= cursor.pieces, page <= cursor.next_page. */
void copy_rewind(struct copy *c, unsigned index, uint32_t page);

/* Notes the object that the piece `index` became. ERR_LIMIT: the copy has more than SEGMENT_LIST_MAX objects.
 * ERR_NOMEM. */
int copy_note(struct copy_objects *objects, unsigned index, const struct listed *object, struct err *e) MUST_CHECK;

#endif
