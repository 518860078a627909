/* storage/cached.h - a store that remembers the ends of objects of another store, for reading from a slow one.
 *
 * A restore reads the end of an object for its records, then for its index, and a small object a third time for
 * its pages. Objects never change, so a copy of the end stays valid. The first CACHED_BYTES_MAX bytes are kept;
 * later ends are read each time. store_prefetch reads many ends at a time. If more of an end is read, because records
 * and index are larger, that is kept in its place. */
#ifndef SEAWALL_STORAGE_CACHED_H
#define SEAWALL_STORAGE_CACHED_H

#include "base/store.h"

#define CACHED_BYTES_MAX (24u << 20)
#define CACHED_TAIL_MAX 65536          /* bytes that a prefetch reads of one object at least: all of it, or its index */
#define CACHED_LARGER_MAX (512u << 10) /* bytes kept of one object */
#define CACHED_THREADS 48              /* of a prefetch: what a slow store has is fetched in few rounds */

/* Makes a store over `inner`, and takes `inner` over: it is closed with the new store, or at once if this call fails.
 * ERR_NOMEM. */
int cached_store_new(struct store *inner, struct store **ret_store, struct err *e) MUST_CHECK;

#endif
