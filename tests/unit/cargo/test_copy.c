/* cargo/copy.h: notes which pages of a copy were put, and which must be read again. */
#include "cargo/copy.h"

#include "failing_alloc.h"

static const struct copy_terms base = {.kind = COPY_BASE, .page_size = 4096, .end_page = 100};

static struct listed chunk_of(uint32_t first)
{
    struct listed chunk = {.size = first, .first_page = first, .last_page = first + 9};
    snprintf(chunk.name, sizeof chunk.name, "chunk-%u", first);
    return chunk;
}

static void note(struct copy *c, unsigned index)
{
    struct err e;
    const struct listed chunk = chunk_of(10 * index + 1);
    assert_ok(copy_note(&c->objects, index, &chunk, &e), &e);
}

static void a_copy_begins_at_the_first_page_and_ends_as_none(void **state)
{
    (void)state;
    struct copy c = copy_begin(&base);
    assert_int_equal(c.terms.kind, COPY_BASE);
    assert_int_equal(c.cursor.next_page, 1);
    assert_int_equal(c.cursor.pieces, 0);
    copy_release(&c);
    assert_int_equal(c.terms.kind, COPY_NONE);
    copy_release(&c);
}

static void objects_are_noted_in_any_order(void **state)
{
    (void)state;
    struct copy c = copy_begin(&base);
    struct err e;
    struct listed second = chunk_of(11), first = chunk_of(1);
    assert_ok(copy_note(&c.objects, 1, &second, &e), &e);
    assert_int_equal(c.objects.count, 2);
    assert_int_equal(c.objects.put, 1); /* one of the objects is not put yet */
    assert_int_equal(c.objects.list[0].size, 0);
    assert_ok(copy_note(&c.objects, 0, &first, &e), &e);
    assert_int_equal(c.objects.count, 2);
    assert_int_equal(c.objects.put, 2);
    assert_string_equal(c.objects.list[0].name, "chunk-1");
    assert_string_equal(c.objects.list[1].name, "chunk-11");
    assert_error(copy_note(&c.objects, SEGMENT_LIST_MAX, &first, &e), &e, ERR_LIMIT);
    copy_release(&c);
}

static void pieces_that_were_not_put_are_read_again(void **state)
{
    (void)state;
    struct copy c = copy_begin(&base);
    c.cursor.pieces = 5;
    c.cursor.next_page = 101;
    c.cursor.read_all = true;
    note(&c, 0);
    note(&c, 1);
    copy_rewind(&c, 2, 21);
    assert_int_equal(c.cursor.pieces, 2);
    assert_int_equal(c.cursor.next_page, 21);
    assert_false(c.cursor.read_all);
    assert_int_equal(c.objects.put, 2);
    copy_release(&c);
}

/* Two pieces are put at a time, and the store refused the first one alone. */
static void a_piece_that_was_put_before_an_earlier_one_counts_once(void **state)
{
    (void)state;
    struct copy c = copy_begin(&base);
    c.cursor.pieces = 3;
    c.cursor.next_page = 31;
    note(&c, 0);
    note(&c, 2);
    copy_rewind(&c, 1, 11);
    assert_int_equal(c.objects.put, 1);
    assert_int_equal(c.objects.count, 1);
    note(&c, 2); /* found in the store */
    assert_int_equal(c.objects.put, 2);
    assert_int_equal(c.objects.list[1].size, 0); /* not put yet */
    note(&c, 1);
    assert_int_equal(c.objects.put, 3);
    assert_int_equal(c.objects.count, 3);
    copy_release(&c);
}

static int note_many(void *context, struct err *e)
{
    struct copy c = copy_begin(&base);
    int rc = 0;
    (void)context;
    for (unsigned i = 0; rc == 0 && i < 40; i++) {
        struct listed chunk = chunk_of(10 * i + 1);
        size_t count = c.objects.count;
        rc = copy_note(&c.objects, i, &chunk, e);
        assert_int_equal(c.objects.count, rc == 0 ? count + 1 : count);
        assert_int_equal(c.objects.put, c.objects.count);
    }
    copy_release(&c);
    return rc;
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    assert_true(assert_each_allocation_fails_once(note_many, NULL) >= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_copy_begins_at_the_first_page_and_ends_as_none),
                                       cmocka_unit_test(objects_are_noted_in_any_order),
                                       cmocka_unit_test(pieces_that_were_not_put_are_read_again),
                                       cmocka_unit_test(a_piece_that_was_put_before_an_earlier_one_counts_once),
                                       cmocka_unit_test(each_allocation_fails_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
