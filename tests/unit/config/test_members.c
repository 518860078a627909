/* config/members.h and config/find.h: which databases a configuration has, and what a word of a command line means. */
#include "failing_alloc.h"

#include "config/find.h"
#include "storage/open.h"

#include <sys/resource.h>

#define MAGIC "SQLite format 3"

/* ---- a tree of files, and a configuration that names it as @ */

static void make_file(const char *name, const char *bytes, size_t n)
{
    assert_int_equal(file_write(temp_path(name), bytes, n), 0);
}

static void make_database(const char *name)
{
    make_file(name, MAGIC "\0more", 21);
}

static void make_folder(const char *name)
{
    assert_int_equal(mkdir(temp_path(name), 0755), 0);
}

/* Writes into `out` the text with each '@' replaced by the temporary folder. */
static void fill(const char *text, char *out, size_t size)
{
    size_t len = 0;
    for (; *text && len + sizeof temp_dir < size; text++) {
        if (*text == '@')
            len += (size_t)snprintf(out + len, size - len, "%s", temp_dir);
        else
            out[len++] = *text;
    }
    out[len] = 0;
}

static struct config *read_config(const char *text)
{
    char whole[16384];
    struct config *c = NULL;
    struct err e;
    fill(text, whole, sizeof whole);
    assert_int_equal(file_write(temp_path("conf"), whole, strlen(whole)), 0);
    assert_ok(config_read(temp_path("conf"), store_parameter_known, &c, &e), &e);
    return c;
}

/* The members as "path url url" with '@' for the temporary folder, separated by line breaks. */
static void describe(const struct config_members *m, char *out, size_t size)
{
    size_t len = 0, skip = strlen(temp_dir);
    *out = 0;
    for (size_t i = 0; i < m->count; i++)
        for (size_t k = 0; k <= m->list[i].url_count; k++) {
            const char *text = k == 0 ? m->list[i].path : m->list[i].urls[k - 1];
            bool below = strncmp(text, temp_dir, skip) == 0;
            len += (size_t)snprintf(out + len, size - len, "%s%s%s",
                                    k   ? " "
                                    : i ? "\n"
                                        : "",
                                    below ? "@" : "", below ? text + skip : text);
        }
}

static void assert_members(const struct config_members *m, const char *wanted)
{
    char text[8192];
    describe(m, text, sizeof text);
    assert_string_equal(text, wanted);
}

static struct config_members find_members(const struct config *c)
{
    struct config_members m;
    struct err e;
    assert_ok(config_find_members(c, NULL, &m, &e), &e);
    return m;
}

static void assert_found(const char *text, const char *wanted)
{
    struct config *c = read_config(text);
    struct config_members m = find_members(c);
    assert_members(&m, wanted);
    config_members_release(&m);
    config_free(c);
}

/* ---- all members */

static void a_pattern_stands_for_the_databases_that_it_matches(void **state)
{
    (void)state;
    make_folder("t");
    make_folder("t/b");
    make_folder("t/a\nx");
    make_database("t/b/app.db");
    make_database("t/a\nx/app.db");
    assert_found("[db @/t/*/app.db]\nreplica = /r/{folder}\nreplica = tenants\n[replica tenants]\nurl = "
                 "s3://bkt/{folder}/{name}\n"
                 "region = x\n",
                 "@/t/a\nx/app.db /r/a\nx s3://bkt/a\nx/app.db?region=x\n"
                 "@/t/b/app.db /r/b s3://bkt/b/app.db?region=x");
}

static void a_section_with_a_path_is_a_database_that_may_be_missing(void **state)
{
    (void)state;
    make_database("x.db");
    assert_found("[db /missing/y.db]\nreplica = /r/{stem}\n[db @/x.db]\nreplica = /r/{name}\nreplica = {{\n[replica "
                 "{{]\nurl = /{{\n",
                 "/missing/y.db /r/y\n@/x.db /r/x.db /{");
}

