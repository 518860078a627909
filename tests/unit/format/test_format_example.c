/* man/seawall-format.5 and the program say the same: the dump in the page is taken apart with the real reader, every
 * field is what the page says, and the real writer makes the same bytes again. The table of the trailer is compared
 * with format/wire.h.
 *
 * `test_format_example --print` prints the dump. */
#include "unit.h"

#include "format/patch.h"
#include "object.h"

#include <ctype.h>
#include <zlib.h>

#define PAGE "man/seawall-format.5"
enum { PAGE_SIZE = 512 };

static struct codec *codec;

static int setup(void **state)
{
    (void)state;
    codec = codec_new_with(CODEC_ZLIB);
    return codec ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    codec_free(codec);
    return 0;
}

/* ---- the example */

static void make_page(uint8_t page[PAGE_SIZE], uint8_t change_counter)
{
    static const uint8_t start[] = "SQLite format 3\0\x02\x00\x02\x02\x00\x40\x20\x20\0\0\0\0\0\0\0\x02";
    memset(page, 0, PAGE_SIZE);
    memcpy(page, start, sizeof start - 1);
    page[27] = change_counter;
}

static void uid_from(struct uid *uid, uint8_t first)
{
    for (uint8_t i = 0; i < UID_BYTES; i++)
        uid->bytes[i] = (uint8_t)(first + i);
}

struct example {
    struct object_parts parts;
    struct commit_record records[2];
    struct version versions[3];
    uint8_t payload[PAGE_SIZE + PAGE_SIZE / PATCH_GRANULES];
    uint8_t page[2][PAGE_SIZE]; /* page 1 as of txid 1 and 2 */
};

static void make_example(struct example *x)
{
    *x = (struct example){.parts = {.info = {.kind = OBJECT_SEGMENT,
                                             .flags = SEGMENT_FROM_EMPTY,
                                             .min = 1,
                                             .max = 2,
                                             .page_size = PAGE_SIZE,
                                             .first_page = 1,
                                             .last_page = 2,
                                             .time_ms = 1767225601000}, /* 2026-01-01T00:00:01Z */
                                    .record_count = 2,
                                    .version_count = 3}};
    uid_from(&x->parts.info.database, 0xd0);
    uid_from(&x->parts.info.writer, 0xe0);
    uid_from(&x->parts.info.run, 0xa0);
    uid_from(&x->parts.info.nonce, 0xb0);
    x->parts.records = x->records;
    x->parts.versions = x->versions;
    x->parts.payload = x->payload;
    make_page(x->page[0], 1);
    make_page(x->page[1], 2);
    uint64_t one = page_hash(1, x->page[0], PAGE_SIZE), two = page_hash(1, x->page[1], PAGE_SIZE);
    uint64_t mask = patch_diff(x->page[0], x->page[1], PAGE_SIZE);
    memcpy(x->payload, x->page[0], PAGE_SIZE);
    patch_cut(mask, x->page[1], PAGE_SIZE, x->payload + PAGE_SIZE);
    x->versions[0] = (struct version){.pgno = 1, .kind = VERSION_IMAGE, .txid = 1, .hash = one};
    x->versions[1] =
        (struct version){.pgno = 1, .kind = VERSION_PATCH, .txid = 2, .from = 1, .hash = two, .mask = mask};
    x->versions[2] = (struct version){.pgno = 2, .kind = VERSION_ZERO, .txid = 1};
    x->records[0] = (struct commit_record){.txid = 1, .time_ms = 1767225600000, .pages = 2, .checksum = one};
    x->records[1] = (struct commit_record){.txid = 2, .time_ms = 1767225600250, .pages = 2, .checksum = two};
}

static void encode_example(struct buf *ret_object, struct digest *ret_digest)
{
    struct example x;
    struct err e;
    make_example(&x);
    assert_ok(object_make(codec, &x.parts, ret_object, ret_digest, &e), &e);
}

