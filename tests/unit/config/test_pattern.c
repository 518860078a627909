/* config/pattern.h: paths with wildcards, and what they match in folders. */
#include "failing_alloc.h"

#include "config/pattern.h"

#include <errno.h>
#include <sys/resource.h>

static bool matches(const char *pattern, const char *path)
{
    struct pattern p;
    struct err e;
    assert_ok(pattern_read(&p, pattern, &e), &e);
    bool result = pattern_matches(&p, path);
    pattern_release(&p);
    return result;
}

static void a_wildcard_stands_for_bytes_of_one_name(void **state)
{
    (void)state;
    assert_true(matches("/srv/*/app.db", "/srv/acme/app.db"));
    assert_true(matches("/srv//./*/app.db", "/srv/acme/app.db"));
    assert_true(matches("/srv/[ab]?.db", "/srv/a7.db"));
    assert_true(matches("/srv/[!ab]*.db", "/srv/c.db"));
    assert_true(matches("/srv/t[[:digit:]]", "/srv/t7"));
    assert_true(matches("/srv/[]]x", "/srv/]x"));
    assert_true(matches("/*/x*", "/a\nb/x\n*"));
    assert_false(matches("/srv/*/app.db", "/srv/app.db"));
    assert_false(matches("/srv/*/app.db", "/srv/a/b/app.db"));
    assert_false(matches("/srv/*", "/srv"));
    assert_false(matches("/srv/*", "/srv/a/b"));
    assert_false(matches("/srv/a?b", "/srv/a/b"));
    assert_false(matches("/srv/*.db", "/SRV/a.db"));
    assert_false(matches("/srv/*.db", "srv/a.db"));
}

static void a_name_with_a_dot_in_front_needs_a_dot(void **state)
{
    (void)state;
    assert_false(matches("/srv/*", "/srv/.hidden"));
    assert_false(matches("/srv/?hidden", "/srv/.hidden"));
    assert_false(matches("/*/app.db", "/.git/app.db"));
    assert_true(matches("/srv/.*", "/srv/.hidden"));
}

static void a_wildcard_in_brackets_is_the_character_itself(void **state)
{
    (void)state;
    assert_true(matches("/srv/a[*]b", "/srv/a*b"));
    assert_false(matches("/srv/a[*]b", "/srv/axb"));
    assert_true(matches("/srv/[[]x]", "/srv/[x]"));
    assert_true(matches("/srv/a\\*", "/srv/a\\b"));
    assert_false(matches("/srv/a\\*", "/srv/a*"));
}

static void the_current_folder_has_no_wildcards(void **state)
{
    char path[PATH_TEXT_MAX];
    (void)state;
    assert_int_equal(mkdir(temp_path("a[b]"), 0700), 0);
    int before = open(".", O_RDONLY | O_DIRECTORY);
    assert_int_equal(chdir(temp_path("a[b]")), 0);
    snprintf(path, sizeof path, "%s/x.db", temp_path("a[b]"));
    bool literal = matches("*.db", path);
    snprintf(path, sizeof path, "%s/x.db", temp_path("ab"));
    bool wild = matches("*.db", path);
    assert_int_equal(fchdir(before), 0);
    close(before);
    assert_true(literal);
    assert_false(wild);
}

static void a_pattern_that_could_mean_something_else_is_refused(void **state)
{
    static const struct {
        const char *path, *reason;
    } cases[] = {
        {"/srv/**/app.db", "'**'\n  HINT: write one '*' for each folder"},
        {"/srv/*/../app.db", "'..'"},
        {"/srv/[ab/x].db", "no ']' before the next slash\n  HINT: write [[]"},
        {"/srv/[]", "no ']'"},
        {"/srv/[!]*", "no ']'"},
        {"/srv/*/", "ends with a slash"},
        {"/", "the path is '/'"},
    };
    char deep[2 * PATTERN_PARTS_MAX + 3] = "";
    struct pattern p;
    struct err e;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_error(pattern_read(&p, cases[i].path, &e), &e, ERR_CONFIG);
        assert_contains(e.msg, cases[i].reason);
    }
    for (size_t i = 0; i < PATTERN_PARTS_MAX; i++)
        strcat(deep, "/*");
    assert_ok(pattern_read(&p, deep, &e), &e);
    pattern_release(&p);
    strcat(deep, "/*");
    assert_error(pattern_read(&p, deep, &e), &e, ERR_CONFIG);
}

