/* litestream/generation.h: a snapshot and the WALs after it give the database, however the WALs are cut into segments. */
#include "unit.h"

#include "litestream.h"
#include "litestream/generation.h"
#include "memory_store.h"
#include "wal/header.h"

#include <sys/mman.h>

enum { PAGE = 512, FRAME = WAL_FRAME_HEADER_BYTES + PAGE, FRAMES_MAX = 8 };

static struct store *store;
static struct err e;

static int setup(void **state)
{
    (void)state;
    store = memory_store_new();
    return store ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    store_close(store);
    return 0;
}

/* A WAL that grows frame by frame. A page is full of one byte. */
struct wal {
    uint8_t bytes[WAL_HEADER_BYTES + FRAMES_MAX * FRAME];
    size_t n;
    struct wal_sum sum;
};

static struct wal wal_begin(void)
{
    struct wal w = {.n = WAL_HEADER_BYTES};
    put_be32(w.bytes, 0x377f0682);
    put_be32(w.bytes + 4, WAL_FORMAT_VERSION);
    put_be32(w.bytes + 8, PAGE);
    put_be32(w.bytes + 16, 0x1234);
    w.sum = wal_sum_add((struct wal_sum){0, 0}, WAL_LITTLE_ENDIAN, w.bytes, 24);
    put_be32(w.bytes + 24, w.sum.s0);
    put_be32(w.bytes + 28, w.sum.s1);
    return w;
}

/* `db_pages`: 0 in a frame that does not commit. */
static void wal_frame(struct wal *w, uint32_t pgno, uint32_t db_pages, uint8_t byte)
{
    uint8_t *f = w->bytes + w->n;
    memset(f, 0, FRAME);
    put_be32(f, pgno);
    put_be32(f + 4, db_pages);
    put_be32(f + 8, 0x1234);
    memset(f + WAL_FRAME_HEADER_BYTES, byte, PAGE);
    w->sum = wal_sum_add(w->sum, WAL_LITTLE_ENDIAN, f, 8);
    w->sum = wal_sum_add(w->sum, WAL_LITTLE_ENDIAN, f + WAL_FRAME_HEADER_BYTES, PAGE);
    put_be32(f + 16, w->sum.s0);
    put_be32(f + 20, w->sum.s1);
    w->n += FRAME;
}

static struct wal sample(void)
{
    struct wal w = wal_begin();
    wal_frame(&w, 2, 0, 'a');
    wal_frame(&w, 3, 3, 'b'); /* commit: 3 pages */
    wal_frame(&w, 2, 2, 'c'); /* commit: 2 pages */
    wal_frame(&w, 4, 4, 'd'); /* commit: 4 pages, of which page 3 was never written again */
    wal_frame(&w, 2, 0, 'x'); /* not committed */
    return w;
}

struct cut {
    size_t from, to; /* bytes of the WAL; to 0: the end of the segments */
};

/* Applies the WAL, cut into these segments, to a database of one page 's'. Returns the bytes of the database, or -1. */
static ssize_t restored(const struct wal *w, const struct cut *cuts, uint8_t out[8 * PAGE])
{
    struct memory_store *m = (struct memory_store *)store;
    int fd = memfd_create("database", MFD_CLOEXEC), spool = memfd_create("wal", MFD_CLOEXEC), rc = 0;
    struct wal_file file = {.fd = spool};
    struct writer writer;
    assert_ok(writer_begin(&writer, fd, &e), &e);
    assert_ok(writer_page_size(&writer, PAGE, &e), &e);
    memset(writer_place(&writer, 1, &e), 's', PAGE);
    assert_ok(writer_set_size(&writer, 1, &e), &e);
    for (size_t i = 0; rc == 0 && cuts[i].to; i++) {
        struct buf b = lz4_frame_of(w->bytes + cuts[i].from, cuts[i].to - cuts[i].from);
        struct feed_item item = {.bytes = b.len};
        struct feed *f = NULL;
        const struct lite_name name = {.kind = LITE_SEGMENT, .offset = (uint32_t)cuts[i].from};
        struct err later;
        snprintf(item.key, sizeof item.key, "%zu", i);
        assert_ok(memory_store_insert(m, item.key, b.data, b.len, &e), &e);
        assert_ok(feed_new(store, &item, 1, &(struct feed_options){.jobs = 1}, &f, &e), &e);
        assert_non_null(feed_next(f));
        rc = generation_segment(f, &name, &file, &e);
        feed_free(f);
        buf_release(&b);
        m->removes = 1;
        assert_ok(store_remove(store, item.key, &later), &later);
    }
    if (rc == 0)
        rc = generation_apply(&file, &writer, &e);
    writer_release(&writer);
    ssize_t n = rc ? -1 : pread(fd, out, (size_t)8 * PAGE, 0);
    close(fd);
    close(spool);
    return n;
}

