/* format/codec.c */
#include "format/codec.h"

#include "base/clock.h"

#include <stdbool.h>
#include <stdlib.h>
#include <zlib.h>

#ifdef HAVE_ISAL
#include <isa-l/igzip_lib.h>
#endif
#ifdef HAVE_LIBDEFLATE
#include <libdeflate.h>
#endif

/* Of zlib and libdeflate. On pages, level 6 of zlib takes 5 times as long as level 1 for 10 % fewer bytes, and level 2
 * of libdeflate 1.7 times as long for 3 % fewer. */
#define DEFLATE_LEVEL 1

/* For few bytes: of patches, level 6 of zlib makes 6 % fewer than level 1, and so does level 7 of libdeflate, at 33 MB/s. Level
 * 10 makes 9 % fewer, but takes 9 MB of memory. */
#define ZLIB_SMALL_LEVEL 6
#define LIBDEFLATE_SMALL_LEVEL 7

struct codec {
    enum codec_engine engine;
    z_stream deflate, small, inflate;
    bool deflate_ready, small_ready, inflate_ready;
    uint64_t small_bytes; /* that may still be compressed to few bytes */
    int64_t small_ms;     /* when that was so; 0: never yet */
#ifdef HAVE_ISAL
    struct isal_zstream *isal_deflate; /* owned; its level buffer follows it */
#ifndef HAVE_LIBDEFLATE
    struct inflate_state *isal_inflate; /* owned */
#endif
#endif
#ifdef HAVE_LIBDEFLATE
#ifndef HAVE_ISAL
    struct libdeflate_compressor *compressor; /* owned */
#endif
    struct libdeflate_compressor *small_compressor; /* owned */
    struct libdeflate_decompressor *decompressor;   /* owned */
#endif
};

struct codec *codec_new_with(enum codec_engine engine)
{
    struct codec *c = calloc(1, sizeof *c);
    if (c)
        c->engine = engine;
    return c;
}

struct codec *codec_new(void)
{
    return codec_new_with(CODEC_FASTEST);
}

#ifdef HAVE_LIBDEFLATE
static void libdeflate_end(struct codec *c)
{
#ifndef HAVE_ISAL
    if (c->compressor)
        libdeflate_free_compressor(c->compressor);
#endif
    if (c->small_compressor)
        libdeflate_free_compressor(c->small_compressor);
    if (c->decompressor)
        libdeflate_free_decompressor(c->decompressor);
}
#endif

#ifdef HAVE_ISAL
static void isal_end(struct codec *c)
{
    free(c->isal_deflate);
#ifndef HAVE_LIBDEFLATE
    free(c->isal_inflate);
#endif
}
#endif

void codec_free(struct codec *c)
{
    if (!c)
        return;
    if (c->deflate_ready)
        deflateEnd(&c->deflate);
    if (c->small_ready)
        deflateEnd(&c->small);
    if (c->inflate_ready)
        inflateEnd(&c->inflate);
#ifdef HAVE_ISAL
    isal_end(c);
#endif
#ifdef HAVE_LIBDEFLATE
    libdeflate_end(c);
#endif
    free(c);
}

static int damaged(const struct codec_stream *stream, size_t got, int rc, struct err *e)
{
    return err_set(e, ERR_CORRUPT, rc, "damaged zlib stream of %zu bytes: it holds %zu bytes instead of %zu",
                   stream->size, got, stream->raw_size);
}

/* ---- zlib */

/* `ready`: whether `s` was used before. */
static int deflate_with(z_stream *s, bool *ready, int level, const void *bytes, size_t n, struct buf *out,
                        struct err *e)
{
    int rc = *ready ? deflateReset(s) : deflateInit(s, level);
    if (rc != Z_OK)
        return err_set(e, ERR_NOMEM, rc, "zlib can't start to compress: error %d", rc);
    *ready = true;
    size_t bound = deflateBound(s, (uLong)n);
    if (buf_reserve(out, bound, e))
        return -1;
    s->next_in = (Bytef *)(uintptr_t)bytes; /* zlib does not write there */
    s->avail_in = (uInt)n;
    s->next_out = out->data + out->len;
    s->avail_out = (uInt)bound;
    rc = deflate(s, Z_FINISH);
    if (rc != Z_STREAM_END)
        return err_set(e, ERR_NOMEM, rc, "zlib can't compress %zu bytes: error %d", n, rc);
    out->len += bound - s->avail_out;
    return 0;
}

