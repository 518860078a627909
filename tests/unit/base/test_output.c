/* base/output.h: bytes get to their place, in any order, past the page cache and through it. */
#include "unit.h"

#include "base/io.h"
#include "base/output.h"

#include <fcntl.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 1500 }; /* more than four pieces */

static uint8_t want[PAGES * PAGE];

static int new_file(void)
{
    int fd = open(temp_path("f"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, sizeof want), 0);
    return fd;
}

static void assert_content(int fd)
{
    struct err e;
    static uint8_t got[sizeof want];
    assert_int_equal(fcntl(fd, F_GETFL) & O_DIRECT, 0);
    assert_ok(io_pread(fd, got, sizeof got, 0, &e), &e);
    assert_memory_equal(got, want, sizeof want);
}

/* Adds the pages from `from` on, `count` of them; each gets its own content. */
static void add_pages(struct output_piece *p, struct dice *d, uint32_t from, uint32_t count)
{
    struct err e;
    for (uint32_t i = from; i < from + count; i++) {
        dice_fill(d, want + (size_t)i * PAGE, PAGE);
        assert_ok(output_add(p, (uint64_t)i * PAGE, want + (size_t)i * PAGE, PAGE, &e), &e);
    }
}

static void pages_get_to_their_place(void **state)
{
    static const enum output_way ways[] = {OUTPUT_CACHED, OUTPUT_DIRECT};
    (void)state;
    for (size_t way = 0; way < COUNT_OF(ways); way++) {
        struct err e;
        struct dice d = dice_of(11);
        struct output o;
        struct output_piece p;
        int fd = new_file();
        memset(want, 0, sizeof want);
        output_begin(&o, fd, NULL, sizeof want, ways[way]);
        assert_ok(output_piece_init(&p, &o, &e), &e);
        add_pages(&p, &d, 600, 800);
        add_pages(&p, &d, 2, 1);
        add_pages(&p, &d, 4, 300);
        add_pages(&p, &d, 3, 1); /* before what the piece holds */
        add_pages(&p, &d, PAGES - 1, 1);
        assert_ok(output_flush(&p, &e), &e);
        assert_ok(output_flush(&p, &e), &e);
        output_piece_free(&p);
        output_end(&o);
        assert_content(fd);
        close(fd);
    }
}

static void pages_that_are_not_written_are_holes(void **state)
{
    struct err e;
    struct dice d = dice_of(12);
    struct output o;
    struct output_piece p;
    struct stat st;
    int fd = new_file();
    (void)state;
    memset(want, 0, sizeof want);
    output_begin(&o, fd, NULL, 0, OUTPUT_DIRECT);
    assert_ok(output_piece_init(&p, &o, &e), &e);
    add_pages(&p, &d, 1000, 10);
    assert_ok(output_flush(&p, &e), &e);
    output_piece_free(&p);
    output_end(&o);
    assert_content(fd);
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(st.st_blocks * 512 < (blkcnt_t)sizeof want / 2);
    close(fd);
}

static void blocks_of_a_file_without_holes_are_allocated_ahead(void **state)
{
    struct err e;
    struct output o;
    struct output_piece p;
    struct stat st;
    int fd = new_file();
    (void)state;
    output_begin(&o, fd, NULL, 3 * (uint64_t)OUTPUT_RANGE_BYTES, OUTPUT_DIRECT);
    const bool direct = atomic_load(&o.direct);
    assert_ok(output_piece_init(&p, &o, &e), &e);
    assert_ok(output_add(&p, OUTPUT_RANGE_BYTES + PAGE, want, PAGE, &e), &e);
    assert_ok(output_flush(&p, &e), &e);
    output_piece_free(&p);
    output_end(&o);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, direct ? 2 * (off_t)OUTPUT_RANGE_BYTES : (off_t)OUTPUT_RANGE_BYTES + 2 * PAGE);
    assert_true(st.st_blocks * 512 <= (blkcnt_t)OUTPUT_RANGE_BYTES + (1 << 20)); /* that range alone */
    close(fd);
}

/* File systems refuse O_DIRECT at an offset that is not a multiple of a sector. */
static void a_write_that_is_refused_past_the_page_cache_goes_through_it(void **state)
{
    struct err e;
    struct dice d = dice_of(13);
    struct output o;
    struct output_piece one, two;
    int fd = new_file();
    (void)state;
    memset(want, 0, sizeof want);
    output_begin(&o, fd, NULL, sizeof want, OUTPUT_DIRECT);
    assert_ok(output_piece_init(&one, &o, &e), &e);
    assert_ok(output_piece_init(&two, &o, &e), &e);
    add_pages(&one, &d, 0, 256);
    dice_fill(&d, want + 300 * PAGE + 7, 100);
    assert_ok(output_add(&two, 300 * PAGE + 7, want + 300 * PAGE + 7, 100, &e), &e);
    assert_ok(output_flush(&two, &e), &e);
    add_pages(&one, &d, 700, 300);
    assert_ok(output_flush(&one, &e), &e);
    output_piece_free(&one);
    output_piece_free(&two);
    output_end(&o);
    assert_content(fd);
    close(fd);
}

static void a_file_that_can_not_be_written_is_an_error(void **state)
{
    static const enum output_way ways[] = {OUTPUT_CACHED, OUTPUT_DIRECT};
    (void)state;
    close(new_file());
    for (size_t way = 0; way < COUNT_OF(ways); way++) {
        struct err e;
        struct output o;
        struct output_piece p;
        int fd = open(temp_path("f"), O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        output_begin(&o, fd, NULL, sizeof want, ways[way]);
        assert_ok(output_piece_init(&p, &o, &e), &e);
        assert_ok(output_add(&p, 0, want, PAGE, &e), &e);
        assert_error(output_flush(&p, &e), &e, ERR_IO);
        output_piece_free(&p);
        output_end(&o);
        close(fd);
    }
}

static void a_whole_file_of_any_size_has_its_bytes(void **state)
{
    static const size_t sizes[] = {
        0,       1,       PAGE,          OUTPUT_PIECE_BYTES - 1, OUTPUT_PIECE_BYTES, 1234567,
        2097152, 2097153, 2097152 + 512, 2097152 + PAGE,         sizeof want,        sizeof want - 1};
    struct dice d = dice_of(14);
    (void)state;
    dice_fill(&d, want, sizeof want);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct err e;
        size_t n = 0;
        int fd = open(temp_path("f"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_ok(output_whole(fd, want, sizes[i], &e), &e);
        assert_int_equal(fcntl(fd, F_GETFL) & O_DIRECT, 0);
        close(fd);
        uint8_t *got = file_bytes(temp_path("f"), &n);
        assert_int_equal(n, sizes[i]);
        assert_memory_equal(got, want, n);
        free(got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_IN_TEMP(pages_get_to_their_place),
        UNIT_IN_TEMP(pages_that_are_not_written_are_holes),
        UNIT_IN_TEMP(blocks_of_a_file_without_holes_are_allocated_ahead),
        UNIT_IN_TEMP(a_write_that_is_refused_past_the_page_cache_goes_through_it),
        UNIT_IN_TEMP(a_file_that_can_not_be_written_is_an_error),
        UNIT_IN_TEMP(a_whole_file_of_any_size_has_its_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
