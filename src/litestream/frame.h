/* litestream/frame.h - an object of Litestream 0.3: one LZ4 frame. The frame has a checksum of its contents, which is
 * checked. */
#ifndef SEAWALL_LITESTREAM_FRAME_H
#define SEAWALL_LITESTREAM_FRAME_H

#include "litestream/feed.h"

struct frame_reader;

/* ERR_NOMEM. */
int frame_reader_new(struct frame_reader **ret, struct err *e) MUST_CHECK;
void frame_reader_free(struct frame_reader *r); /* NULL is allowed */

/* Gets the contents, in order. Returns 0 to continue; otherwise the error is in `e`. */
typedef int frame_fn(void *context, const uint8_t *bytes, size_t n, struct err *e);

/* Reads the object of the feed to its end. ERR_CORRUPT: damaged, or not one whole frame. ERR_CONFIG: it is encrypted.
 * Other errors: of the feed and of `fn`. */
int frame_read(struct frame_reader *r, struct feed *f, frame_fn *fn, void *context, struct err *e) MUST_CHECK;

#endif
