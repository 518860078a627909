/* config/variables.h: values in URLs, and that a value never changes what the URL means. */
#include "unit.h"

#include "config/variables.h"
#include "s3/config.h"

static void assert_expands(const char *url, const char *path, const char *wanted)
{
    char out[512];
    struct err e;
    assert_ok(variables_check(url, &e), &e);
    assert_ok(variables_expand(url, path, out, sizeof out, &e), &e);
    assert_string_equal(out, wanted);
    assert_true(variables_can_give(url, wanted));
}

static void each_variable_has_its_part_of_the_path(void **state)
{
    (void)state;
    assert_expands("/r/{name}", "/srv/acme/app.db", "/r/app.db");
    assert_expands("/r/{stem}", "/srv/acme/app.db", "/r/app");
    assert_expands("/r/{folder}", "/srv/acme/app.db", "/r/acme");
    assert_expands("/r/{path}", "/srv/acme/app.db", "/r/srv/acme/app.db");
    assert_expands("s3://b/{folder}-{stem}/{name}?region=x", "/srv/acme/app.db", "s3://b/acme-app/app.db?region=x");
    assert_expands("s3://{folder}/x", "/srv/acme/app.db", "s3://acme/x");
    assert_expands("file:///r/{name}", "/app.db", "file:///r/app.db");
    assert_expands("/r/x", "/app.db", "/r/x");
}

static void the_ending_begins_at_the_last_dot(void **state)
{
    (void)state;
    assert_expands("/r/{stem}", "/a/x.tar.db", "/r/x.tar");
    assert_expands("/r/{stem}", "/a/x", "/r/x");
    assert_expands("/r/{stem}", "/a/.db", "/r/.db");
    assert_expands("/r/{stem}", "/a.b/x", "/r/x");
    assert_expands("/r/{stem}", "/a/x.", "/r/x");
}

static void two_braces_are_one(void **state)
{
    (void)state;
    assert_expands("/r/{{name}/{name}", "/a/x", "/r/{name}/x");
    assert_expands("s3://b/x?header=x-a:{\"a\":1}", "/a/x", "s3://b/x?header=x-a:{\"a\":1}");
    assert_expands("/r/}", "/a/x", "/r/}");
    assert_false(variables_in("/r/{{name}"));
    assert_true(variables_in("/r/{{{name}"));
}

static void a_value_stays_one_part_of_an_s3_prefix(void **state)
{
    static const char path[] = "/srv/a?region=b&c#d%e=f/x{y}.db";
    char url[512];
    struct s3_config c;
    struct err e;
    (void)state;
    assert_expands("s3://bkt/{folder}?region=r", path, "s3://bkt/a%3Fregion%3Db%26c%23d%25e%3Df?region=r");
    assert_ok(variables_expand("s3://bkt/{path}?region=r&endpoint=http://127.0.0.1:1", path, url, sizeof url, &e), &e);
    assert_ok(s3_config_parse(url, &c, &e), &e);
    assert_string_equal(c.bucket, "bkt");
    assert_string_equal(c.prefix, "srv/a?region=b&c#d%e=f/x{y}.db/");
    assert_string_equal(c.region, "r");
    s3_config_release(&c);
}

static void a_value_in_the_path_of_a_folder_is_used_as_it_is(void **state)
{
    (void)state;
    assert_expands("/r/{folder}", "/srv/a?b%20#c/x", "/r/a?b%20#c");
    assert_expands("file:///r/{folder}", "/srv/a?b%20#c/x", "file:///r/a?b%20#c");
    assert_expands("r/{folder}://x", "/srv/s3/x", "r/s3://x");
}

static void a_variable_at_a_place_where_it_could_change_the_meaning_is_refused(void **state)
{
    static const struct {
        const char *url, *reason;
    } cases[] = {
        {"{folder}/x", "{folder} is at the beginning of the url"},
        {"s3{stem}//x", "{stem} is at the beginning of the url"},
        {"s3://{path}", "{path} has slashes"},
        {"s3://b{path}/x", "{path} has slashes"},
        {"s3://b/x?region={name}", "{name} is after the '?'"},
        {"s3://b/{Name}", "unknown variable '{Name}'"},
        {"s3://b/{}", "unknown variable '{}'"},
        {"s3://b/{name", "has no '}'"},
        {"/r/{", "has no '}'\n  HINT: write {{"},
        {"/r/{{{", "has no '}'"},
    };
    struct err e;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_error(variables_check(cases[i].url, &e), &e, ERR_CONFIG);
        assert_contains(e.msg, cases[i].reason);
    }
}

static void a_url_that_can_not_be_made_is_an_error(void **state)
{
    char out[8];
    struct err e;
    (void)state;
    assert_ok(variables_expand("/r/{name}", "/abcd", out, sizeof out, &e), &e);
    assert_string_equal(out, "/r/abcd");
    assert_error(variables_expand("/r/{name}", "/abcde", out, sizeof out, &e), &e, ERR_CONFIG);
    assert_contains(e.msg, "longer than 7 bytes");
    assert_error(variables_expand("/r/{folder}", "/x", out, sizeof out, &e), &e, ERR_CONFIG);
    assert_contains(e.msg, "the root folder has no name");
}

static void a_url_is_recognized_by_its_variables(void **state)
{
    (void)state;
    assert_true(variables_can_give("s3://b/{path}?region=x", "s3://b/srv/acme/app.db"));
    assert_true(variables_can_give("/r/{folder}/x/{stem}/x", "/r/a/x/x/x"));
    assert_false(variables_can_give("s3://b/{path}?region=x", "s3://c/srv/acme/app.db"));
    assert_false(variables_can_give("/r/{folder}/x", "/r/a/y"));
    assert_false(variables_can_give("/r/x", "/r/xy"));
    assert_true(variables_can_give("/r/x", "/r/x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(each_variable_has_its_part_of_the_path),
        UNIT(the_ending_begins_at_the_last_dot),
        UNIT(two_braces_are_one),
        UNIT(a_value_stays_one_part_of_an_s3_prefix),
        UNIT(a_value_in_the_path_of_a_folder_is_used_as_it_is),
        UNIT(a_variable_at_a_place_where_it_could_change_the_meaning_is_refused),
        UNIT(a_url_that_can_not_be_made_is_an_error),
        UNIT(a_url_is_recognized_by_its_variables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
