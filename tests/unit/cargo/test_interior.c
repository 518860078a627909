/* cargo/interior.h: which pages of a base are kept, and which of them stay when there are too many. */
#include "cargo/interior.h"

#include "claims.h"
#include "failing_alloc.h"

#include "base/endian.h"

#define SIZE 4096u
#define ROOM (INTERIOR_BYTES_MAX / SIZE) /* pages that may be kept */

/* A piece of plain pages. */
struct sheet {
    struct piece piece;
    uint32_t first;
};

static struct sheet sheet_of(uint32_t first, uint32_t count)
{
    struct sheet s = {.first = first};
    struct err e;
    s.piece.page_size = SIZE;
    s.piece.payload = BUF_INIT((size_t)count * SIZE);
    assert_ok(buf_append_zeros(&s.piece.payload, (size_t)count * SIZE, &e), &e);
    s.piece.versions = calloc(count, sizeof *s.piece.versions);
    assert_non_null(s.piece.versions);
    s.piece.version_count = count;
    for (uint32_t i = 0; i < count; i++) {
        s.piece.versions[i] = (struct version){.pgno = first + i, .kind = VERSION_IMAGE, .txid = 7, .hash = first + i};
        s.piece.payload.data[(size_t)i * SIZE] = 13; /* a leaf */
    }
    return s;
}

static void sheet_release(struct sheet *s)
{
    free(s->piece.versions);
    buf_release(&s->piece.payload);
}

static uint8_t *page_of(struct sheet *s, uint32_t pgno)
{
    return s->piece.payload.data + (size_t)(pgno - s->first) * SIZE;
}

/* Makes a page an interior one with these children. */
static void put_interior(struct sheet *s, uint32_t pgno, uint8_t type, const uint32_t *children, unsigned count)
{
    uint8_t *page = page_of(s, pgno), *header = page + (pgno == 1 ? 100 : 0);
    const unsigned cells = count - 1;
    header[0] = type;
    put_be16(header + 3, (uint16_t)cells);
    put_be16(header + 5, (uint16_t)(SIZE - 8 * cells));
    put_be32(header + 8, children[cells]);
    for (unsigned i = 0; i < cells; i++) {
        put_be16(header + 12 + 2 * i, (uint16_t)(SIZE - 8 * (i + 1)));
        put_be32(page + SIZE - 8 * (i + 1), children[i]);
    }
}

static void put_page1(struct sheet *s, uint8_t type)
{
    memcpy(page_of(s, 1), "SQLite format 3", 16);
    page_of(s, 1)[100] = type;
}

static bool has(const struct interior *in, uint32_t pgno)
{
    for (size_t i = 0; in && i < in->count; i++)
        if (in->pages[i].version.pgno == pgno)
            return true;
    return false;
}

static void page_1_and_interior_pages_are_kept_and_others_are_not(void **state)
{
    struct sheet s = sheet_of(1, 10);
    struct interior *in = NULL;
    (void)state;
    put_page1(&s, 13);
    put_interior(&s, 3, 5, (uint32_t[]){4, 5, 6}, 3);
    put_interior(&s, 8, 2, (uint32_t[]){9, 10}, 2);
    page_of(&s, 5)[0] = 2;                   /* looks like one by its type alone */
    page_of(&s, 6)[0] = 10;                  /* a leaf of an index */
    s.piece.versions[8].kind = VERSION_ZERO; /* has no bytes: page 10 lies where page 9 was */
    s.piece.version_count = 9;
    interior_take(&in, &s.piece);
    assert_int_equal(in->count, 3);
    assert_true(has(in, 1) && has(in, 3) && has(in, 8));
    for (size_t i = 0; i < in->count; i++) {
        const struct version *v = &in->pages[i].version;
        assert_memory_equal(in->pages[i].bytes, page_of(&s, v->pgno), SIZE);
        assert_true(v->kind == VERSION_IMAGE && v->txid == 7 && v->hash == v->pgno);
    }
    interior_free(in);
    sheet_release(&s);
}

static void the_pages_below_page_1_are_kept(void **state)
{
    struct sheet s = sheet_of(1, 20);
    struct interior *in = NULL;
    (void)state;
    put_page1(&s, 5);
    put_interior(&s, 1, 5, (uint32_t[]){7, 4}, 2);
    put_interior(&s, 4, 5, (uint32_t[]){11, 12, 13}, 3);
    interior_take(&in, &s.piece);
    assert_int_equal(in->count, 6);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(in->pages[i].version.pgno, ((uint32_t[]){1, 4, 7, 11, 12, 13})[i]);
    interior_free(in);
    sheet_release(&s);
}

