/* format/segment_writer.c */
#include "base/array.h"
#include "base/endian.h"
#include "base/page.h"
#include "format/patch.h"
#include "format/segment.h"
#include "format/wire.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_TABLE_MAX (64u << 20)

bool uid_equal(const struct uid *a, const struct uid *b)
{
    return memcmp(a->bytes, b->bytes, UID_BYTES) == 0;
}

size_t version_size(const struct version *v, uint32_t page_size)
{
    return v->kind == VERSION_ZERO ? 0 : v->kind == VERSION_IMAGE ? page_size : patch_size(v->mask, page_size);
}

int segment_writer_init(struct segment_writer *w, struct codec *codec, uint32_t page_size, struct err *e)
{
    assert(page_size_valid(page_size));
    *w = (struct segment_writer){.codec = codec,
                                 .page_size = page_size,
                                 .out = BUF_INIT(SEGMENT_BYTES_MAX),
                                 .block = BUF_INIT(SEGMENT_BLOCK_BYTES),
                                 .blocks = BUF_INIT(BLOCK_TABLE_MAX)};
    return buf_append(&w->out, SEGMENT_MAGIC, SEGMENT_HEADER_BYTES, e);
}

void segment_writer_release(struct segment_writer *w)
{
    buf_release(&w->out);
    buf_release(&w->block);
    buf_release(&w->blocks);
    free(w->versions);
    w->versions = NULL;
    w->version_count = w->version_cap = 0;
}

static int compress(struct segment_writer *w, const struct buf *raw, struct err *e)
{
    return w->small ? codec_deflate_small(w->codec, raw->data, raw->len, &w->out, e)
                    : codec_deflate(w->codec, raw->data, raw->len, &w->out, e);
}

/* Compresses the block that is being filled, and adds it to the block table. */
static int close_block(struct segment_writer *w, struct err *e)
{
    size_t before = w->out.len;
    if (w->block.len == 0 && w->block_versions == 0)
        return 0;
    if (compress(w, &w->block, e))
        return -1;
    size_t stored = w->out.len - before;
    if (buf_append_varint(&w->blocks, w->block_versions, e) || buf_append_varint(&w->blocks, stored, e) ||
        buf_append_be64(&w->blocks, hash64(w->out.data + before, stored), e))
        return -1;
    w->block.len = 0;
    w->block_versions = 0;
    w->block_count++;
    return 0;
}

int segment_writer_add(struct segment_writer *w, const struct version *v, const uint8_t *bytes, struct err *e)
{
    size_t size = version_size(v, w->page_size);
    if (w->version_count > 0) {
        const struct version *last = &w->versions[w->version_count - 1];
        assert(v->pgno > last->pgno || (v->pgno == last->pgno && v->txid > last->txid));
    }
    assert(v->pgno > 0 && (v->kind == VERSION_ZERO) == (v->hash == 0));
    if (w->version_count == SEGMENT_VERSIONS_MAX)
        return err_set(e, ERR_LIMIT, 0, "more than %u versions in one segment", SEGMENT_VERSIONS_MAX);
    if (array_reserve(&w->versions, &w->version_cap, w->version_count + 1, sizeof *w->versions, e))
        return -1;
    if (w->block.len + size > SEGMENT_BLOCK_BYTES && close_block(w, e))
        return -1;
    if (buf_append(&w->block, bytes, size, e))
        return -1;
    w->block_versions++;
    w->versions[w->version_count++] = *v;
    return 0;
}

static int encode_records(const struct segment_content *c, struct buf *raw, struct err *e)
{
    int64_t time = 0;
    assert(c->records || c->record_count == 0);
    for (size_t i = 0; i < c->record_count; i++) {
        const struct commit_record *r = &c->records[i];
        assert(r->time_ms >= time && r->txid == (c->record_count == 1 ? c->info->max : c->info->min + i));
        if (buf_append_varint(raw, (uint64_t)(r->time_ms - time), e) || buf_append_varint(raw, r->pages, e) ||
            buf_append_be64(raw, r->checksum, e))
            return -1;
        time = r->time_ms;
    }
    return 0;
}

/* Writes one field of all versions, then the next field: deflate compresses similar values better when they are
 * neighbours. */
