/* litestream/contents.h - what a store holds of a replica of Litestream: one listing, and the points that it can be
 * restored to.
 *
 * 0.5: each file has the pages that changed from txid min to txid max. A snapshot begins at txid 1. A file continues a
 * state if min is at most its txid + 1, and max is greater.
 *
 * 0.3: each generation has snapshots of the database file and the WALs after them. With the segments of its own index and
 * of those after it a snapshot becomes a later state. Before a snapshot Litestream checkpoints as much as readers allow.
 * So the snapshot has the newest versions of some pages and older ones of others, and may have commits that are in no
 * segment yet. It is a state only together with all that was in the WAL when it was made. So a segment is restored from
 * a snapshot that is older than the segment before it, and a snapshot alone is the last resort. */
#ifndef SEAWALL_LITESTREAM_CONTENTS_H
#define SEAWALL_LITESTREAM_CONTENTS_H

#include "litestream/feed.h"
#include "litestream/names.h"

struct lite_object {
    struct lite_name name;
    uint64_t size;
    int64_t time_ms; /* by the store; of a file of 0.5, after lite_read_headers, the time in its header */
    uint32_t pages;  /* of a file of 0.5, after lite_read_headers: of the database */
    bool point;      /* it leads to a restore point: a file to its max, a snapshot to itself, a segment to its end */
    bool damaged;    /* a file of 0.5 that can't be used */
    /* Of a segment: all segments from the beginning of index `since` to this one are there, as far as names say. */
    bool whole;
    uint32_t since;
};

struct lite_list {
    struct lite_object *all;
    size_t count, cap;
};

struct lite_contents {
    struct store *store;        /* borrowed */
    struct lite_list files;     /* 0.5; ascending max, then ascending min, then descending level */
    struct lite_list snapshots; /* 0.3; ascending generation, index */
    struct lite_list segments;  /* 0.3; ascending generation, index, offset */
    uint64_t objects, bytes;    /* of the three lists */
    uint64_t foreign;           /* entries of the listing that are not Litestream's */
    bool ours;                  /* one of them is an object of a replica of Seawall */
    uint64_t top;               /* 0.5: the greatest txid that can be restored; 0: none */
    uint64_t beyond;            /* 0.5: the smallest min of a file after `top` that nothing leads to; 0: none */
};

/* Lists the store. ERR_NOTFOUND: it has no object of Litestream, or it has an object of a replica of Seawall: then that
 * replica alone is restored, even if it lacks what is asked for, because what Litestream left there can be of another
 * time or database. *ret_beside: it has objects of both; set in any case. ERR_CORRUPT: a key comes twice. Errors of the
 * store. The caller releases it after success. */
int lite_list(struct lite_contents *c, struct store *store, bool *ret_beside, struct err *e) MUST_CHECK;
void lite_release(struct lite_contents *c); /* a zeroed one is allowed */

/* Reads the headers of all files of 0.5. A file whose header is damaged, or does not fit to its key, becomes `damaged`,
 * and the points are found again. ERR_GONE: a file was removed meanwhile. Errors of the store. */
int lite_read_headers(struct lite_contents *c, const struct feed_options *options, struct err *e) MUST_CHECK;

/* Finds the points again, after a file became `damaged`. */
void lite_find_points(struct lite_contents *c);

/* The snapshot of 0.3 from which the segment is restored. NULL: there is none. */
const struct lite_object *lite_snapshot_of(const struct lite_contents *c, const struct lite_object *segment);

#endif
