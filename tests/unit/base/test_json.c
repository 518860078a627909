/* base/json.h: reads and prints documents that are one JSON object. */
#include "failing_alloc.h"
#include "unit.h"

#include "base/json.h"

static int parse(const char *text, struct json **ret_json, struct err *e)
{
    return json_parse(text, strlen(text), ret_json, e);
}

static void what_is_printed_reads_back(void **state)
{
    struct err e;
    struct json *j = json_object_new(), *list = json_list_new(), *back = NULL, *item = json_object_new();
    int64_t number = 0;
    (void)state;
    json_set_text(j, "text", "a \"b\" \xc3\xa4 \n");
    json_set_number(j, "least", INT64_MIN);
    json_set_number(j, "most", INT64_MAX);
    json_push(list, item);
    json_set(j, "list", list);
    char *text = json_print(j);
    assert_non_null(text);
    assert_int_equal(text[strlen(text) - 1], '\n');
    assert_ok(parse(text, &back, &e), &e);
    assert_string_equal(json_get_text(back, "text"), "a \"b\" \xc3\xa4 \n");
    assert_true(json_get_number(back, "least", &number) && number == INT64_MIN);
    assert_true(json_get_number(back, "most", &number) && number == INT64_MAX);
    assert_null(json_get_text(back, "most"));
    assert_null(json_get_text(back, "absent"));
    assert_false(json_get_number(back, "text", &number));
    assert_false(json_get_number(back, "absent", &number));
    json_free(back);
    json_free(j);
    free(text);
}

static void anything_but_one_whole_object_is_corrupt(void **state)
{
    static const char *const wrong[] = {"",
                                        " ",
                                        "[]",
                                        "[1]",
                                        "1",
                                        "\"x\"",
                                        "null",
                                        "{",
                                        "{}}",
                                        "{\"a\":1,}",
                                        "{\"a\":1} x",
                                        "{a:1}",
                                        "{\"a\"}",
                                        "{\"a\":1e}",
                                        "\xff",
                                        "{\"a\":\"\xff\"}",
                                        "{'a':1}",
                                        "{\"a\":1,\"a\":2}",
                                        "{\"a\":99999999999999999999}",
                                        "{\"a\":\"\\u0000\"}"};
    struct err e;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct json *j = NULL;
        assert_error(parse(wrong[i], &j, &e), &e, ERR_CORRUPT);
        assert_null(j);
    }
}

static void deep_nesting_is_an_error_and_no_crash(void **state)
{
    enum { DEPTH = 200000 };
    struct err e;
    struct json *j = NULL;
    char *text = malloc(DEPTH + 8);
    (void)state;
    assert_non_null(text);
    memcpy(text, "{\"a\":", 5);
    memset(text + 5, '[', DEPTH);
    assert_error(json_parse(text, DEPTH + 5, &j, &e), &e, ERR_CORRUPT);
    free(text);
}

/* A path can have any bytes. */
static void text_that_is_no_utf8_is_repaired_and_not_lost(void **state)
{
    struct err e;
    struct json *j = json_object_new(), *back = NULL;
    (void)state;
    json_set_text(j, "path", "\xff/\xc3\xa4/\xc3(/\xf0\x9f\x8c\x8a\xe2\x82");
    char *text = json_print_line(j);
    assert_non_null(text);
    assert_ok(parse(text, &back, &e), &e);
    assert_string_equal(json_get_text(back, "path"), "?/\xc3\xa4/?(/\xf0\x9f\x8c\x8a??");
    json_free(back);
    json_free(j);
    free(text);
}

static void a_line_has_its_newline_at_the_end_only(void **state)
{
    struct json *j = json_object_new(), *list = json_list_new();
    (void)state;
    json_set_text(j, "text", "a\nb");
    json_push(list, json_object_new());
    json_set(j, "list", list);
    char *text = json_print_line(j);
    assert_non_null(text);
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    json_free(j);
    free(text);
}

static void characters_that_a_terminal_obeys_are_escaped_and_come_back(void **state)
{
    static const char hostile[] = "\033[31m\177\302\233\342\200\256\363\240\201\201 gr\303\274n \360\237\220\213\\\"\n";
    struct err e;
    struct json *j = json_object_new(), *read = NULL;
    (void)state;
    json_set_text(j, hostile, hostile);
    char *text = json_print_line(j);
    assert_non_null(text);
    assert_string_equal(
        text, "{\"\\u001B[31m\\u007F\\u009B\\u202E\\uDB40\\uDC41 gr\303\274n \360\237\220\213\\\\\\\"\\n\":"
              "\"\\u001B[31m\\u007F\\u009B\\u202E\\uDB40\\uDC41 gr\303\274n \360\237\220\213\\\\\\\"\\n\"}\n");
    assert_ok(parse(text, &read, &e), &e);
    assert_string_equal(json_get_text(read, hostile), hostile);
    json_free(read);
    json_free(j);
    free(text);
}

