/* format/segment.h: an object that is written reads back, and a damaged or forged one is refused. */
#include "failing_alloc.h"
#include "unit.h"

#include "base/claim.h"
#include "base/page.h"
#include "format/patch.h"
#include "object.h"

static struct codec *codec;

static int setup(void **state)
{
    (void)state;
    codec = codec_new();
    return codec ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    codec_free(codec);
    return 0;
}

/* ---- objects at random */

enum { VERSIONS_MAX = 400, RECORDS_MAX = 40, LISTED_MAX = 20 };

struct sample {
    struct object_parts parts;
    struct version versions[VERSIONS_MAX];
    struct commit_record records[RECORDS_MAX];
    struct listed list[LISTED_MAX];
    uint8_t payload[8 << 20];
};

static void random_version(struct dice *d, struct version *v, const struct segment_info *info, uint8_t *bytes)
{
    v->kind = info->kind == OBJECT_INTERIOR ? VERSION_IMAGE : (enum version_kind)dice_below(d, 3);
    v->hash = v->kind == VERSION_ZERO ? 0 : dice_next(d) | 1;
    if (v->kind == VERSION_PATCH) {
        v->mask = (dice_next(d) & dice_next(d)) | 1;
        v->from = v->txid - 1 - dice_below(d, (uint32_t)(v->txid < 1000 ? v->txid : 1000));
    }
    size_t n = version_size(v, info->page_size);
    if (dice_below(d, 2))
        memset(bytes, (int)dice_below(d, 256), n);
    else
        dice_fill(d, bytes, n);
}

static void random_versions(struct dice *d, struct sample *s)
{
    struct segment_info *info = &s->parts.info;
    uint64_t low = info->min ? info->min : 1, txid = 0;
    uint32_t pgno = 0;
    size_t want = dice_below(d, VERSIONS_MAX), at = 0;
    for (size_t i = 0; i < want && at + info->page_size <= sizeof s->payload; i++) {
        if (pgno == 0 || txid >= info->max || dice_below(d, 2)) {
            pgno += 1 + (dice_below(d, 4) ? 0 : dice_below(d, 100000));
            txid = low;
        } else {
            txid++;
        }
        txid += dice_below(d, (uint32_t)(info->max - txid) + 1);
        if (pgno == lock_byte_page(info->page_size))
            pgno++;
        struct version v = {.pgno = pgno, .txid = txid};
        random_version(d, &v, info, s->payload + at);
        at += version_size(&v, info->page_size);
        s->versions[s->parts.version_count++] = v;
    }
    info->first_page = s->parts.version_count ? dice_below(d, s->versions[0].pgno) + 1 : 0;
    info->last_page = pgno + (s->parts.version_count ? dice_below(d, 2) : 0);
}

static void random_records(struct dice *d, struct sample *s)
{
    const struct segment_info *info = &s->parts.info;
    bool one = info->level > 0 || (info->flags & SEGMENT_LAST_ONLY);
    int64_t time = 0;
    s->parts.record_count = info->kind != OBJECT_SEGMENT ? 0 : one ? 1 : (size_t)(info->max - info->min + 1);
    for (size_t i = 0; i < s->parts.record_count; i++) {
        time += dice_below(d, 3) ? dice_below(d, 1000) : dice_next(d) >> 10 >> dice_below(d, 50);
        s->records[i] = (struct commit_record){.txid = one ? info->max : info->min + i,
                                               .time_ms = time,
                                               .pages = (uint32_t)dice_next(d) >> dice_below(d, 32) >> 1,
                                               .checksum = dice_next(d)};
    }
}

static void random_list(struct dice *d, struct sample *s)
{
    s->parts.list_count = dice_below(d, 2) ? dice_below(d, LISTED_MAX) : 0;
    for (size_t i = 0; i < s->parts.list_count; i++) {
        struct listed *l = &s->list[i];
        *l = (struct listed){.size = dice_next(d) >> dice_below(d, 64), .first_page = dice_below(d, 1000)};
        l->last_page = l->first_page + dice_below(d, 1000);
        l->max = dice_below(d, (uint32_t)s->parts.info.max + 1);
        memset(l->name, 'a' + (int)dice_below(d, 26), dice_between(d, 1, sizeof l->name - 1));
        dice_fill(d, l->digest.bytes, DIGEST_BYTES);
    }
}

static void random_sample(struct dice *d, struct sample *s, enum object_kind kind, uint32_t page_size)
{
    s->parts =
        (struct object_parts){.records = s->records, .versions = s->versions, .list = s->list, .payload = s->payload};
    struct segment_info *info = &s->parts.info;
    info->kind = kind;
    info->page_size = page_size;
    info->level = kind == OBJECT_SEGMENT && dice_below(d, 2) ? dice_between(d, 1, SEGMENT_LEVEL_MAX) : 0;
    info->flags = dice_below(d, 16);
    info->min = kind >= OBJECT_CHUNK ? 0 : dice_between(d, 1, 1000000);
    info->max = info->min + dice_below(d, RECORDS_MAX);
    if (kind >= OBJECT_CHUNK) {
        info->max += dice_between(d, 1, 1000);
        info->start = dice_below(d, (uint32_t)info->max + 1);
    }
    info->time_ms = (int64_t)(dice_next(d) >> 1 >> dice_below(d, 60));
    info->checksum_before = dice_next(d);
    dice_fill(d, info->database.bytes, UID_BYTES);
    dice_fill(d, info->writer.bytes, UID_BYTES);
    dice_fill(d, info->run.bytes, UID_BYTES);
    dice_fill(d, info->nonce.bytes, UID_BYTES);
    dice_fill(d, info->digest_before.bytes, DIGEST_BYTES);
    random_versions(d, s);
    random_records(d, s);
    random_list(d, s);
}

static void assert_infos_equal(const struct segment_info *a, const struct segment_info *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->level, b->level);
    assert_int_equal(a->flags, b->flags);
    assert_true(a->min == b->min && a->max == b->max && a->start == b->start);
    assert_int_equal(a->page_size, b->page_size);
    assert_true(a->first_page == b->first_page && a->last_page == b->last_page);
    assert_true(a->time_ms == b->time_ms);
    assert_true(uid_equal(&a->database, &b->database) && uid_equal(&a->writer, &b->writer));
    assert_true(uid_equal(&a->run, &b->run) && uid_equal(&a->nonce, &b->nonce));
    assert_true(a->checksum_before == b->checksum_before && digest_equal(&a->digest_before, &b->digest_before));
}

