/* format/segment_reader.c - bytes from a store are checked in this order: sizes, checksums, fields. */
#include "base/claim.h"
#include "base/endian.h"
#include "base/page.h"
#include "format/patch.h"
#include "format/segment.h"
#include "format/wire.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int segment_header_check(const uint8_t *object, size_t size, struct err *e)
{
    if (size < SEGMENT_HEADER_BYTES + SEGMENT_TRAILER_BYTES)
        return err_set(e, ERR_CORRUPT, 0, "%zu bytes are too few for an object", size);
    if (memcmp(object, SEGMENT_MAGIC, SEGMENT_HEADER_BYTES) != 0)
        return err_set(e, ERR_CORRUPT, 0, "wrong magic number: not an object of a replica");
    return 0;
}

static int bad(struct err *e, const char *why)
{
    return err_set(e, ERR_CORRUPT, 0, "trailer: %s", why);
}

static int check_shape(const struct segment_trailer *t, struct err *e)
{
    const struct segment_info *i = &t->info;
    if (i->kind < OBJECT_SEGMENT || i->kind > OBJECT_INTERIOR)
        return bad(e, "unknown kind of object");
    if (i->level > SEGMENT_LEVEL_MAX)
        return bad(e, "level out of range");
    if (!page_size_valid(i->page_size))
        return bad(e, "page size out of range");
    if (i->kind == OBJECT_SEGMENT && (i->min == 0 || i->min > i->max))
        return bad(e, "range of txids is empty");
    if (i->kind == OBJECT_MARKER && i->min > i->start)
        return bad(e, "its loss begins after its start");
    if (i->max > SEGMENT_TXID_MAX || i->start > i->max || i->first_page > i->last_page ||
        i->last_page > SEGMENT_PAGE_MAX)
        return bad(e, "ranges contradict each other");
    if (i->time_ms < 0)
        return bad(e, "time out of range");
    if (t->version_count > SEGMENT_VERSIONS_MAX || t->block_count > t->version_count ||
        t->record_count > SEGMENT_RECORDS_MAX || t->list_count > SEGMENT_LIST_MAX)
        return bad(e, "counts out of range");
    uint64_t full_records = i->max - i->min + 1;
    bool one_record = (i->flags & SEGMENT_LAST_ONLY) != 0 || i->level > 0;
    if (i->kind == OBJECT_SEGMENT ? t->record_count != (one_record ? 1 : full_records) : t->record_count != 0)
        return bad(e, "wrong number of commit records");
    if (t->records_raw > SEGMENT_BYTES_MAX || t->index_raw > SEGMENT_BYTES_MAX || t->list_raw > SEGMENT_BYTES_MAX)
        return bad(e, "sizes out of range");
    if (t->object_size > SEGMENT_BYTES_MAX || t->tail_offset < SEGMENT_HEADER_BYTES ||
        t->tail_offset > t->object_size ||
        t->tail_offset + t->records_stored + t->index_stored + t->list_stored + SEGMENT_TRAILER_BYTES != t->object_size)
        return bad(e, "sections do not fill the object");
    return 0;
}

unsigned segment_version(enum object_kind kind)
{
    return kind == OBJECT_INTERIOR ? 2 : 1;
}

bool segment_trailer_is_newer(const uint8_t b[SEGMENT_TRAILER_BYTES])
{
    return memcmp(b + TRAILER_MAGIC, SEGMENT_TRAILER_MAGIC, 8) == 0 &&
           get_be64(b + TRAILER_CHECKSUM) == hash64(b, TRAILER_CHECKSUM) &&
           (get_be16(b + TRAILER_VERSION) > SEGMENT_VERSION ||
            (get_be32(b + TRAILER_FLAGS) & ~(uint32_t)SEGMENT_FLAGS_KNOWN) != 0);
}

