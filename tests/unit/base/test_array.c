/* base/array.h: an array that grows. */
#include "base/array.h"

#include "unit.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(an_array_grows_and_new_elements_are_zero),
        UNIT(an_array_that_can_not_grow_stays_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
