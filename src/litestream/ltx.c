/* litestream/ltx.c */
#include "litestream/ltx.h"

#include "base/endian.h"
#include "base/page.h"
#include "litestream/crc64.h"

#include <inttypes.h>
#include <lz4.h>
#include <lz4frame.h>
#include <stdlib.h>
#include <string.h>

#define FLAG_NO_CHECKSUM 2u
#define PAGE_HEADER_BYTES 6
#define PAGE_FLAG_SIZE 1u
#define TRAILER_BYTES 16
#define CHECKSUM_FLAG ((uint64_t)1 << 63)
/* The most bytes that an LZ4 block or frame of one page can have. */
#define PAYLOAD_MAX(page_size) ((page_size) + (page_size) / 16 + 256)

struct ltx_reader {
    LZ4F_dctx *frames;
    /* of the file that is being read */
    struct feed *feed;
    struct writer *writer;
    struct ltx_header header;
    uint64_t crc;
    uint32_t last; /* the last page number; 0: none */
};

int ltx_header_decode(const uint8_t bytes[LTX_HEADER_BYTES], struct ltx_header *ret, struct err *e)
{
    const uint32_t flags = get_be32(bytes + 4);
    const uint64_t min = get_be64(bytes + 16), max = get_be64(bytes + 24), time = get_be64(bytes + 32);
    if (memcmp(bytes, "LTX1", 4) != 0)
        return err_set(e, ERR_CORRUPT, 0, "it does not begin as an LTX file does");
    if (flags & ~FLAG_NO_CHECKSUM)
        return err_set(e, ERR_CORRUPT, 0, "its header has unknown flags: 0x%08" PRIx32, flags);
    *ret = (struct ltx_header){.page_size = get_be32(bytes + 8),
                               .pages = get_be32(bytes + 12),
                               .min = min,
                               .max = max,
                               .time_ms = time <= INT64_MAX ? (int64_t)time : 0};
    if (!page_size_valid(ret->page_size))
        return err_set(e, ERR_CORRUPT, 0, "its page size is %" PRIu32 " bytes, which no database has", ret->page_size);
    if (min == 0 || min > max)
        return err_set(e, ERR_CORRUPT, 0, "its header has the txids %" PRIu64 " to %" PRIu64, min, max);
    return 0;
}

int ltx_reader_new(struct ltx_reader **ret, struct err *e)
{
    struct ltx_reader *r = calloc(1, sizeof *r);
    if (r && LZ4F_isError(LZ4F_createDecompressionContext(&r->frames, LZ4F_VERSION))) {
        free(r);
        r = NULL;
    }
    *ret = r;
    return r ? 0 : err_nomem(e, sizeof *r);
}

void ltx_reader_free(struct ltx_reader *r)
{
    if (!r)
        return;
    LZ4F_freeDecompressionContext(r->frames);
    free(r);
}

/* Takes bytes that count in the checksum as they are. */
static const uint8_t *take(struct ltx_reader *r, size_t n, struct err *e)
{
    const uint8_t *bytes = feed_take(r->feed, n, e);
    if (bytes)
        r->crc = crc64_add(r->crc, bytes, n);
    return bytes;
}

static int bad_page(uint32_t pgno, struct err *e)
{
    return err_set(e, ERR_CORRUPT, 0, "page %" PRIu32 " can't be decompressed", pgno);
}

/* A length, then an LZ4 block. */
static int read_block(struct ltx_reader *r, uint32_t pgno, uint8_t *out, struct err *e)
{
    const uint32_t page_size = r->header.page_size;
    const uint8_t *bytes = take(r, 4, e);
    if (!bytes)
        return -1;
    const uint32_t n = get_be32(bytes);
    if (n == 0 || n > PAYLOAD_MAX(page_size))
        return err_set(e, ERR_CORRUPT, 0, "page %" PRIu32 " claims %" PRIu32 " compressed bytes", pgno, n);
    bytes = feed_take(r->feed, n, e);
    if (!bytes)
        return -1;
    const int got = LZ4_decompress_safe((const char *)bytes, (char *)out, (int)n, (int)page_size);
    return got == (int)page_size ? 0 : bad_page(pgno, e);
}

/* An LZ4 frame. It says itself where it ends. */
static int read_frame(struct ltx_reader *r, uint32_t pgno, uint8_t *out, struct err *e)
{
    const size_t page_size = r->header.page_size, most = PAYLOAD_MAX(page_size);
    size_t done = 0, read = 0, wanted = 1;
    LZ4F_resetDecompressionContext(r->frames);
    while (wanted != 0) {
        size_t n = 0, room = page_size - done;
        if (read >= most || feed_left(r->feed) == 0)
            return bad_page(pgno, e);
        const uint8_t *bytes = feed_some(r->feed, most - read, &n, e);
        if (!bytes)
            return -1;
        const size_t had = n, before = done;
        wanted = LZ4F_decompress(r->frames, out + done, &room, bytes, &n, NULL);
        if (LZ4F_isError(wanted))
            return bad_page(pgno, e);
        feed_unread(r->feed, had - n);
        read += n;
        done += room;
        if (n == 0 && done == before)
            return bad_page(pgno, e); /* more bytes than a page has */
    }
    return done == page_size ? 0 : bad_page(pgno, e);
}

