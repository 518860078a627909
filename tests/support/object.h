/* support/object.h - makes an object of a replica in one call, or forges one.
 *
 * To forge an object, a test takes it apart into its raw sections, changes them, and puts it together again: sizes and
 * checksums are made to fit. So a decoder accepts the checksums, and the test reaches the code behind them. */
#ifndef TESTS_OBJECT_H
#define TESTS_OBJECT_H

#include "base/endian.h"
#include "format/segment.h"
#include "format/wire.h"

#include <stdlib.h>
#include <string.h>

struct object_parts {
    struct segment_info info;
    const struct commit_record *records;
    size_t record_count;
    const struct listed *list;
    size_t list_count;
    const struct version *versions; /* ascending */
    size_t version_count;
    const uint8_t *payload; /* the bytes of the versions, one after the other */
};

static inline int object_make(struct codec *codec, const struct object_parts *p, struct buf *ret_object,
                              struct digest *ret_digest, struct err *e)
{
    struct segment_writer w;
    struct segment_content content = {.info = &p->info,
                                      .records = p->records,
                                      .record_count = p->record_count,
                                      .list = p->list,
                                      .list_count = p->list_count};
    size_t at = 0;
    int rc = segment_writer_init(&w, codec, p->info.page_size, e);
    for (size_t i = 0; rc == 0 && i < p->version_count; i++) {
        rc = segment_writer_add(&w, &p->versions[i], p->payload + at, e);
        at += version_size(&p->versions[i], p->info.page_size);
    }
    if (rc == 0)
        rc = segment_writer_finish(&w, &content, ret_object, ret_digest, e);
    segment_writer_release(&w);
    return rc;
}

/* Decodes an object whose bytes are all in memory. */
static inline int object_decode(const uint8_t *object, size_t size, struct codec *codec, struct segment *ret_segment,
                                struct err *e)
{
    struct segment_trailer t;
    if (segment_header_check(object, size, e) ||
        segment_trailer_decode(object + size - SEGMENT_TRAILER_BYTES, size, &t, e))
        return -1;
    return segment_decode(&(struct segment_decoder){codec, SEGMENT_WANT_ALL}, &t, object + t.tail_offset, ret_segment,
                          e);
}

/* Makes the checksum of the trailer right after a change of the trailer. */
static inline void object_seal(uint8_t *object, size_t size)
{
    uint8_t *trailer = object + size - SEGMENT_TRAILER_BYTES;
    put_be64(trailer + TRAILER_CHECKSUM, hash64(trailer, TRAILER_CHECKSUM));
}

struct forgery {
    uint8_t trailer[SEGMENT_TRAILER_BYTES]; /* forgery_close sets its sizes and checksums */
    struct buf blocks;                      /* compressed, as they are stored */
    struct buf records, index, list;        /* not compressed */
};

static inline void forgery_release(struct forgery *f)
{
    buf_release(&f->blocks);
    buf_release(&f->records);
    buf_release(&f->index);
    buf_release(&f->list);
}

static inline int forgery_section(struct buf *out, const uint8_t **at, const uint8_t *stored, const uint8_t *raw,
                                  struct codec *codec, struct err *e)
{
    size_t n = get_be32(raw), stored_size = get_be32(stored);
    *out = BUF_INIT(1 << 28);
    if (buf_reserve(out, n, e) ||
        (n && codec_inflate(codec, &(struct codec_stream){*at, stored_size, n}, out->data, e)))
        return -1;
    out->len = n;
    *at += stored_size;
    return 0;
}

/* Takes a sound object apart. */
static inline int forgery_open(struct forgery *f, const uint8_t *object, size_t size, struct codec *codec,
                               struct err *e)
{
    *f = (struct forgery){.blocks = BUF_INIT(1 << 28)};
    memcpy(f->trailer, object + size - SEGMENT_TRAILER_BYTES, SEGMENT_TRAILER_BYTES);
    const uint8_t *at = object + get_be64(f->trailer + TRAILER_TAIL_OFFSET), *t = f->trailer;
    if (buf_append(&f->blocks, object + SEGMENT_HEADER_BYTES, (size_t)(at - object) - SEGMENT_HEADER_BYTES, e) ||
        forgery_section(&f->records, &at, t + TRAILER_RECORDS_STORED, t + TRAILER_RECORDS_RAW, codec, e) ||
        forgery_section(&f->index, &at, t + TRAILER_INDEX_STORED, t + TRAILER_INDEX_RAW, codec, e))
        return -1;
    return forgery_section(&f->list, &at, t + TRAILER_LIST_STORED, t + TRAILER_LIST_RAW, codec, e);
}

static inline int forgery_put_section(struct buf *out, const struct buf *raw, uint8_t *stored_size, uint8_t *raw_size,
                                      struct codec *codec, struct err *e)
{
    size_t before = out->len;
    if (raw->len > 0 && codec_deflate(codec, raw->data, raw->len, out, e))
        return -1;
    put_be32(stored_size, (uint32_t)(out->len - before));
    put_be32(raw_size, (uint32_t)raw->len);
    return 0;
}

/* Puts the object together again. Sizes and checksums fit; the contents are those of the forgery. */
static inline int forgery_close(struct forgery *f, struct codec *codec, struct buf *out, struct err *e)
{
    uint8_t *t = f->trailer;
    out->len = 0;
    if (buf_append(out, SEGMENT_MAGIC, SEGMENT_HEADER_BYTES, e) || buf_append(out, f->blocks.data, f->blocks.len, e))
        return -1;
    size_t tail = out->len;
    if (forgery_put_section(out, &f->records, t + TRAILER_RECORDS_STORED, t + TRAILER_RECORDS_RAW, codec, e) ||
        forgery_put_section(out, &f->index, t + TRAILER_INDEX_STORED, t + TRAILER_INDEX_RAW, codec, e) ||
        forgery_put_section(out, &f->list, t + TRAILER_LIST_STORED, t + TRAILER_LIST_RAW, codec, e))
        return -1;
    put_be64(t + TRAILER_TAIL_OFFSET, tail);
    put_be64(t + TRAILER_TAIL_CHECKSUM, hash64(out->data + tail, out->len - tail));
    put_be64(t + TRAILER_OBJECT_SIZE, out->len + SEGMENT_TRAILER_BYTES);
    memcpy(t + TRAILER_MAGIC, SEGMENT_TRAILER_MAGIC, 8);
    if (buf_append(out, t, SEGMENT_TRAILER_BYTES, e))
        return -1;
    object_seal(out->data, out->len);
    return 0;
}

#endif
