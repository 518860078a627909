/* litestream/ltx.h: files are decoded exactly, and each kind of damage is an error. */
#include "unit.h"

#include "litestream.h"
#include "litestream/ltx.h"
#include "memory_store.h"

#include <sys/mman.h>

enum { PAGE = 512, PAGES = 7 };

static struct store *store;
static uint8_t pages[PAGES + 1][PAGE]; /* from 1 */
static struct err e;

static int setup(void **state)
{
    struct dice d = dice_of(3);
    (void)state;
    store = memory_store_new();
    for (size_t i = 1; i <= PAGES; i++)
        dice_fill(&d, pages[i], i % 2 ? PAGE : 20);
    return store ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    store_close(store);
    return 0;
}

/* A file with these pages; 0 ends the list. */
static struct buf file_of(uint64_t min, uint64_t max, uint32_t db_pages, bool frames, const uint32_t *list)
{
    struct ltx_writer w = ltx_begin(PAGE, db_pages, min, max, 1234);
    for (; *list; list++)
        ltx_page(&w, *list, pages[*list % (PAGES + 1)], frames);
    ltx_end(&w);
    return w.bytes;
}

/* Decodes one file into `fd`. Returns the result of ltx_apply. */
static int apply(const uint8_t *bytes, size_t n, int fd, bool first, struct ltx_header *h)
{
    struct memory_store *m = (struct memory_store *)store;
    struct feed_item item = {.key = "file", .bytes = n};
    struct feed *f = NULL;
    struct ltx_reader *r = NULL;
    struct writer w;
    assert_ok(memory_store_insert(m, "file", bytes, n, &e), &e);
    assert_ok(feed_new(store, &item, 1, &(struct feed_options){.jobs = 1}, &f, &e), &e);
    assert_ok(ltx_reader_new(&r, &e), &e);
    assert_ok(writer_begin(&w, fd, &e), &e);
    assert_non_null(feed_next(f));
    int rc = ltx_apply(r, f, first, &w, h, &e);
    writer_release(&w);
    ltx_reader_free(r);
    feed_free(f);
    struct err other;
    m->removes = 1;
    assert_ok(store_remove(store, "file", &other), &other);
    return rc;
}

static int memory_file(void)
{
    int fd = memfd_create("database", MFD_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static const uint32_t all[] = {1, 2, 3, 4, 5, 6, 7, 0};

static void a_snapshot_is_written_whole(void **state)
{
    (void)state;
    for (int frames = 0; frames < 2; frames++) {
        uint8_t got[PAGES * PAGE + 1];
        struct ltx_header h;
        struct buf b = file_of(1, 9, PAGES, frames, all);
        int fd = memory_file();
        assert_ok(apply(b.data, b.len, fd, true, &h), &e);
        assert_true(h.min == 1 && h.max == 9 && h.pages == PAGES && h.page_size == PAGE && h.time_ms == 1234);
        assert_int_equal(pread(fd, got, sizeof got, 0), PAGES * PAGE);
        assert_memory_equal(got, pages[1], PAGES * PAGE);
        close(fd);
        buf_release(&b);
    }
}

static void a_later_file_replaces_pages_and_sets_the_size(void **state)
{
    uint8_t got[PAGES * PAGE];
    struct ltx_header h;
    int fd = memory_file();
    (void)state;
    assert_int_equal(ftruncate(fd, 5 * PAGE), 0);
    struct buf b = file_of(4, 4, 3, false, (const uint32_t[]){2, 3, 0});
    assert_ok(apply(b.data, b.len, fd, false, &h), &e);
    assert_int_equal(pread(fd, got, sizeof got, 0), 3 * PAGE);
    assert_memory_equal(got + PAGE, pages[2], 2 * PAGE);
    buf_release(&b);
    close(fd);
}

/* Damages a good file, and expects ERR_CORRUPT with this text. */
static void expect_damage(const struct buf *b, size_t offset, uint8_t value, const char *message)
{
    struct ltx_header h;
    int fd = memory_file();
    const uint8_t old = b->data[offset];
    b->data[offset] = value;
    assert_error(apply(b->data, b->len, fd, true, &h), &e, ERR_CORRUPT);
    assert_contains(e.msg, message);
    b->data[offset] = old;
    close(fd);
}

static void each_damaged_field_is_an_error(void **state)
{
    struct buf b = file_of(1, 9, PAGES, false, all);
    (void)state;
    expect_damage(&b, 0, 'M', "does not begin as an LTX file");
    expect_damage(&b, 7, 3, "unknown flags");
    expect_damage(&b, 10, 3, "page size");
    expect_damage(&b, 15, 200, "its checksum is wrong");
    expect_damage(&b, 15, 3, "page 4 comes after page 3 in a database of 3 pages");
    expect_damage(&b, 23, 0, "txids");
    expect_damage(&b, 23, 2, "is not a snapshot");
    expect_damage(&b, 50, 1, "its checksum is wrong");
    expect_damage(&b, 103, 2, "page 1 is missing");
    expect_damage(&b, 105, 2, "unknown flags");
    expect_damage(&b, 106, 1, "claims");
    expect_damage(&b, 109, 0, "");
    expect_damage(&b, b.len - 1, 0, "its checksum is wrong");
    expect_damage(&b, b.len - 17, 200, "its checksum is wrong");
    buf_release(&b);
}

static void a_file_that_ends_anywhere_is_an_error(void **state)
{
    struct buf b = file_of(1, 9, PAGES, false, all);
    struct ltx_header h;
    (void)state;
    for (size_t n = 0; n < b.len; n++) {
        int fd = memory_file();
        assert_error(apply(b.data, n, fd, true, &h), &e, ERR_CORRUPT);
        close(fd);
    }
    buf_release(&b);
}

/* With a right checksum: what a program could write that is not Litestream, or is a newer one. */
static void a_sealed_file_that_makes_no_sense_is_an_error(void **state)
{
    const struct {
        uint64_t min;
        uint32_t db_pages;
        uint32_t list[4];
        const char *message;
    } files[] = {
        {1, 3, {1, 2, 0}, "ends after page 2"},
        {1, 3, {1, 3, 0}, "page 2 is missing"},
        {2, 3, {2, 1, 0}, "page 1 comes after page 2"},
        {2, 3, {2, 2, 0}, "page 2 comes after page 2"},
        {2, 3, {4, 0}, "page 4 comes after page 0"},
        {2, 0x40000000 / PAGE + 5, {0x40000000 / PAGE + 1, 0}, "comes after"}, /* the page of the lock byte */
    };
    struct ltx_header h;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        struct buf b = file_of(files[i].min, 9, files[i].db_pages, i % 2, files[i].list);
        int fd = memory_file();
        assert_error(apply(b.data, b.len, fd, false, &h), &e, ERR_CORRUPT);
        assert_contains(e.msg, files[i].message);
        close(fd);
        buf_release(&b);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_snapshot_is_written_whole),
        TEST(a_later_file_replaces_pages_and_sets_the_size),
        TEST(each_damaged_field_is_an_error),
        TEST(a_file_that_ends_anywhere_is_an_error),
        TEST(a_sealed_file_that_makes_no_sense_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
