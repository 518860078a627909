/* base/clock.h: moments as text. */
#include "base/clock.h"

#include "unit.h"

static void times_are_written_in_utc_with_milliseconds(void **state)
{
    char text[CLOCK_TEXT_MAX];
    (void)state;
    setenv("TZ", "Asia/Tokyo", 1);
    clock_format(1772366400250, text);
    assert_string_equal(text, "2026-03-01T12:00:00.250Z");
    clock_format(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
    clock_format(INT64_MAX, text); /* a damaged object can have this time */
    assert_true(strlen(text) < CLOCK_TEXT_MAX);
    assert_string_equal(text, "292278994-08-17T07:12:55.807Z");
    clock_format(253402300800000, text);
    assert_string_equal(text, "10000-01-01T00:00:00.000Z");
    clock_format(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
    clock_format(INT64_MIN, text);
    assert_string_equal(text, "-292275055-05-16T16:47:04.192Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(times_are_written_in_utc_with_milliseconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