/* Checks that a page may come after r->last. */
static int check_order(const struct ltx_reader *r, uint32_t pgno, struct err *e)
{
    const uint32_t lock = lock_byte_page(r->header.page_size);
    uint32_t next = r->last + 1;
    next += next == lock;
    if (pgno <= r->last || pgno > r->header.pages || pgno == lock)
        return err_set(e, ERR_CORRUPT, 0,
                       "page %" PRIu32 " comes after page %" PRIu32 " in a database of %" PRIu32 " pages", pgno,
                       r->last, r->header.pages);
    if (r->header.min == 1 && pgno != next)
        return err_set(e, ERR_CORRUPT, 0, "page %" PRIu32 " is missing in a snapshot", next);
    return 0;
}

/* *ret_more: false: the zeros that end the pages were read. */
static int read_page(struct ltx_reader *r, bool *ret_more, struct err *e)
{
    const uint8_t *bytes = take(r, PAGE_HEADER_BYTES, e);
    if (!bytes)
        return -1;
    const uint32_t pgno = get_be32(bytes), flags = get_be16(bytes + 4);
    *ret_more = pgno != 0 || flags != 0;
    if (!*ret_more)
        return 0;
    if (flags & ~PAGE_FLAG_SIZE)
        return err_set(e, ERR_CORRUPT, 0, "page %" PRIu32 " has unknown flags: 0x%04x", pgno, flags);
    if (check_order(r, pgno, e))
        return -1;
    uint8_t *out = writer_place(r->writer, pgno, e);
    if (!out || (flags & PAGE_FLAG_SIZE ? read_block(r, pgno, out, e) : read_frame(r, pgno, out, e)))
        return -1;
    r->crc = crc64_add(r->crc, out, r->header.page_size);
    r->last = pgno;
    return 0;
}

static int read_end(struct ltx_reader *r, struct err *e)
{
    const uint8_t *bytes = NULL;
    if (feed_left(r->feed) < 8 + TRAILER_BYTES)
        return err_set(e, ERR_CORRUPT, 0, "it ends too early");
    const uint64_t index = feed_left(r->feed) - 8 - TRAILER_BYTES;
    for (uint64_t left = index; left > 0;) {
        size_t n = 0;
        bytes = feed_some(r->feed, left < FEED_WINDOW ? (size_t)left : FEED_WINDOW, &n, e);
        if (!bytes)
            return -1;
        r->crc = crc64_add(r->crc, bytes, n);
        left -= n;
    }
    if (!(bytes = take(r, 8, e)))
        return -1;
    const uint64_t length = get_be64(bytes);
    if (!take(r, 8, e) || !(bytes = feed_take(r->feed, 8, e)))
        return -1;
    if (get_be64(bytes) != (r->crc | CHECKSUM_FLAG))
        return err_set(e, ERR_CORRUPT, 0, "its checksum is wrong");
    if (length != index)
        return err_set(e, ERR_CORRUPT, 0, "its index has %" PRIu64 " bytes, and says %" PRIu64, index, length);
    return 0;
}

/* Whether all pages of a snapshot were there. */
static int check_complete(const struct ltx_reader *r, struct err *e)
{
    const uint32_t pages = r->header.pages;
    const uint32_t last = pages == lock_byte_page(r->header.page_size) ? pages - 1 : pages;
    if (r->header.min == 1 && r->last != last)
        return err_set(e, ERR_CORRUPT, 0, "it is a snapshot of %" PRIu32 " pages, and ends after page %" PRIu32, pages,
                       r->last);
    return 0;
}

int ltx_apply(struct ltx_reader *r, struct feed *f, bool first, struct writer *w, struct ltx_header *ret, struct err *e)
{
    bool more = true;
    r->feed = f;
    r->writer = w;
    r->crc = 0;
    r->last = 0;
    const uint8_t *bytes = take(r, LTX_HEADER_BYTES, e);
    if (!bytes || ltx_header_decode(bytes, &r->header, e) || writer_page_size(w, r->header.page_size, e))
        return -1;
    if (first && r->header.min != 1)
        return err_set(e, ERR_CORRUPT, 0, "it begins with txid %" PRIu64 ", so it is not a snapshot", r->header.min);
    while (more)
        if (read_page(r, &more, e))
            return -1;
    if (read_end(r, e) || check_complete(r, e))
        return -1;
    *ret = r->header;
    return writer_set_size(w, r->header.pages, e);
}