static int encode_index(const struct segment_writer *w, uint64_t max, struct buf *raw, struct err *e)
{
    const struct version *end = w->version_count > 0 ? w->versions + w->version_count : w->versions;
    uint32_t pgno = 0;
    int rc = buf_append(raw, w->blocks.data, w->blocks.len, e);
    for (const struct version *v = w->versions; rc == 0 && v < end; v++) {
        rc = buf_append_varint(raw, v->pgno - pgno, e);
        pgno = v->pgno;
    }
    for (const struct version *v = w->versions; rc == 0 && v < end; v++) {
        uint8_t kind = (uint8_t)v->kind;
        rc = buf_append(raw, &kind, 1, e);
    }
    for (const struct version *v = w->versions; rc == 0 && v < end; v++)
        rc = buf_append_varint(raw, max - v->txid, e);
    for (const struct version *v = w->versions; rc == 0 && v < end; v++)
        if (v->kind == VERSION_PATCH)
            rc = buf_append_varint(raw, v->txid - v->from, e);
    for (const struct version *v = w->versions; rc == 0 && v < end; v++)
        if (v->kind == VERSION_PATCH)
            rc = buf_append_be64(raw, v->mask, e);
    for (const struct version *v = w->versions; rc == 0 && v < end; v++)
        if (v->kind != VERSION_ZERO)
            rc = buf_append_be64(raw, v->hash, e);
    return rc;
}

static int encode_list(const struct segment_content *c, struct buf *raw, struct err *e)
{
    for (size_t i = 0; i < c->list_count; i++) {
        const struct listed *l = &c->list[i];
        size_t n = strlen(l->name);
        if (buf_append_varint(raw, n, e) || buf_append(raw, l->name, n, e) || buf_append_varint(raw, l->size, e) ||
            buf_append(raw, l->digest.bytes, DIGEST_BYTES, e) || buf_append_varint(raw, l->first_page, e) ||
            buf_append_varint(raw, l->last_page, e) || buf_append_varint(raw, l->max, e))
            return -1;
    }
    return 0;
}

/* Compresses `raw`, appends it to the object, and empties it. An empty section takes no bytes. */
static int append_section(struct segment_writer *w, struct buf *raw, uint32_t *ret_stored, uint32_t *ret_raw,
                          struct err *e)
{
    size_t before = w->out.len;
    if (raw->len > 0 && compress(w, raw, e))
        return -1;
    *ret_stored = (uint32_t)(w->out.len - before);
    *ret_raw = (uint32_t)raw->len;
    raw->len = 0;
    return 0;
}

static int append_trailer(struct segment_writer *w, const struct segment_trailer *t, struct err *e)
{
    const struct segment_info *i = &t->info;
    uint8_t b[SEGMENT_TRAILER_BYTES] = {0};
    put_be16(b + TRAILER_VERSION, (uint16_t)segment_version(i->kind));
    b[TRAILER_KIND] = (uint8_t)i->kind;
    b[TRAILER_LEVEL] = (uint8_t)i->level;
    put_be32(b + TRAILER_FLAGS, i->flags);
    put_be64(b + TRAILER_MIN, i->min);
    put_be64(b + TRAILER_MAX, i->max);
    put_be64(b + TRAILER_START, i->start);
    put_be32(b + TRAILER_PAGE_SIZE, i->page_size);
    put_be32(b + TRAILER_FIRST_PAGE, i->first_page);
    put_be32(b + TRAILER_LAST_PAGE, i->last_page);
    put_be32(b + TRAILER_CODEC, TRAILER_CODEC_ZLIB);
    put_be32(b + TRAILER_VERSION_COUNT, t->version_count);
    put_be32(b + TRAILER_BLOCK_COUNT, t->block_count);
    put_be32(b + TRAILER_RECORD_COUNT, t->record_count);
    put_be32(b + TRAILER_LIST_COUNT, t->list_count);
    put_be64(b + TRAILER_TIME, (uint64_t)i->time_ms);
    memcpy(b + TRAILER_DATABASE, i->database.bytes, UID_BYTES);
    memcpy(b + TRAILER_WRITER, i->writer.bytes, UID_BYTES);
    memcpy(b + TRAILER_RUN, i->run.bytes, UID_BYTES);
    memcpy(b + TRAILER_NONCE, i->nonce.bytes, UID_BYTES);
    put_be64(b + TRAILER_CHECKSUM_BEFORE, i->checksum_before);
    memcpy(b + TRAILER_DIGEST_BEFORE, i->digest_before.bytes, DIGEST_BYTES);
    put_be64(b + TRAILER_TAIL_OFFSET, t->tail_offset);
    put_be32(b + TRAILER_RECORDS_STORED, t->records_stored);
    put_be32(b + TRAILER_INDEX_STORED, t->index_stored);
    put_be32(b + TRAILER_LIST_STORED, t->list_stored);
    put_be32(b + TRAILER_RECORDS_RAW, t->records_raw);
    put_be32(b + TRAILER_INDEX_RAW, t->index_raw);
    put_be32(b + TRAILER_LIST_RAW, t->list_raw);
    put_be64(b + TRAILER_TAIL_CHECKSUM, t->tail_checksum);
    put_be64(b + TRAILER_OBJECT_SIZE, t->object_size);
    put_be64(b + TRAILER_CHECKSUM, hash64(b, TRAILER_CHECKSUM));
    memcpy(b + TRAILER_MAGIC, SEGMENT_TRAILER_MAGIC, 8);
    return buf_append(&w->out, b, sizeof b, e);
}

