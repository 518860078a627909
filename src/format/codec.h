/* format/codec.h - zlib streams (RFC 1950), the wire format of blocks and sections. The only door to zlib and to ISA-L.
 *
 * zlib is the reference. ISA-L, where it was found when the program was built, reads and writes the same streams at several times
 * the speed.
 *
 * A codec holds the state of one compressor and one decompressor (about 600 KiB once used). It belongs to a worker, not to a
 * database: starting a zlib stream costs 47 us, resetting one 0.6 us. One thread at a time. */
#ifndef SEAWALL_FORMAT_CODEC_H
#define SEAWALL_FORMAT_CODEC_H

#include "base/buf.h"

struct codec;

enum codec_engine { CODEC_FASTEST, CODEC_ZLIB };

struct codec *codec_new(void); /* the fastest engine; NULL: out of memory */
struct codec *codec_new_with(enum codec_engine engine);
void codec_free(struct codec *c);
const char *codec_name(void); /* of the fastest engine: "zlib 1.2.13", "ISA-L 2.30.0" */

/* Appends the compressed bytes to `out`. */
int codec_deflate(struct codec *c, const void *bytes, size_t n, struct buf *out, struct err *e) MUST_CHECK;

/* Inflates exactly raw_size bytes into `out`. ERR_CORRUPT: no zlib stream, more or fewer bytes, or bytes left over. */
int codec_inflate(struct codec *c, const void *bytes, size_t n, uint8_t *out, size_t raw_size,
                  struct err *e) MUST_CHECK;

#endif
