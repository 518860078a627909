/* format/codec.h - compresses bytes into zlib streams (RFC 1950) and inflates them. Blocks and sections are such
 * streams. Only codec.c uses zlib, ISA-L and libdeflate.
 *
 * zlib is the reference. If the program was built with the other libraries, they read and write the same streams at
 * several times its speed: libdeflate inflates fastest, and ISA-L compresses fastest. With one of them alone, that one
 * does both.
 *
 * A codec holds the state of one compressor and one decompressor (about 600 KiB once used, twice as much after codec_deflate_small). It belongs to a worker, not
 * to a database: starting a zlib stream takes 47 us, resetting one 0.6 us. One thread at a time. */
#ifndef SEAWALL_FORMAT_CODEC_H
#define SEAWALL_FORMAT_CODEC_H

#include "base/buf.h"

struct codec;

enum codec_engine { CODEC_FASTEST, CODEC_ZLIB };

struct codec *codec_new(void);                          /* the fastest engine; NULL: out of memory */
struct codec *codec_new_with(enum codec_engine engine); /* NULL: out of memory */
void codec_free(struct codec *c);                       /* NULL does nothing */
const char *codec_name(void); /* of the fastest engine: "zlib 1.2.13", "ISA-L and libdeflate" */

/* Appends the compressed bytes to `out`. ERR_LIMIT: they may not fit below the ceiling of `out`. ERR_NOMEM. After an
 * error `out` has the bytes that it had before. */
int codec_deflate(struct codec *c, const void *bytes, size_t n, struct buf *out, struct err *e) MUST_CHECK;

/* The same in fewer bytes (6 % fewer of patches), at a fifth of the speed. To bound the CPU time, only CODEC_SMALL_RATE bytes
 * a second are compressed so, after a quiet time up to CODEC_SMALL_BYTES at once. Others are compressed as fast as by
 * codec_deflate. */
#define CODEC_SMALL_RATE (2u << 20)
#define CODEC_SMALL_BYTES (32u << 20)
int codec_deflate_small(struct codec *c, const void *bytes, size_t n, struct buf *out, struct err *e) MUST_CHECK;

/* A zlib stream, and the size of its contents in bytes. */
struct codec_stream {
    const void *bytes; /* borrowed */
    size_t size;
    size_t raw_size;
};

/* Inflates a stream into `out`, which has room for raw_size bytes. ERR_CORRUPT: not a zlib stream of exactly `size`
 * bytes with exactly raw_size bytes of contents. ERR_NOMEM. After an error the contents of `out` are undefined. */
int codec_inflate(struct codec *c, const struct codec_stream *stream, uint8_t *out, struct err *e) MUST_CHECK;

#endif