int segment_writer_finish(struct segment_writer *w, const struct segment_content *content, struct buf *ret_object,
                          struct digest *ret_digest, struct err *e)
{
    assert(content->info->page_size == w->page_size && content->info->level <= SEGMENT_LEVEL_MAX);
    struct segment_trailer t = {.info = *content->info,
                                .version_count = (uint32_t)w->version_count,
                                .record_count = (uint32_t)content->record_count,
                                .list_count = (uint32_t)content->list_count};
    struct buf raw = BUF_INIT(SEGMENT_BYTES_MAX);
    if (content->info->max > SEGMENT_TXID_MAX) { /* nobody could read it */
        err_set(e, ERR_LIMIT, 0, "the replica has reached the highest transaction number, 2^63 - 1");
        return err_hint(e, "begin a new replica under another URL");
    }
    if (content->record_count > SEGMENT_RECORDS_MAX || content->list_count > SEGMENT_LIST_MAX)
        return err_set(e, ERR_LIMIT, 0, "encode segment: too many records or objects for one segment");
    for (size_t i = 0; i < w->version_count; i++)
        if (w->versions[i].txid > content->info->max)
            return err_set(e, ERR_LIMIT, 0, "encode segment: a version is newer than the segment");
    const struct commit_record *last = content->record_count ? &content->records[content->record_count - 1] : NULL;
    if (last && commit_clock_ms(last) < last->time_ms && commit_clock_ms(last) < t.info.time_ms)
        t.info.time_ms = commit_clock_ms(last); /* the object can be written long after the commit */
    int rc = close_block(w, e);
    t.block_count = w->block_count;
    t.tail_offset = w->out.len;
    if (rc == 0)
        rc = encode_records(content, &raw, e);
    if (rc == 0)
        rc = append_section(w, &raw, &t.records_stored, &t.records_raw, e);
    if (rc == 0)
        rc = encode_index(w, t.info.max, &raw, e);
    if (rc == 0)
        rc = append_section(w, &raw, &t.index_stored, &t.index_raw, e);
    if (rc == 0)
        rc = encode_list(content, &raw, e);
    if (rc == 0)
        rc = append_section(w, &raw, &t.list_stored, &t.list_raw, e);
    buf_release(&raw);
    if (rc == 0) {
        t.tail_checksum = hash64(w->out.data + t.tail_offset, w->out.len - t.tail_offset);
        t.object_size = w->out.len + SEGMENT_TRAILER_BYTES;
        rc = append_trailer(w, &t, e);
    }
    if (rc == 0)
        rc = digest_of(w->out.data, w->out.len, ret_digest, e);
    if (rc == 0) {
        *ret_object = w->out; /* the caller owns it now */
        w->out = BUF_INIT(SEGMENT_BYTES_MAX);
    }
    return rc == 0 ? 0 : err_wrap(e, "encode segment");
}
