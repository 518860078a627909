/* format/codec.h - zlib streams (RFC 1950), the wire format of blocks and sections. The only door to zlib.
 *
 * A codec holds the state of one compressor and one decompressor (about 300 KiB once used). It belongs to a worker, not to a database:
 * starting a zlib stream costs 47 us, resetting one 0.6 us. One thread at a time. */
#ifndef SEAWALL_FORMAT_CODEC_H
#define SEAWALL_FORMAT_CODEC_H

#include "base/buf.h"

struct codec;

struct codec *codec_new(void); /* NULL: out of memory */
void codec_free(struct codec *c);

/* Appends the compressed bytes to `out`. */
int codec_deflate(struct codec *c, const void *bytes, size_t n, struct buf *out, struct err *e) MUST_CHECK;

/* Inflates exactly raw_size bytes into `out`. ERR_CORRUPT: no zlib stream, more or fewer bytes, or bytes left over. */
int codec_inflate(struct codec *c, const void *bytes, size_t n, uint8_t *out, size_t raw_size, struct err *e) MUST_CHECK;

#endif