static int zlib_deflate(struct codec *c, const void *bytes, size_t n, struct buf *out, struct err *e)
{
    return deflate_with(&c->deflate, &c->deflate_ready, DEFLATE_LEVEL, bytes, n, out, e);
}

static int zlib_deflate_small(struct codec *c, const void *bytes, size_t n, struct buf *out, struct err *e)
{
    return deflate_with(&c->small, &c->small_ready, ZLIB_SMALL_LEVEL, bytes, n, out, e);
}

static int zlib_inflate(struct codec *c, const struct codec_stream *stream, uint8_t *out, struct err *e)
{
    uint8_t none;
    int rc = c->inflate_ready ? inflateReset(&c->inflate) : inflateInit(&c->inflate);
    if (rc != Z_OK)
        return err_set(e, ERR_NOMEM, rc, "zlib can't start to inflate: error %d", rc);
    c->inflate_ready = true;
    c->inflate.next_in = (Bytef *)(uintptr_t)stream->bytes;
    c->inflate.avail_in = (uInt)stream->size;
    c->inflate.next_out = stream->raw_size ? out : &none;
    c->inflate.avail_out = (uInt)stream->raw_size;
    rc = inflate(&c->inflate, Z_FINISH);
    if (rc != Z_STREAM_END || c->inflate.avail_out != 0 || c->inflate.avail_in != 0)
        return damaged(stream, stream->raw_size - c->inflate.avail_out, rc, e);
    return 0;
}

/* ---- ISA-L */

#ifdef HAVE_ISAL

static size_t isal_bound(size_t n)
{
    return n + n / 16 + 1024; /* for blocks that are stored, and for the reserve of ISA-L */
}

static int fast_deflate(struct codec *c, const void *bytes, size_t n, struct buf *out, struct err *e)
{
    if (!c->isal_deflate) {
        c->isal_deflate = malloc(sizeof *c->isal_deflate + ISAL_DEF_LVL1_DEFAULT);
        if (!c->isal_deflate)
            return err_nomem(e, ISAL_DEF_LVL1_DEFAULT);
    }
    struct isal_zstream *s = c->isal_deflate;
    isal_deflate_stateless_init(s);
    size_t bound = isal_bound(n);
    if (buf_reserve(out, bound, e))
        return -1;
    s->level = 1;
    s->level_buf = (uint8_t *)(s + 1);
    s->level_buf_size = ISAL_DEF_LVL1_DEFAULT;
    s->gzip_flag = IGZIP_ZLIB;
    s->end_of_stream = 1;
    s->flush = NO_FLUSH;
    s->next_in = (uint8_t *)(uintptr_t)bytes;
    s->avail_in = (uint32_t)n;
    s->next_out = out->data + out->len;
    s->avail_out = (uint32_t)bound;
    int rc = isal_deflate_stateless(s);
    if (rc != COMP_OK)
        return err_set(e, ERR_NOMEM, rc, "ISA-L can't compress %zu bytes: error %d", n, rc);
    out->len += bound - s->avail_out;
    return 0;
}

#endif

#if defined(HAVE_ISAL) && !defined(HAVE_LIBDEFLATE)

static int fast_inflate(struct codec *c, const struct codec_stream *stream, uint8_t *out, struct err *e)
{
    if (!c->isal_inflate) {
        c->isal_inflate = malloc(sizeof *c->isal_inflate);
        if (!c->isal_inflate)
            return err_nomem(e, sizeof *c->isal_inflate);
    }
    struct inflate_state *s = c->isal_inflate;
    isal_inflate_init(s);
    s->crc_flag = ISAL_ZLIB;
    s->next_in = (uint8_t *)(uintptr_t)stream->bytes;
    s->avail_in = (uint32_t)stream->size;
    s->next_out = out;
    s->avail_out = (uint32_t)stream->raw_size;
    int rc = isal_inflate_stateless(s);
    if (rc != ISAL_DECOMP_OK || s->avail_out != 0 || s->avail_in != 0)
        return damaged(stream, stream->raw_size - s->avail_out, rc, e);
    return 0;
}

#endif

/* ---- libdeflate */

#ifdef HAVE_LIBDEFLATE

static int libdeflate_with(struct libdeflate_compressor **compressor, int level, const void *bytes, size_t n,
                           struct buf *out, struct err *e)
{
    if (!*compressor)
        *compressor = libdeflate_alloc_compressor(level);
    if (!*compressor)
        return err_set(e, ERR_NOMEM, 0, "out of memory: libdeflate can't start to compress");
    size_t bound = libdeflate_zlib_compress_bound(*compressor, n);
    if (buf_reserve(out, bound, e))
        return -1;
    size_t got = libdeflate_zlib_compress(*compressor, bytes, n, out->data + out->len, bound);
    if (got == 0)
        return err_set(e, ERR_NOMEM, 0, "libdeflate can't compress %zu bytes", n);
    out->len += got;
    return 0;
}