static void pieces_may_come_out_of_order(void **state)
{
    struct sheet first = sheet_of(1, 10), second = sheet_of(11, 10);
    struct interior *in = NULL;
    (void)state;
    put_page1(&first, 13);
    put_interior(&first, 5, 5, (uint32_t[]){6, 7}, 2);
    put_interior(&second, 12, 5, (uint32_t[]){13, 14}, 2);
    interior_take(&in, &second.piece);
    interior_take(&in, &first.piece);
    assert_int_equal(in->count, 3);
    assert_true(in->pages[0].version.pgno == 1 && in->pages[1].version.pgno == 5 && in->pages[2].version.pgno == 12);
    interior_free(in);
    sheet_release(&first);
    sheet_release(&second);
}

/* The second piece was put, the first one was not, and both come again. */
static void pieces_that_come_again_count_once(void **state)
{
    struct sheet first = sheet_of(1, 10), second = sheet_of(11, 10), third = sheet_of(21, 10);
    struct interior *in = NULL;
    (void)state;
    put_page1(&first, 13);
    put_interior(&first, 5, 5, (uint32_t[]){6, 7}, 2);
    put_interior(&second, 12, 5, (uint32_t[]){13, 14}, 2);
    put_interior(&third, 22, 5, (uint32_t[]){23, 24}, 2);
    interior_take(&in, &first.piece);
    interior_take(&in, &third.piece);
    interior_rewind(in, 11);
    assert_int_equal(in->read_upto, 10);
    put_interior(&third, 22, 13, (uint32_t[]){23, 24}, 2); /* changed meanwhile, into a leaf */
    interior_take(&in, &second.piece);
    interior_take(&in, &third.piece);
    assert_int_equal(in->count, 3);
    assert_int_equal(in->noted_count, 2);
    assert_true(has(in, 1) && has(in, 5) && has(in, 12));
    interior_free(in);
    sheet_release(&first);
    sheet_release(&second);
    sheet_release(&third);
}

/* A base that an earlier run began: the pages of its chunks are not known, so they are not taken for leaves. */
static void pages_of_an_earlier_run_have_no_known_height(void **state)
{
    struct sheet s = sheet_of(11, 10);
    struct interior *in = NULL;
    (void)state;
    put_interior(&s, 15, 5, (uint32_t[]){3, 4}, 2);
    put_interior(&s, 19, 5, (uint32_t[]){12, 13}, 2);
    interior_take(&in, &s.piece);
    assert_int_equal(in->count, 2);
    assert_int_equal(in->pages[0].height, INTERIOR_HEIGHT_UNKNOWN);
    assert_int_equal(in->pages[1].height, 1);
    interior_free(in);
    sheet_release(&s);
}

static void an_encrypted_database_has_none(void **state)
{
    struct sheet s = sheet_of(1, 10), more = sheet_of(11, 10);
    (void)state;
    put_interior(&s, 3, 5, (uint32_t[]){4, 5}, 2);
    put_interior(&more, 13, 5, (uint32_t[]){14, 15}, 2);
    for (int header = 0; header < 2; header++) { /* nothing can be read, or only the header of the file */
        struct interior *in = NULL;
        if (header)
            put_page1(&s, 77);
        interior_take(&in, &more.piece);
        interior_take(&in, &s.piece);
        interior_take(&in, &more.piece);
        assert_int_equal(in->count, 0);
        interior_free(in);
    }
    sheet_release(&s);
    sheet_release(&more);
}

/* By SQLite's file format: the type, and cells that lie in the page. */
static void a_page_that_can_not_be_a_b_tree_is_not_taken_for_one(void **state)
{
    struct sheet s = sheet_of(2, 1);
    uint32_t children[2] = {0, 0};
    (void)state;
    put_interior(&s, 2, 5, (uint32_t[]){4, 5}, 2);
    uint8_t *page = page_of(&s, 2), good[SIZE];
    memcpy(good, page, SIZE);
    assert_true(interior_children(2, page, SIZE, children));
    assert_true(children[0] == 4 && children[1] == 5);
    const struct {
        unsigned at;
        uint32_t value;
        unsigned bytes;
    } changes[] = {{0, 13, 1}, {0, 0, 1}, {3, 0, 2},     {3, 5000, 2}, {5, 4, 2},        {5, 5000, 2},
                   {8, 0, 4},  {8, 1, 4}, {12, 4095, 2}, {12, 3, 2},   {SIZE - 8, 0, 4}, {SIZE - 8, UINT32_MAX, 4}};
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        memcpy(page, good, SIZE);
        for (unsigned b = 0; b < changes[i].bytes; b++)
            page[changes[i].at + b] = (uint8_t)(changes[i].value >> 8 * (changes[i].bytes - 1 - b));
        assert_false(interior_children(2, page, SIZE, children));
    }
    sheet_release(&s);
}

