/* capture/copy_reader.h: pieces of a base, a catch-up and a level, read from a small database: a file of pages and a
 * map. */
#include "capture/copy_reader.h"

#include "base/hash.h"
#include "capture/dirty.h"
#include "failing_alloc.h"
#include "format/patch.h"

#define PAGE 65536u
#define PAGES 300u
#define A_PIECE (PIECE_BYTES / PAGE) /* 128 pages */
#define ZERO_PAGE 7u

static struct watch watch;
static struct state database;
static struct capture capture;
static uint8_t page[PAGE];

/* Gives the page new contents, as the commit `txid` does. */
static void write_page(uint32_t pgno, uint64_t txid, uint8_t contents)
{
    memset(page, contents, sizeof page);
    if (pwrite(watch.frozen_fd, page, PAGE, (off_t)(pgno - 1) * PAGE) != PAGE)
        fail_msg("can't write page %u", pgno);
    map_set(&database.map, pgno, (struct map_entry){.hash = page_hash(pgno, page, PAGE), .txid = txid});
    capture.txid = txid > capture.txid ? txid : capture.txid;
}

static int set_up(void **state)
{
    struct err e;
    if (temp_setup(state))
        return -1;
    watch = (struct watch){.active = 0, .frozen_fd = open(temp_path("pages"), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
    map_init_memory(&database.map, PAGE);
    capture = (struct capture){.watch = &watch, .state = &database, .proven = true};
    if (watch.frozen_fd < 0 || map_resize(&database.map, PAGES, &e))
        return -1;
    for (uint32_t pgno = 1; pgno <= PAGES; pgno++)
        write_page(pgno, 1 + pgno % 5, (uint8_t)(1 + pgno % 250));
    map_set(&database.map, ZERO_PAGE,
            (struct map_entry){.hash = 0, .txid = 3}); /* the file still has old bytes there */
    return 0;
}

static int tear_down(void **state)
{
    capture_release(&capture);
    map_release(&database.map);
    close(watch.frozen_fd);
    return temp_teardown(state);
}

static struct copy base_copy(void)
{
    const struct copy_terms terms = {.kind = COPY_BASE, .page_size = PAGE, .end_page = PAGES, .start = 5};
    return copy_begin(&terms);
}

static struct copy copy_after(enum copy_kind kind, uint64_t after)
{
    const struct copy_terms terms = {.kind = kind, .page_size = PAGE, .after = after, .level = kind == COPY_LEVEL};
    return copy_begin(&terms);
}

static struct piece *read_piece(struct copy *c)
{
    struct piece *p = NULL;
    struct err e;
    assert_ok(copy_read(&c->terms, &c->cursor, &capture, &p, &e), &e);
    assert_non_null(p);
    assert_int_equal(p->index + 1, c->cursor.pieces);
    assert_int_equal(p->record.txid, capture.txid);
    return p;
}

/* Checks that each version has the contents that write_page gave its page. */
static void check_versions(const struct piece *p)
{
    size_t at = 0;
    for (size_t i = 0; i < p->version_count; i++) {
        const struct version *v = &p->versions[i];
        struct map_entry entry = map_get(&database.map, v->pgno);
        assert_true(i == 0 || p->versions[i - 1].pgno < v->pgno);
        assert_int_equal(v->txid, entry.txid);
        assert_int_equal(v->hash, entry.hash);
        if (v->kind == VERSION_IMAGE)
            assert_int_equal(page_hash(v->pgno, p->payload.data + at, PAGE), entry.hash);
        assert_int_equal(v->kind == VERSION_ZERO, v->pgno == ZERO_PAGE);
        at += version_size(v, PAGE);
    }
    assert_int_equal(at, p->payload.len);
}

static void a_base_holds_every_page_once_in_ranges_side_by_side(void **state)
{
    (void)state;
    struct copy c = base_copy();
    uint32_t next = 1;
    unsigned pieces = 0;
    while (!c.cursor.read_all) {
        struct piece *p = read_piece(&c);
        check_versions(p);
        assert_int_equal(p->first_page, next);
        assert_int_equal(p->version_count, p->last_page - p->first_page + 1);
        assert_false(p->last);
        next = p->last_page + 1;
        pieces++;
        piece_free(p);
    }
    assert_int_equal(next, PAGES + 1);
    assert_int_equal(pieces, 3);
    copy_release(&c);
}

static void a_base_of_a_database_that_shrank_still_covers_its_range(void **state)
{
    (void)state;
    struct copy c = base_copy();
    struct err e;
    piece_free(read_piece(&c));
    assert_ok(map_resize(&database.map, A_PIECE + 10, &e), &e);
    struct piece *p = read_piece(&c);
    assert_int_equal(p->last_page, PAGES);
    assert_true(p->version_count <= 10);
    assert_true(c.cursor.read_all);
    piece_free(p);
    copy_release(&c);
}

static void a_catch_up_holds_what_changed_and_nothing_else(void **state)
{
    (void)state;
    struct copy c = copy_after(COPY_CATCH_UP, 4);
    struct piece *p = read_piece(&c);
    check_versions(p);
    assert_int_equal(p->version_count, PAGES / 5); /* those of txid 5 */
    assert_true(p->last);
    assert_true(c.cursor.read_all);
    piece_free(p);
    copy_release(&c);
}

static void a_page_that_changes_after_it_was_read_comes_again_in_the_last_piece(void **state)
{
    (void)state;
    struct copy c = copy_after(COPY_CATCH_UP, 0);
    size_t versions = 0;
    for (unsigned i = 0; i < 3; i++) {
        struct piece *p = read_piece(&c);
        assert_false(p->last);
        versions += p->version_count;
        piece_free(p);
    }
    assert_int_equal(versions, PAGES);
    write_page(2, 9, 99);
    write_page(200, 9, 98);
    struct piece *p = read_piece(&c);
    check_versions(p);
    assert_int_equal(p->version_count, 2);
    assert_int_equal(p->first_page, 2);
    assert_int_equal(p->last_page, 200);
    assert_true(p->last);
    piece_free(p);
    copy_release(&c);
}

static void a_database_that_changes_all_the_time_is_caught_up_with_in_pieces(void **state)
{
    (void)state;
    struct copy c = copy_after(COPY_CATCH_UP, 0);
    uint64_t newest[PAGES + 1] = {0};
    bool complete = false;
    for (unsigned i = 0; i < 8 && !complete; i++) {
        struct piece *p = read_piece(&c);
        for (size_t k = 0; k < p->version_count; k++)
            newest[p->versions[k].pgno] = p->versions[k].txid;
        complete = p->last;
        piece_free(p);
        for (uint32_t pgno = 1; i < 4 && pgno <= 200; pgno++) /* more than one piece holds */
            write_page(pgno, 10 + i, (uint8_t)(50 + i));
    }
    assert_true(complete);
    for (uint32_t pgno = 1; pgno <= PAGES; pgno++)
        assert_int_equal(newest[pgno], map_get(&database.map, pgno).txid);
    copy_release(&c);
}

static void a_level_holds_patches_where_the_changes_are_known(void **state)
{
    (void)state;
    struct version v = {.pgno = 4, .kind = VERSION_PATCH, .txid = 6, .from = 5, .hash = 1, .mask = 3};
    capture.dirty = dirty_new();
    assert_non_null(capture.dirty);
    write_page(4, 6, 1);
    write_page(5, 6, 1);
    write_page(6, 6, 1);
    dirty_note(capture.dirty, &v);
    v.pgno = 6;
    v.mask = UINT64_MAX; /* a patch of the whole page would save nothing */
    dirty_note(capture.dirty, &v);
    struct copy c = copy_after(COPY_LEVEL, 5);
    struct piece *p = read_piece(&c);
    check_versions(p);
    assert_int_equal(p->version_count, 3);
    assert_int_equal(p->versions[0].kind, VERSION_PATCH);
    assert_int_equal(p->versions[0].from, 5);
    assert_int_equal(p->versions[0].mask, 3);
    assert_int_equal(p->versions[1].kind, VERSION_IMAGE);
    assert_int_equal(p->versions[2].kind, VERSION_IMAGE);
    assert_int_equal(p->payload.len, 2 * (PAGE / 64) + 2 * PAGE);
    piece_free(p);
    copy_release(&c);
    c = copy_after(COPY_CATCH_UP, 5); /* a catch-up never holds patches */
    p = read_piece(&c);
    assert_int_equal(p->versions[0].kind, VERSION_IMAGE);
    piece_free(p);
    copy_release(&c);
}

static void a_page_that_is_not_as_the_map_says_is_corrupt(void **state)
{
    (void)state;
    struct copy catch_up = copy_after(COPY_CATCH_UP, 0), base = base_copy();
    struct piece *p = NULL;
    struct err e;
    map_set(&database.map, 3, (struct map_entry){.hash = 12345, .txid = 4});
    assert_error(copy_read(&catch_up.terms, &catch_up.cursor, &capture, &p, &e), &e, ERR_CORRUPT);
    assert_contains(e.msg, "page 3");
    assert_true(catch_up.cursor.failed);
    assert_error(copy_read(&base.terms, &base.cursor, &capture, &p, &e), &e, ERR_CORRUPT);
    assert_false(base.cursor.failed); /* it asks for the same range again */
    assert_int_equal(base.cursor.next_page, 1);
    assert_null(p);
    copy_release(&catch_up);
    copy_release(&base);
}

static void another_page_size_ends_a_copy(void **state)
{
    (void)state;
    struct copy c = base_copy();
    struct piece *p = NULL;
    struct err e;
    c.terms.page_size = 4096;
    assert_ok(copy_read(&c.terms, &c.cursor, &capture, &p, &e), &e);
    assert_null(p);
    assert_true(c.cursor.failed);
    copy_release(&c);
}

static int catch_up(void *context, struct err *e)
{
    struct copy c = copy_after(COPY_CATCH_UP, 4);
    struct piece *p = NULL;
    (void)context;
    int rc = copy_read(&c.terms, &c.cursor, &capture, &p, e);
    assert_int_equal(rc == 0, p != NULL);
    assert_true(rc != 0 || c.cursor.read_all);
    if (p)
        assert_int_equal(p->version_count, PAGES / 5);
    piece_free(p);
    copy_release(&c);
    return rc;
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    (void)map_next_changed(&database.map, 1, 0); /* allocates groups, without which the map works too */
    assert_true(assert_each_allocation_fails_once(catch_up, NULL) >= 4);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_base_holds_every_page_once_in_ranges_side_by_side),
        TEST(a_base_of_a_database_that_shrank_still_covers_its_range),
        TEST(a_catch_up_holds_what_changed_and_nothing_else),
        TEST(a_page_that_changes_after_it_was_read_comes_again_in_the_last_piece),
        TEST(a_database_that_changes_all_the_time_is_caught_up_with_in_pieces),
        TEST(a_level_holds_patches_where_the_changes_are_known),
        TEST(a_page_that_is_not_as_the_map_says_is_corrupt),
        TEST(another_page_size_ends_a_copy),
        TEST(each_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