#ifndef HAVE_ISAL
static int fast_deflate(struct codec *c, const void *bytes, size_t n, struct buf *out, struct err *e)
{
    return libdeflate_with(&c->compressor, DEFLATE_LEVEL, bytes, n, out, e);
}
#endif

static int small_deflate(struct codec *c, const void *bytes, size_t n, struct buf *out, struct err *e)
{
    if (c->engine == CODEC_ZLIB)
        return zlib_deflate_small(c, bytes, n, out, e);
    return libdeflate_with(&c->small_compressor, LIBDEFLATE_SMALL_LEVEL, bytes, n, out, e);
}

static int fast_inflate(struct codec *c, const struct codec_stream *stream, uint8_t *out, struct err *e)
{
    size_t used = 0, got = 0;
    if (!c->decompressor)
        c->decompressor = libdeflate_alloc_decompressor();
    if (!c->decompressor)
        return err_set(e, ERR_NOMEM, 0, "out of memory: libdeflate can't start to inflate");
    int rc =
        libdeflate_zlib_decompress_ex(c->decompressor, stream->bytes, stream->size, out, stream->raw_size, &used, &got);
    if (rc != LIBDEFLATE_SUCCESS || used != stream->size || got != stream->raw_size)
        return damaged(stream, rc == LIBDEFLATE_SUCCESS ? got : 0, rc, e);
    return 0;
}

#endif

/* ---- the engines of this build */

#ifndef HAVE_LIBDEFLATE
static int small_deflate(struct codec *c, const void *bytes, size_t n, struct buf *out, struct err *e)
{
    return zlib_deflate_small(c, bytes, n, out, e);
}
#endif

/* Whether `n` more bytes may be compressed to few bytes. */
static bool may_take_time(struct codec *c, size_t n)
{
    const int64_t now_ms = clock_mono_ms();
    const uint64_t ms = c->small_ms == 0 ? 1000 : now_ms > c->small_ms ? (uint64_t)(now_ms - c->small_ms) : 0;
    const uint64_t more = ms < 3600000 ? ms * CODEC_SMALL_RATE / 1000 : CODEC_SMALL_BYTES;
    c->small_bytes += more < CODEC_SMALL_BYTES - c->small_bytes ? more : CODEC_SMALL_BYTES - c->small_bytes;
    c->small_ms = now_ms ? now_ms : 1;
    if (n > c->small_bytes)
        return false;
    c->small_bytes -= n;
    return true;
}

int codec_deflate_small(struct codec *c, const void *bytes, size_t n, struct buf *out, struct err *e)
{
    return may_take_time(c, n) ? small_deflate(c, bytes, n, out, e) : codec_deflate(c, bytes, n, out, e);
}

#if defined(HAVE_ISAL) || defined(HAVE_LIBDEFLATE)

const char *codec_name(void)
{
#if defined(HAVE_ISAL) && defined(HAVE_LIBDEFLATE)
    return "ISA-L and libdeflate";
#elif defined(HAVE_ISAL)
    return "ISA-L";
#else
    return "libdeflate";
#endif
}

int codec_deflate(struct codec *c, const void *bytes, size_t n, struct buf *out, struct err *e)
{
    return c->engine == CODEC_ZLIB ? zlib_deflate(c, bytes, n, out, e) : fast_deflate(c, bytes, n, out, e);
}

int codec_inflate(struct codec *c, const struct codec_stream *stream, uint8_t *out, struct err *e)
{
    bool slow = c->engine == CODEC_ZLIB || stream->raw_size == 0;
    return slow ? zlib_inflate(c, stream, out, e) : fast_inflate(c, stream, out, e);
}

#else

const char *codec_name(void)
{
    static char name[32] = "zlib ";
    for (size_t i = 0; i + 6 < sizeof name && zlibVersion()[i]; i++)
        name[5 + i] = zlibVersion()[i];
    return name;
}

int codec_deflate(struct codec *c, const void *bytes, size_t n, struct buf *out, struct err *e)
{
    return zlib_deflate(c, bytes, n, out, e);
}

int codec_inflate(struct codec *c, const struct codec_stream *stream, uint8_t *out, struct err *e)
{
    return zlib_inflate(c, stream, out, e);
}

#endif
