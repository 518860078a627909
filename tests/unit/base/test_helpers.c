/* base/array.h, search.h, backoff.h, complaint.h, container.h. */
#include "unit.h"

#include "base/array.h"
#include "base/backoff.h"
#include "base/complaint.h"
#include "base/container.h"
#include "base/search.h"

#include <stdlib.h>

static void an_array_grows_and_new_elements_are_zero(void **state)
{
    (void)state;
    struct err e;
    uint32_t *list = NULL;
    size_t cap = 0;
    for (size_t i = 0; i < 1000; i++) {
        assert_ok(array_reserve(&list, &cap, i + 1, sizeof *list, &e), &e);
        assert_int_equal(list[i], 0);
        list[i] = (uint32_t)i + 1;
    }
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(list[i], i + 1);
    size_t before = cap;
    assert_ok(array_reserve(&list, &cap, 10, sizeof *list, &e), &e);
    assert_int_equal(cap, before);
    free(list);
}

static void an_array_that_can_not_grow_stays_as_it_is(void **state)
{
    (void)state;
    struct err e;
    uint64_t *list = NULL;
    size_t cap = 0;
    assert_ok(array_reserve(&list, &cap, 1, sizeof *list, &e), &e);
    uint64_t *before = list;
    assert_error(array_reserve(&list, &cap, SIZE_MAX / 4, sizeof *list, &e), &e, ERR_NOMEM);
    assert_error(array_reserve(&list, &cap, SIZE_MAX, sizeof *list, &e), &e, ERR_NOMEM);
    assert_ptr_equal(list, before);
    assert_int_equal(cap, 16);
    free(list);
}

static bool above(const void *context, size_t index)
{
    return index * 10 > *(const size_t *)context;
}

static void search_finds_the_first_element_beyond(void **state)
{
    (void)state;
    for (size_t count = 0; count < 20; count++)
        for (size_t limit = 0; limit < 210; limit++) {
            size_t expected = 0;
            while (expected < count && expected * 10 <= limit)
                expected++;
            assert_int_equal(search_first(count, above, &limit), expected);
        }
}

static void backoff_doubles_within_its_bounds_and_is_spread(void **state)
{
    (void)state;
    int64_t wait = 0, expected = 100, least_seen = INT64_MAX, most_seen = 0;
    for (int i = 0; i < 12; i++) {
        int64_t now = backoff_next_ms(&wait, 100, 30000);
        assert_int_equal(wait, expected);
        assert_in_range(now, 50, 50 + expected - 1);
        expected = expected * 2 < 30000 ? expected * 2 : 30000;
    }
    for (int i = 0; i < 200; i++) {
        int64_t now = backoff_next_ms(&wait, 100, 30000);
        least_seen = now < least_seen ? now : least_seen;
        most_seen = now > most_seen ? now : most_seen;
    }
    assert_true(least_seen < 7500 && most_seen > 22500);
    wait = 100; /* a wait that was made with other bounds */
    backoff_next_ms(&wait, 5000, 60000);
    assert_int_equal(wait, 5000);
}

static void an_error_that_repeats_is_news_once(void **state)
{
    (void)state;
    struct complaint c = {.text = ""};
    struct err e;
    assert_false(complaint_is_over(&c));
    err_set(&e, ERR_REMOTE, 503, "request 1: slow down");
    assert_true(complaint_is_news(&c, &e));
    err_set(&e, ERR_REMOTE, 503, "request 2: slow down");
    assert_false(complaint_is_news(&c, &e));
    assert_true(complaint_text_is_news(&c, &e));
    assert_false(complaint_text_is_news(&c, &e));
    err_set(&e, ERR_REMOTE, 500, "request 2: slow down");
    assert_true(complaint_is_news(&c, &e));
    err_set(&e, ERR_IO, 500, "request 2: slow down");
    assert_true(complaint_is_news(&c, &e));
    assert_true(complaint_is_over(&c));
    assert_false(complaint_is_over(&c));
    assert_true(complaint_is_news(&c, &e));
}

struct outer {
    int before;
    int member;
};

static void a_member_leads_to_its_container(void **state)
{
    (void)state;
    struct outer o = {.before = 1};
    assert_ptr_equal(CONTAINER_OF(&o.member, struct outer, member), &o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_array_grows_and_new_elements_are_zero),
        cmocka_unit_test(an_array_that_can_not_grow_stays_as_it_is),
        cmocka_unit_test(search_finds_the_first_element_beyond),
        cmocka_unit_test(backoff_doubles_within_its_bounds_and_is_spread),
        cmocka_unit_test(an_error_that_repeats_is_news_once),
        cmocka_unit_test(a_member_leads_to_its_container),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
