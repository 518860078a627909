/* base/search.h: binary search. */
#include "base/search.h"

#include "unit.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(search_finds_the_first_element_beyond),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
