/* base/path.h: path_resolve follows links. */
#include "base/path.h"

#include "unit.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_IN_TEMP(links_are_followed_and_the_last_part_may_be_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