static void other_files_than_databases_are_passed_over_and_counted(void **state)
{
    static const char *const companions[] = {"t/a.db-wal", "t/a.db-shm", "t/a.db-journal", "t/a.db-seawall",
                                             "t/a.db-seawall-undo"};
    (void)state;
    make_folder("t");
    make_folder("t/folder");
    make_database("t/a.db");
    make_file("t/empty", "", 0);
    make_file("t/short", "SQLite", 6);
    make_file("t/text", "SQLite format 4\0and more", 24);
    assert_int_equal(mkfifo(temp_path("t/fifo"), 0600), 0);
    assert_int_equal(symlink("nowhere", temp_path("t/dangling")), 0);
    for (size_t i = 0; i < COUNT_OF(companions); i++)
        make_file(companions[i], "", 0);
    struct config *c = read_config("[db @/t/*]\nreplica = /r/{name}\n");
    struct config_members m = find_members(c);
    assert_members(&m, "@/t/a.db /r/a.db\n@/t/empty /r/empty");
    assert_int_equal(m.passed_over[REASON_COMPANION], 5);
    assert_int_equal(m.passed_over[REASON_NOT_A_DATABASE], 2);
    assert_int_equal(m.passed_over[REASON_NOT_A_FILE], 3);
    assert_int_equal(m.named_count, 10);
    assert_int_equal(m.matched[0], 2);
    assert_int_equal(config_members_missed(&m), 0);
    for (size_t i = 0; i < m.named_count; i++)
        if (strcmp(path_name(m.named[i].path), "text") == 0)
            assert_string_equal(config_reason_text(m.named[i].reason), "is not a SQLite database");
    config_members_release(&m);
    config_free(c);
}

static void only_some_names_are_kept_for_each_reason(void **state)
{
    char name[64];
    (void)state;
    make_folder("t");
    for (int i = 0; i < 2 * CONFIG_NAMED_MAX; i++) {
        snprintf(name, sizeof name, "t/%d", i);
        make_file(name, "no database at all", 18);
    }
    struct config *c = read_config("[db @/t/*]\nreplica = /r/{name}\n");
    struct config_members m = find_members(c);
    assert_int_equal(m.passed_over[REASON_NOT_A_DATABASE], 2 * CONFIG_NAMED_MAX);
    assert_int_equal(m.named_count, CONFIG_NAMED_MAX);
    config_members_release(&m);
    config_free(c);
}

static void excluded_files_are_neither_members_nor_counted(void **state)
{
    (void)state;
    make_folder("t");
    make_database("t/a.db");
    make_database("t/test-1.db");
    make_database("t/test-2.db");
    make_file("t/x.db", "not a database at all", 21);
    struct config *c = read_config("[db @/t/*.db]\nreplica = /r/{name}\nexclude = @/t/test-*\nexclude = @/t/x.db\n");
    struct config_members m = find_members(c);
    assert_members(&m, "@/t/a.db /r/a.db");
    assert_int_equal(m.passed_over[REASON_NOT_A_DATABASE], 0);
    config_members_release(&m);
    config_free(c);
}

static void a_database_belongs_to_its_own_section_else_to_the_first_pattern(void **state)
{
    (void)state;
    make_folder("t");
    make_database("t/a.db");
    make_database("t/b.db");
    make_database("t/c.db");
    assert_found("[db @/t/[bc].db]\nreplica = /one/{name}\n[db @/t/*.db]\nreplica = /two/{name}\n[db "
                 "@/t/c.db]\nreplica = /three\n",
                 "@/t/a.db /two/a.db\n@/t/b.db /one/b.db\n@/t/c.db /three");
}

