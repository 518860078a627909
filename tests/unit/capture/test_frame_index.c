/* capture/frame_index.h: finds the newest frame of a page, also after growth and after a clear. */
#include "capture/frame_index.h"

#include "failing_alloc.h"

#define PAGES 5000

static void an_empty_index_knows_no_page(void **state)
{
    (void)state;
    struct frame_index x = {0};
    assert_int_equal(frame_index_get(&x, 1), 0);
    frame_index_clear(&x);
    assert_int_equal(frame_index_get(&x, UINT32_MAX), 0);
    frame_index_release(&x);
}

static void the_newest_frame_of_each_page_is_found(void **state)
{
    (void)state;
    struct dice dice = dice_of(3);
    struct frame_index x = {0};
    struct err e;
    static uint32_t newest[PAGES + 1];
    for (uint32_t frame = 1; frame <= 3 * PAGES; frame++) {
        uint32_t pgno = 1 + dice_below(&dice, PAGES);
        newest[pgno] = frame;
        assert_ok(frame_index_set(&x, pgno * 1024, frame, &e), &e); /* multiples of a power of two collide most often */
    }
    uint32_t count = 0;
    for (uint32_t pgno = 1; pgno <= PAGES; pgno++) {
        count += newest[pgno] > 0;
        assert_int_equal(frame_index_get(&x, pgno * 1024), newest[pgno]);
        assert_int_equal(frame_index_get(&x, pgno * 1024 + 1), 0);
    }
    assert_int_equal(x.count, count);
    assert_true(4 * (uint64_t)x.count <= 3 * (uint64_t)x.cap);
    frame_index_release(&x);
}

static void a_clear_forgets_all_pages_and_gives_much_memory_back(void **state)
{
    (void)state;
    struct frame_index x = {0};
    struct err e;
    assert_ok(frame_index_set(&x, 7, 1, &e), &e);
    uint32_t small = x.cap;
    frame_index_clear(&x);
    assert_int_equal(frame_index_get(&x, 7), 0);
    assert_int_equal(x.cap, small);
    for (uint32_t pgno = 1; pgno <= 100000; pgno++)
        assert_ok(frame_index_set(&x, pgno, pgno, &e), &e);
    frame_index_clear(&x);
    assert_int_equal(x.cap, 0);
    assert_int_equal(frame_index_get(&x, 7), 0);
    assert_ok(frame_index_set(&x, 8, 2, &e), &e);
    assert_int_equal(frame_index_get(&x, 8), 2);
    frame_index_release(&x);
}

static int fill(void *context, struct err *e)
{
    struct frame_index x = {0};
    uint32_t set = 0;
    int rc = 0;
    (void)context;
    for (uint32_t pgno = 1; rc == 0 && pgno <= 4000; pgno++) {
        rc = frame_index_set(&x, pgno, pgno, e);
        set += rc == 0;
    }
    for (uint32_t pgno = 1; pgno <= set; pgno++) /* also after it could not grow */
        assert_int_equal(frame_index_get(&x, pgno), pgno);
    assert_int_equal(frame_index_get(&x, set + 1), 0);
    frame_index_release(&x);
    return rc;
}

static void an_index_that_can_not_grow_keeps_what_it_has(void **state)
{
    (void)state;
    assert_true(assert_each_allocation_fails_once(fill, NULL) >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_empty_index_knows_no_page),
                                       cmocka_unit_test(the_newest_frame_of_each_page_is_found),
                                       cmocka_unit_test(a_clear_forgets_all_pages_and_gives_much_memory_back),
                                       cmocka_unit_test(an_index_that_can_not_grow_keeps_what_it_has)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
