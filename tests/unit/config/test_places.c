/* config/places.h: which database a place belongs to, and that no name of a store leads anywhere else. */
#include "unit.h"

#include "config/members.h"
#include "config/places.h"

#define NAMES_MAX 8

/* The replica of a section [db PATTERN] with this URL. */
struct subject {
    struct config_db section;
    struct places places;
};

static void prepare(struct subject *s, const char *pattern, const char *url)
{
    struct err e;
    *s = (struct subject){.section = {.replica_count = 1}};
    assert_ok(pattern_read(&s->section.pattern, pattern, &e), &e);
    s->section.replicas[0] = (char *)(uintptr_t)url;
    assert_ok(places_init(&s->places, &s->section, 0, &e), &e);
}

static void release(struct subject *s)
{
    places_release(&s->places);
    pattern_release(&s->section.pattern);
}

/* Splits "a b" into names. */
static size_t split(char *text, const char *names[NAMES_MAX])
{
    size_t count = 0;
    for (char *at = strtok_r(text, " ", &text); at; at = strtok_r(NULL, " ", &text))
        names[count++] = at;
    return count;
}

/* At the place with these names is the replica of `path`, and of no other database. NULL: of none. "?": of one that the
 * names do not say. */
static void assert_path(const char *pattern, const char *url, const char *place, const char *path)
{
    struct subject s;
    char text[2048], found[PATH_TEXT_MAX], built[CONFIG_URL_MAX];
    const char *names[NAMES_MAX];
    struct config_member m;
    struct err e;
    prepare(&s, pattern, url);
    snprintf(text, sizeof text, "%s", place);
    assert_int_equal(split(text, names), s.places.level_count);
    enum places_answer answer = places_path(&s.places, names, found);
    assert_int_equal(answer, !path ? PLACES_NONE : strcmp(path, "?") == 0 ? PLACES_SEVERAL : PLACES_ONE);
    if (answer == PLACES_ONE) {
        assert_string_equal(found, path);
        assert_true(places_fit(&s.places, names, path));
        assert_ok(places_url(&s.places, names, s.places.level_count, built, &e), &e);
        assert_ok(config_member_make(&s.section, path, &m, &e), &e);
        assert_string_equal(m.urls[0], built); /* the way there leads to the same place */
        config_member_release(&m);
    }
    release(&s);
}

static void assert_root(const char *pattern, const char *url, const char *root, size_t levels)
{
    struct subject s;
    prepare(&s, pattern, url);
    assert_string_equal(s.places.root, root);
    assert_int_equal(s.places.level_count, levels);
    release(&s);
}

static void the_root_ends_in_front_of_the_first_name_that_is_not_known(void **state)
{
    (void)state;
    assert_root("/srv/*/app.db", "/backup/{folder}", "/backup/", 1);
    assert_root("/srv/*/app.db", "s3://b/{path}?region=x", "s3://b/srv/", 2);
    assert_root("/srv/*/app.db", "s3://b/x{path}", "s3://b/xsrv/", 2);
    assert_root("/srv/*/app.db", "s3://b/a-{folder}/{name}", "s3://b/", 2);
    assert_root("/srv/*/app.db", "s3://b/{name}/{folder}", "s3://b/app.db/", 1);
    assert_root("/srv/*/app.db", "/backup//{stem}//{folder}", "/backup//app/", 1);
    assert_root("/srv/*/app.db", "file:///{folder}", "file:///", 1);
    assert_root("/srv/*/a?b.db", "s3://b/x/{folder}", "s3://b/x/", 1);
    assert_root("/s?v/app.db", "s3://bucket/{name}", "s3://bucket/app.db", 0);
}