static void assert_holds(const struct segment *s, const uint8_t *object, const struct object_parts *p)
{
    static uint8_t raw[SEGMENT_BLOCK_BYTES];
    struct err e;
    size_t at = 0, version = 0;
    assert_infos_equal(&s->trailer.info, &p->info);
    assert_int_equal(s->trailer.record_count, p->record_count);
    for (size_t i = 0; i < p->record_count; i++) {
        const struct commit_record *a = &s->records[i], *b = &p->records[i];
        assert_true(a->txid == b->txid && a->time_ms == b->time_ms && a->pages == b->pages &&
                    a->checksum == b->checksum);
    }
    assert_int_equal(s->trailer.list_count, p->list_count);
    for (size_t i = 0; i < p->list_count; i++) {
        const struct listed *a = &s->list[i], *b = &p->list[i];
        assert_string_equal(a->name, b->name);
        assert_true(a->size == b->size && a->first_page == b->first_page && a->last_page == b->last_page &&
                    a->max == b->max);
        assert_true(digest_equal(&a->digest, &b->digest));
    }
    assert_int_equal(s->trailer.version_count, p->version_count);
    for (uint32_t i = 0; i < s->trailer.block_count; i++) {
        const struct segment_block *b = &s->blocks[i];
        size_t in_block = 0;
        assert_int_equal(b->first_version, version);
        assert_ok(segment_block_inflate(b, object + b->offset, codec, raw, &e), &e);
        assert_memory_equal(raw, p->payload + at, b->raw_size);
        for (uint32_t v = 0; v < b->versions; v++, version++) {
            const struct version *x = &s->versions[version], *y = &p->versions[version];
            assert_true(x->pgno == y->pgno && x->kind == y->kind && x->txid == y->txid && x->hash == y->hash);
            assert_true(x->from == y->from && x->mask == y->mask);
            in_block += version_size(x, p->info.page_size);
        }
        assert_int_equal(in_block, b->raw_size);
        at += in_block;
    }
    assert_int_equal(version, p->version_count);
}

static void what_is_written_reads_back(void **state)
{
    static struct sample s;
    struct dice d = dice_of(8);
    (void)state;
    for (int round = 0; round < 160; round++) {
        enum object_kind kind = (enum object_kind)(OBJECT_SEGMENT + round % 5);
        struct err e;
        struct buf object = {0};
        struct digest digest, expected;
        struct segment segment;
        random_sample(&d, &s, kind, PAGE_SIZE_MIN << (round / 5 % 8));
        assert_ok(object_make(codec, &s.parts, &object, &digest, &e), &e);
        assert_ok(digest_of(object.data, object.len, &expected, &e), &e);
        assert_true(digest_equal(&digest, &expected));
        assert_ok(object_decode(object.data, object.len, codec, &segment, &e), &e);
        assert_int_equal(segment.trailer.object_size, object.len);
        assert_holds(&segment, object.data, &s.parts);
        segment_release(&segment);
        buf_release(&object);
    }
}

/* ---- shapes at the edges */

static struct segment_info plain_info(uint32_t page_size)
{
    return (struct segment_info){
        .kind = OBJECT_SEGMENT, .min = 7, .max = 7, .page_size = page_size, .first_page = 1, .last_page = 100000};
}
static const struct commit_record plain_record = {.txid = 7, .time_ms = 1000, .pages = 5, .checksum = 99};

static struct segment decode_ok(const struct buf *object)
{
    struct err e;
    struct segment s;
    assert_ok(object_decode(object->data, object->len, codec, &s, &e), &e);
    return s;
}

static struct segment decode_of_record(const struct commit_record *record, int64_t written_ms)
{
    struct object_parts p = {.info = plain_info(512), .records = record, .record_count = 1};
    struct buf object = BUF_INIT(SEGMENT_BYTES_MAX);
    struct digest digest;
    struct err e;
    p.info.time_ms = written_ms;
    p.info.first_page = p.info.last_page = 0;
    assert_ok(object_make(codec, &p, &object, &digest, &e), &e);
    struct segment s = decode_ok(&object);
    buf_release(&object);
    return s;
}

static void an_object_of_a_clamped_commit_says_what_the_clock_said(void **state)
{
    (void)state;
    struct commit_record record = {.txid = 7, .time_ms = 9000, .clock_ms = 1000, .pages = 5};
    struct segment s = decode_of_record(&record, 20000); /* written when the clock had passed the time */
    assert_int_equal(s.trailer.info.time_ms, 1000);
    assert_int_equal(s.records[0].time_ms, 9000);
    assert_int_equal(s.records[0].clock_ms, 1000);
    segment_release(&s);
}

static void an_object_that_is_older_than_its_commit_has_a_clamped_commit(void **state)
{
    (void)state;
    struct commit_record record = {.txid = 7, .time_ms = 9000, .pages = 5};
    struct segment s = decode_of_record(&record, 8999);
    assert_int_equal(s.records[0].clock_ms, 8999);
    segment_release(&s);
    s = decode_of_record(&record, 9000);
    assert_int_equal(s.records[0].clock_ms, 0);
    segment_release(&s);
}

/* `count` versions of one kind, on pages 1, 2, 3, ... */
static void make_plain(uint32_t page_size, enum version_kind kind, size_t count, struct buf *ret_object)
{
    static uint8_t payload[4 << 20];
    struct version *versions = calloc(count + 1, sizeof *versions);
    struct object_parts p = {.info = plain_info(page_size),
                             .records = &plain_record,
                             .record_count = 1,
                             .versions = versions,
                             .version_count = count,
                             .payload = payload};
    struct err e;
    struct digest digest;
    assert_non_null(versions);
    for (size_t i = 0; i < count; i++)
        versions[i] = (struct version){
            .pgno = (uint32_t)i + 1, .kind = kind, .txid = 7, .hash = kind == VERSION_ZERO ? 0 : i + 1};
    assert_ok(object_make(codec, &p, ret_object, &digest, &e), &e);
    free(versions);
}

