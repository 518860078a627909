/* base/path.h: parts of paths, paths that are never cut, folders, links. */
#include "base/path.h"

#include "unit.h"

static void folders_are_made_with_all_their_parents(void **state)
{
    struct err e;
    struct stat st;
    (void)state;
    for (int again = 0; again < 2; again++)
        assert_ok(path_make_dirs(temp_path("a/b//c/"), &e), &e);
    assert_int_equal(stat(temp_path("a/b/c"), &st), 0);
    assert_int_equal(file_write(temp_path("a/file"), "x", 1), 0);
    assert_error(path_make_dirs(temp_path("a/file/b"), &e), &e, ERR_IO);
    assert_error(path_make_dirs(temp_path("a/file"), &e), &e, ERR_IO);
}

static void a_path_that_does_not_fit_is_an_error(void **state)
{
    struct err e;
    char out[PATH_TEXT_MAX], name[PATH_TEXT_MAX + 1];
    (void)state;
    memset(name, 'a', sizeof name);
    name[PATH_TEXT_MAX - 1] = 0;
    assert_ok(path_format(out, &e, "%s", name), &e);
    assert_string_equal(out, name);
    assert_error(path_format(out, &e, "%s/", name), &e, ERR_CONFIG);
    assert_true(strlen(e.msg) < 200);
}

static void a_path_has_a_parent_and_a_name(void **state)
{
    static const struct {
        const char *path, *parent, *name;
    } known[] = {{"a/b", "a", "b"}, {"/a", "/", "a"}, {"a", ".", "a"}, {"/a/b/c.db", "/a/b", "c.db"}, {"a/", "a", ""}};
    struct err e;
    char parent[PATH_TEXT_MAX];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        assert_ok(path_parent(known[i].path, parent, &e), &e);
        assert_string_equal(parent, known[i].parent);
        assert_string_equal(path_name(known[i].path), known[i].name);
    }
}

static void assert_leads(const char *path, const char *expected)
{
    char out[PATH_TEXT_MAX], real[PATH_TEXT_MAX], wanted[2 * PATH_TEXT_MAX];
    assert_non_null(realpath(temp_dir, real));
    snprintf(wanted, sizeof wanted, "%s/%s", real, expected);
    assert_true(path_resolve(temp_path(path), out));
    assert_string_equal(out, wanted);
}

static void links_are_followed_and_the_last_part_may_be_missing(void **state)
{
    char out[PATH_TEXT_MAX], here[PATH_TEXT_MAX];
    (void)state;
    assert_int_equal(mkdir(temp_path("a"), 0700), 0);
    assert_int_equal(symlink("a", temp_path("link")), 0);
    assert_leads("link/app.db", "a/app.db");
    assert_int_equal(close(open(temp_path("a/app.db"), O_CREAT | O_RDWR | O_CLOEXEC, 0600)), 0);
    assert_int_equal(symlink("a/app.db", temp_path("to.db")), 0);
    assert_leads("link/app.db", "a/app.db");
    assert_leads("to.db", "a/app.db");
    assert_leads("link/../a/./app.db", "a/app.db");
    assert_false(path_resolve(temp_path("missing/app.db"), out));
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(temp_dir), 0);
    assert_true(path_resolve("new.db", out));
    assert_int_equal(chdir(here), 0);
    assert_string_equal(path_name(out), "new.db");
    assert_int_equal(out[0], '/');
    assert_true(path_resolve("/no-such-file-at-the-root", out));
    assert_string_equal(out, "/no-such-file-at-the-root");
}

static void assert_absolute(const char *path, const char *wanted)
{
    char out[PATH_TEXT_MAX];
    struct err e;
    assert_ok(path_absolute(path, out, &e), &e);
    assert_string_equal(out, wanted);
}

static void an_absolute_path_has_neither_dots_nor_slashes_too_many(void **state)
{
    char here[PATH_TEXT_MAX], wanted[2 * PATH_TEXT_MAX], longest[PATH_TEXT_MAX + 1];
    struct err e;
    (void)state;
    assert_absolute("/a/b", "/a/b");
    assert_absolute("//a/.//./b/.", "/a/b");
    assert_absolute("/", "/");
    assert_absolute("/.", "/");
    assert_absolute("/a/../.b/c.", "/a/../.b/c.");
    assert_non_null(getcwd(here, sizeof here));
    snprintf(wanted, sizeof wanted, "%s/x", strcmp(here, "/") == 0 ? "" : here);
    assert_absolute("./x", wanted);
    memset(longest, 'x', sizeof longest);
    longest[0] = '/';
    longest[PATH_TEXT_MAX - 1] = 0;
    assert_error(path_absolute(longest, here, &e), &e, ERR_CONFIG);
    longest[PATH_TEXT_MAX - 2] = 0;
    assert_absolute(longest, longest);
}

static void two_dots_are_a_parent_only_if_they_are_a_whole_part(void **state)
{
    (void)state;
    assert_true(path_has_parent("..") && path_has_parent("a/../b") && path_has_parent("/a/..") &&
                path_has_parent("/../a"));
    assert_false(path_has_parent("/a..b/..c/d../.../.") || path_has_parent("") || path_has_parent("/"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(a_path_has_a_parent_and_a_name),
        UNIT(a_path_that_does_not_fit_is_an_error),
        UNIT_IN_TEMP(folders_are_made_with_all_their_parents),
        UNIT(an_absolute_path_has_neither_dots_nor_slashes_too_many),
        UNIT(two_dots_are_a_parent_only_if_they_are_a_whole_part),
        UNIT_IN_TEMP(links_are_followed_and_the_last_part_may_be_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
