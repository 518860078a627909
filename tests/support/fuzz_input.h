/* support/fuzz_input.h - takes the input of a fuzzer apart into bytes and pieces. A piece has its length in front, in
 * two bytes. If fewer bytes are left, the piece has those. */
#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H

#include "fuzz.h"

#include <string.h>

struct slice {
    const uint8_t *bytes;
    size_t size;
};

static inline uint8_t slice_byte(struct slice *p)
{
    if (p->size == 0)
        return 0;
    p->size--;
    return *p->bytes++;
}

static inline struct slice slice_take(struct slice *p)
{
    size_t n = (size_t)slice_byte(p) << 8;
    n |= slice_byte(p);
    n = n < p->size ? n : p->size;
    struct slice taken = {p->bytes, n};
    p->bytes += n;
    p->size -= n;
    return taken;
}

/* A copy of the piece, with a NUL at its end. The caller frees it. */
static inline char *slice_text(struct slice p)
{
    char *text = malloc(p.size + 1);
    FUZZ_CHECK(text);
    if (p.size > 0)
        memcpy(text, p.bytes, p.size);
    text[p.size] = 0;
    return text;
}

/* For seeds: appends a piece at out[at], and returns where it ends. */
static inline size_t slice_put(uint8_t *out, size_t at, const void *bytes, size_t n)
{
    FUZZ_CHECK(n <= 0xffff && at + 2 + n <= FUZZ_INPUT_MAX);
    out[at] = (uint8_t)(n >> 8);
    out[at + 1] = (uint8_t)n;
    if (n > 0)
        memcpy(out + at + 2, bytes, n);
    return at + 2 + n;
}

static inline size_t seed_text(uint8_t *out, const char *text)
{
    size_t n = strlen(text);
    FUZZ_CHECK(n <= FUZZ_INPUT_MAX);
    memcpy(out, text, n);
    return n;
}

#endif