static void an_empty_segment_is_header_records_and_trailer(void **state)
{
    struct buf object = {0};
    (void)state;
    make_plain(4096, VERSION_IMAGE, 0, &object);
    struct segment s = decode_ok(&object);
    assert_int_equal(s.trailer.tail_offset, SEGMENT_HEADER_BYTES);
    assert_int_equal(s.trailer.block_count, 0);
    assert_int_equal(s.trailer.index_stored, 0);
    assert_int_equal(object.len, SEGMENT_HEADER_BYTES + s.trailer.records_stored + SEGMENT_TRAILER_BYTES);
    segment_release(&s);
    buf_release(&object);
}

static void a_block_is_filled_to_64_kib_exactly_and_no_further(void **state)
{
    (void)state;
    for (uint32_t page_size = PAGE_SIZE_MIN; page_size <= PAGE_SIZE_MAX; page_size *= 2) {
        size_t full = SEGMENT_BLOCK_BYTES / page_size;
        for (size_t count = full; count <= full + 1; count++) {
            struct buf object = {0};
            make_plain(page_size, VERSION_IMAGE, count, &object);
            struct segment s = decode_ok(&object);
            assert_int_equal(s.trailer.block_count, 1 + count - full);
            assert_int_equal(s.blocks[0].raw_size, SEGMENT_BLOCK_BYTES);
            assert_int_equal(s.blocks[0].versions, full);
            segment_release(&s);
            buf_release(&object);
        }
    }
}

static void versions_of_zeros_take_a_block_without_bytes(void **state)
{
    uint8_t nothing;
    struct err e;
    struct buf object = {0};
    (void)state;
    make_plain(4096, VERSION_ZERO, 90000, &object);
    struct segment s = decode_ok(&object);
    assert_int_equal(s.trailer.version_count, 90000);
    assert_int_equal(s.trailer.block_count, 1);
    assert_int_equal(s.blocks[0].raw_size, 0);
    assert_ok(segment_block_inflate(&s.blocks[0], object.data + s.blocks[0].offset, codec, &nothing, &e), &e);
    assert_true(object.len < 2000);
    segment_release(&s);
    buf_release(&object);
}

static void versions_of_zeros_after_a_full_block_share_it(void **state)
{
    static uint8_t payload[SEGMENT_BLOCK_BYTES];
    struct version versions[] = {
        {.pgno = 1, .kind = VERSION_IMAGE, .txid = 7, .hash = 1}, {.pgno = 2, .txid = 7}, {.pgno = 3, .txid = 7}};
    struct object_parts p = {.info = plain_info(65536),
                             .records = &plain_record,
                             .record_count = 1,
                             .versions = versions,
                             .version_count = 3,
                             .payload = payload};
    struct err e;
    struct digest digest;
    struct buf object = {0};
    (void)state;
    assert_ok(object_make(codec, &p, &object, &digest, &e), &e);
    struct segment s = decode_ok(&object);
    assert_int_equal(s.trailer.block_count, 1);
    assert_holds(&s, object.data, &p);
    segment_release(&s);
    buf_release(&object);
}

static void txids_end_where_a_reader_ends(void **state)
{
    struct commit_record record = {.txid = INT64_MAX, .time_ms = 1, .pages = 1};
    struct version version = {.pgno = 1, .kind = VERSION_ZERO, .txid = INT64_MAX};
    struct object_parts p = {.info = plain_info(512),
                             .records = &record,
                             .record_count = 1,
                             .versions = &version,
                             .version_count = 1,
                             .payload = (const uint8_t *)""};
    struct err e;
    struct digest digest;
    struct buf object = {0};
    (void)state;
    p.info.min = p.info.max = INT64_MAX;
    assert_ok(object_make(codec, &p, &object, &digest, &e), &e);
    struct segment s = decode_ok(&object);
    assert_true(s.records[0].txid == INT64_MAX && s.versions[0].txid == INT64_MAX);
    segment_release(&s);
    buf_release(&object);
    p.info.min = p.info.max = record.txid = version.txid = (uint64_t)INT64_MAX + 1;
    assert_error(object_make(codec, &p, &object, &digest, &e), &e, ERR_LIMIT);
    assert_contains(e.msg, "HINT: ");
}

static void records_can_be_read_without_the_index(void **state)
{
    struct err e;
    struct buf object = {0};
    struct segment_trailer t;
    struct segment s;
    (void)state;
    make_plain(4096, VERSION_IMAGE, 100, &object);
    assert_ok(segment_trailer_decode(object.data + object.len - SEGMENT_TRAILER_BYTES, object.len, &t, &e), &e);
    assert_ok(
        segment_decode(&(struct segment_decoder){codec, SEGMENT_WANT_RECORDS}, &t, object.data + t.tail_offset, &s, &e),
        &e);
    assert_int_equal(s.records[0].checksum, 99);
    assert_null(s.versions);
    assert_null(s.blocks);
    segment_release(&s);
    segment_release(&s); /* a second call is allowed */
    buf_release(&object);
}

static void more_records_than_the_limit_are_refused_by_the_writer(void **state)
{
    size_t count = SEGMENT_RECORDS_MAX + 1;
    struct commit_record *records = calloc(count, sizeof *records);
    struct object_parts p = {.info = plain_info(512), .records = records, .record_count = count};
    struct err e;
    struct digest digest;
    struct buf object = {0};
    (void)state;
    assert_non_null(records);
    for (size_t i = 0; i < count; i++)
        records[i].txid = p.info.min + i;
    p.info.max = p.info.min + count - 1;
    int rc = object_make(codec, &p, &object, &digest, &e);
    free(records);
    buf_release(&object);
    assert_int_not_equal(rc, 0);
    assert_int_equal(e.code, ERR_LIMIT);
}

/* ---- damage */

