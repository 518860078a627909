/* format/codec.c */
#include "format/codec.h"

#include <stdbool.h>
#include <stdlib.h>
#include <zlib.h>

#define DEFLATE_LEVEL 1 /* on pages, level 6 takes 5 times as long for 10 % fewer bytes */

struct codec {
    z_stream deflate, inflate;
    bool deflate_ready, inflate_ready;
};

struct codec *codec_new(void)
{
    return calloc(1, sizeof(struct codec));
}

void codec_free(struct codec *c)
{
    if (!c)
        return;
    if (c->deflate_ready)
        deflateEnd(&c->deflate);
    if (c->inflate_ready)
        inflateEnd(&c->inflate);
    free(c);
}

int codec_deflate(struct codec *c, const void *bytes, size_t n, struct buf *out, struct err *e)
{
    int rc = c->deflate_ready ? deflateReset(&c->deflate) : deflateInit(&c->deflate, DEFLATE_LEVEL);
    if (rc != Z_OK)
        return err_set(e, ERR_NOMEM, rc, "zlib: can't start to compress (%d)", rc);
    c->deflate_ready = true;
    size_t bound = deflateBound(&c->deflate, (uLong)n);
    if (buf_reserve(out, bound, e))
        return -1;
    c->deflate.next_in = (Bytef *)(uintptr_t)bytes; /* zlib without ZLIB_CONST wants it so; it does not write there */
    c->deflate.avail_in = (uInt)n;
    c->deflate.next_out = out->data + out->len;
    c->deflate.avail_out = (uInt)bound;
    rc = deflate(&c->deflate, Z_FINISH);
    if (rc != Z_STREAM_END)
        return err_set(e, ERR_NOMEM, rc, "zlib: compressing %zu bytes ended with %d", n, rc);
    out->len += bound - c->deflate.avail_out;
    return 0;
}

int codec_inflate(struct codec *c, const void *bytes, size_t n, uint8_t *out, size_t raw_size, struct err *e)
{
    uint8_t none;
    int rc = c->inflate_ready ? inflateReset(&c->inflate) : inflateInit(&c->inflate);
    if (rc != Z_OK)
        return err_set(e, ERR_NOMEM, rc, "zlib: can't start to inflate (%d)", rc);
    c->inflate_ready = true;
    c->inflate.next_in = (Bytef *)(uintptr_t)bytes;
    c->inflate.avail_in = (uInt)n;
    c->inflate.next_out = raw_size ? out : &none;
    c->inflate.avail_out = (uInt)raw_size;
    rc = inflate(&c->inflate, Z_FINISH);
    if (rc != Z_STREAM_END || c->inflate.avail_out != 0 || c->inflate.avail_in != 0)
        return err_set(e, ERR_CORRUPT, rc, "zlib stream of %zu bytes is damaged: wanted %zu bytes, got %zu", n, raw_size,
                       raw_size - c->inflate.avail_out);
    return 0;
}