static void patterns_without_a_common_path_are_told_apart(void **state)
{
    static const struct {
        const char *a, *b;
        bool meet;
    } cases[] = {
        {"/srv/*/app.db", "/srv/acme/app.db", true}, {"/srv/*/app.db", "/srv/a*/*.db", true},
        {"/srv/*/app.db", "/srv/*/*", true},         {"/srv/*/app.db", "/srv/app.db", false},
        {"/srv/*/app.db", "/mnt/*/app.db", false},   {"/srv/*/app.db", "/srv/acme/other.db", false},
        {"/srv/*.db", "/srv/app.txt", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct pattern a, b;
        struct err e;
        assert_ok(pattern_read(&a, cases[i].a, &e), &e);
        assert_ok(pattern_read(&b, cases[i].b, &e), &e);
        assert_int_equal(pattern_may_meet(&a, &b), cases[i].meet);
        assert_int_equal(pattern_may_meet(&b, &a), cases[i].meet);
        pattern_release(&a);
        pattern_release(&b);
    }
}

static void an_exclusion_covers_a_folder_if_nothing_below_is_left(void **state)
{
    static const struct {
        const char *exclude;
        bool covers;
    } cases[] = {
        {"/srv/lost+found/app.db", true}, {"/srv/lost+found/*", true},   {"/srv/*/app.db", true}, {"/srv/l*/*", true},
        {"/srv/other/app.db", false},     {"/srv/lost+found/a*", false},
    };
    struct pattern p, exclude;
    struct err e;
    (void)state;
    assert_ok(pattern_read(&p, "/srv/*/app.db", &e), &e);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_ok(pattern_read(&exclude, cases[i].exclude, &e), &e);
        assert_int_equal(pattern_covers(&exclude, &p, "/srv/lost+found", 2), cases[i].covers);
        pattern_release(&exclude);
    }
    pattern_release(&p);
}

/* ---- walks */

struct seen {
    char text[8192]; /* paths below the temporary folder, each after a blank */
    size_t unreadable;
};

static void note(struct seen *seen, const char *path)
{
    size_t skip = strlen(temp_dir);
    size_t len = strlen(seen->text);
    if (strncmp(path, temp_dir, skip) == 0)
        path += skip;
    snprintf(seen->text + len, sizeof seen->text - len, " %s", *path ? path : ".");
}

static int on_found(void *context, const char *path, struct err *e)
{
    struct stat st;
    (void)e;
    if (stat(path, &st) == 0)
        note(context, path);
    return 0;
}

static int on_folder(void *context, const char *path, size_t parts, struct err *e)
{
    size_t slashes = 0;
    (void)e;
    for (const char *at = path; *at; at++)
        slashes += *at == '/';
    assert_int_equal(slashes, parts);
    note(context, path);
    return 0;
}

static int on_unreadable(void *context, const char *path, size_t parts, int sys, struct err *e)
{
    struct seen *seen = context;
    (void)e;
    (void)parts;
    assert_int_equal(sys, EACCES);
    note(seen, path);
    seen->unreadable++;
    return 0;
}

static void make_tree(void)
{
    static const char *const folders[] = {"t", "t/a", "t/b", "t/.c", "t/a/data", "other"};
    static const char *const files[] = {"t/a/app.db",    "t/b/app.db", "t/.c/app.db",
                                        "t/a/data/x.db", "t/file",     "other/app.db"};
    for (size_t i = 0; i < COUNT_OF(folders); i++)
        assert_int_equal(mkdir(temp_path(folders[i]), 0755), 0);
    for (size_t i = 0; i < COUNT_OF(files); i++)
        assert_int_equal(file_write(temp_path(files[i]), "", 0), 0);
    assert_int_equal(symlink("../other", temp_path("t/link")), 0);
    assert_int_equal(symlink("loop", temp_path("t/loop")), 0);
}

static int compare_words(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The words of the text in order: folders have none of their own. */
static void sort_words(char *text)
{
    char copy[8192], *words[256], *at = copy;
    size_t count = 0;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *word; (word = strsep(&at, " "));)
        if (*word)
            words[count++] = word;
    qsort(words, count, sizeof *words, compare_words);
    *text = 0;
    for (size_t i = 0; i < count; i++)
        strcat(strcat(text, " "), words[i]);
}

static void assert_walk(const char *pattern, const char *found, const char *folders)
{
    struct seen files = {.text = ""}, places = {.text = ""};
    const struct pattern_walk for_files = {.found = on_found, .unreadable = on_unreadable, .context = &files};
    const struct pattern_walk for_folders = {.folder = on_folder, .context = &places};
    struct pattern p;
    struct err e;
    assert_ok(pattern_read(&p, temp_path(pattern), &e), &e);
    assert_ok(pattern_walk(&p, &for_files, &e), &e);
    assert_ok(pattern_walk(&p, &for_folders, &e), &e);
    pattern_release(&p);
    sort_words(files.text);
    sort_words(places.text);
    assert_string_equal(files.text, found);
    assert_string_equal(places.text, folders);
}