/* Otherwise a tenant would take the database of another one by a link to it. */
static void a_file_with_several_paths_has_the_one_without_links(void **state)
{
    (void)state;
    make_folder("t");
    make_folder("t/m");
    make_database("t/m/x.db");
    make_folder("t/a");
    assert_int_equal(symlink("../m/x.db", temp_path("t/a/x.db")), 0);
    assert_int_equal(symlink("m", temp_path("t/b")), 0);
    assert_int_equal(symlink("m", temp_path("t/z")), 0);
    struct config *c =
        read_config("[db @/t/[ab]/*.db]\nreplica = /one/{folder}\n[db @/t/*/*.db]\nreplica = /two/{folder}\n");
    struct config_members m = find_members(c);
    assert_members(&m, "@/t/m/x.db /two/m");
    assert_int_equal(m.passed_over[REASON_OTHER_NAME], 3);
    config_members_release(&m);
    config_free(c);
    assert_found("[db @/t/*/*.db]\nreplica = /two/{folder}\n[db @/t/z/x.db]\nreplica = /three\n", "@/t/z/x.db /three");
}

static void a_link_to_a_file_elsewhere_is_a_member(void **state)
{
    (void)state;
    make_folder("t");
    make_database("other");
    assert_int_equal(symlink("../other", temp_path("t/b")), 0);
    assert_int_equal(symlink("../other", temp_path("t/a")), 0);
    assert_found("[db @/t/*]\nreplica = /r/{name}\n", "@/t/a /r/a");
}

static void a_database_that_gets_no_url_is_named_and_others_go_on(void **state)
{
    char longest[CONFIG_URL_MAX], text[2 * CONFIG_URL_MAX];
    (void)state;
    make_folder("t");
    make_database("t/a");
    make_database("t/much-longer");
    memset(longest, 'x', sizeof longest);
    longest[CONFIG_URL_MAX - 8] = 0;
    snprintf(text, sizeof text, "[db @/t/*]\nreplica = /r/{name}%s\n", longest);
    longest[CONFIG_URL_MAX - 9] = 0;
    struct config *c = read_config(text);
    struct config_members m = find_members(c);
    assert_int_equal(m.count, 1);
    assert_string_equal(path_name(m.list[0].path), "a");
    assert_int_equal(m.passed_over[REASON_NO_URL], 1);
    assert_int_equal(config_members_missed(&m), 1);
    config_members_release(&m);
    config_free(c);
}

static bool is_known(void *context, const char *path, const struct stat *st)
{
    (void)st;
    return strcmp(path_name(path), context) == 0;
}

/* To open and close it would drop the locks of this process. */
static void a_known_file_is_not_opened(void **state)
{
    char name[] = "known";
    const struct config_known known = {.is = is_known, .context = name};
    struct config_members m;
    struct config_member one;
    struct err e;
    (void)state;
    make_folder("t");
    make_file("t/known", "bytes that are no database", 26);
    make_file("t/other", "bytes that are no database", 26);
    struct config *c = read_config("[db @/t/*]\nreplica = /r/{name}\n");
    assert_ok(config_find_members(c, &known, &m, &e), &e);
    assert_members(&m, "@/t/known /r/known");
    config_members_release(&m);
    assert_ok(config_member_of(c, temp_path("t/known"), &known, &one, &e), &e);
    config_member_release(&one);
    assert_error(config_member_of(c, temp_path("t/other"), &known, &one, &e), &e, ERR_NOTFOUND);
    config_free(c);
}

static bool become_nobody(void)
{
    bool root = geteuid() == 0;
    assert_int_equal(chmod(temp_dir, 0755), 0);
    if (root)
        assert_int_equal(seteuid(65534), 0);
    return root;
}

