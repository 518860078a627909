/* support/litestream.h - files as Litestream writes them, for unit tests and fuzzers. */
#ifndef TESTS_LITESTREAM_H
#define TESTS_LITESTREAM_H

#include "base/buf.h"
#include "base/endian.h"
#include "litestream/crc64.h"

#include <lz4.h>
#include <lz4frame.h>
#include <stdlib.h>
#include <string.h>

/* An LTX file that grows page by page. */
struct ltx_writer {
    struct buf bytes;
    struct buf index;
    uint64_t crc;
    uint32_t page_size;
};

static inline void ltx_put(struct ltx_writer *w, const void *bytes, size_t n)
{
    struct err e;
    if (buf_append(&w->bytes, bytes, n, &e))
        abort();
    w->crc = crc64_add(w->crc, bytes, n);
}

static inline void ltx_varint(struct ltx_writer *w, uint64_t v)
{
    struct err e;
    do {
        const uint8_t byte = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        if (buf_append(&w->index, &byte, 1, &e))
            abort();
    } while (v >>= 7);
}

/* `pages`: of the database afterwards. */
static inline struct ltx_writer ltx_begin(uint32_t page_size, uint32_t pages, uint64_t min, uint64_t max,
                                          int64_t time_ms)
{
    struct ltx_writer w = {.bytes = BUF_INIT(16 << 20), .index = BUF_INIT(1 << 20), .page_size = page_size};
    uint8_t header[100] = "LTX1";
    put_be32(header + 4, 2);
    put_be32(header + 8, page_size);
    put_be32(header + 12, pages);
    put_be64(header + 16, min);
    put_be64(header + 24, max);
    put_be64(header + 32, (uint64_t)time_ms);
    ltx_put(&w, header, sizeof header);
    return w;
}

/* `frame`: as an LZ4 frame, as early versions do. */
static inline void ltx_page(struct ltx_writer *w, uint32_t pgno, const uint8_t *page, bool frame)
{
    const int room = (int)LZ4F_compressFrameBound(w->page_size, NULL);
    const size_t offset = w->bytes.len;
    char *packed = malloc((size_t)room);
    uint8_t head[6], length[4];
    struct err e;
    if (!packed)
        abort();
    const size_t n = frame ? LZ4F_compressFrame(packed, (size_t)room, page, w->page_size, NULL)
                           : (size_t)LZ4_compress_default((const char *)page, packed, (int)w->page_size, room);
    put_be32(head, pgno);
    put_be16(head + 4, frame ? 0 : 1);
    put_be32(length, (uint32_t)n);
    ltx_put(w, head, sizeof head);
    if (!frame)
        ltx_put(w, length, sizeof length);
    if (buf_append(&w->bytes, packed, n, &e))
        abort();
    w->crc = crc64_add(w->crc, page, w->page_size);
    free(packed);
    ltx_varint(w, pgno);
    ltx_varint(w, offset);
    ltx_varint(w, w->bytes.len - offset);
}

/* Writes index and trailer. The file is w->bytes then; the caller releases it. */
static inline void ltx_end(struct ltx_writer *w)
{
    static const uint8_t zeros[8];
    uint8_t number[8];
    ltx_put(w, zeros, 6);
    ltx_varint(w, 0);
    ltx_put(w, w->index.data, w->index.len);
    put_be64(number, w->index.len);
    ltx_put(w, number, 8);
    ltx_put(w, zeros, 8);
    put_be64(number, w->crc | (uint64_t)1 << 63);
    ltx_put(w, number, 8);
    buf_release(&w->index);
}

/* One LZ4 frame with a checksum of its contents, as in 0.3. The caller releases it. */
static inline struct buf lz4_frame_of(const void *bytes, size_t n)
{
    const LZ4F_preferences_t checked = {.frameInfo = {.contentChecksumFlag = LZ4F_contentChecksumEnabled}};
    struct buf b = BUF_INIT(16 << 20);
    struct err e;
    if (buf_reserve(&b, LZ4F_compressFrameBound(n, &checked), &e))
        abort();
    b.len = LZ4F_compressFrame(b.data, b.cap, bytes, n, &checked);
    return b;
}

#endif
