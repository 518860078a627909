/* format/segment.h: any bytes as an object, and any raw sections in an object whose checksums are right.
 *
 * If the first byte is even, the input is an object. Otherwise it has the sections of an object:
 *   sizes of raw records, index and list (3 * 2 bytes) | the first 224 bytes of the trailer | records | index | list |
 *   stored blocks
 * Bit 1 of the first byte: fields that must agree with others are made to agree, so that the code behind these checks
 * is reached. */
#include "fuzz.h"

#include "base/page.h"
#include "dice.h"
#include "format/patch.h"
#include "object.h"

const struct fuzz_bounds fuzz_bounds = {.inputs = 120000, .megasteps = 2, .megabytes = 8};

enum { IN_PIECES = 1, FITTED = 2 };

static struct codec *codec(void)
{
    static struct codec *c;
    if (!c)
        c = codec_new();
    FUZZ_CHECK(c);
    return c;
}

/* ---- valid objects */

static void make(unsigned index, struct buf *ret_object)
{
    static uint8_t payload[4 * 65536 + 70000];
    static const uint32_t sizes[] = {512, 1024, 4096, 65536};
    struct dice d = dice_of(index);
    uint32_t page_size = sizes[index / 5 % 4];
    struct version versions[] = {
        {.pgno = 1, .kind = VERSION_IMAGE, .txid = 7, .hash = 11},
        {.pgno = 1, .kind = VERSION_PATCH, .txid = 8, .from = 7, .hash = 12, .mask = 5},
        {.pgno = 2, .kind = VERSION_IMAGE, .txid = 7, .hash = 13},
        {.pgno = 2, .kind = VERSION_PATCH, .txid = 9, .from = 6, .hash = 14, .mask = UINT64_MAX},
        {.pgno = 9, .kind = VERSION_ZERO, .txid = 8},
        {.pgno = 1000, .kind = VERSION_ZERO, .txid = 9},
    };
    const struct version images[] = {versions[0], versions[2]};
    const struct commit_record records[] = {{7, 1000, 2, 21, 0}, {8, 1000, 9, 22, 0}, {9, 1500, 1000, 23, 0}};
    const struct listed list[] = {{.name = "part/a", .size = 5, .first_page = 1, .last_page = 2, .max = 8},
                                  {.name = "b", .max = 9}};
    enum object_kind kind = (enum object_kind)(OBJECT_SEGMENT + index % 5);
    struct object_parts p = {.info = {.kind = kind,
                                      .flags = kind == OBJECT_SEGMENT ? SEGMENT_IN_PARTS : 0,
                                      .min = kind <= OBJECT_PART ? 7 : 0,
                                      .max = 9,
                                      .start = kind <= OBJECT_PART ? 0 : 3,
                                      .page_size = page_size,
                                      .first_page = 1,
                                      .last_page = 1000,
                                      .time_ms = 2000},
                             .records = records,
                             .record_count = kind == OBJECT_SEGMENT ? 3 : 0,
                             .list = list,
                             .list_count = kind == OBJECT_SEGMENT || kind == OBJECT_MARKER ? 2 : 0,
                             .versions = kind == OBJECT_INTERIOR ? images : versions,
                             .version_count = kind == OBJECT_MARKER     ? 0
                                              : kind == OBJECT_INTERIOR ? COUNT_OF(images)
                                                                        : COUNT_OF(versions),
                             .payload = payload};
    struct digest digest;
    struct err e;
    dice_fill(&d, payload, 300);
    if (object_make(codec(), &p, ret_object, &digest, &e))
        fail_msg("%s\n", e.msg);
}