/* A small object with everything that one can have: two blocks, three kinds of versions, several records, a list. */
static void make_rich(struct buf *ret_object)
{
    static uint8_t payload[100000];
    const struct version versions[] = {
        {.pgno = 1, .kind = VERSION_IMAGE, .txid = 7, .hash = 11},
        {.pgno = 1, .kind = VERSION_PATCH, .txid = 8, .from = 7, .hash = 12, .mask = 5},
        {.pgno = 2, .kind = VERSION_IMAGE, .txid = 7, .hash = 13},
        {.pgno = 2, .kind = VERSION_PATCH, .txid = 9, .from = 6, .hash = 14, .mask = UINT64_MAX},
        {.pgno = 9, .kind = VERSION_ZERO, .txid = 8},
    };
    const struct commit_record records[] = {{7, 1000, 2, 21, 0}, {8, 1000, 9, 22, 0}, {9, 1500, 9, 23, 0}};
    const struct listed list[] = {{.name = "part/a", .size = 5, .first_page = 1, .last_page = 2, .max = 8},
                                  {.name = "part/b", .max = 9}};
    struct object_parts p = {.info = {.kind = OBJECT_SEGMENT,
                                      .flags = SEGMENT_IN_PARTS,
                                      .min = 7,
                                      .max = 9,
                                      .page_size = 32768,
                                      .first_page = 1,
                                      .last_page = 9,
                                      .time_ms = 2000},
                             .records = records,
                             .record_count = 3,
                             .list = list,
                             .list_count = 2,
                             .versions = versions,
                             .version_count = 5,
                             .payload = payload};
    struct err e;
    struct digest digest;
    *ret_object = (struct buf){0};
    assert_ok(object_make(codec, &p, ret_object, &digest, &e), &e);
}

/* Reads everything that an object holds. */
static int read_all(const uint8_t *object, size_t size, struct err *e)
{
    static uint8_t raw[SEGMENT_BLOCK_BYTES];
    struct segment s;
    int rc = 0;
    if (object_decode(object, size, codec, &s, e))
        return -1;
    for (uint32_t i = 0; rc == 0 && i < s.trailer.block_count; i++)
        rc = segment_block_inflate(&s.blocks[i], object + s.blocks[i].offset, codec, raw, e);
    segment_release(&s);
    return rc;
}

static void every_byte_of_an_object_is_guarded(void **state)
{
    struct err e;
    struct buf object;
    (void)state;
    make_rich(&object);
    assert_ok(read_all(object.data, object.len, &e), &e);
    for (size_t i = 0; i < object.len; i++)
        for (int bit = 0; bit < 8; bit++) {
            object.data[i] ^= (uint8_t)(1 << bit);
            assert_error(read_all(object.data, object.len, &e), &e, ERR_CORRUPT);
            object.data[i] ^= (uint8_t)(1 << bit);
        }
    buf_release(&object);
}

static void an_object_that_was_cut_or_grew_is_corrupt(void **state)
{
    struct err e;
    struct buf object;
    (void)state;
    make_rich(&object);
    for (size_t n = 0; n < object.len; n++) {
        uint8_t *cut = malloc(n + 1); /* of this size, so that the sanitizer sees a read beyond the end */
        assert_non_null(cut);
        memcpy(cut, object.data, n);
        assert_error(read_all(cut, n, &e), &e, ERR_CORRUPT);
        free(cut);
    }
    object.max = SEGMENT_BYTES_MAX;
    assert_ok(buf_append_zeros(&object, 1, &e), &e);
    assert_error(read_all(object.data, object.len, &e), &e, ERR_CORRUPT);
    struct segment_trailer t;
    assert_error(segment_trailer_decode(object.data + object.len - 1 - SEGMENT_TRAILER_BYTES, object.len, &t, &e), &e,
                 ERR_CORRUPT);
    buf_release(&object);
}

/* ---- forged trailers: the checksum fits, the fields do not */

struct trailer_case {
    const char *what;
    unsigned offset, bytes;
    uint64_t value;
};

static void put_field(uint8_t *at, unsigned bytes, uint64_t value)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
}

static void a_trailer_that_contradicts_itself_is_corrupt(void **state)
{
    static const struct trailer_case cases[] = {
        {"version 0", TRAILER_VERSION, 2, 0},
        {"a version that its kind does not have", TRAILER_VERSION, 2, 2},
        {"a later version", TRAILER_VERSION, 2, 3},
        {"kind 0", TRAILER_KIND, 1, 0},
        {"kind 5 in version 1", TRAILER_KIND, 1, 5},
        {"kind 6", TRAILER_KIND, 1, 6},
        {"level 10", TRAILER_LEVEL, 1, 10},
        {"encrypted", TRAILER_FLAGS, 4, SEGMENT_ENCRYPTED | SEGMENT_IN_PARTS},
        {"unknown flag", TRAILER_FLAGS, 4, 32},
        {"highest flag", TRAILER_FLAGS, 4, UINT32_C(1) << 31},
        {"min 0", TRAILER_MIN, 8, 0},
        {"min after max", TRAILER_MIN, 8, 10},
        {"another number of records than txids", TRAILER_MIN, 8, 8},
        {"max beyond 63 bits", TRAILER_MAX, 8, UINT64_C(1) << 63},
        {"start after max", TRAILER_START, 8, 10},
        {"page size 0", TRAILER_PAGE_SIZE, 4, 0},
        {"page size 256", TRAILER_PAGE_SIZE, 4, 256},
        {"page size 1000", TRAILER_PAGE_SIZE, 4, 1000},
        {"page size 131072", TRAILER_PAGE_SIZE, 4, 131072},
        {"first page after last", TRAILER_FIRST_PAGE, 4, 10},
        {"unknown codec", TRAILER_CODEC, 4, 2},
        {"more blocks than versions", TRAILER_BLOCK_COUNT, 4, 6},
        {"too many versions", TRAILER_VERSION_COUNT, 4, SEGMENT_VERSIONS_MAX + 1},
        {"too many records", TRAILER_RECORD_COUNT, 4, SEGMENT_RECORDS_MAX + 1},
        {"too few records", TRAILER_RECORD_COUNT, 4, 2},
        {"too many listed", TRAILER_LIST_COUNT, 4, SEGMENT_LIST_MAX + 1},
        {"time before 1970", TRAILER_TIME, 8, UINT64_MAX},
        {"tail in the header", TRAILER_TAIL_OFFSET, 8, 7},
        {"tail elsewhere", TRAILER_TAIL_OFFSET, 8, 9},
        {"records too large", TRAILER_RECORDS_RAW, 4, SEGMENT_BYTES_MAX + 1},
        {"index too large", TRAILER_INDEX_RAW, 4, SEGMENT_BYTES_MAX + 1},
        {"list too large", TRAILER_LIST_RAW, 4, SEGMENT_BYTES_MAX + 1},
        {"stored size wraps", TRAILER_RECORDS_STORED, 4, UINT32_MAX},
        {"another size", TRAILER_OBJECT_SIZE, 8, SEGMENT_HEADER_BYTES + SEGMENT_TRAILER_BYTES},
    };
    (void)state;
    struct buf object;
    make_rich(&object);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct trailer_case *c = &cases[i];
        struct err e = {.msg = ""};
        uint8_t *trailer = object.data + object.len - SEGMENT_TRAILER_BYTES, kept[SEGMENT_TRAILER_BYTES];
        struct segment_trailer t;
        memcpy(kept, trailer, sizeof kept);
        put_field(trailer + c->offset, c->bytes, c->value);
        object_seal(object.data, object.len);
        if (segment_trailer_decode(trailer, object.len, &t, &e) == 0 || e.code != ERR_CORRUPT)
            fail_msg("%s: not refused as corrupt", c->what);
        memcpy(trailer, kept, sizeof kept);
    }
    buf_release(&object);
}