static void a_walk_finds_what_matches_and_the_folders_where_more_can_appear(void **state)
{
    (void)state;
    make_tree();
    assert_walk("t/*/app.db", " /t/a/app.db /t/b/app.db /t/link/app.db", " /t /t/a /t/b /t/link");
    assert_walk("t/*/data/*.db", " /t/a/data/x.db", " /t /t/a/data /t/b /t/link");
    assert_walk("t/*", " /t/a /t/b /t/file /t/link", " /t");
    assert_walk("t/.*/app.db", " /t/.c/app.db", " /t /t/.c");
    assert_walk("missing/deep/*.db", "", " .");
}

/* Root reads every folder. Returns whether this process is root. */
static bool become_nobody(void)
{
    bool root = geteuid() == 0;
    assert_int_equal(chmod(temp_dir, 0755), 0);
    if (root)
        assert_int_equal(seteuid(65534), 0);
    return root;
}

static void become_root(bool root)
{
    if (root)
        assert_int_equal(seteuid(0), 0);
}

static void a_folder_that_is_closed_is_reported(void **state)
{
    struct seen seen = {.text = ""};
    const struct pattern_walk walk = {.found = on_found, .unreadable = on_unreadable, .context = &seen};
    struct pattern p;
    struct err e;
    (void)state;
    make_tree();
    assert_int_equal(chmod(temp_path("t/a"), 0), 0);
    assert_ok(pattern_read(&p, temp_path("t/*/*.db"), &e), &e);
    bool root = become_nobody();
    int rc = pattern_walk(&p, &walk, &e);
    become_root(root);
    assert_int_equal(chmod(temp_path("t/a"), 0700), 0);
    pattern_release(&p);
    assert_ok(rc, &e);
    assert_int_equal(seen.unreadable, 1);
    sort_words(seen.text);
    assert_string_equal(seen.text, " /t/a /t/b/app.db /t/link/app.db");
}

/* Otherwise databases would be forgotten without a word. */
static void a_walk_without_descriptors_fails(void **state)
{
    const struct pattern_walk walk = {.found = NULL};
    struct rlimit before, none = {.rlim_cur = 3};
    struct pattern p;
    struct err e;
    (void)state;
    make_tree();
    assert_ok(pattern_read(&p, temp_path("t/*/app.db"), &e), &e);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int rc = pattern_walk(&p, &walk, &e);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    pattern_release(&p);
    assert_int_equal(rc, -1);
    assert_int_equal(e.code, ERR_NOMEM);
}

static int refuse(void *context, const char *path, struct err *e)
{
    (void)path;
    ++*(int *)context;
    return err_set(e, ERR_LIMIT, 0, "enough");
}

static void a_function_that_fails_ends_the_walk(void **state)
{
    int calls = 0;
    const struct pattern_walk walk = {.found = refuse, .context = &calls};
    struct pattern p;
    struct err e;
    (void)state;
    make_tree();
    assert_ok(pattern_read(&p, temp_path("t/*/app.db"), &e), &e);
    assert_error(pattern_walk(&p, &walk, &e), &e, ERR_LIMIT);
    pattern_release(&p);
    assert_int_equal(calls, 1);
}

static int read_one(void *path, struct err *e)
{
    struct pattern p = {.written = NULL};
    int rc = pattern_read(&p, path, e);
    pattern_release(&p);
    return rc;
}

static void each_allocation_of_a_pattern_fails_once(void **state)
{
    char path[] = "/srv/*/app.db";
    (void)state;
    assert_true(assert_each_allocation_fails_once(read_one, path) >= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(a_wildcard_stands_for_bytes_of_one_name),
        UNIT(a_name_with_a_dot_in_front_needs_a_dot),
        UNIT(a_wildcard_in_brackets_is_the_character_itself),
        UNIT_IN_TEMP(the_current_folder_has_no_wildcards),
        UNIT(a_pattern_that_could_mean_something_else_is_refused),
        UNIT(patterns_without_a_common_path_are_told_apart),
        UNIT(an_exclusion_covers_a_folder_if_nothing_below_is_left),
        UNIT_IN_TEMP(a_walk_finds_what_matches_and_the_folders_where_more_can_appear),
        UNIT_IN_TEMP(a_folder_that_is_closed_is_reported),
        UNIT_IN_TEMP(a_walk_without_descriptors_fails),
        UNIT_IN_TEMP(a_function_that_fails_ends_the_walk),
        UNIT(each_allocation_of_a_pattern_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
