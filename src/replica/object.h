/* replica/object.h - objects of a replica, fetched and decoded. One read of the last 64 KiB has a small object whole and a large
 * one's records and index; only a larger index takes a second read. */
#ifndef SEAWALL_REPLICA_OBJECT_H
#define SEAWALL_REPLICA_OBJECT_H

#include "format/names.h"
#include "format/segment.h"
#include "storage/open.h"

#define OBJECT_TAIL_BYTES 65536

/* Is what the trailer says what the key says? */
bool object_fits_name(const struct name *n, const struct segment_info *i);

/* ERR_CORRUPT, with the key in the message, for anything that is not a whole object. ERR_NOTFOUND, ERR_IO, ERR_REMOTE from the
 * store. */
int object_load(struct store *store, const char *key, struct codec *codec, enum segment_want want,
                struct segment *ret_segment, struct err *e) MUST_CHECK;

/* Also reads the whole object, checks its header and gives its digest: to link to it, or to tell whose it is. */
int object_load_whole(struct store *store, const char *key, struct codec *codec, struct segment *ret_segment,
                      struct digest *ret_digest, struct err *e) MUST_CHECK;

/* The level-0 object that begins at txid `min`. ERR_CORRUPT: another kind of object lies under its name. */
int object_load_level0(struct store *store, uint64_t min, struct codec *codec, struct segment *ret_segment,
                       struct digest *ret_digest, struct err *e) MUST_CHECK;

#endif