/* ---- the page */

static char *read_page(void)
{
    size_t n = 0;
    char *text = (char *)file_bytes(PAGE, &n);
    if (!text)
        fail_msg("can't read " PAGE ": unit tests run in the top folder of the source");
    return text;
}

/* Takes a line of the dump: eight hex digits, then up to 16 bytes. */
static void take_dump_line(const char *line, struct buf *out)
{
    unsigned offset = 0, value = 0;
    int used = 0;
    struct err e;
    if (strspn(line, "0123456789abcdef") != 8 || line[8] != ' ' || sscanf(line, "%x%n", &offset, &used) != 1)
        return;
    assert_int_equal(offset, out->len);
    for (line += used; sscanf(line, " %2x%n", &value, &used) == 1; line += used) {
        uint8_t byte = (uint8_t)value;
        assert_ok(buf_append(out, &byte, 1, &e), &e);
        if (line[used] == '\n')
            break;
    }
}

static struct buf read_dump(void)
{
    struct buf out = BUF_INIT(4096);
    char *text = read_page();
    for (char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        take_dump_line(line, &out);
    free(text);
    assert_true(out.len > SEGMENT_HEADER_BYTES + SEGMENT_TRAILER_BYTES);
    return out;
}

/* Compares all that does not depend on the compression. Another test compares blocks and index field by field. */
static void assert_objects_say_the_same(const struct buf *dump, const struct buf *made)
{
    struct forgery a, b;
    struct err e;
    assert_ok(forgery_open(&a, dump->data, dump->len, codec, &e), &e);
    assert_ok(forgery_open(&b, made->data, made->len, codec, &e), &e);
    assert_memory_equal(a.trailer, b.trailer, TRAILER_TAIL_OFFSET); /* up to the sizes */
    assert_int_equal(a.records.len, b.records.len);
    assert_memory_equal(a.records.data, b.records.data, a.records.len);
    assert_int_equal(a.list.len, b.list.len);
    forgery_release(&a);
    forgery_release(&b);
}

/* ---- tests */

static void the_dump_in_the_page_decodes_field_by_field(void **state)
{
    struct buf dump = read_dump();
    struct example x;
    struct segment s;
    struct err e;
    uint8_t raw[SEGMENT_BLOCK_BYTES], page[PAGE_SIZE];
    (void)state;
    make_example(&x);
    assert_ok(object_decode(dump.data, dump.len, codec, &s, &e), &e);
    const struct segment_trailer *t = &s.trailer;
    const struct segment_info *i = &t->info, *w = &x.parts.info;
    assert_true(i->kind == w->kind && i->level == w->level && i->flags == w->flags);
    assert_true(i->min == w->min && i->max == w->max && i->start == w->start);
    assert_true(i->page_size == w->page_size && i->first_page == w->first_page && i->last_page == w->last_page);
    assert_true(i->time_ms == w->time_ms && i->checksum_before == 0 && digest_is_zero(&i->digest_before));
    assert_true(uid_equal(&i->database, &w->database) && uid_equal(&i->writer, &w->writer));
    assert_true(uid_equal(&i->run, &w->run) && uid_equal(&i->nonce, &w->nonce));
    assert_true(t->version_count == 3 && t->block_count == 1 && t->record_count == 2 && t->list_count == 0);
    assert_true(t->object_size == dump.len && t->list_stored == 0 && t->list_raw == 0);
    for (size_t k = 0; k < 2; k++) {
        const struct commit_record *a = &s.records[k], *b = &x.records[k];
        assert_true(a->txid == b->txid && a->time_ms == b->time_ms && a->pages == b->pages &&
                    a->checksum == b->checksum);
    }
    for (size_t k = 0; k < 3; k++) {
        const struct version *a = &s.versions[k], *b = &x.versions[k];
        assert_true(a->pgno == b->pgno && a->kind == b->kind && a->txid == b->txid && a->from == b->from);
        assert_true(a->hash == b->hash && a->mask == b->mask);
    }
    assert_true(s.blocks[0].offset == SEGMENT_HEADER_BYTES && s.blocks[0].versions == 3 &&
                s.blocks[0].raw_size == sizeof x.payload);
    assert_ok(segment_block_inflate(&s.blocks[0], dump.data + SEGMENT_HEADER_BYTES, codec, raw, &e), &e);
    assert_memory_equal(raw, x.payload, sizeof x.payload);
    memcpy(page, raw, PAGE_SIZE);
    patch_apply(s.versions[1].mask, raw + PAGE_SIZE, PAGE_SIZE, page);
    assert_memory_equal(page, x.page[1], PAGE_SIZE);
    segment_release(&s);
    buf_release(&dump);
}

static void the_writer_makes_the_dump_again(void **state)
{
    struct buf dump = read_dump(), made = {0};
    struct digest digest;
    char named[64], hex[2 * DIGEST_BYTES + 1];
    char *text = read_page();
    (void)state;
    encode_example(&made, &digest);
    assert_objects_say_the_same(&dump, &made);
    snprintf(named, sizeof named, "zlib %s", zlibVersion());
    if (strstr(text, named)) {
        assert_int_equal(dump.len, made.len);
        assert_memory_equal(dump.data, made.data, made.len);
        hex_encode(digest.bytes, DIGEST_BYTES, hex);
        assert_contains(text, hex);
    } else {
        print_message("# %s is not the one that " PAGE " names: compared what the dump says, not its bytes\n", named);
    }
    free(text);
    buf_release(&dump);
    buf_release(&made);
}

/* The page shows raw sections too: looks for the bytes as "XX XX .." in its text. */
static void assert_page_shows(const char *text, const uint8_t *bytes, size_t n)
{
    char row[3 * 64 + 1] = "";
    assert_true(n <= 64);
    for (size_t i = 0; i < n; i++)
        snprintf(row + 3 * i, 4, "%02x ", bytes[i]);
    row[3 * n - 1] = 0;
    assert_contains(text, row);
}

static void the_page_shows_the_raw_sections(void **state)
{
    struct buf dump = read_dump();
    struct forgery f;
    struct err e;
    char *text = read_page();
    (void)state;
    assert_ok(forgery_open(&f, dump.data, dump.len, codec, &e), &e);
    assert_int_equal(f.records.len, 26);
    assert_page_shows(text, f.records.data, 7);      /* record of txid 1: time, pages */
    assert_page_shows(text, f.records.data + 7, 8);  /* checksum */
    assert_page_shows(text, f.records.data + 15, 3); /* of txid 2 */
    assert_page_shows(text, f.records.data + 18, 8);
    size_t at = 2; /* versions and stored size of the block, one byte each here */
    assert_page_shows(text, f.index.data, 2);
    assert_page_shows(text, f.index.data + at, 8); /* checksum of the block */
    at += 8;
    for (int column = 0; column < 3; column++, at += 3)
        assert_page_shows(text, f.index.data + at, 3);
    assert_int_equal(f.index.data[at], 1);             /* from */
    assert_page_shows(text, f.index.data + at + 1, 8); /* mask */
    assert_page_shows(text, f.index.data + at + 9, 8); /* hashes */
    assert_page_shows(text, f.index.data + at + 17, 8);
    assert_int_equal(f.index.len, at + 25);
    forgery_release(&f);
    free(text);
    buf_release(&dump);
}

/* The form of a row: ".It 44 Ta 4 Ta codec Ta ..." */
static void the_table_of_the_trailer_is_that_of_the_program(void **state)
{
    static const unsigned offsets[] = {TRAILER_VERSION,       TRAILER_KIND,         TRAILER_LEVEL,
                                       TRAILER_FLAGS,         TRAILER_MIN,          TRAILER_MAX,
                                       TRAILER_START,         TRAILER_PAGE_SIZE,    TRAILER_FIRST_PAGE,
                                       TRAILER_LAST_PAGE,     TRAILER_CODEC,        TRAILER_VERSION_COUNT,
                                       TRAILER_BLOCK_COUNT,   TRAILER_RECORD_COUNT, TRAILER_LIST_COUNT,
                                       TRAILER_TIME,          TRAILER_DATABASE,     TRAILER_WRITER,
                                       TRAILER_RUN,           TRAILER_NONCE,        TRAILER_CHECKSUM_BEFORE,
                                       TRAILER_DIGEST_BEFORE, TRAILER_TAIL_OFFSET,  TRAILER_RECORDS_STORED,
                                       TRAILER_INDEX_STORED,  TRAILER_LIST_STORED,  TRAILER_RECORDS_RAW,
                                       TRAILER_INDEX_RAW,     TRAILER_LIST_RAW,     TRAILER_TAIL_CHECKSUM,
                                       TRAILER_OBJECT_SIZE,   TRAILER_CHECKSUM,     TRAILER_MAGIC};
    static const char *const names[] = {"version",       "kind",         "level",
                                        "flags",         "min",          "max",
                                        "start",         "page_size",    "first_page",
                                        "last_page",     "codec",        "version_count",
                                        "block_count",   "record_count", "list_count",
                                        "time",          "database",     "writer",
                                        "run",           "nonce",        "checksum_before",
                                        "digest_before", "tail_offset",  "records_stored",
                                        "index_stored",  "list_stored",  "records_raw",
                                        "index_raw",     "list_raw",     "tail_checksum",
                                        "object_size",   "checksum",     "magic"};
    char *text = read_page(), *line = strstr(text, ".Sh TRAILER");
    size_t row = 0;
    unsigned next = 0;
    (void)state;
    assert_int_equal(COUNT_OF(offsets), COUNT_OF(names));
    assert_non_null(line);
    for (line = strchr(line, '\n') + 1; strncmp(line, ".Sh", 3) != 0; line = strchr(line, '\n') + 1) {
        unsigned offset = 0, size = 0;
        char name[64];
        if (sscanf(line, ".It %u Ta %u Ta %63s", &offset, &size, name) != 3)
            continue;
        assert_true(row < COUNT_OF(offsets));
        assert_int_equal(offset, offsets[row]);
        assert_string_equal(name, names[row]);
        assert_int_equal(offset, next); /* without gaps */
        next = offset + size;
        row++;
    }
    assert_int_equal(row, COUNT_OF(offsets));
    assert_int_equal(next, SEGMENT_TRAILER_BYTES);
    free(text);
}

static void print_rows(const char *title, const uint8_t *bytes, size_t n)
{
    printf("%s\n", title);
    for (size_t i = 0; i < n; i++) {
        if (i % 16 == 0)
            printf("%08zx ", i);
        printf(" %02x%s", bytes[i], i % 16 == 15 || i + 1 == n ? "\n" : "");
    }
}

static int print_example(void)
{
    struct buf object = {0};
    struct digest digest;
    struct forgery f;
    struct err e;
    setup(NULL);
    encode_example(&object, &digest);
    print_rows("object", object.data, object.len);
    assert_ok(forgery_open(&f, object.data, object.len, codec, &e), &e);
    print_rows("records", f.records.data, f.records.len);
    print_rows("index", f.index.data, f.index.len);
    print_rows("digest", digest.bytes, DIGEST_BYTES);
    forgery_release(&f);
    buf_release(&object);
    return teardown(NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        UNIT(the_dump_in_the_page_decodes_field_by_field),
        UNIT(the_writer_makes_the_dump_again),
        UNIT(the_page_shows_the_raw_sections),
        UNIT(the_table_of_the_trailer_is_that_of_the_program),
    };
    if (argc > 1 && strcmp(argv[1], "--print") == 0)
        return print_example();
    return cmocka_run_group_tests(tests, setup, teardown);
}
