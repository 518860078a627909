/* storage/cached.h - remembers the ends of objects that were read from a remote store.
 *
 * A restore reads the end of an object for its records, again for its index, and small ones a third time for their pages: three
 * journeys for a kilobyte. Objects never change, so what was read once is good. The first CACHED_BYTES_MAX are kept, later ones are
 * read as before. store_prefetch reads many ends at a time. */
#ifndef SEAWALL_STORAGE_CACHED_H
#define SEAWALL_STORAGE_CACHED_H

#include "storage/store.h"

#define CACHED_BYTES_MAX (24u << 20)
#define CACHED_TAIL_MAX 65536 /* bytes kept of one object: all of it, or its index */
#define CACHED_THREADS 16     /* of a prefetch */

/* Takes over `inner`, also when it fails. */
int cached_store_new(struct store *inner, struct store **ret_store, struct err *e) MUST_CHECK;

#endif