static void without_permission_a_file_is_a_member_and_a_folder_is_missed(void **state)
{
    struct config_members m;
    struct err e;
    (void)state;
    make_folder("t");
    make_folder("t/a");
    make_folder("t/closed");
    make_folder("t/excluded");
    make_database("t/a/app.db");
    assert_int_equal(chmod(temp_path("t/a/app.db"), 0), 0);
    assert_int_equal(chmod(temp_path("t/closed"), 0), 0);
    assert_int_equal(chmod(temp_path("t/excluded"), 0), 0);
    struct config *c = read_config("[db @/t/*/*.db]\nreplica = /r/{folder}\nexclude = @/t/excluded/*\n");
    struct config *d = read_config("[db @/t/*/app.db]\nreplica = /r/{folder}\nexclude = @/t/excluded/*\n");
    bool root = become_nobody();
    int rc = config_find_members(c, NULL, &m, &e);
    if (root)
        assert_int_equal(seteuid(0), 0);
    assert_ok(rc, &e);
    assert_members(&m, "@/t/a/app.db /r/a");
    assert_int_equal(config_members_missed(&m), 1);
    assert_int_equal(m.named[0].reason, REASON_UNREADABLE);
    assert_string_equal(path_name(m.named[0].path), "closed");
    config_members_release(&m);
    root = become_nobody();
    rc = config_find_members(d, NULL, &m, &e);
    if (root)
        assert_int_equal(seteuid(0), 0);
    assert_ok(rc, &e);
    assert_int_equal(m.count, 1);
    assert_int_equal(config_members_missed(&m), 1);
    config_members_release(&m);
    assert_int_equal(chmod(temp_path("t/closed"), 0700), 0);
    assert_int_equal(chmod(temp_path("t/excluded"), 0700), 0);
    config_free(c);
    config_free(d);
}

static void members_are_sorted_and_found_by_path(void **state)
{
    (void)state;
    make_folder("t");
    make_database("t/b");
    make_database("t/a");
    make_database("t/B");
    struct config *c = read_config("[db @/t/b]\nreplica = /r\n[db @/t/*]\nreplica = /r/{name}\n");
    struct config_members m = find_members(c);
    assert_members(&m, "@/t/B /r/B\n@/t/a /r/a\n@/t/b /r");
    assert_ptr_equal(config_members_find(&m, temp_path("t/a")), &m.list[1]);
    assert_null(config_members_find(&m, temp_path("t/aa")));
    assert_null(config_members_find(&m, "/zzz"));
    config_members_release(&m);
    config_free(c);
}

/* ---- one member */

static void a_path_that_appears_is_judged_alone(void **state)
{
    static const struct {
        const char *name, *reason;
    } refused[] = {
        {"t/a/app.db-wal", "is a file beside a database"},
        {"t/a/app.db-seawall", "is a file beside a database"},
        {"t/a/text.db", "is not a SQLite database"},
        {"t/a/missing.db", "does not exist"},
        {"t/excluded/app.db", "has no [db] section"},
        {"t/a/folder.db", "is not a regular file"},
        {"t/link/app.db", "is the same file as database"},
        {"t/a/named.db", "is the same file as database"},
        {"t/a/app.txt", "has no [db] section"},
    };
    struct config_member m;
    struct err e;
    (void)state;
    make_folder("t");
    make_folder("t/a");
    make_folder("t/excluded");
    make_folder("t/a/folder.db");
    make_database("t/a/app.db");
    make_database("t/excluded/app.db");
    make_file("t/a/text.db", "this is only a text", 19);
    make_database("named");
    assert_int_equal(symlink("a", temp_path("t/link")), 0);
    assert_int_equal(symlink("../../named", temp_path("t/a/named.db")), 0);
    struct config *c =
        read_config("[db @/t/*/*.db]\nreplica = /r/{folder}\nexclude = @/t/excluded/*\n[db @/named]\nreplica = /n\n"
                    "[db @/soon]\nreplica = /s\n");
    assert_ok(config_member_of(c, temp_path("t/a/app.db"), NULL, &m, &e), &e);
    assert_string_equal(m.urls[0], "/r/a");
    assert_ptr_equal(m.section, &c->dbs[0]);
    config_member_release(&m);
    assert_ok(config_member_of(c, temp_path("soon"), NULL, &m, &e), &e);
    assert_string_equal(m.urls[0], "/s");
    config_member_release(&m);
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        assert_error(config_member_of(c, temp_path(refused[i].name), NULL, &m, &e), &e, ERR_NOTFOUND);
        assert_contains(e.msg, refused[i].reason);
        assert_contains(e.msg, refused[i].name);
    }
    config_free(c);
}

/* ---- folders */

