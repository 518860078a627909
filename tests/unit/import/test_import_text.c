/* import/text.h: variables, times as Go writes them, yes and no. */
#include "unit.h"

#include "import/text.h"

static struct err e;

static void variables_are_replaced_as_litestream_does(void **state)
{
    static const struct {
        const char *value, *result;
    } known[] = {{"$SW_A/x", "1/x"},   {"${SW_A}x", "1x"}, {"a$SW_A", "a1"},    {"$", "$"},  {"a$ b", "a$ b"},
                 {"${SW_A", "${SW_A"}, {"$$SW_A", "$1"},   {"$SW_EMPTY|", "|"}, {"no", "no"}};
    char out[IMPORT_TEXT_MAX];
    (void)state;
    assert_int_equal(setenv("SW_A", "1", 1), 0);
    assert_int_equal(setenv("SW_EMPTY", "", 1), 0);
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        assert_ok(import_expand(known[i].value, true, out, &e), &e);
        assert_string_equal(out, known[i].result);
        assert_ok(import_expand(known[i].value, false, out, &e), &e);
        assert_string_equal(out, known[i].value);
    }
    assert_error(import_expand("${SW_NOT_SET}", true, out, &e), &e, ERR_CONFIG);
    assert_contains(e.msg, "SW_NOT_SET is not set");
}

static void a_value_must_fit_on_a_line(void **state)
{
    char out[IMPORT_TEXT_MAX], text[IMPORT_TEXT_MAX + 1];
    (void)state;
    memset(text, 'x', sizeof text);
    text[IMPORT_TEXT_MAX - 1] = 0;
    assert_ok(import_expand(text, true, out, &e), &e);
    text[IMPORT_TEXT_MAX - 1] = 'x';
    text[IMPORT_TEXT_MAX] = 0;
    assert_error(import_expand(text, true, out, &e), &e, ERR_CONFIG);
    assert_error(import_expand("a\nb", true, out, &e), &e, ERR_CONFIG);
    assert_int_equal(setenv("SW_A", "a\nb", 1), 0);
    assert_error(import_expand("$SW_A", true, out, &e), &e, ERR_CONFIG);
}

static void the_name_of_a_variable_is_found(void **state)
{
    char name[128];
    (void)state;
    assert_true(import_variable("x${KEY}y", name));
    assert_string_equal(name, "KEY");
    assert_true(import_variable("$A_1", name));
    assert_string_equal(name, "A_1");
    assert_false(import_variable("a $ {b}", name));
    assert_string_equal(name, "");
}

static void times_are_those_of_go(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } known[] = {{"10s", 10000},    {"1h30m", 5400000}, {"100ms", 100}, {"1.5h", 5400000},
                 {"24h", 86400000}, {"0s", 0},          {"1500us", 2}};
    static const char *const wrong[] = {"", "10", "s", "-1s", "1 s", "1d", "10sx", "1e30h", "nan", "0x1s h"};
    uint64_t ms = 0;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        assert_true(import_duration(known[i].text, &ms));
        assert_int_equal(ms, known[i].ms);
    }
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        if (import_duration(wrong[i], &ms))
            fail_msg("'%s' is taken for a time", wrong[i]);
}

static void flags_are_those_of_yaml(void **state)
{
    (void)state;
    assert_int_equal(import_flag("true"), 1);
    assert_int_equal(import_flag("No"), 0);
    assert_int_equal(import_flag("maybe"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(variables_are_replaced_as_litestream_does),
        UNIT(a_value_must_fit_on_a_line),
        UNIT(the_name_of_a_variable_is_found),
        UNIT(times_are_those_of_go),
        UNIT(flags_are_those_of_yaml),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