static void what_is_inside_is_reached_and_what_is_not_there_is_harmless(void **state)
{
    struct err e;
    struct json *j = NULL;
    int64_t n = 0;
    (void)state;
    assert_ok(parse("{\"list\":[{\"n\":1},{\"n\":2}],\"yes\":true,\"no\":false,\"null\":null}", &j, &e), &e);
    assert_int_equal(json_count(json_get(j, "list")), 2);
    assert_true(json_get_number(json_at(json_get(j, "list"), 1), "n", &n) && n == 2);
    assert_true(json_get_flag(j, "yes"));
    assert_false(json_get_flag(j, "no") || json_get_flag(j, "null") || json_get_flag(j, "absent"));
    assert_true(json_has(j, "no"));
    assert_false(json_has(j, "null") || json_has(j, "absent"));
    assert_null(json_get(j, "yes"));
    assert_null(json_get(j, "null"));
    assert_null(json_at(json_get(j, "list"), 2));
    assert_null(json_get(NULL, "list"));
    assert_null(json_get_text(NULL, "text"));
    assert_int_equal(json_count(NULL), 0);
    json_free(j);
}

static void a_document_that_could_not_be_built_prints_as_null(void **state)
{
    (void)state;
    assert_null(json_print(NULL));
    json_free(NULL);
}

static int build_and_print(void *context, struct err *e)
{
    struct json *j = json_object_new(), *list = json_list_new(), *item = json_object_new();
    (void)context;
    json_set_number(j, "format", 1);
    json_set_text(j, "text", "\xff");
    json_set_flag(item, "flag", true);
    json_push(list, item);
    json_set(j, "list", list);
    char *text = json_print_line(j);
    json_free(j);
    if (!text)
        return err_nomem(e, 0);
    assert_string_equal(text, "{\"format\":1,\"text\":\"?\",\"list\":[{\"flag\":true}]}\n");
    free(text);
    return 0;
}

static void what_is_printed_is_whole_whatever_allocation_failed(void **state)
{
    (void)state;
    assert_true(assert_each_allocation_fails_once(build_and_print, NULL) > 10);
    struct err e;
    assert_ok(build_and_print(NULL, &e), &e);
}

static int parse_whole(void *context, struct err *e)
{
    struct json *j = NULL;
    int64_t number = 0;
    (void)context;
    if (parse("{\"format\":1,\"database\":\"0123\",\"list\":[{\"a\":1.5},null,true]}", &j, e))
        return -1;
    assert_true(json_get_number(j, "format", &number) && number == 1);
    assert_string_equal(json_get_text(j, "database"), "0123");
    assert_int_equal(json_count(json_get(j, "list")), 3);
    json_free(j);
    return 0;
}

static void out_of_memory_is_never_taken_for_a_corrupt_text(void **state)
{
    (void)state;
    assert_true(assert_each_allocation_fails_once(parse_whole, NULL) > 10);
}

static int parse_text_of(void *context, struct err *e)
{
    char bytes[128];
    struct json *j = NULL;
    const int length = *(const int *)context;
    snprintf(bytes, sizeof bytes, "{\"text\":\"%.*s\"}", length,
             "a text that is longer than the first room of a reader, and than its second, and than its third one");
    if (parse(bytes, &j, e))
        return -1;
    assert_int_equal(strlen(json_get_text(j, "text")), length);
    json_free(j);
    return 0;
}

static void out_of_memory_no_length_of_a_text_does_harm(void **state)
{
    (void)state;
    for (int length = 1; length < 98; length++)
        assert_true(assert_each_allocation_fails_once(parse_text_of, &length) > 5);
}

static void a_text_that_is_parsed_meanwhile_does_not_make_a_document_whole(void **state)
{
    struct err e;
    struct json *j = json_object_new();
    (void)state;
    failing_alloc_arm(1);
    json_set_number(j, "number", 7);
    assert_true(failing_alloc_disarm());
    assert_ok(parse_whole(NULL, &e), &e);
    assert_null(json_print(j));
    json_free(j);
}

/* The functions that build a document return no error: they leave the value out. A document that can't be printed is
 * NULL. */
static void out_of_memory_a_value_is_left_out_and_printing_fails(void **state)
{
    struct json *j = json_object_new();
    (void)state;
    json_set_number(j, "number", 7);
    failing_alloc_arm(1);
    json_set_text(j, "repaired", "\xff");
    assert_true(failing_alloc_disarm());
    assert_false(json_has(j, "repaired"));
    assert_true(json_has(j, "number"));
    failing_alloc_arm(1);
    char *text = json_print(j);
    assert_true(failing_alloc_disarm());
    assert_null(text);
    failing_alloc_arm(1);
    text = json_print_line(j);
    assert_true(failing_alloc_disarm());
    assert_null(text);
    text = json_print_line(j);
    assert_string_equal(text, "{\"number\":7}\n");
    free(text);
    json_free(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(what_is_printed_reads_back),
        UNIT(anything_but_one_whole_object_is_corrupt),
        UNIT(deep_nesting_is_an_error_and_no_crash),
        UNIT(text_that_is_no_utf8_is_repaired_and_not_lost),
        UNIT(a_line_has_its_newline_at_the_end_only),
        UNIT(characters_that_a_terminal_obeys_are_escaped_and_come_back),
        UNIT(what_is_inside_is_reached_and_what_is_not_there_is_harmless),
        UNIT(a_document_that_could_not_be_built_prints_as_null),
        UNIT(what_is_printed_is_whole_whatever_allocation_failed),
        UNIT(out_of_memory_is_never_taken_for_a_corrupt_text),
        UNIT(out_of_memory_no_length_of_a_text_does_harm),
        UNIT(a_text_that_is_parsed_meanwhile_does_not_make_a_document_whole),
        UNIT(out_of_memory_a_value_is_left_out_and_printing_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
