/* base/mintree.h: finds the nearest number that is small enough. */
#include "unit.h"

#include "base/mintree.h"
#include "dice.h"

static bool slow_last(const uint64_t *all, size_t below, uint64_t upto, size_t *ret_index)
{
    for (size_t i = below; i-- > 0;)
        if (all[i] <= upto) {
            *ret_index = i;
            return true;
        }
    return false;
}

static bool slow_first(const uint64_t *all, size_t count, size_t from, uint64_t upto, size_t *ret_index)
{
    for (size_t i = from; i < count; i++)
        if (all[i] <= upto) {
            *ret_index = i;
            return true;
        }
    return false;
}

static bool slow_least(const uint64_t *all, size_t below, size_t *ret_index)
{
    uint64_t least = MINTREE_NONE;
    for (size_t i = 0; i < below; i++)
        if (all[i] < least) {
            least = all[i];
            *ret_index = i;
        }
    return least != MINTREE_NONE;
}

static void it_finds_what_a_search_element_by_element_finds(void **state)
{
    (void)state;
    struct dice d = dice_of(7);
    for (size_t count = 0; count < 40; count++) {
        struct mintree t;
        struct err e;
        uint64_t all[40];
        assert_ok(mintree_init(&t, count, &e), &e);
        memset(all, 0xff, sizeof all);
        for (int step = 0; step < 200; step++) {
            if (count > 0) {
                size_t at = dice_below(&d, (uint32_t)count);
                all[at] = dice_below(&d, 5) == 0 ? MINTREE_NONE : dice_below(&d, 30);
                mintree_set(&t, at, all[at]);
            }
            size_t bound = dice_below(&d, (uint32_t)count + 1), found = 0, expected = 0;
            uint64_t upto = dice_below(&d, 32);
            bool last = slow_last(all, bound, upto, &expected);
            assert_true(mintree_last(&t, bound, upto, &found) == last && found == expected);
            found = expected = 0;
            bool first = slow_first(all, count, bound, upto, &expected);
            assert_true(mintree_first(&t, bound, upto, &found) == first && found == expected);
            found = expected = 0;
            bool least = slow_least(all, bound, &expected);
            assert_true(mintree_least(&t, bound, &found) == least && found == expected);
        }
        mintree_release(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_finds_what_a_search_element_by_element_finds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