static size_t frame_end(size_t frames)
{
    return WAL_HEADER_BYTES + frames * FRAME;
}

static void assert_pages(const uint8_t *bytes, ssize_t n, const char *pages)
{
    assert_int_equal(n, strlen(pages) * PAGE);
    for (size_t i = 0; i < strlen(pages); i++)
        assert_int_equal(bytes[i * PAGE + 5], pages[i] == '0' ? 0 : pages[i]);
}

static void the_last_commit_counts_and_sets_the_size(void **state)
{
    const struct wal w = sample();
    uint8_t out[8 * PAGE];
    (void)state;
    for (size_t frames = 2; frames <= 5; frames++) {
        static const char *const pages[] = {"sab", "sc", "sc0d", "sc0d"};
        ssize_t n = restored(&w, (const struct cut[]){{0, frame_end(frames)}, {0, 0}}, out);
        /* Page 3 keeps its old bytes if the size shrinks and grows within one WAL: no commit says what it has. */
        if (frames >= 4)
            memset(out + 2 * (size_t)PAGE, 0, PAGE);
        assert_pages(out, n, pages[frames - 2]);
    }
    assert_pages(out, restored(&w, (const struct cut[]){{0, frame_end(1)}, {0, 0}}, out), "s");
}

static void segments_may_be_cut_anywhere_and_overlap(void **state)
{
    const struct wal w = sample();
    uint8_t whole[8 * PAGE], out[8 * PAGE];
    (void)state;
    ssize_t n = restored(&w, (const struct cut[]){{0, w.n}, {0, 0}}, whole);
    assert_true(n > 0);
    const struct cut ways[][4] = {
        {{0, frame_end(2)}, {frame_end(2), w.n}},
        {{0, 10}, {10, frame_end(2) + 7}, {frame_end(2) + 7, w.n}},
        {{0, frame_end(3)}, {frame_end(2), w.n}}, /* two have frame 3 */
        {{0, w.n}, {frame_end(2), frame_end(3)}}, /* the first has everything */
        {{0, frame_end(4)}, {frame_end(1), frame_end(2)}, {frame_end(3), w.n}},
    };
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        assert_int_equal(restored(&w, ways[i], out), n);
        assert_memory_equal(out, whole, n);
    }
}

static void missing_bytes_and_frames_that_do_not_continue_are_errors(void **state)
{
    struct wal w = sample();
    uint8_t out[8 * PAGE];
    (void)state;
    assert_int_equal(restored(&w, (const struct cut[]){{0, frame_end(1)}, {frame_end(2), w.n}, {0, 0}}, out), -1);
    assert_contains(e.msg, "those before it end at byte");
    assert_int_equal(restored(&w, (const struct cut[]){{0, frame_end(2) + 1}, {0, 0}}, out), -1);
    assert_contains(e.msg, "ends within a frame");
    assert_int_equal(restored(&w, (const struct cut[]){{0, 31}, {0, 0}}, out), -1);
    assert_contains(e.msg, "ends within its header");
    w.bytes[frame_end(1) + 30] ^= 1;
    assert_int_equal(restored(&w, (const struct cut[]){{0, w.n}, {0, 0}}, out), -1);
    assert_int_equal(e.code, ERR_CORRUPT);
    assert_contains(e.msg, "frame 2");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_last_commit_counts_and_sets_the_size),
        TEST(segments_may_be_cut_anywhere_and_overlap),
        TEST(missing_bytes_and_frames_that_do_not_continue_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
