/* base/buf.h - a byte buffer that grows up to a ceiling, and a cursor that never reads beyond the end of its bytes. */
#ifndef SEAWALL_BASE_BUF_H
#define SEAWALL_BASE_BUF_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    uint8_t *data; /* owned */
    size_t len;
    size_t cap;
    size_t max; /* ceiling, bytes */
};

#define BUF_INIT(ceiling) ((struct buf){.max = (ceiling)})

void buf_release(struct buf *b); /* frees the bytes and leaves the buffer empty; the ceiling stays */

/* Makes room for `more` bytes after len. Errors of this and of all appends: ERR_LIMIT: the buffer would exceed its
 * ceiling. ERR_NOMEM. After an error the buffer has the bytes that it had before. */
int buf_reserve(struct buf *b, size_t more, struct err *e) MUST_CHECK;
int buf_append(struct buf *b, const void *bytes, size_t n, struct err *e) MUST_CHECK;
int buf_append_zeros(struct buf *b, size_t n, struct err *e) MUST_CHECK;
int buf_append_varint(struct buf *b, uint64_t v, struct err *e) MUST_CHECK;
int buf_append_be32(struct buf *b, uint32_t v, struct err *e) MUST_CHECK;
int buf_append_be64(struct buf *b, uint64_t v, struct err *e) MUST_CHECK;

/* Reads borrowed bytes from the front. A read beyond the end sets `bad` and returns 0 or NULL. So do all reads after
 * it. Therefore a decoder can read everything first, and check `bad` once. */
struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};

static inline struct cursor cursor_of(const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    return (struct cursor){.at = p, .end = p + n};
}
static inline size_t cursor_left(const struct cursor *c)
{
    return (size_t)(c->end - c->at);
}
const uint8_t *cursor_bytes(struct cursor *c, size_t n); /* NULL: fewer than n are left */
uint64_t cursor_varint(struct cursor *c);
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_be16(struct cursor *c);
uint32_t cursor_be32(struct cursor *c);
uint64_t cursor_be64(struct cursor *c);

#endif