/* What older programs need has the version that they know. */
static void only_interior_pages_have_the_second_version(void **state)
{
    (void)state;
    for (int kind = OBJECT_SEGMENT; kind <= OBJECT_INTERIOR; kind++) {
        static struct sample s;
        struct dice d = dice_of(1);
        struct buf object = {0};
        struct digest digest;
        struct err e;
        random_sample(&d, &s, (enum object_kind)kind, 512);
        assert_ok(object_make(codec, &s.parts, &object, &digest, &e), &e);
        uint8_t *trailer = object.data + object.len - SEGMENT_TRAILER_BYTES;
        assert_int_equal(get_be16(trailer + TRAILER_VERSION), kind == OBJECT_INTERIOR ? 2 : 1);
        assert_false(segment_trailer_is_newer(trailer));
        put_be16(trailer + TRAILER_VERSION, 3);
        object_seal(object.data, object.len);
        assert_true(segment_trailer_is_newer(trailer));
        buf_release(&object);
    }
}

static void interior_pages_are_images(void **state)
{
    static const uint8_t payload[512];
    (void)state;
    for (int kind = VERSION_ZERO; kind <= VERSION_PATCH; kind++) {
        struct version v = {.pgno = 2, .kind = (enum version_kind)kind, .txid = 7, .from = 6, .mask = 1};
        v.hash = kind != VERSION_ZERO;
        struct object_parts p = {.info = plain_info(512), .versions = &v, .version_count = 1, .payload = payload};
        struct buf object = {0};
        struct segment s = {0};
        struct digest digest;
        struct err e;
        p.info.kind = OBJECT_INTERIOR;
        p.info.min = 0;
        assert_ok(object_make(codec, &p, &object, &digest, &e), &e);
        if (kind == VERSION_IMAGE)
            assert_ok(object_decode(object.data, object.len, codec, &s, &e), &e);
        else
            assert_error(object_decode(object.data, object.len, codec, &s, &e), &e, ERR_CORRUPT);
        segment_release(&s);
        buf_release(&object);
    }
}

/* tail_offset + sizes, counted modulo 2^64, can give the object's size while the tail lies before the object. */
static void sizes_that_only_fit_after_an_overflow_are_corrupt(void **state)
{
    struct err e;
    struct buf object;
    struct segment_trailer t;
    (void)state;
    make_rich(&object);
    uint8_t *trailer = object.data + object.len - SEGMENT_TRAILER_BYTES;
    uint64_t stored = UINT64_C(100) << 20;
    put_be32(trailer + TRAILER_INDEX_STORED, (uint32_t)stored);
    put_be64(trailer + TRAILER_TAIL_OFFSET, object.len - SEGMENT_TRAILER_BYTES - stored -
                                                get_be32(trailer + TRAILER_RECORDS_STORED) -
                                                get_be32(trailer + TRAILER_LIST_STORED));
    object_seal(object.data, object.len);
    assert_error(segment_trailer_decode(trailer, object.len, &t, &e), &e, ERR_CORRUPT);
    buf_release(&object);
}

static void an_object_above_the_limit_is_corrupt(void **state)
{
    struct err e;
    struct buf object;
    struct segment_trailer t;
    (void)state;
    make_rich(&object);
    uint8_t *trailer = object.data + object.len - SEGMENT_TRAILER_BYTES;
    uint64_t more = SEGMENT_BYTES_MAX + 1 - object.len;
    put_be64(trailer + TRAILER_OBJECT_SIZE, object.len + more);
    put_be64(trailer + TRAILER_TAIL_OFFSET, get_be64(trailer + TRAILER_TAIL_OFFSET) + more);
    object_seal(object.data, object.len);
    assert_error(segment_trailer_decode(trailer, object.len + more, &t, &e), &e, ERR_CORRUPT);
    buf_release(&object);
}

static void an_encrypted_object_is_refused_with_its_reason(void **state)
{
    struct err e;
    struct buf object;
    struct segment_trailer t;
    (void)state;
    make_rich(&object);
    put_be32(object.data + object.len - SEGMENT_TRAILER_BYTES + TRAILER_FLAGS, SEGMENT_ENCRYPTED);
    object_seal(object.data, object.len);
    assert_error(segment_trailer_decode(object.data + object.len - SEGMENT_TRAILER_BYTES, object.len, &t, &e), &e,
                 ERR_CORRUPT);
    assert_contains(e.msg, "encrypted");
    buf_release(&object);
}

/* ---- forged sections */

/* One version in one block. The test writes the columns of the index itself. */
struct index_case {
    const char *what;
    uint64_t pgno, kind, back, from_back, mask, hash;
    uint32_t first_page, last_page;
    enum object_kind object;
};