static size_t take_apart(const struct buf *object, uint8_t *out, size_t cap)
{
    struct forgery f;
    struct err e;
    if (forgery_open(&f, object->data, object->len, codec(), &e))
        fail_msg("%s\n", e.msg);
    const struct buf *parts[] = {&f.records, &f.index, &f.list, &f.blocks};
    size_t n = 7 + TRAILER_CHECKSUM;
    memcpy(out + 7, f.trailer, TRAILER_CHECKSUM);
    for (size_t i = 0; i < 4; i++) {
        FUZZ_CHECK(n + parts[i]->len <= cap);
        if (i < 3)
            put_be16(out + 1 + 2 * i, (uint16_t)parts[i]->len);
        if (parts[i]->len > 0)
            memcpy(out + n, parts[i]->data, parts[i]->len);
        n += parts[i]->len;
    }
    forgery_release(&f);
    return n;
}

size_t fuzz_seed(unsigned index, uint8_t *out, size_t cap)
{
    struct buf object = {0};
    size_t n = 0;
    if (index >= 80)
        return 0;
    make(index / 4, &object);
    if (index & IN_PIECES) {
        n = take_apart(&object, out, cap);
    } else {
        FUZZ_CHECK(object.len < cap);
        memcpy(out + 1, object.data, object.len);
        n = object.len + 1;
    }
    out[0] = (uint8_t)(index & (IN_PIECES | FITTED));
    buf_release(&object);
    return n;
}

/* ---- checks of every object that can be decoded */

static void check_versions(const struct segment *s)
{
    const struct segment_info *i = &s->trailer.info;
    for (uint32_t v = 0; v < s->trailer.version_count; v++) {
        const struct version *x = &s->versions[v];
        FUZZ_CHECK(x->pgno >= 1 && x->pgno >= i->first_page && x->pgno <= i->last_page &&
                   x->pgno != lock_byte_page(i->page_size));
        FUZZ_CHECK(x->txid >= 1 && x->txid <= i->max && (i->kind == OBJECT_CHUNK || x->txid >= i->min));
        FUZZ_CHECK((x->hash == 0) == (x->kind == VERSION_ZERO));
        FUZZ_CHECK(i->kind != OBJECT_INTERIOR || x->kind == VERSION_IMAGE);
        FUZZ_CHECK(x->kind != VERSION_PATCH || (x->mask != 0 && x->from < x->txid));
        FUZZ_CHECK(v == 0 || x[-1].pgno < x->pgno || (x[-1].pgno == x->pgno && x[-1].txid < x->txid));
    }
}

static void check_blocks(const struct segment *s, const uint8_t *object)
{
    static uint8_t raw[SEGMENT_BLOCK_BYTES], page[PAGE_SIZE_MAX];
    uint64_t end = SEGMENT_HEADER_BYTES, versions = 0;
    struct err e;
    for (uint32_t i = 0; i < s->trailer.block_count; i++) {
        struct segment_block b = s->blocks[i];
        FUZZ_CHECK(b.offset == end && b.first_version == versions && b.versions > 0 &&
                   b.raw_size <= SEGMENT_BLOCK_BYTES);
        end += b.stored_size;
        versions += b.versions;
        FUZZ_CHECK(end <= s->trailer.tail_offset);
        b.checksum = hash64(object + b.offset, b.stored_size);
        if (segment_block_inflate(&b, object + b.offset, codec(), raw, &e)) {
            FUZZ_CHECK(e.code == ERR_CORRUPT);
            continue;
        }
        size_t at = 0;
        for (uint32_t k = 0; k < b.versions; k++) {
            const struct version *v = &s->versions[b.first_version + k];
            if (v->kind == VERSION_PATCH)
                patch_apply(v->mask, raw + at, s->trailer.info.page_size, page);
            at += version_size(v, s->trailer.info.page_size);
        }
        FUZZ_CHECK(at == b.raw_size);
    }
    FUZZ_CHECK(end == s->trailer.tail_offset && versions == s->trailer.version_count);
}

