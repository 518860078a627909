/* replica/object.h - objects of a replica, fetched and decoded.
 *
 * One read of the last 64 KiB gets all of a small object, and the records and index of most large ones. A larger
 * index takes a second read. */
#ifndef SEAWALL_REPLICA_OBJECT_H
#define SEAWALL_REPLICA_OBJECT_H

#include "format/names.h"
#include "format/segment.h"
#include "storage/open.h"

#define OBJECT_TAIL_BYTES 65536

/* So many bytes at the end of a segment of `size` bytes have its records and its index, most probably: whole pages of
 * 4 KiB take 1.4 % of the object there. */
size_t object_end_bytes(uint64_t size);

/* Whether the trailer fits the key: kind, level, txids, start, run and first page. */
bool object_fits_name(const struct name *n, const struct segment_info *i);

/* An object that is read. The caller sets the first four fields, and keeps what they point to. */
struct object_reader {
    struct store *store;
    struct codec *codec;
    const char *key;
    struct buf *tail; /* after object_read: the last bytes of the object, at least all from info.tail_offset on */
    uint64_t size;    /* after object_read: bytes of the whole object */
};

/* Reads at least the last `tail_bytes` bytes of the object, and decodes its trailer and the sections that `want` names.
 * The caller releases *ret_segment. ERR_CORRUPT, with the key in the message: it is not a whole object. ERR_CLAIM, with
 * the key and the claim: base/claim.h. ERR_NOTFOUND, ERR_IO, ERR_REMOTE: as from the store. */
int object_read(struct object_reader *r, size_t tail_bytes, enum segment_want want, struct segment *ret_segment,
                struct err *e) MUST_CHECK;

/* Decodes an object whose bytes are all in r->tail, without the store. Errors but those of the store as above. */
int object_decode_whole(struct object_reader *r, enum segment_want want, struct segment *ret_segment,
                        struct err *e) MUST_CHECK;

/* As object_read in one call, for the sections alone. */
int object_load(struct store *store, const char *key, struct codec *codec, enum segment_want want,
                struct segment *ret_segment, struct err *e) MUST_CHECK;

/* Reads an object whole: its records, and the SHA-256 of all its bytes. ERR_CORRUPT also if another kind of object has
 * its key. */
int object_load_named(struct store *store, const struct name *name, struct codec *codec, struct segment *ret_segment,
                      struct digest *ret_digest, struct err *e) MUST_CHECK;

/* The same by its key, whatever is there. */
int object_load_whole(struct store *store, const char *key, struct codec *codec, struct segment *ret_segment,
                      struct digest *ret_digest, struct err *e) MUST_CHECK;

#endif