static void append_index(struct buf *index, const struct index_case *c, const struct buf *block)
{
    struct err e;
    uint8_t kind = (uint8_t)c->kind;
    int rc = buf_append_varint(index, 1, &e) || buf_append_varint(index, block->len, &e) ||
             buf_append_be64(index, hash64(block->data, block->len), &e) || buf_append_varint(index, c->pgno, &e) ||
             buf_append(index, &kind, 1, &e) || buf_append_varint(index, c->back, &e);
    if (rc == 0 && c->kind == VERSION_PATCH)
        rc = buf_append_varint(index, c->from_back, &e) || buf_append_be64(index, c->mask, &e);
    if (rc == 0 && c->kind != VERSION_ZERO)
        rc = buf_append_be64(index, c->hash, &e);
    assert_ok(rc, &e);
}

static int decode_index_case(const struct index_case *c, struct err *e)
{
    struct buf object = {0}, forged = BUF_INIT(1 << 20);
    struct forgery f;
    struct segment s;
    make_plain(65536, VERSION_ZERO, 1, &object); /* txid 7 of 7..7; its index is replaced below */
    assert_ok(forgery_open(&f, object.data, object.len, codec, e), e);
    f.index.len = 0;
    append_index(&f.index, c, &f.blocks);
    put_be64(f.trailer + TRAILER_MIN, c->object == OBJECT_SEGMENT ? 5 : 0);
    f.trailer[TRAILER_KIND] = (uint8_t)c->object;
    f.trailer[TRAILER_LEVEL] = c->object == OBJECT_SEGMENT; /* one record, whatever the range */
    if (c->object != OBJECT_SEGMENT) {
        f.records.len = 0;
        put_be32(f.trailer + TRAILER_RECORD_COUNT, 0);
    }
    put_be32(f.trailer + TRAILER_FIRST_PAGE, c->first_page);
    put_be32(f.trailer + TRAILER_LAST_PAGE, c->last_page);
    assert_ok(forgery_close(&f, codec, &forged, e), e);
    e->code = ERR_NONE;
    int rc = object_decode(forged.data, forged.len, codec, &s, e);
    if (rc == 0)
        segment_release(&s);
    forgery_release(&f);
    buf_release(&forged);
    buf_release(&object);
    return rc;
}

static void possible_versions_are_accepted(void **state)
{
    static const struct index_case cases[] = {
        {"zero", 3, VERSION_ZERO, 0, 0, 0, 0, 1, 9, OBJECT_SEGMENT},
        {"image", 9, VERSION_IMAGE, 2, 0, 0, 1, 1, 9, OBJECT_SEGMENT},
        {"patch from min - 1", 1, VERSION_PATCH, 2, 1, 1, 1, 1, 9, OBJECT_SEGMENT},
        {"patch from long ago", 1, VERSION_PATCH, 0, 6, 1, 1, 1, 9, OBJECT_SEGMENT},
        {"patch that changes nothing it names", 1, VERSION_PATCH, 0, 1, UINT64_MAX, 1, 1, 9, OBJECT_SEGMENT},
        {"old page in a chunk", 1, VERSION_IMAGE, 6, 0, 0, 1, 1, 9, OBJECT_CHUNK},
        {"last page that SQLite can have", UINT32_MAX - 1, VERSION_ZERO, 0, 0, 0, 0, 1, UINT32_MAX - 1, OBJECT_SEGMENT},
        {"beside the lock-byte page", 16386, VERSION_IMAGE, 0, 0, 0, 1, 1, 20000, OBJECT_SEGMENT},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err e = {.msg = ""};
        if (decode_index_case(&cases[i], &e))
            fail_msg("%s: %s", cases[i].what, e.msg);
    }
}

static void impossible_versions_are_corrupt(void **state)
{
    static const struct index_case cases[] = {
        {"unknown kind", 1, 3, 0, 0, 0, 1, 1, 9, OBJECT_SEGMENT},
        {"page before the range", 1, VERSION_IMAGE, 0, 0, 0, 1, 2, 9, OBJECT_SEGMENT},
        {"page beyond the range", 10, VERSION_IMAGE, 0, 0, 0, 1, 1, 9, OBJECT_SEGMENT},
        {"page beyond 32 bits", UINT64_C(0x100000001), VERSION_IMAGE, 0, 0, 0, 1, 1, 9, OBJECT_SEGMENT},
        {"page beyond SQLite's last", UINT32_MAX, VERSION_IMAGE, 0, 0, 0, 1, 1, UINT32_MAX, OBJECT_SEGMENT},
        {"lock-byte page", 16385, VERSION_IMAGE, 0, 0, 0, 1, 1, 20000, OBJECT_SEGMENT},
        {"lock-byte page of zeros", 16385, VERSION_ZERO, 0, 0, 0, 0, 1, 20000, OBJECT_SEGMENT},
        {"txid before min", 1, VERSION_IMAGE, 3, 0, 0, 1, 1, 9, OBJECT_SEGMENT},
        {"txid 0", 1, VERSION_IMAGE, 7, 0, 0, 1, 1, 9, OBJECT_CHUNK},
        {"txid below 0", 1, VERSION_IMAGE, 8, 0, 0, 1, 1, 9, OBJECT_CHUNK},
        {"image with the hash of zeros", 1, VERSION_IMAGE, 0, 0, 0, 0, 1, 9, OBJECT_SEGMENT},
        {"patch with the hash of zeros", 1, VERSION_PATCH, 0, 1, 1, 0, 1, 9, OBJECT_SEGMENT},
        {"patch of nothing", 1, VERSION_PATCH, 0, 1, 0, 1, 1, 9, OBJECT_SEGMENT},
        {"patch from itself", 1, VERSION_PATCH, 0, 0, 1, 1, 1, 9, OBJECT_SEGMENT},
        {"patch from below 0", 1, VERSION_PATCH, 0, 8, 1, 1, 1, 9, OBJECT_SEGMENT},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err e = {.msg = ""};
        if (decode_index_case(&cases[i], &e) == 0 || e.code != ERR_CORRUPT)
            fail_msg("%s: not refused as corrupt (%s)", cases[i].what, e.msg);
    }
}

/* Page numbers count from 1. The range "0, 0: none" must not accept page 0: a reader would access memory in front of
 * its map. */