static int note_folder(void *context, const char *path, struct err *e)
{
    char *text = context;
    (void)e;
    assert_true(strncmp(path, temp_dir, strlen(temp_dir)) == 0);
    snprintf(text + strlen(text), 512 - strlen(text), " %s", path + strlen(temp_dir));
    return 0;
}

static void folders_are_those_in_which_a_database_can_appear(void **state)
{
    char text[512] = "";
    struct err e;
    (void)state;
    make_folder("t");
    make_folder("t/excluded");
    make_folder("t/a");
    make_folder("u");
    struct config *c =
        read_config("[db @/t/*/app.db]\nreplica = /r/{folder}\nexclude = @/t/excluded/*\n[db @/named]\nreplica = /n\n"
                    "[db @/u/*]\nreplica = /u/{name}\n");
    assert_ok(config_each_folder(c, note_folder, text, &e), &e);
    assert_string_equal(text, " /t /t/a /u");
    config_free(c);
}

/* ---- places */

static bool place_of(const char *url, char out[PATH_TEXT_MAX])
{
    struct err e;
    return store_check(url, out, &e) == 0;
}

static void two_databases_at_one_place_are_both_named(void **state)
{
    static const struct {
        const char *text, *second, *message;
    } cases[] = {
        {"[db @/t/*]\nreplica = /r/x\n", "b", "replica '/r/x' also belongs to database"},
        {"[db @/t/*]\nreplica = s3://bkt/{folder}\n", "b", "replica 's3://bkt/t' also belongs to database"},
        {"[db @/t/b]\nreplica = /r/a\n[db @/t/*]\nreplica = /r/{name}\n", "a", "HINT: write variables in the url"},
        {"[db @/t/[a]]\nreplica = /r/b\n[db @/t/b]\nreplica = file:///r/b\n", "b", "HINT: give each database a folder"},
        {"[db @/t/a]\nreplica = s3://bkt/a\n[db @/t/b]\nreplica = s3://bkt//%61/?timeout=9s\n", "b", "'s3://bkt/a'"},
        {"[db @/t/a]\nreplica = s3://bkt/a?endpoint=h\nreplica = s3://bkt/a?endpoint=g\n[db @/t/b]\n"
         "replica = s3://bkt/a?endpoint=h&region=x\n",
         "b", "'s3://bkt/a?endpoint=https://h' also belongs"},
        {"[db @/t/a]\nreplica = /r/{name}\nreplica = /r/a\n", "a", "replica '/r/a' is given twice"},
    };
    (void)state;
    make_folder("t");
    make_database("t/a");
    make_database("t/b");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct config_member *wrong = NULL;
        struct err e;
        struct config *c = read_config(cases[i].text);
        struct config_members m = find_members(c);
        assert_error(config_check_places(&m, place_of, &wrong, &e), &e, ERR_CONFIG);
        assert_contains(e.msg, cases[i].message);
        assert_string_equal(path_name(wrong->path), cases[i].second);
        config_members_release(&m);
        config_free(c);
    }
}

static void databases_with_places_of_their_own_are_accepted(void **state)
{
    const struct config_member *wrong = NULL;
    struct err e;
    (void)state;
    make_folder("t");
    make_database("t/a");
    make_database("t/b");
    struct config *c = read_config("[db @/t/*]\nreplica = /r/{name}\nreplica = s3://bkt/{name}?endpoint=h\n"
                                   "replica = s3://bkt/{name}?endpoint=g\n");
    struct config_members m = find_members(c);
    assert_ok(config_check_places(&m, place_of, &wrong, &e), &e);
    assert_null(wrong);
    config_members_release(&m);
    config_free(c);
}

/* ---- words of the command line */

