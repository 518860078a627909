/* aws/xml.h: the texts of an answer of S3 or STS, each with its path. */
#include "failing_alloc.h"

#include "aws/xml.h"

struct seen {
    char text[1000];
};

static int note_text(void *context, const char *path, const char *text, struct err *e)
{
    struct seen *s = context;
    (void)e;
    snprintf(s->text + strlen(s->text), sizeof s->text - strlen(s->text), "%s=%s ", path, text);
    return 0;
}

static int note_end(void *context, const char *path, struct err *e)
{
    struct seen *s = context;
    (void)e;
    snprintf(s->text + strlen(s->text), sizeof s->text - strlen(s->text), "/%s ", path);
    return 0;
}

static int read_text(const char *document, struct seen *seen, struct err *e)
{
    struct xml_visitor v = {.text = note_text, .end = note_end, .context = seen};
    *seen = (struct seen){.text = ""};
    return xml_read(document, strlen(document), &v, e);
}

static void an_element_with_text_is_told_with_its_path(void **state)
{
    struct seen seen;
    struct err e;
    (void)state;
    assert_ok(
        read_text(
            "<?xml version=\"1.0\"?>\n<a xmlns=\"http://x\" xmlns:n=\"y\"><n:b>1 &amp; &#50;</n:b><c><d/></c></a>",
            &seen, &e),
        &e);
    assert_string_equal(seen.text, "a/b=1 & 2 /a/b a/c/d= /a/c/d /a/c /a ");
}

static int refuse(void *context, const char *path, const char *text, struct err *e)
{
    (void)text;
    ++*(int *)context;
    return err_set(e, ERR_CONFLICT, 7, "refused %s", path);
}

static void an_error_of_a_visitor_ends_the_reading(void **state)
{
    static const char document[] = "<a><b>1</b><b>2</b></a>";
    int calls = 0;
    struct err e;
    (void)state;
    struct xml_visitor v = {.text = refuse, .context = &calls};
    assert_error(xml_read(document, strlen(document), &v, &e), &e, ERR_CONFLICT);
    assert_int_equal(calls, 1);
    assert_string_equal(e.msg, "refused a/b");
}

static void the_first_element_with_a_path_is_found(void **state)
{
    static const char document[] = "<Error><Code>first</Code><Code>second</Code><Message>long</Message></Error>";
    char out[6];
    (void)state;
    xml_find(document, strlen(document), "Error/Code", out, sizeof out);
    assert_string_equal(out, "first");
    xml_find(document, strlen(document), "Error/Message", out, 4);
    assert_string_equal(out, "lon");
    xml_find(document, strlen(document), "Error/Region", out, sizeof out);
    assert_string_equal(out, "");
    xml_find("no XML", 6, "Error/Code", out, sizeof out);
    assert_string_equal(out, "");
}

/* ---- out of memory */

static int read_answer(void *context, struct err *e)
{
    struct seen seen;
    int rc = read_text(context, &seen, e);
    if (rc == 0)
        assert_string_equal(seen.text, "a/key=1 /a/key a/b/c=2 /a/b/c /a/b /a ");
    return rc;
}

static void each_allocation_of_an_xml_answer_fails_once(void **state)
{
    static char document[] = "<a xmlns=\"http://x\"><key id=\"k\">1</key><b><c>2</c></b></a>";
    (void)state;
    assert_each_allocation_fails_once(read_answer, document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(an_element_with_text_is_told_with_its_path),
        UNIT(an_error_of_a_visitor_ends_the_reading),
        UNIT(the_first_element_with_a_path_is_found),
        UNIT(each_allocation_of_an_xml_answer_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