static void page_zero_is_corrupt_whatever_the_range(void **state)
{
    static const struct index_case cases[] = {
        {"empty range", 0, VERSION_IMAGE, 0, 0, 0, 1, 0, 0, OBJECT_SEGMENT},
        {"range from 0", 0, VERSION_IMAGE, 0, 0, 0, 1, 0, 9, OBJECT_SEGMENT},
        {"zero version", 0, VERSION_ZERO, 0, 0, 0, 0, 0, 0, OBJECT_SEGMENT},
        {"chunk", 0, VERSION_IMAGE, 0, 0, 0, 1, 0, 9, OBJECT_CHUNK},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err e = {.msg = ""};
        if (decode_index_case(&cases[i], &e) == 0 || e.code != ERR_CORRUPT)
            fail_msg("%s: not refused as corrupt (%s)", cases[i].what, e.msg);
    }
}

/* Changes one byte of a raw section at a time, and cuts it off at every length. Each result is refused, or is a sound
 * object. */
static void forged_sections_are_refused_or_sound(void **state)
{
    struct err e;
    struct buf object, forged = BUF_INIT(1 << 20);
    (void)state;
    make_rich(&object);
    for (int section = 0; section < 3; section++) {
        struct forgery f;
        assert_ok(forgery_open(&f, object.data, object.len, codec, &e), &e);
        struct buf *raw = section == 0 ? &f.records : section == 1 ? &f.index : &f.list;
        size_t whole = raw->len;
        for (size_t i = 0; i < whole; i++) {
            for (int bit = 0; bit < 8; bit++) {
                raw->data[i] ^= (uint8_t)(1 << bit);
                assert_ok(forgery_close(&f, codec, &forged, &e), &e);
                if (read_all(forged.data, forged.len, &e) && e.code != ERR_CORRUPT)
                    fail_msg("section %d, byte %zu: code %d: %s", section, i, (int)e.code, e.msg);
                raw->data[i] ^= (uint8_t)(1 << bit);
            }
            raw->len = i;
            assert_ok(forgery_close(&f, codec, &forged, &e), &e);
            assert_error(read_all(forged.data, forged.len, &e), &e, ERR_CORRUPT);
            raw->len = whole;
        }
        assert_ok(buf_append_zeros(raw, 1, &e), &e);
        assert_ok(forgery_close(&f, codec, &forged, &e), &e);
        assert_error(read_all(forged.data, forged.len, &e), &e, ERR_CORRUPT);
        forgery_release(&f);
    }
    buf_release(&forged);
    buf_release(&object);
}

static void names_in_a_list_fit_and_hold_no_nul(void **state)
{
    static const size_t lengths[] = {0, 1, 79, 80, 81, 1000};
    struct err e;
    struct buf object, forged = BUF_INIT(1 << 20);
    (void)state;
    make_rich(&object);
    for (size_t i = 0; i < COUNT_OF(lengths) * 2; i++) {
        struct forgery f;
        struct segment s;
        size_t n = lengths[i / 2];
        int nul = i % 2 && n > 0;
        uint8_t name[1000];
        memset(name, 'a', sizeof name);
        if (nul)
            name[n - 1] = 0;
        assert_ok(forgery_open(&f, object.data, object.len, codec, &e), &e);
        f.list.len = 0;
        put_be32(f.trailer + TRAILER_LIST_COUNT, 1);
        int rc = buf_append_varint(&f.list, n, &e) || buf_append(&f.list, name, n, &e) ||
                 buf_append_zeros(&f.list, 1 + DIGEST_BYTES + 3, &e);
        assert_ok(rc, &e);
        assert_ok(forgery_close(&f, codec, &forged, &e), &e);
        rc = object_decode(forged.data, forged.len, codec, &s, &e);
        assert_int_equal(rc == 0, n < sizeof((struct listed *)0)->name && !nul);
        if (rc == 0) {
            assert_int_equal(strlen(s.list[0].name), n);
            segment_release(&s);
        }
        forgery_release(&f);
    }
    buf_release(&forged);
    buf_release(&object);
}

static void a_section_that_claims_to_inflate_too_far_is_refused_before_memory_is_taken(void **state)
{
    struct err e;
    struct buf object;
    struct segment s;
    (void)state;
    make_rich(&object);
    put_be32(object.data + object.len - SEGMENT_TRAILER_BYTES + TRAILER_INDEX_RAW, SEGMENT_BYTES_MAX);
    object_seal(object.data, object.len);
    assert_error(object_decode(object.data, object.len, codec, &s, &e), &e, ERR_CORRUPT);
    assert_contains(e.msg, "contradict");
    buf_release(&object);
}

static int decode_all(void *context, struct err *e)
{
    const struct buf *object = context;
    struct segment s = {0};
    struct codec *own = codec_new();
    static uint8_t raw[SEGMENT_BLOCK_BYTES];
    int rc = own ? object_decode(object->data, object->len, own, &s, e) : err_nomem(e, 0);
    for (uint32_t i = 0; rc == 0 && i < s.trailer.block_count; i++)
        rc = segment_block_inflate(&s.blocks[i], object->data + s.blocks[i].offset, own, raw, e);
    segment_release(&s);
    codec_free(own);
    return rc;
}

/* There are 7: the codec, its inflater, three sections, and the arrays of the sections. */
static void each_allocation_of_the_decoder_fails_once(void **state)
{
    struct buf object = {0};
    (void)state;
    make_rich(&object);
    assert_true(assert_each_allocation_fails_once(decode_all, &object) >= 7);
    buf_release(&object);
}

static int encode_all(void *context, struct err *e)
{
    static uint8_t payload[100 * 4096];
    static struct version versions[100];
    struct object_parts p = {.info = plain_info(4096),
                             .records = &plain_record,
                             .record_count = 1,
                             .versions = versions,
                             .payload = payload};
    struct codec *own = codec_new();
    struct buf object = {0};
    struct digest digest;
    (void)context;
    for (uint32_t i = 0; i < COUNT_OF(versions); i++)
        versions[i] = (struct version){.pgno = i + 1, .kind = VERSION_IMAGE, .txid = 7, .hash = i + 1};
    p.version_count = COUNT_OF(versions);
    int rc = own ? object_make(own, &p, &object, &digest, e) : err_nomem(e, 0);
    buf_release(&object);
    codec_free(own);
    return rc;
}