/* Two levels above the leaves: the lower one does not fit. */
static void of_too_many_pages_those_nearest_to_the_roots_stay(void **state)
{
    const uint32_t low = ROOM + 40, count = 1 + 3 * low + 2;
    struct sheet s = sheet_of(1, count);
    struct interior *in = NULL;
    uint32_t children[300];
    (void)state;
    put_page1(&s, 13);
    for (uint32_t i = 0; i < low; i++) /* each after its two leaves */
        put_interior(&s, 4 + 3 * i, 5, (uint32_t[]){2 + 3 * i, 3 + 3 * i}, 2);
    for (uint32_t i = 0; i < 300; i++)
        children[i] = 4 + 3 * i;
    put_interior(&s, count - 1, 5, children, 300);
    put_interior(&s, count, 5, (uint32_t[]){count - 1, 4 + 3 * 301}, 2);
    interior_take(&in, &s.piece);
    assert_true(in->floor == 1);
    assert_int_equal(in->count, 3);
    assert_true(has(in, 1) && has(in, count - 1) && has(in, count));
    interior_free(in);
    sheet_release(&s);
}

/* A root comes before all that is below it, so its height is found when there are too many. */
static void a_root_that_comes_first_stays(void **state)
{
    const uint32_t low = ROOM + 40, count = 2 + 3 * low;
    struct sheet s = sheet_of(1, count);
    struct interior *in = NULL;
    (void)state;
    put_page1(&s, 13);
    put_interior(&s, 2, 5, (uint32_t[]){5, 8, 11}, 3);
    for (uint32_t i = 0; i < low; i++)
        put_interior(&s, 5 + 3 * i, 5, (uint32_t[]){3 + 3 * i, 4 + 3 * i}, 2);
    interior_take(&in, &s.piece);
    assert_int_equal(in->count, 2);
    assert_true(has(in, 1) && has(in, 2));
    interior_free(in);
    sheet_release(&s);
}

/* Even if every page looks like an interior one, and none has a child that was read. */
static void what_is_kept_is_bounded(void **state)
{
    const uint32_t count = 3 * ROOM;
    struct sheet s = sheet_of(1, count);
    struct interior *in = NULL;
    (void)state;
    put_page1(&s, 13);
    for (uint32_t pgno = 2; pgno <= count; pgno++)
        put_interior(&s, pgno, 2, (uint32_t[]){pgno + 100000, pgno + 100001}, 2);
    interior_take(&in, &s.piece);
    assert_true(in->count <= ROOM);
    assert_true(has(in, 1));
    interior_free(in);
    sheet_release(&s);
}

static void the_pages_of_a_large_schema_are_bounded(void **state)
{
    struct sheet s = sheet_of(1, 2 * ROOM);
    struct interior *in = NULL;
    uint32_t children[300];
    (void)state;
    put_page1(&s, 5);
    for (uint32_t i = 0; i < 300; i++)
        children[i] = 2 + i;
    put_interior(&s, 1, 5, children, 300);
    interior_take(&in, &s.piece);
    assert_int_equal(in->count, 1 + ROOM / 4);
    interior_free(in);
    sheet_release(&s);
}

/* A base does not fail because of pages that it has in its chunks too. */
static void without_memory_nothing_is_collected(void **state)
{
    struct sheet s = sheet_of(1, 10);
    (void)state;
    put_page1(&s, 5);
    put_interior(&s, 1, 5, (uint32_t[]){7, 4}, 2);
    put_interior(&s, 5, 5, (uint32_t[]){6, 8}, 2);
    bool failed = true;
    unsigned long nth = 1;
    for (; failed; nth++) {
        struct interior *in = NULL;
        failing_alloc_arm(nth);
        interior_take(&in, &s.piece);
        failed = failing_alloc_disarm();
        interior_take(&in, &s.piece);
        assert_true(!failed || !in || in->count == 0 || nth == 1); /* at first there is nothing to be closed */
        interior_free(in);
        if (!failed)
            break;
    }
    assert_true(nth > 5);
    sheet_release(&s);
}

/* ---- the budget of memory */

