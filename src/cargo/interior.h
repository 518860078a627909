/* cargo/interior.h - the pages of a base that every query needs first, collected while its chunks are put: page 1, the
 * other pages of sqlite_schema, and the interior pages of b-trees (types 2 and 5, by the pages themselves).
 *
 * They are a second copy, and nothing that must be right uses them. So what is not known is left out: pages of chunks
 * that an earlier run put, of a database that is encrypted, or for which there is no memory.
 *
 * At most INTERIOR_BYTES_MAX bytes of pages are kept. If there are more, those above the leaves go first, then those
 * above these, so that the pages nearest to the roots stay. A reader fetches all of it when it opens a replica, and it
 * holds those of a database of about 2 GB with short keys in 4 MiB, which take a third of that when compressed. If there are
 * more, a lookup has to fetch one page above its leaf.
 *
 * The memory is claimed (base/claim.h), at most about 10 MiB for a base. Nothing is collected for a base as soon as more
 * than half of the budget would be taken. */
#ifndef SEAWALL_CARGO_INTERIOR_H
#define SEAWALL_CARGO_INTERIOR_H

#include "cargo/piece.h"

#define INTERIOR_BYTES_MAX SCALE(4u << 20, 2048u)
#define INTERIOR_NOTED_MAX (512u << 10) /* interior pages whose height is remembered; those of 100 GB are fewer */

/* How far a page is from the leaves: 1 is right above them. */
enum {
    INTERIOR_HEIGHT_UNKNOWN = 254, /* its first and its last child were not read yet: it may be a root */
    INTERIOR_HEIGHT_SCHEMA = 255,  /* page 1 and the pages below it: they always stay */
};

struct interior_page {
    struct version version; /* an image */
    uint32_t children[2];   /* its first and its last one */
    unsigned height;
    uint8_t *bytes; /* owned; a page */
};

struct interior {
    struct interior_page *pages; /* owned; ascending page numbers */
    size_t count, cap;
    struct interior_height {
        uint32_t pgno;
        unsigned height;
    } *noted; /* owned; of all interior pages that were read, ascending page numbers */
    size_t noted_count, noted_cap;
    uint32_t *schema; /* owned; the pages below page 1, as far as they may stay; ascending */
    size_t schema_count, schema_cap;
    uint32_t read_from, read_upto; /* the first and the last page that were read; 0: none */
    unsigned floor;                /* pages up to this height are left out */
    uint32_t page_size;
    size_t charged; /* bytes that are claimed */
    bool closed;    /* nothing is collected: the pages can't be recognized, or memory was short */
};

/* Takes what counts of a piece of a base whose chunk was put. The pieces of a base come nearly in order, each once. *in
 * may be NULL before; the caller frees it. Without memory, or when the budget is tight, nothing is collected any more. */
void interior_take(struct interior **in, const struct piece *piece);
/* Forgets `page` and what follows it: pieces from there on come again. */
void interior_rewind(struct interior *in, uint32_t page);
void interior_free(struct interior *in); /* NULL does nothing */

/* The children of an interior page of a b-tree: its first and its last one. False: it is not one. A page of another kind can
 * look like one. */
bool interior_children(uint32_t pgno, const uint8_t *page, uint32_t page_size, uint32_t ret_children[2]);

#endif