int segment_trailer_decode(const uint8_t b[SEGMENT_TRAILER_BYTES], uint64_t object_size,
                           struct segment_trailer *ret_trailer, struct err *e)
{
    struct segment_trailer t = {0};
    if (memcmp(b + TRAILER_MAGIC, SEGMENT_TRAILER_MAGIC, 8) != 0)
        return bad(e, "wrong magic number: cut off, or not an object of a replica");
    if (get_be16(b + TRAILER_VERSION) == 0 || get_be16(b + TRAILER_VERSION) > SEGMENT_VERSION)
        return err_set(e, ERR_CORRUPT, 0, "trailer: format version %u; this program reads versions 1 to %d",
                       get_be16(b + TRAILER_VERSION), SEGMENT_VERSION);
    if (get_be64(b + TRAILER_CHECKSUM) != hash64(b, TRAILER_CHECKSUM))
        return bad(e, "wrong checksum");
    t.info.kind = b[TRAILER_KIND];
    if (get_be16(b + TRAILER_VERSION) != segment_version(t.info.kind))
        return bad(e, "a kind of object that its version of the format does not have");
    t.info.level = b[TRAILER_LEVEL];
    t.info.flags = get_be32(b + TRAILER_FLAGS);
    t.info.min = get_be64(b + TRAILER_MIN);
    t.info.max = get_be64(b + TRAILER_MAX);
    t.info.start = get_be64(b + TRAILER_START);
    t.info.page_size = get_be32(b + TRAILER_PAGE_SIZE);
    t.info.first_page = get_be32(b + TRAILER_FIRST_PAGE);
    t.info.last_page = get_be32(b + TRAILER_LAST_PAGE);
    t.version_count = get_be32(b + TRAILER_VERSION_COUNT);
    t.block_count = get_be32(b + TRAILER_BLOCK_COUNT);
    t.record_count = get_be32(b + TRAILER_RECORD_COUNT);
    t.list_count = get_be32(b + TRAILER_LIST_COUNT);
    t.info.time_ms = (int64_t)get_be64(b + TRAILER_TIME);
    memcpy(t.info.database.bytes, b + TRAILER_DATABASE, UID_BYTES);
    memcpy(t.info.writer.bytes, b + TRAILER_WRITER, UID_BYTES);
    memcpy(t.info.run.bytes, b + TRAILER_RUN, UID_BYTES);
    memcpy(t.info.nonce.bytes, b + TRAILER_NONCE, UID_BYTES);
    t.info.checksum_before = get_be64(b + TRAILER_CHECKSUM_BEFORE);
    memcpy(t.info.digest_before.bytes, b + TRAILER_DIGEST_BEFORE, DIGEST_BYTES);
    t.tail_offset = get_be64(b + TRAILER_TAIL_OFFSET);
    t.records_stored = get_be32(b + TRAILER_RECORDS_STORED);
    t.index_stored = get_be32(b + TRAILER_INDEX_STORED);
    t.list_stored = get_be32(b + TRAILER_LIST_STORED);
    t.records_raw = get_be32(b + TRAILER_RECORDS_RAW);
    t.index_raw = get_be32(b + TRAILER_INDEX_RAW);
    t.list_raw = get_be32(b + TRAILER_LIST_RAW);
    t.tail_checksum = get_be64(b + TRAILER_TAIL_CHECKSUM);
    t.object_size = get_be64(b + TRAILER_OBJECT_SIZE);
    if (t.object_size != object_size)
        return err_set(e, ERR_CORRUPT, 0, "trailer: the object was written with %llu bytes, and has %llu",
                       (unsigned long long)t.object_size, (unsigned long long)object_size);
    if (t.info.flags & SEGMENT_ENCRYPTED)
        return bad(e, "encrypted: this version can't read it");
    if (t.info.flags & ~(uint32_t)SEGMENT_FLAGS_KNOWN)
        return bad(e, "unknown flags");
    if (get_be32(b + TRAILER_CODEC) != TRAILER_CODEC_ZLIB)
        return bad(e, "unknown codec");
    if (check_shape(&t, e))
        return -1;
    *ret_trailer = t;
    return 0;
}

/* ---- memory */

static size_t index_bytes(const struct segment_trailer *t)
{
    return t->block_count * sizeof(struct segment_block) + t->version_count * sizeof(struct version);
}

static size_t array_bytes(const struct segment_trailer *t, enum segment_want want)
{
    return t->record_count * sizeof(struct commit_record) + t->list_count * sizeof(struct listed) +
           (want == SEGMENT_WANT_ALL ? index_bytes(t) : 0);
}

/* Makes a zeroed array. `array`: the address of the pointer to it, which becomes NULL if `count` is 0. */
static int new_array(void *array, size_t count, size_t element_bytes, struct err *e)
{
    void *made = count ? calloc(count, element_bytes) : NULL;
    memcpy(array, &made, sizeof made);
    return made || count == 0 ? 0 : err_nomem(e, count * element_bytes);
}