static void each_variable_leads_back_to_its_part_of_the_path(void **state)
{
    (void)state;
    assert_path("/srv/*/app.db", "/backup/{folder}", "acme", "/srv/acme/app.db");
    assert_path("/srv/*/app.db", "s3://b/{path}", "acme app.db", "/srv/acme/app.db");
    assert_path("/srv/*/*.db", "s3://b/{path}?region=x", "acme x.db", "/srv/acme/x.db");
    assert_path("/srv/*.db", "/backup/{stem}", "acme", "/srv/acme.db");
    assert_path("/srv/*.tar.db", "/backup/{stem}", "acme.tar", "/srv/acme.tar.db");
    assert_path("/srv/*/*.db", "/backup/{folder}/{stem}", "a b", "/srv/a/b.db");
    assert_path("/srv/*/*.db", "/backup/{stem}/x/{folder}", "b x a", "/srv/a/b.db");
    assert_path("/srv/*/app.db", "/backup/{folder}.replica", "a.replica", "/srv/a/app.db");
    assert_path("/srv/*/app.db", "/backup/{folder}/{folder}", "a a", "/srv/a/app.db");
    assert_path("/srv/*/*.db", "/backup/{folder}/{name}/{stem}", "a b.db b", "/srv/a/b.db");
    assert_path("/srv/*/app.db", "s3://b/{{{folder}", "{a", "/srv/a/app.db");
    assert_path("/srv/?-[ab]/*", "/backup/{path}", "x-a y", "/srv/x-a/y");
    assert_path("/*.db", "/backup/{name}", "a.db", "/a.db");
}

static void bytes_that_a_url_encodes_are_decoded(void **state)
{
    (void)state;
    assert_path("/srv/*/app.db", "s3://b/{folder}?region=x", "a%3F?#&=b", "/srv/a%3F?#&=b/app.db");
    assert_path("/srv/*/app.db", "/backup/{folder}", "a%3F?#&=b", "/srv/a%3F?#&=b/app.db");
    assert_path("/srv/*/app.db", "file:///backup/a%20{folder}", "a%20b", "/srv/b/app.db");
}

static void names_that_can_be_divided_in_several_ways_say_nothing(void **state)
{
    (void)state;
    assert_path("/srv/*/*.db", "/backup/{folder}-{stem}", "a-b-c", "?");
    assert_path("/srv/*/*.db", "/backup/{folder}-{stem}", "a-b", "/srv/a/b.db");
    assert_path("/srv/t-*/*.db", "/backup/{folder}-{stem}", "t-a-b", "/srv/t-a/b.db");
    assert_path("/srv/*/*.db", "/backup/{folder}-{stem}/{folder}", "a-b-c a-b", "/srv/a-b/c.db");
    assert_path("/srv/*/*/app.db", "/backup/{folder}", "a", "?");
    assert_path("/srv/*/app.db", "/backup/{name}/x", "", "?");
    assert_path("/srv/*", "/backup/{stem}", "a", "?");
    assert_path("/srv/*b", "/backup/{stem}", "a", "?");
    assert_path("/srv/*/*.db", "/backup/{folder}-{stem}", "ab", NULL);
}

static void a_place_that_does_not_say_all_fits_some_paths(void **state)
{
    struct subject s;
    const char *names[] = {"a"};
    (void)state;
    prepare(&s, "/srv/*/*/*.db", "/backup/{folder}");
    assert_true(places_fit(&s.places, names, "/srv/x/a/y.db"));
    assert_false(places_fit(&s.places, names, "/srv/x/b/y.db"));
    assert_false(places_fit(&s.places, names, "/srv/x/ab/y.db"));
    assert_false(places_fit(&s.places, names, "/srv/a/y.db"));
    assert_false(places_fit(&s.places, names, "/srv/../a/y.db"));
    assert_false(places_fit(&s.places, names, "/other/x/a/y.db"));
    assert_false(places_fit(&s.places, names, ""));
    release(&s);
    prepare(&s, "/srv/*/*.db", "/backup/{folder}-{stem}");
    names[0] = "a-b-c";
    assert_true(places_fit(&s.places, names, "/srv/a/b-c.db"));
    assert_true(places_fit(&s.places, names, "/srv/a-b/c.db"));
    assert_false(places_fit(&s.places, names, "/srv/a-b/c-d.db"));
    release(&s);
}

