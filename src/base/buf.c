/* base/buf.c */
#include "base/buf.h"

#include "base/endian.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void buf_release(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.max = b->max};
}

int buf_reserve(struct buf *b, size_t more, struct err *e)
{
    assert(b->len <= b->cap);
    if (more > b->max || b->len > b->max - more)
        return err_set(e, ERR_LIMIT, 0, "buffer of %zu bytes would exceed its limit of %zu", b->len + more, b->max);
    if (b->len + more <= b->cap)
        return 0;
    size_t cap = b->cap < 256 ? 256 : b->cap;
    while (cap < b->len + more)
        cap += cap / 2;
    if (cap > b->max)
        cap = b->max;
    uint8_t *data = realloc(b->data, cap);
    if (!data)
        return err_nomem(e, cap);
    b->data = data;
    b->cap = cap;
    return 0;
}

int buf_append(struct buf *b, const void *bytes, size_t n, struct err *e)
{
    if (n == 0)
        return 0;
    if (buf_reserve(b, n, e))
        return -1;
    memcpy(b->data + b->len, bytes, n);
    b->len += n;
    return 0;
}

int buf_append_zeros(struct buf *b, size_t n, struct err *e)
{
    if (n == 0)
        return 0;
    if (buf_reserve(b, n, e))
        return -1;
    memset(b->data + b->len, 0, n);
    b->len += n;
    return 0;
}

/* SQLite's varint: big-endian groups of seven bits, the ninth byte holds eight. */
int buf_append_varint(struct buf *b, uint64_t v, struct err *e)
{
    uint8_t out[9];
    size_t n = 0;
    if (v > UINT64_C(0x00ffffffffffffff)) {
        out[8] = (uint8_t)v;
        v >>= 8;
        for (int i = 7; i >= 0; i--, v >>= 7)
            out[i] = (uint8_t)((v & 0x7f) | 0x80);
        return buf_append(b, out, 9, e);
    }
    uint8_t rev[8];
    do {
        rev[n++] = (uint8_t)((v & 0x7f) | 0x80);
        v >>= 7;
    } while (v);
    rev[0] &= 0x7f;
    for (size_t i = 0; i < n; i++)
        out[i] = rev[n - 1 - i];
    return buf_append(b, out, n, e);
}

int buf_append_be32(struct buf *b, uint32_t v, struct err *e)
{
    uint8_t out[4];
    put_be32(out, v);
    return buf_append(b, out, sizeof out, e);
}

int buf_append_be64(struct buf *b, uint64_t v, struct err *e)
{
    uint8_t out[8];
    put_be64(out, v);
    return buf_append(b, out, sizeof out, e);
}

const uint8_t *cursor_bytes(struct cursor *c, size_t n)
{
    if (c->bad || cursor_left(c) < n) {
        c->bad = true;
        return NULL;
    }
    const uint8_t *p = c->at;
    c->at += n;
    return p;
}

uint64_t cursor_varint(struct cursor *c)
{
    uint64_t v = 0;
    for (int i = 0; i < 9; i++) {
        const uint8_t *p = cursor_bytes(c, 1);
        if (!p)
            return 0;
        if (i == 8)
            return v << 8 | *p;
        v = v << 7 | (*p & 0x7f);
        if (!(*p & 0x80))
            return v;
    }
    return v;
}

uint8_t cursor_u8(struct cursor *c)
{
    const uint8_t *p = cursor_bytes(c, 1);
    return p ? *p : 0;
}

uint16_t cursor_be16(struct cursor *c)
{
    const uint8_t *p = cursor_bytes(c, 2);
    return p ? get_be16(p) : 0;
}

uint32_t cursor_be32(struct cursor *c)
{
    const uint8_t *p = cursor_bytes(c, 4);
    return p ? get_be32(p) : 0;
}

uint64_t cursor_be64(struct cursor *c)
{
    const uint8_t *p = cursor_bytes(c, 8);
    return p ? get_be64(p) : 0;
}