static void discharge(struct segment *s, size_t bytes)
{
    assert(bytes <= s->charged);
    claim_give(bytes);
    s->charged -= bytes;
}

void segment_drop_records(struct segment *s)
{
    if (s->records)
        discharge(s, s->trailer.record_count * sizeof *s->records);
    free(s->records);
    s->records = NULL;
}

void segment_drop_index(struct segment *s)
{
    if (s->versions)
        discharge(s, index_bytes(&s->trailer));
    free(s->versions);
    free(s->blocks);
    s->versions = NULL;
    s->blocks = NULL;
}

void segment_release(struct segment *s)
{
    claim_give(s->charged);
    free(s->records);
    free(s->versions);
    free(s->blocks);
    free(s->list);
    *s = (struct segment){0};
}

/* ---- sections */

/* Least bytes of one element, before compression. */
#define RECORD_BYTES_MIN 10                 /* step, pages, checksum */
#define BLOCK_BYTES_MIN 10                  /* versions, stored size, checksum */
#define VERSION_BYTES_MIN 3                 /* pgno, kind, txid */
#define LISTED_BYTES_MIN (DIGEST_BYTES + 5) /* name, size, digest, first and last page, max */

/* Checks that a section of these sizes can hold elements that take `least_bytes` together. Deflate can't shrink bytes
 * by more than about 1032:1. */
static int check_section(const struct codec_stream *section, const char *name, uint64_t least_bytes, struct err *e)
{
    if (section->raw_size / 1100 > section->size || (section->size == 0) != (section->raw_size == 0))
        return err_set(e, ERR_CORRUPT, 0, "%s: its sizes contradict each other", name);
    if (least_bytes > section->raw_size)
        return err_set(e, ERR_CORRUPT, 0, "%s: too few bytes", name);
    return 0;
}

/* Inflates a section. The caller frees *ret_raw, also if the section is empty. */
static int inflate_section(struct codec *codec, const struct codec_stream *section, uint8_t **ret_raw, struct err *e)
{
    uint8_t *raw = malloc(section->raw_size ? section->raw_size : 1);
    if (!raw)
        return err_nomem(e, section->raw_size);
    if (section->raw_size && codec_inflate(codec, section, raw, e)) {
        free(raw);
        return -1;
    }
    *ret_raw = raw;
    return 0;
}

static int decode_records(struct cursor c, struct segment *s, struct err *e)
{
    const struct segment_trailer *t = &s->trailer;
    int64_t time = 0;
    if (new_array(&s->records, t->record_count, sizeof *s->records, e))
        return -1;
    for (uint32_t i = 0; i < t->record_count; i++) {
        struct commit_record *r = &s->records[i];
        uint64_t step = cursor_varint(&c);
        uint64_t pages = cursor_varint(&c);
        r->txid = t->record_count == 1 ? t->info.max : t->info.min + i;
        r->checksum = cursor_be64(&c);
        if (step > (uint64_t)(INT64_MAX - time) || pages > UINT32_MAX - 1)
            c.bad = true;
        time = c.bad ? 0 : time + (int64_t)step;
        r->time_ms = time;
        r->clock_ms = time > t->info.time_ms ? t->info.time_ms : 0;
        r->pages = (uint32_t)pages;
    }
    if (c.bad || cursor_left(&c) != 0)
        return err_set(e, ERR_CORRUPT, 0, "records: damaged");
    return 0;
}

static int decode_blocks(struct cursor *c, struct segment *s, struct err *e)
{
    uint64_t offset = SEGMENT_HEADER_BYTES, versions = 0;
    for (uint32_t i = 0; i < s->trailer.block_count; i++) {
        struct segment_block *b = &s->blocks[i];
        uint64_t n = cursor_varint(c);
        uint64_t stored = cursor_varint(c);
        b->checksum = cursor_be64(c);
        if (c->bad || n == 0 || n > s->trailer.version_count - versions || stored > s->trailer.tail_offset - offset)
            return err_set(e, ERR_CORRUPT, 0, "index: block %u is damaged", i);
        b->offset = offset;
        b->stored_size = (uint32_t)stored;
        b->first_version = (uint32_t)versions;
        b->versions = (uint32_t)n;
        offset += stored;
        versions += n;
    }
    if (offset != s->trailer.tail_offset || versions != s->trailer.version_count)
        return err_set(e, ERR_CORRUPT, 0, "index: blocks do not fill the object");
    return 0;
}

