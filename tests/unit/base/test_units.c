/* base/units.h, when.h: numbers and moments as people write them. */
#include "unit.h"

#include "base/units.h"
#include "base/when.h"

#include <time.h>

#define NOW INT64_C(1772366400000) /* 2026-03-01T12:00:00Z */

static void moments_are_read_as_people_write_them(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"2026-03-01T12:00:00Z", NOW},
        {"2026-03-01t12:00:00.250z", NOW + 250},
        {"2026-03-01 14:00:00+02:00", NOW},
        {"2026-03-01 14:00:00 +0200", NOW},
        {"2026-03-01T06:30:00-05:30", NOW},
        {"2026-03-01T12:00Z", NOW},
        {"2026-03-01T12:00:00.123456789Z", NOW + 123},
        {"2026-03-01 13:00:00", NOW}, /* local time */
        {"2026-03-01 13:00", NOW},
        {"2026-03-01", NOW - 13 * INT64_C(3600000)},
        {"2026-07-01 14:00", INT64_C(1782907200000)}, /* in summer */
        {"now", NOW},
        {" now", NOW},
        {"2 hours ago", NOW - 7200000},
        {"90 minutes ago", NOW - 5400000},
        {"1 day ago", NOW - 86400000},
        {"3d ago", NOW - 3 * INT64_C(86400000)},
        {"30s ago", NOW - 30000},
        {"2 Weeks Ago", NOW - 14 * INT64_C(86400000)},
        {"0 s ago", NOW},
    };
    int64_t ms = 0;
    (void)state;
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (!when_parse(cases[i].text, NOW, &ms))
            fail_msg("'%s' is not read", cases[i].text);
        if (ms != cases[i].ms)
            fail_msg("'%s' is %lld", cases[i].text, (long long)ms);
    }
}

static void a_text_that_is_not_a_moment_is_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "yesterday",
                                        "2026-02-31",
                                        "2026-13-01",
                                        "2026-03-01T25:00:00Z",
                                        "2026-03-01T12:00:00Zulu",
                                        "2026-03-01T12",
                                        "2026-03-01x",
                                        "2026-03-01T12:00:00+25:00",
                                        "hours ago",
                                        "2 fortnights ago",
                                        "2 hours",
                                        "-2 hours ago",
                                        "12"};
    int64_t ms = 0;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        if (when_parse(texts[i], NOW, &ms))
            fail_msg("'%s' is taken for %lld", texts[i], (long long)ms);
}

static void numbers_come_with_units(void **state)
{
    static const struct {
        const char *text;
        enum units units;
        uint64_t value;
        const char *again;
    } cases[] = {{"17", UNITS_NONE, 17, "17"},        {"64K", UNITS_BYTES, 65536, "64K"},
                 {"1025", UNITS_BYTES, 1025, "1025"}, {"2G", UNITS_BYTES, UINT64_C(2) << 30, "2G"},
                 {"1500", UNITS_MS, 1500, "1500ms"},  {"90s", UNITS_MS, 90000, "90s"},
                 {"1h", UNITS_MS, 3600000, "1h"},     {"60m", UNITS_MS, 3600000, "1h"},
                 {"1/s", UNITS_RATE, 3600, "1/s"},    {"30/m", UNITS_RATE, 1800, "30/m"},
                 {"7/h", UNITS_RATE, 7, "7/h"},       {"0", UNITS_NONE, 0, "0"}};
    static const char *const wrong[] = {"",  "x", "-1", "1x", "1 K", "99999999999999999999", "18446744073709551615G",
                                        "1K"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint64_t value = 0;
        char text[32];
        assert_true(units_parse(cases[i].text, cases[i].units, &value));
        assert_int_equal(value, cases[i].value);
        units_format(value, cases[i].units, text);
        assert_string_equal(text, cases[i].again);
    }
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        uint64_t value = 0;
        assert_false(units_parse(wrong[i], i + 1 < COUNT_OF(wrong) ? UNITS_BYTES : UNITS_NONE, &value));
    }
}

static void sizes_are_shown_in_about_three_digits(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {{0, "0 B"},
                 {999, "999 B"},
                 {1000, "1.0 kB"},
                 {1234567, "1.2 MB"},
                 {UINT64_C(5) << 40, "5.5 TB"},
                 {UINT64_MAX, "18446.7 PB"}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[32];
        units_format_size(cases[i].bytes, text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(moments_are_read_as_people_write_them),
        UNIT(a_text_that_is_not_a_moment_is_refused),
        UNIT(numbers_come_with_units),
        UNIT(sizes_are_shown_in_about_three_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
