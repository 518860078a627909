/* format/codec.c */
#include "format/codec.h"

#include <stdbool.h>
#include <stdlib.h>
#include <zlib.h>

#ifdef HAVE_ISAL
#include <isa-l/igzip_lib.h>
#endif

#define DEFLATE_LEVEL 1 /* on pages, level 6 takes 5 times as long for 10 % fewer bytes */

struct codec {
    enum codec_engine engine;
    z_stream deflate, inflate;
    bool deflate_ready, inflate_ready;
#ifdef HAVE_ISAL
    struct isal_zstream *fast_deflate;  /* owned; its level buffer follows it */
    struct inflate_state *fast_inflate; /* owned */
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

void codec_free(struct codec *c)
{
    if (!c)
        return;
    if (c->deflate_ready)
        deflateEnd(&c->deflate);
    if (c->inflate_ready)
        inflateEnd(&c->inflate);
#ifdef HAVE_ISAL
    free(c->fast_deflate);
    free(c->fast_inflate);
#endif
    free(c);
}

static int damaged(const struct codec_stream *stream, size_t got, int rc, struct err *e)
{
    return err_set(e, ERR_CORRUPT, rc, "damaged zlib stream of %zu bytes: it holds %zu bytes instead of %zu",
                   stream->size, got, stream->raw_size);
}

/* ---- zlib */

static int zlib_deflate(struct codec *c, const void *bytes, size_t n, struct buf *out, struct err *e)
{
    int rc = c->deflate_ready ? deflateReset(&c->deflate) : deflateInit(&c->deflate, DEFLATE_LEVEL);
    if (rc != Z_OK)
        return err_set(e, ERR_NOMEM, rc, "zlib can't start to compress: error %d", rc);
    c->deflate_ready = true;
    size_t bound = deflateBound(&c->deflate, (uLong)n);
    if (buf_reserve(out, bound, e))
        return -1;
    c->deflate.next_in = (Bytef *)(uintptr_t)bytes; /* zlib does not write there */
    c->deflate.avail_in = (uInt)n;
    c->deflate.next_out = out->data + out->len;
    c->deflate.avail_out = (uInt)bound;
    rc = deflate(&c->deflate, Z_FINISH);
    if (rc != Z_STREAM_END)
        return err_set(e, ERR_NOMEM, rc, "zlib can't compress %zu bytes: error %d", n, rc);
    out->len += bound - c->deflate.avail_out;
    return 0;
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

#ifndef HAVE_ISAL

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

#else

/* ---- ISA-L */

const char *codec_name(void)
{
    return "ISA-L";
}

static size_t fast_bound(size_t n)
{
    return n + n / 16 + 1024; /* for blocks that are stored, and for the reserve of ISA-L */
}

static int fast_deflate(struct codec *c, const void *bytes, size_t n, struct buf *out, struct err *e)
{
    if (!c->fast_deflate) {
        c->fast_deflate = malloc(sizeof *c->fast_deflate + ISAL_DEF_LVL1_DEFAULT);
        if (!c->fast_deflate)
            return err_nomem(e, ISAL_DEF_LVL1_DEFAULT);
    }
    struct isal_zstream *s = c->fast_deflate;
    isal_deflate_stateless_init(s);
    size_t bound = fast_bound(n);
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

static int fast_inflate(struct codec *c, const struct codec_stream *stream, uint8_t *out, struct err *e)
{
    if (!c->fast_inflate) {
        c->fast_inflate = malloc(sizeof *c->fast_inflate);
        if (!c->fast_inflate)
            return err_nomem(e, sizeof *c->fast_inflate);
    }
    struct inflate_state *s = c->fast_inflate;
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

int codec_deflate(struct codec *c, const void *bytes, size_t n, struct buf *out, struct err *e)
{
    return c->engine == CODEC_ZLIB ? zlib_deflate(c, bytes, n, out, e) : fast_deflate(c, bytes, n, out, e);
}

int codec_inflate(struct codec *c, const struct codec_stream *stream, uint8_t *out, struct err *e)
{
    bool slow = c->engine == CODEC_ZLIB || stream->raw_size == 0;
    return slow ? zlib_inflate(c, stream, out, e) : fast_inflate(c, stream, out, e);
}

#endif