static bool version_valid(const struct version *v, const struct segment_info *info)
{
    if (v->kind > VERSION_PATCH || v->pgno == 0 || v->pgno < info->first_page || v->pgno > info->last_page ||
        v->pgno == lock_byte_page(info->page_size))
        return false;
    if (v->txid == 0 || v->txid > info->max || (v->kind == VERSION_ZERO) != (v->hash == 0))
        return false;
    if (info->kind == OBJECT_INTERIOR && v->kind != VERSION_IMAGE)
        return false;
    if (info->kind != OBJECT_CHUNK && v->txid < info->min)
        return false;
    return v->kind != VERSION_PATCH || (v->mask != 0 && v->from < v->txid);
}

static int decode_versions(struct cursor *c, struct segment *s, struct err *e)
{
    uint32_t n = s->trailer.version_count;
    uint64_t pgno = 0, max = s->trailer.info.max;
    for (uint32_t i = 0; i < n; i++) {
        pgno += cursor_varint(c);
        if (pgno > UINT32_MAX - 1)
            c->bad = true;
        s->versions[i].pgno = c->bad ? 0 : (uint32_t)pgno;
    }
    for (uint32_t i = 0; i < n; i++)
        s->versions[i].kind = cursor_u8(c);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t back = cursor_varint(c);
        s->versions[i].txid = back < max ? max - back : 0;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct version *v = &s->versions[i];
        if (v->kind != VERSION_PATCH)
            continue;
        uint64_t back = cursor_varint(c);
        v->from = back <= v->txid ? v->txid - back : v->txid;
    }
    for (uint32_t i = 0; i < n; i++)
        if (s->versions[i].kind == VERSION_PATCH)
            s->versions[i].mask = cursor_be64(c);
    for (uint32_t i = 0; i < n; i++)
        if (s->versions[i].kind != VERSION_ZERO)
            s->versions[i].hash = cursor_be64(c);
    if (c->bad || cursor_left(c) != 0)
        return err_set(e, ERR_CORRUPT, 0, "index: damaged");
    for (uint32_t i = 0; i < n; i++) {
        const struct version *v = &s->versions[i];
        bool ascending = i == 0 || v->pgno > v[-1].pgno || (v->pgno == v[-1].pgno && v->txid > v[-1].txid);
        if (!ascending || !version_valid(v, &s->trailer.info))
            return err_set(e, ERR_CORRUPT, 0, "index: version %u, of page %u, is not valid", i, v->pgno);
    }
    return 0;
}

static int decode_index(struct cursor c, struct segment *s, struct err *e)
{
    const struct segment_trailer *t = &s->trailer;
    if (new_array(&s->blocks, t->block_count, sizeof *s->blocks, e) ||
        new_array(&s->versions, t->version_count, sizeof *s->versions, e))
        return -1;
    if (decode_blocks(&c, s, e) || decode_versions(&c, s, e))
        return -1;
    for (uint32_t i = 0; i < t->block_count; i++) {
        struct segment_block *b = &s->blocks[i];
        size_t raw = 0;
        for (uint32_t v = 0; v < b->versions && raw <= SEGMENT_BLOCK_BYTES; v++)
            raw += version_size(&s->versions[b->first_version + v], t->info.page_size);
        if (raw > SEGMENT_BLOCK_BYTES)
            return err_set(e, ERR_CORRUPT, 0, "index: block %u is larger than %d bytes", i, SEGMENT_BLOCK_BYTES);
        b->raw_size = (uint32_t)raw;
    }
    return 0;
}

static int decode_list(struct cursor c, struct segment *s, struct err *e)
{
    uint32_t n = s->trailer.list_count;
    if (new_array(&s->list, n, sizeof *s->list, e))
        return -1;
    for (uint32_t i = 0; i < n && !c.bad; i++) {
        struct listed *l = &s->list[i];
        uint64_t length = cursor_varint(&c);
        const uint8_t *name = length < sizeof l->name ? cursor_bytes(&c, (size_t)length) : NULL;
        l->size = cursor_varint(&c);
        const uint8_t *digest = cursor_bytes(&c, DIGEST_BYTES);
        uint64_t first = cursor_varint(&c), last = cursor_varint(&c);
        l->max = cursor_varint(&c);
        if (!name || !digest || memchr(name, 0, (size_t)length) || first > last || last > UINT32_MAX - 1 ||
            l->max > s->trailer.info.max) {
            c.bad = true;
            break;
        }
        memcpy(l->name, name, (size_t)length);
        memcpy(l->digest.bytes, digest, DIGEST_BYTES);
        l->first_page = (uint32_t)first;
        l->last_page = (uint32_t)last;
    }
    if (c.bad || cursor_left(&c) != 0)
        return err_set(e, ERR_CORRUPT, 0, "list: damaged");
    return 0;
}