static void check_rest(const struct segment *s)
{
    const struct segment_trailer *t = &s->trailer;
    FUZZ_CHECK(t->object_size <= SEGMENT_BYTES_MAX && t->tail_offset < t->object_size);
    FUZZ_CHECK(t->info.kind != OBJECT_SEGMENT || t->record_count > 0);
    for (uint32_t i = 0; i < t->record_count; i++) {
        const struct commit_record *r = &s->records[i];
        FUZZ_CHECK(r->txid >= t->info.min && r->txid <= t->info.max && r->time_ms >= 0);
        FUZZ_CHECK(i == 0 || (r->txid == r[-1].txid + 1 && r->time_ms >= r[-1].time_ms));
    }
    for (uint32_t i = 0; i < t->list_count; i++)
        FUZZ_CHECK(memchr(s->list[i].name, 0, sizeof s->list[i].name) && s->list[i].max <= t->info.max);
}

static void decode(const uint8_t *object, size_t size)
{
    struct segment s;
    struct err e = {.code = ERR_NONE};
    if (object_decode(object, size, codec(), &s, &e)) {
        FUZZ_CHECK(e.code == ERR_CORRUPT);
        return;
    }
    check_rest(&s);
    check_versions(&s);
    check_blocks(&s, object);
    segment_release(&s);
}

/* ---- inputs */

/* Fits the checksums of a damaged object, as far as the bytes look like an object, and decodes it. */
static void decode_sealed(const uint8_t *object, size_t size, bool fitted)
{
    if (size < SEGMENT_HEADER_BYTES + SEGMENT_TRAILER_BYTES)
        return;
    uint8_t *sealed = malloc(size), *t = sealed + size - SEGMENT_TRAILER_BYTES;
    FUZZ_CHECK(sealed);
    memcpy(sealed, object, size);
    if (fitted) /* modulo 2^64 */
        put_be64(t + TRAILER_TAIL_OFFSET, size - SEGMENT_TRAILER_BYTES - get_be32(t + TRAILER_RECORDS_STORED) -
                                              get_be32(t + TRAILER_INDEX_STORED) - get_be32(t + TRAILER_LIST_STORED));
    uint64_t tail = get_be64(t + TRAILER_TAIL_OFFSET);
    put_be64(t + TRAILER_OBJECT_SIZE, size);
    if (tail <= size - SEGMENT_TRAILER_BYTES)
        put_be64(t + TRAILER_TAIL_CHECKSUM, hash64(sealed + tail, size - SEGMENT_TRAILER_BYTES - tail));
    memcpy(sealed, SEGMENT_MAGIC, SEGMENT_HEADER_BYTES);
    memcpy(t + TRAILER_MAGIC, SEGMENT_TRAILER_MAGIC, 8);
    object_seal(sealed, size);
    decode(sealed, size);
    free(sealed);
}

static void decode_pieces(const uint8_t *data, size_t size)
{
    struct forgery f = {.blocks = BUF_INIT(1 << 20),
                        .records = BUF_INIT(1 << 20),
                        .index = BUF_INIT(1 << 20),
                        .list = BUF_INIT(1 << 20)};
    struct buf object = BUF_INIT(1 << 22), *parts[] = {&f.records, &f.index, &f.list, &f.blocks};
    struct err e;
    if (size < 7 + TRAILER_CHECKSUM)
        return;
    memcpy(f.trailer, data + 7, TRAILER_CHECKSUM);
    if (data[0] & FITTED)
        put_be32(f.trailer + TRAILER_FIRST_PAGE, 0);
    const uint8_t *at = data + 7 + TRAILER_CHECKSUM, *end = data + size;
    for (size_t i = 0; i < 4; i++) {
        size_t left = (size_t)(end - at), n = i < 3 ? get_be16(data + 1 + 2 * i) : left;
        n = n < left ? n : left;
        FUZZ_CHECK(buf_append(parts[i], at, n, &e) == 0);
        at += n;
    }
    FUZZ_CHECK(forgery_close(&f, codec(), &object, &e) == 0);
    decode(object.data, object.len);
    buf_release(&object);
    forgery_release(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] & IN_PIECES) {
        decode_pieces(data, size);
    } else {
        decode(data + 1, size - 1);
        decode_sealed(data + 1, size - 1, data[0] & FITTED);
    }
    return 0;
}