static void no_name_leads_out_of_the_pattern(void **state)
{
    static const char *const names[] = {"..", ".", ".hidden", "a/b", "/etc", "../x", "a/../../b"};
    static const char *const patterns[] = {"/srv/*/app.db", "/srv/?*/app.db", "/srv/[!a]*/app.db"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        for (size_t k = 0; k < COUNT_OF(patterns); k++) {
            struct subject s;
            prepare(&s, patterns[k], "/backup/{folder}");
            assert_false(places_may_have(&s.places, 0, names[i]));
            assert_path(patterns[k], "/backup/{folder}", names[i], NULL);
            release(&s);
        }
    assert_path("/srv/.*/app.db", "/backup/{folder}", "..", NULL);
    assert_path("/srv/.*/app.db", "/backup/{folder}", ".", NULL);
    assert_path("/srv/.*/app.db", "/backup/{folder}", ".a", "/srv/.a/app.db");
    assert_path("/srv/.*", "/backup/{name}", "..", NULL);
    assert_path("/srv/.?/app.db", "/backup/x-{folder}", "x-..", NULL);
    assert_path("/srv/a*/app.db", "/backup/{folder}", "b", NULL);
    assert_path("/srv/*/app.db", "/backup/{path}", "a other.db", NULL);
    assert_path("/srv/*.db", "/backup/{stem}", ".", NULL);
    assert_path("/srv/*.db", "/backup/{stem}", "..", NULL);
}

static void names_that_can_not_be_are_told_at_their_level(void **state)
{
    struct subject s;
    (void)state;
    prepare(&s, "/srv/t*/*.db", "s3://b/x-{path}/{stem}");
    assert_string_equal(s.places.root, "s3://b/x-srv/");
    assert_null(places_known_name(&s.places, 0));
    assert_true(places_may_have(&s.places, 0, "tim"));
    assert_false(places_may_have(&s.places, 0, "anna"));
    assert_true(places_may_have(&s.places, 1, "a.db"));
    assert_false(places_may_have(&s.places, 1, "a.txt"));
    assert_true(places_may_have(&s.places, 2, "anything"));
    release(&s);
    prepare(&s, "/srv/*/app.db", "s3://b/{path}");
    assert_string_equal(places_known_name(&s.places, 1), "app.db");
    assert_true(places_may_have(&s.places, 1, "app.db"));
    release(&s);
}

static void a_name_with_endless_ways_ends_the_search(void **state)
{
    char name[256];
    (void)state;
    memset(name, 'a', 255);
    name[255] = 0;
    assert_path("/*/*/*/*/x", "/backup/{path}", "a b c d x", "/a/b/c/d/x");
    assert_path("/*/*.db", "/backup/{folder}{stem}{folder}{stem}{folder}{stem}", name, "?");
}

static void a_bucket_with_a_variable_is_refused(void **state)
{
    struct subject s = {.section = {.replica_count = 1}};
    struct err e;
    (void)state;
    assert_ok(pattern_read(&s.section.pattern, "/srv/*/app.db", &e), &e);
    static const char *const urls[] = {"s3://{folder}/x", "s3://b-{folder}/{path}"};
    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        s.section.replicas[0] = (char *)(uintptr_t)urls[i];
        assert_error(places_init(&s.places, &s.section, 0, &e), &e, ERR_CONFIG);
        assert_contains(e.msg, "bucket");
        assert_contains(e.msg, "HINT");
    }
    pattern_release(&s.section.pattern);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(the_root_ends_in_front_of_the_first_name_that_is_not_known),
        UNIT(each_variable_leads_back_to_its_part_of_the_path),
        UNIT(bytes_that_a_url_encodes_are_decoded),
        UNIT(names_that_can_be_divided_in_several_ways_say_nothing),
        UNIT(a_place_that_does_not_say_all_fits_some_paths),
        UNIT(no_name_leads_out_of_the_pattern),
        UNIT(names_that_can_not_be_are_told_at_their_level),
        UNIT(a_name_with_endless_ways_ends_the_search),
        UNIT(a_bucket_with_a_variable_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