/* Collects from a sheet of interior pages whose children were not read. Returns what is claimed then; 0: nothing is
 * collected. */
static size_t claimed_by(struct interior **in, struct sheet *s)
{
    struct err e;
    size_t free_before = 0;
    interior_take(in, &s->piece);
    while (free_before < CLAIMS_LIMIT && claim_take(free_before + 4096, &e) == 0) {
        claim_give(free_before + 4096);
        free_before += 4096;
    }
    return CLAIMS_LIMIT - free_before;
}

static void what_is_kept_is_claimed(void **state)
{
    struct sheet s = sheet_of(1, 600);
    struct interior *in = NULL;
    (void)state;
    assert_int_equal(claims_hold(0), 0);
    put_page1(&s, 13);
    for (uint32_t pgno = 2; pgno <= 600; pgno++)
        put_interior(&s, pgno, 2, (uint32_t[]){pgno + 100000, pgno + 100001}, 2);
    const size_t claimed = claimed_by(&in, &s);
    assert_true(claimed >= in->count * SIZE && in->count == 600);
    assert_true(claimed <= in->count * SIZE + in->cap * sizeof *in->pages + in->noted_cap * sizeof *in->noted + 4096);
    interior_rewind(in, 301);
    assert_int_equal(in->count, 300);
    interior_take(&in, &s.piece); /* the first half comes once more: pages are kept twice, and claimed twice */
    interior_free(in);
    assert_int_equal(claims_let_go(0), 0);
    sheet_release(&s);
}

static void when_the_budget_is_tight_nothing_is_collected(void **state)
{
    struct sheet s = sheet_of(1, 600);
    (void)state;
    put_page1(&s, 13);
    for (uint32_t pgno = 2; pgno <= 600; pgno++)
        put_interior(&s, pgno, 2, (uint32_t[]){pgno + 100000, pgno + 100001}, 2);
    for (size_t left = 0; left < CLAIMS_LIMIT / 2; left += CLAIMS_LIMIT / 40) {
        struct interior *in = NULL;
        const size_t held = CLAIMS_LIMIT / 2 - left;
        assert_int_equal(claims_hold(held), 0);
        interior_take(&in, &s.piece);
        assert_non_null(in);
        assert_int_equal(in->closed, left < 600 * (size_t)SIZE);
        assert_int_equal(in->count, in->closed ? 0 : 600);
        assert_false(claim_is_tight());
        interior_take(&in, &s.piece);
        assert_false(claim_is_tight());
        interior_free(in);
        assert_int_equal(claims_let_go(held), 0);
    }
    sheet_release(&s);
}

/* However many are left out, all is given back in the end. */
static void pages_that_are_left_out_are_not_claimed(void **state)
{
    const uint32_t count = 3 * ROOM;
    struct sheet s = sheet_of(1, count);
    struct interior *in = NULL;
    (void)state;
    assert_int_equal(claims_hold(0), 0);
    put_page1(&s, 13);
    for (uint32_t pgno = 2; pgno <= count; pgno++)
        put_interior(&s, pgno, 2, (uint32_t[]){pgno + 100000, pgno + 100001}, 2);
    assert_true(claimed_by(&in, &s) < INTERIOR_BYTES_MAX + (1u << 20));
    interior_free(in);
    assert_int_equal(claims_let_go(0), 0);
    sheet_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(page_1_and_interior_pages_are_kept_and_others_are_not),
                                       cmocka_unit_test(the_pages_below_page_1_are_kept),
                                       cmocka_unit_test(pieces_may_come_out_of_order),
                                       cmocka_unit_test(pieces_that_come_again_count_once),
                                       cmocka_unit_test(pages_of_an_earlier_run_have_no_known_height),
                                       cmocka_unit_test(an_encrypted_database_has_none),
                                       cmocka_unit_test(a_page_that_can_not_be_a_b_tree_is_not_taken_for_one),
                                       cmocka_unit_test(of_too_many_pages_those_nearest_to_the_roots_stay),
                                       cmocka_unit_test(a_root_that_comes_first_stays),
                                       cmocka_unit_test(what_is_kept_is_bounded),
                                       cmocka_unit_test(the_pages_of_a_large_schema_are_bounded),
                                       cmocka_unit_test(without_memory_nothing_is_collected),
                                       cmocka_unit_test(what_is_kept_is_claimed),
                                       cmocka_unit_test(when_the_budget_is_tight_nothing_is_collected),
                                       cmocka_unit_test(pages_that_are_left_out_are_not_claimed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