static void a_path_of_a_pattern_leads_to_its_url_even_if_the_file_is_lost(void **state)
{
    struct config_member m;
    const char *url = NULL;
    struct err e;
    (void)state;
    make_folder("t");
    make_folder("t/link-target");
    assert_int_equal(symlink("t", temp_path("other-way")), 0);
    struct config *c =
        read_config("[db @/t/*/app.db]\nreplica = tenants\n[replica tenants]\nurl = s3://bkt/{folder}\n");
    assert_ok(config_find_url(c, temp_path("t/lost/app.db"), &url, &e), &e);
    assert_string_equal(url, "s3://bkt/lost");
    assert_ok(config_find_url(c, temp_path("t//./lost/app.db"), &url, &e), &e);
    assert_string_equal(url, "s3://bkt/lost");
    assert_ok(config_find_url(c, temp_path("other-way/link-target/app.db"), &url, &e), &e);
    assert_string_equal(url, "s3://bkt/link-target");
    assert_ok(config_find_db(c, temp_path("t/link-target/../link-target/app.db"), &m, &e), &e);
    assert_string_equal(path_name(m.path), "app.db");
    assert_string_equal(m.urls[0], "s3://bkt/link-target");
    config_member_release(&m);
    assert_ok(config_find_url(c, "/backup/of/another", &url, &e), &e);
    assert_string_equal(url, "/backup/of/another");
    assert_error(config_find_url(c, "tenants", &url, &e), &e, ERR_CONFIG);
    assert_contains(e.msg, "replica 'tenants' has a place for each database");
    assert_error(config_find_url(c, NULL, &url, &e), &e, ERR_CONFIG);
    assert_contains(e.msg, "is a pattern\n  HINT: name one of them");
    assert_error(config_find_db(c, temp_path("t/lost/app.db-wal"), &m, &e), &e, ERR_CONFIG);
    config_free(c);
}

/* ---- allocations */

static int find_and_check(void *context, struct err *e)
{
    const struct config_member *wrong = NULL;
    struct config_members m = {.list = NULL};
    int rc = config_find_members(context, NULL, &m, e);
    if (rc == 0) {
        assert_int_equal(m.count, 3);
        assert_int_equal(m.named_count, 1);
        rc = config_check_places(&m, place_of, &wrong, e);
    }
    config_members_release(&m);
    return rc;
}

static void each_allocation_of_a_search_fails_once(void **state)
{
    (void)state;
    make_folder("t");
    make_database("t/a");
    make_database("t/b");
    make_file("t/c-wal", "", 0);
    struct config *c = read_config("[db @/x]\nreplica = /x\n[db @/t/*]\nreplica = /r/{name}\n");
    assert_true(assert_each_allocation_fails_once(find_and_check, c) >= 10);
    config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_IN_TEMP(a_pattern_stands_for_the_databases_that_it_matches),
        UNIT_IN_TEMP(a_section_with_a_path_is_a_database_that_may_be_missing),
        UNIT_IN_TEMP(other_files_than_databases_are_passed_over_and_counted),
        UNIT_IN_TEMP(only_some_names_are_kept_for_each_reason),
        UNIT_IN_TEMP(excluded_files_are_neither_members_nor_counted),
        UNIT_IN_TEMP(a_database_belongs_to_its_own_section_else_to_the_first_pattern),
        UNIT_IN_TEMP(a_file_with_several_paths_has_the_one_without_links),
        UNIT_IN_TEMP(a_link_to_a_file_elsewhere_is_a_member),
        UNIT_IN_TEMP(a_database_that_gets_no_url_is_named_and_others_go_on),
        UNIT_IN_TEMP(a_known_file_is_not_opened),
        UNIT_IN_TEMP(without_permission_a_file_is_a_member_and_a_folder_is_missed),
        UNIT_IN_TEMP(members_are_sorted_and_found_by_path),
        UNIT_IN_TEMP(a_path_that_appears_is_judged_alone),
        UNIT_IN_TEMP(folders_are_those_in_which_a_database_can_appear),
        UNIT_IN_TEMP(two_databases_at_one_place_are_both_named),
        UNIT_IN_TEMP(databases_with_places_of_their_own_are_accepted),
        UNIT_IN_TEMP(a_path_of_a_pattern_leads_to_its_url_even_if_the_file_is_lost),
        UNIT_IN_TEMP(each_allocation_of_a_search_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
