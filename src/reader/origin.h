/* reader/origin.h - an open store for many readers: with codecs for threads, and the folder that keeps blocks. */
#ifndef SEAWALL_READER_ORIGIN_H
#define SEAWALL_READER_ORIGIN_H

#include "format/codec.h"
#include "reader/disk.h"
#include "storage/open.h"

#include <stdatomic.h>

struct origin {
    struct store *store; /* several threads may read from it at a time */
    bool owns_store;
    struct disk *disk; /* borrowed; NULL: none */
    atomic_uint users;
    atomic_ullong requests, bytes; /* of blocks and indexes that were read from the store */
    struct origin_pool *pool;
};

/* Opens the store. `disk` is borrowed until the last user has released the origin; it may be NULL. Errors: those of
 * store_open. */
int origin_open(const char *url, struct disk *disk, struct origin **ret_origin, struct err *e) MUST_CHECK;

/* The same over a store that the caller has open, and closes after the last user has released the origin. ERR_NOMEM. */
int origin_over(struct store *store, struct origin **ret_origin, struct err *e) MUST_CHECK;
struct origin *origin_retain(struct origin *o);
void origin_release(struct origin *o); /* NULL does nothing */

/* Lends a codec to this thread, which gives it back. NULL: out of memory. */
struct codec *origin_take_codec(struct origin *o);
void origin_give_codec(struct origin *o, struct codec *c);

#endif