static void each_allocation_of_the_writer_fails_once(void **state)
{
    (void)state;
    assert_each_allocation_fails_once(encode_all, NULL);
}

/* ---- memory */

/* An object of 3 records, 40 page versions and 2 names. */
static void make_claiming(struct buf *object)
{
    static struct version versions[40];
    static const struct commit_record records[3] = {
        {.txid = 1, .pages = 40}, {.txid = 2, .pages = 40}, {.txid = 3, .pages = 40}};
    static const struct listed names[2] = {{.name = "part/a", .max = 3}, {.name = "part/b", .max = 3}};
    struct object_parts p = {.info = plain_info(4096),
                             .records = records,
                             .record_count = COUNT_OF(records),
                             .list = names,
                             .list_count = COUNT_OF(names),
                             .versions = versions,
                             .version_count = COUNT_OF(versions),
                             .payload = (const uint8_t *)""};
    struct digest digest;
    struct err e;
    p.info.level = 0;
    p.info.min = 1;
    p.info.max = 3;
    p.info.first_page = 1;
    p.info.last_page = 40;
    p.info.flags = SEGMENT_IN_PARTS;
    for (uint32_t i = 0; i < COUNT_OF(versions); i++)
        versions[i] = (struct version){.pgno = i + 1, .kind = VERSION_ZERO, .txid = 3};
    assert_ok(object_make(codec, &p, object, &digest, &e), &e);
}

static size_t left_of(size_t limit)
{
    struct err e;
    size_t left = 0;
    for (size_t step = (size_t)1 << 30; step > 0; step /= 2)
        if (left + step <= limit && claim_take(left + step, &e) == 0) {
            claim_give(left + step);
            left += step;
        }
    return left;
}

static void a_segment_takes_the_size_of_its_arrays_from_the_budget(void **state)
{
    const size_t limit = (size_t)1 << 20;
    const size_t index = 40 * sizeof(struct version) + sizeof(struct segment_block);
    const size_t records = 3 * sizeof(struct commit_record), list = 2 * sizeof(struct listed);
    struct buf object = BUF_INIT(SEGMENT_BYTES_MAX);
    struct segment s = {0};
    struct err e;
    (void)state;
    claim_set_limit(limit);
    make_claiming(&object);
    assert_ok(object_decode(object.data, object.len, codec, &s, &e), &e);
    assert_int_equal(s.trailer.block_count, 1);
    assert_int_equal(limit - left_of(limit), index + records + list);
    segment_drop_records(&s);
    assert_int_equal(limit - left_of(limit), index + list);
    assert_null(s.records);
    segment_drop_records(&s); /* a second call gives nothing back */
    segment_drop_index(&s);
    assert_int_equal(limit - left_of(limit), list);
    assert_true(!s.versions && !s.blocks && s.list);
    segment_release(&s);
    assert_int_equal(left_of(limit), limit);
    claim_set_limit(CLAIM_LIMIT_DEFAULT);
    buf_release(&object);
}

/* With any limit the object is decoded, or refused with its claim. Afterwards no memory of the budget is taken. */
static void an_object_that_claims_more_than_the_budget_is_refused(void **state)
{
    const size_t most = 40 * sizeof(struct version) + sizeof(struct segment_block) + 3 * sizeof(struct commit_record) +
                        2 * sizeof(struct listed) + 4096;
    size_t refused = 0, decoded = 0;
    struct buf object = BUF_INIT(SEGMENT_BYTES_MAX);
    (void)state;
    make_claiming(&object);
    for (size_t limit = 0; limit < most; limit += 8) {
        struct segment s = {0};
        struct err e = {.code = ERR_NONE};
        claim_set_limit(limit);
        if (object_decode(object.data, object.len, codec, &s, &e) == 0) {
            decoded++;
            segment_release(&s);
        } else {
            refused++;
            assert_int_equal(e.code, ERR_CLAIM);
            assert_contains(e.msg, "claims to hold page versions: 40, commit records: 3, names of objects: 2: needs 1");
        }
        assert_int_equal(left_of(limit), limit);
    }
    assert_true(refused > 100 && decoded > 100);
    claim_set_limit(CLAIM_LIMIT_DEFAULT);
    buf_release(&object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(what_is_written_reads_back),
        UNIT(an_empty_segment_is_header_records_and_trailer),
        UNIT(a_block_is_filled_to_64_kib_exactly_and_no_further),
        UNIT(versions_of_zeros_take_a_block_without_bytes),
        UNIT(versions_of_zeros_after_a_full_block_share_it),
        UNIT(txids_end_where_a_reader_ends),
        UNIT(records_can_be_read_without_the_index),
        UNIT(more_records_than_the_limit_are_refused_by_the_writer),
        UNIT(every_byte_of_an_object_is_guarded),
        UNIT(an_object_that_was_cut_or_grew_is_corrupt),
        UNIT(a_trailer_that_contradicts_itself_is_corrupt),
        UNIT(only_interior_pages_have_the_second_version),
        UNIT(interior_pages_are_images),
        UNIT(sizes_that_only_fit_after_an_overflow_are_corrupt),
        UNIT(an_object_above_the_limit_is_corrupt),
        UNIT(an_encrypted_object_is_refused_with_its_reason),
        UNIT(an_object_of_a_clamped_commit_says_what_the_clock_said),
        UNIT(an_object_that_is_older_than_its_commit_has_a_clamped_commit),
        UNIT(possible_versions_are_accepted),
        UNIT(impossible_versions_are_corrupt),
        UNIT(page_zero_is_corrupt_whatever_the_range),
        UNIT(forged_sections_are_refused_or_sound),
        UNIT(names_in_a_list_fit_and_hold_no_nul),
        UNIT(a_section_that_claims_to_inflate_too_far_is_refused_before_memory_is_taken),
        UNIT(each_allocation_of_the_decoder_fails_once),
        UNIT(each_allocation_of_the_writer_fails_once),
        UNIT(a_segment_takes_the_size_of_its_arrays_from_the_budget),
        UNIT(an_object_that_claims_more_than_the_budget_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
