/* litestream/names.h - the keys of the objects in a replica of Litestream.
 *
 *   0.5  ltx/L/MIN-MAX.ltx                  in a folder; L is the level in decimal
 *        LLLL/MIN-MAX.ltx                   in S3; LLLL is the level in hex
 *   0.3  generations/G/snapshots/I.snapshot.lz4
 *        generations/G/wal/I_O.wal.lz4      index I of the WAL, from offset O on
 *
 * MIN, MAX and G have 16 hex digits, I and O have 8. Either layout of 0.5 can be in either store: a bucket can be
 * copied into a folder. */
#ifndef SEAWALL_LITESTREAM_NAMES_H
#define SEAWALL_LITESTREAM_NAMES_H

#include "base/store.h"

#define LITE_LEVELS 10        /* levels 0 to 9 */
#define LITE_SNAPSHOT_LEVEL 9 /* Litestream keeps its snapshots there */

enum lite_kind {
    LITE_OTHER,    /* not an object of Litestream */
    LITE_LTX,      /* 0.5: pages that changed from txid min to txid max */
    LITE_SNAPSHOT, /* 0.3: the database file, at some moment of a WAL index */
    LITE_SEGMENT,  /* 0.3: a part of a WAL */
};

struct lite_name {
    enum lite_kind kind;
    /* LITE_LTX */
    bool flat; /* the layout of S3 */
    unsigned level;
    uint64_t min, max; /* txids, from 1 */
    /* LITE_SNAPSHOT, LITE_SEGMENT */
    uint64_t generation;
    uint32_t index;
    uint32_t offset; /* LITE_SEGMENT: bytes in the WAL before it */
};

/* A key that is not exactly of the form above gives LITE_OTHER; so does a file whose txids are not in order. */
struct lite_name lite_name_parse(const char *key);

/* Precondition: n->kind is not LITE_OTHER. */
void lite_name_format(const struct lite_name *n, char out[STORE_KEY_MAX]);

#endif