typedef int decode_fn(struct cursor c, struct segment *s, struct err *e);

static int decode_section(struct codec *codec, const struct codec_stream *section, decode_fn *decode, struct segment *s,
                          struct err *e)
{
    uint8_t *raw = NULL;
    if (inflate_section(codec, section, &raw, e))
        return -1;
    int rc = decode(cursor_of(raw, section->raw_size), s, e);
    free(raw);
    return rc;
}

struct sections {
    struct codec_stream records, index, list;
};

static int check_sections(const struct segment_trailer *t, const struct sections *all, const uint8_t *tail,
                          struct err *e)
{
    if (hash64(tail, all->records.size + all->index.size + all->list.size) != t->tail_checksum)
        return err_set(e, ERR_CORRUPT, 0, "records, index and list have the wrong checksum");
    if (check_section(&all->records, "records", (uint64_t)t->record_count * RECORD_BYTES_MIN, e) ||
        check_section(&all->list, "list", (uint64_t)t->list_count * LISTED_BYTES_MIN, e))
        return -1;
    return check_section(&all->index, "index",
                         (uint64_t)t->block_count * BLOCK_BYTES_MIN + (uint64_t)t->version_count * VERSION_BYTES_MIN,
                         e);
}

/* Takes the memory of the arrays from the budget, and that of the largest section, which the caller gives back once the
 * sections are decoded. */
static int charge(const struct segment_trailer *t, enum segment_want want, struct segment *s, size_t *ret_section,
                  struct err *e)
{
    const size_t arrays = array_bytes(t, want);
    size_t section = t->records_raw > t->list_raw ? t->records_raw : t->list_raw;
    if (want == SEGMENT_WANT_ALL && t->index_raw > section)
        section = t->index_raw;
    if (claim_take(arrays + section, e))
        return err_wrap(e, "claims to hold page versions: %u, commit records: %u, names of objects: %u",
                        t->version_count, t->record_count, t->list_count);
    s->charged = arrays;
    *ret_section = section;
    return 0;
}

int segment_decode(const struct segment_decoder *decoder, const struct segment_trailer *trailer, const uint8_t *tail,
                   struct segment *ret_segment, struct err *e)
{
    assert(decoder->codec);
    const struct segment_trailer *t = trailer;
    const struct sections all = {
        .records = {tail, t->records_stored, t->records_raw},
        .index = {tail + t->records_stored, t->index_stored, t->index_raw},
        .list = {tail + t->records_stored + t->index_stored, t->list_stored, t->list_raw},
    };
    struct segment s = {.trailer = *trailer};
    size_t section = 0;
    if (check_sections(t, &all, tail, e) || charge(t, decoder->want, &s, &section, e))
        return -1;
    int rc = decode_section(decoder->codec, &all.records, decode_records, &s, e);
    if (rc == 0)
        rc = decode_section(decoder->codec, &all.list, decode_list, &s, e);
    if (rc == 0 && decoder->want == SEGMENT_WANT_ALL)
        rc = decode_section(decoder->codec, &all.index, decode_index, &s, e);
    claim_give(section);
    if (rc == 0)
        *ret_segment = s;
    else
        segment_release(&s);
    return rc;
}

int segment_block_inflate(const struct segment_block *block, const uint8_t *stored, struct codec *codec, uint8_t *raw,
                          struct err *e)
{
    assert(block->raw_size <= SEGMENT_BLOCK_BYTES);
    if (hash64(stored, block->stored_size) != block->checksum)
        return err_set(e, ERR_CORRUPT, 0, "block at offset %llu: wrong checksum", (unsigned long long)block->offset);
    const struct codec_stream stream = {stored, block->stored_size, block->raw_size};
    if (codec_inflate(codec, &stream, raw, e))
        return err_wrap(e, "block at offset %llu", (unsigned long long)block->offset);
    return 0;
}
