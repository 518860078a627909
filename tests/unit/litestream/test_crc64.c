/* litestream/crc64.h: the check value of CRC-64/GO-ISO, in any portions and at any alignment. */
#include "unit.h"

#include "litestream/crc64.h"

static void the_check_value_is_right(void **state)
{
    (void)state;
    assert_true(crc64_add(0, (const uint8_t *)"", 0) == 0);
    assert_true(crc64_add(0, (const uint8_t *)"123456789", 9) == UINT64_C(0xb90956c775a41001));
}

static void portions_do_not_matter(void **state)
{
    uint8_t bytes[300];
    struct dice d = dice_of(1);
    (void)state;
    dice_fill(&d, bytes, sizeof bytes);
    uint64_t whole = crc64_add(0, bytes, sizeof bytes), slow = 0;
    for (size_t i = 0; i < sizeof bytes; i++)
        slow = crc64_add(slow, bytes + i, 1);
    assert_true(whole == slow);
    for (size_t cut = 0; cut <= sizeof bytes; cut++)
        assert_true(crc64_add(crc64_add(0, bytes, cut), bytes + cut, sizeof bytes - cut) == whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(the_check_value_is_right),
        UNIT(portions_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
