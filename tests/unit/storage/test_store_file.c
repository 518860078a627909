/* storage/file.h: rules for folders beyond the contract of stores. */
#include "store_places.h"

#include "failing_alloc.h"

#include "base/path.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void a_file_that_a_crash_left_is_not_an_object(void **state)
{
    struct store *s = open_it(state);
    put(s, "0/01", "x");
    assert_int_equal(file_write(temp_path(FOLDER "/.seawall-0123456789abcdef.tmp"), "half", 4), 0);
    assert_int_equal(file_write(temp_path(FOLDER "/0/.seawall-0123456789abcdef.tmp"), "half", 4), 0);
    assert_listing(s, "", "", "0/01");
    assert_listing(s, "0/", "", "0/01");
}

static void the_folder_of_what_was_tried_out_goes_with_the_last_object_in_it(void **state)
{
    struct store *s = open_it(state);
    struct stat st;
    struct err e;
    put(s, STORE_PROBE_PREFIX "a", "x");
    put(s, STORE_PROBE_PREFIX "b", "x");
    put(s, "0/01", "x");
    assert_ok(store_remove(s, STORE_PROBE_PREFIX "a", &e), &e);
    assert_listing(s, STORE_PROBE_PREFIX, "", STORE_PROBE_PREFIX "b");
    assert_ok(store_remove(s, STORE_PROBE_PREFIX "b", &e), &e);
    assert_int_equal(lstat(temp_path(FOLDER "/probe"), &st), -1);
    assert_ok(store_remove(s, "0/01", &e), &e);
    assert_int_equal(lstat(temp_path(FOLDER "/0"), &st), 0); /* other folders stay */
}

static void an_object_that_is_held_can_be_read_after_it_was_removed(void **state)
{
    static const char *const keys[] = {"0/02", "0/03", "0/01"};
    struct store *s = open_it(state), *reader = NULL;
    struct buf out = BUF_INIT(100);
    uint64_t size = 0;
    char byte = 0;
    struct err e;
    put(s, "0/01", "one");
    put(s, "0/02", "two");
    assert_ok(store_open(temp_path(FOLDER), STORE_READ, &reader, &e), &e);
    store_hold(reader, keys, COUNT_OF(keys)); /* one of them does not exist */
    assert_ok(store_remove(s, "0/01", &e), &e);
    assert_ok(store_remove(s, "0/02", &e), &e);
    assert_ok(store_read(reader, "0/02", 1, &byte, 1, &e), &e);
    assert_int_equal(byte, 'w');
    for (int times = 0; times < 2; times++) {
        out.len = 0;
        assert_ok(store_read_tail(reader, "0/01", 2, &out, &size, &e), &e);
        assert_int_equal(size, 3);
        assert_memory_equal(out.data, "ne", 2);
    }
    assert_error(store_read(reader, "0/03", 0, &byte, 1, &e), &e, ERR_NOTFOUND);
    assert_error(store_read(s, "0/01", 0, &byte, 1, &e), &e, ERR_NOTFOUND);
    store_hold(reader, keys, 1); /* ends the first one */
    assert_error(store_read(reader, "0/01", 0, &byte, 1, &e), &e, ERR_NOTFOUND);
    buf_release(&out);
    store_close(reader);
}

#define READERS 16
#define OBJECTS 60

/* All stores together keep open what the process can spare, and let go of it where a descriptor is missing. */
static void many_stores_that_keep_objects_leave_descriptors_for_others(void **state)
{
    struct store *s = open_it(state), *readers[READERS];
    struct rlimit before, few;
    char names[OBJECTS][STORE_KEY_MAX], byte = 0;
    const char *keys[OBJECTS];
    int fds[256], n = 0;
    struct err e;
    for (int i = 0; i < OBJECTS; i++) {
        snprintf(names[i], sizeof names[i], "0/%02d", i);
        put(s, names[i], "one");
        keys[i] = names[i];
    }
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){.rlim_cur = 256, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (int i = 0; i < READERS; i++) {
        assert_ok(store_open(temp_path(FOLDER), STORE_READ, &readers[i], &e), &e);
        store_hold(readers[i], keys, OBJECTS);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0); /* the first call raised it */
    }
    while (n < 256 && (fds[n] = open("/dev/null", O_RDONLY)) >= 0)
        n++;
    assert_true(n >= 128);
    assert_ok(store_read(readers[0], "0/58", 1, &byte, 1, &e), &e);
    assert_int_equal(byte, 'n');
    assert_listing(readers[1], "0/5", "0/56", "0/57 0/58 0/59");
    while (n > 0)
        close(fds[--n]);
    for (int i = 0; i < READERS; i++) {
        assert_ok(store_read(readers[i], "0/01", 0, &byte, 1, &e), &e);
        store_close(readers[i]);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void urls_and_paths_name_the_same_folder(void **state)
{
    struct err e;
    struct store *a = NULL, *b = NULL, *c = NULL;
    char url[2048];
    (void)state;
    snprintf(url, sizeof url, "file://%s", temp_path("s"));
    assert_ok(store_open(temp_path("s"), STORE_WRITE, &a, &e), &e);
    assert_ok(store_open(url, STORE_READ, &b, &e), &e);
    assert_ok(store_open(temp_path("./s/../s/"), STORE_READ, &c, &e), &e);
    assert_string_equal(a->url, b->url); /* by this URL the state file knows a replica */
    assert_string_equal(a->url, c->url);
    store_close(a);
    store_close(b);
    store_close(c);
}

static void a_path_that_is_not_a_folder_is_refused(void **state)
{
    struct err e;
    struct store *s = NULL;
    (void)state;
    assert_int_equal(file_write(temp_path("f"), "x", 1), 0);
    assert_error(store_open("sftp://host/prefix", STORE_READ, &s, &e), &e, ERR_CONFIG);
    assert_error(store_open("file://relative/path", STORE_WRITE, &s, &e), &e, ERR_CONFIG);
    assert_contains(e.msg, "HINT");
    assert_error(store_open("", STORE_WRITE, &s, &e), &e, ERR_CONFIG);
    assert_error(store_open("file://", STORE_WRITE, &s, &e), &e, ERR_CONFIG);
    assert_error(store_open(temp_path("f"), STORE_READ, &s, &e), &e, ERR_CONFIG);
    assert_int_not_equal(store_open(temp_path("f"), STORE_WRITE, &s, &e), 0);
    assert_null(s);
}

static void reading_makes_no_folder(void **state)
{
    struct err e;
    struct store *s = NULL;
    struct stat st;
    (void)state;
    assert_error(store_open(temp_path("absent"), STORE_READ, &s, &e), &e, ERR_NOTFOUND);
    assert_int_not_equal(stat(temp_path("absent"), &st), 0);
}

static void a_folder_that_cannot_be_read_is_an_error_and_no_short_listing(void **state)
{
    static struct store_listing l;
    struct err e;
    struct store *s = open_it(state);
    put(s, "0/01", "x");
    put(s, "1/01-02", "x");
    if (geteuid() == 0) { /* root can read any folder, so the test removes it instead */
        assert_int_equal(rename(temp_path(FOLDER), temp_path("gone")), 0);
        assert_error(store_list(s, "", "", store_listing_add, &l, &e), &e, ERR_REMOTE);
        assert_error(store_list(s, "0/", "", store_listing_add, &l, &e), &e, ERR_REMOTE);
    } else {
        assert_int_equal(chmod(temp_path(FOLDER "/0"), 0), 0);
        assert_error(store_list(s, "", "", store_listing_add, &l, &e), &e, ERR_IO);
        assert_int_equal(chmod(temp_path(FOLDER "/0"), 0700), 0);
    }
    assert_int_equal(l.count, 0);
}

static void a_full_or_missing_place_is_an_error_and_leaves_no_object(void **state)
{
    struct err e;
    struct store *s = open_it(state);
    assert_int_equal(file_write(temp_path(FOLDER "/0"), "in the way", 10), 0);
    assert_int_not_equal(store_put_new(s, "0/01", "x", 1, NULL, &e), 0);
    assert_int_not_equal(e.code, ERR_EXISTS);
    assert_listing(s, "0/", "", "");
    assert_listing(s, "", "", "0");
}

/* ---- out of memory */

static int open_and_list(void *context, struct err *e)
{
    static struct store_listing l;
    struct store *s = NULL;
    int rc = store_open(context, STORE_READ, &s, e);
    l.count = l.stop_at = 0;
    if (rc == 0)
        rc = store_list(s, "", "", store_listing_add, &l, e);
    if (rc == 0)
        assert_int_equal(l.count, 40);
    store_close(s);
    return rc;
}

static void each_allocation_of_a_listing_fails_once(void **state)
{
    struct store *s = open_it(state);
    char key[STORE_KEY_MAX], path[1024];
    for (int i = 0; i < 40; i++) {
        snprintf(key, sizeof key, "%d/%02d", i % 3, i);
        put(s, key, "x");
    }
    snprintf(path, sizeof path, "%s", temp_path(FOLDER));
    assert_true(assert_each_allocation_fails_once(open_and_list, path) > 2);
}

static void a_thing_that_is_not_a_regular_file_is_passed_over_and_not_read(void **state)
{
    struct store *s = open_it(state);
    struct err e;
    char byte = 0;
    put(s, "0/01", "x");
    assert_int_equal(mkfifo(temp_path(FOLDER "/0/02"), 0600), 0);
    assert_int_equal(symlink("nothing", temp_path(FOLDER "/0/03")), 0);
    assert_int_equal(symlink("04", temp_path(FOLDER "/0/04")), 0);
    assert_int_equal(symlink("01", temp_path(FOLDER "/0/05")), 0);
    assert_listing_with(s, "", "", "0/01", 4);
    assert_listing_with(s, "0/", "0/02", "", 3);
    assert_listing_with(s, "0/0", "0/01", "", 4);
    assert_listing(s, "0/01", "", "0/01");
    assert_error(store_read(s, "0/02", 0, &byte, 1, &e), &e, ERR_CORRUPT);
    assert_error(store_read(s, "0/05", 0, &byte, 1, &e), &e, ERR_CORRUPT);
    assert_contains(e.msg, "/0/05' is a symbolic link");
}

static void a_name_longer_than_any_key_is_passed_over_and_counted(void **state)
{
    struct store *s = open_it(state);
    char path[1024], name[200];
    put(s, "0/01", "x");
    memset(name, 'a', sizeof name);
    snprintf(path, sizeof path, "%s/%.*s", temp_path(FOLDER), 199, name);
    assert_int_equal(file_write(path, "x", 1), 0);
    assert_int_equal(mkdir(temp_path(FOLDER "/sub"), 0700), 0);
    snprintf(path, sizeof path, "%s/sub/%.*s", temp_path(FOLDER), 199, name);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_listing_with(s, "", "", "0/01", 2);
    assert_listing_with(s, "0/", "", "0/01", 0);
}

static void a_linked_folder_below_the_root_leads_nowhere(void **state)
{
    struct store *s = open_it(state);
    struct err e;
    char byte = 0;
    put(s, "0/01", "x");
    assert_int_equal(mkdir(temp_path("elsewhere"), 0700), 0);
    assert_int_equal(file_write(temp_path("elsewhere/01"), "x", 1), 0);
    assert_int_equal(symlink(temp_path("elsewhere"), temp_path(FOLDER "/part")), 0);
    assert_int_equal(mkdir(temp_path(FOLDER "/base"), 0700), 0);
    assert_int_equal(symlink("../../elsewhere", temp_path(FOLDER "/base/02")), 0);
    assert_listing_with(s, "", "", "0/01", 2);
    assert_listing_with(s, "part/", "", "", 1);
    assert_listing_with(s, "base/02/", "", "", 1);
    assert_error(store_read(s, "part/01", 0, &byte, 1, &e), &e, ERR_CORRUPT);
    assert_contains(e.msg, "/part' is a symbolic link");
    assert_error(store_read(s, "base/02/01", 0, &byte, 1, &e), &e, ERR_CORRUPT);
    assert_error(store_put_new(s, "part/02", "x", 1, NULL, &e), &e, ERR_IO);
    assert_error(store_put_new(s, "base/02/02", "x", 1, NULL, &e), &e, ERR_IO);
    assert_contains(e.msg, "HINT");
    assert_error(store_put_new(s, "part/new/02", "x", 1, NULL, &e), &e, ERR_IO);
    assert_error(store_remove(s, "part/01", &e), &e, ERR_IO);
    assert_int_equal(access(temp_path("elsewhere/01"), F_OK), 0);
    assert_int_not_equal(access(temp_path("elsewhere/02"), F_OK), 0);
    assert_int_not_equal(access(temp_path("elsewhere/new"), F_OK), 0);
    assert_ok(store_remove(s, "0/01", &e), &e);
    assert_listing_with(s, "0/", "", "", 0);
}

static void the_root_itself_may_be_a_link(void **state)
{
    struct store *s = NULL;
    struct err e;
    char byte = 0;
    (void)state;
    assert_int_equal(mkdir(temp_path("real"), 0700), 0);
    assert_int_equal(symlink("real", temp_path("link")), 0);
    assert_ok(store_open(temp_path("link"), STORE_WRITE, &s, &e), &e);
    put(s, "base/02/01", "x");
    assert_listing(s, "", "", "base/02/01");
    assert_ok(store_read(s, "base/02/01", 0, &byte, 1, &e), &e);
    store_close(s);
}

#define LANDING 3000

/* As a writer does, in the order of the history. */
static void land_all(const char *root)
{
    char path[PATH_TEXT_MAX];
    struct err e;
    for (unsigned i = 1; i <= LANDING; i++) {
        if (path_format(path, &e, "%s/0/%016x", root, i))
            _exit(1);
        const int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
        if (fd < 0 || close(fd) != 0)
            _exit(1);
    }
    _exit(0);
}

struct without_gaps {
    unsigned last;
    bool gap;
};

static int expect_next(void *context, const struct store_entry *entry)
{
    struct without_gaps *w = context;
    char key[STORE_KEY_MAX];
    snprintf(key, sizeof key, "0/%016x", w->last + 1);
    if (strcmp(key, entry->key) == 0)
        w->last++;
    else if (strncmp(entry->key, "0/0", 3) == 0)
        w->gap = true;
    return 0;
}

/* An object is listed only if all that were there before it are. Names of others are no objects, so they don't count. */
static void a_listing_of_level_0_has_no_gap_while_objects_land(void **state)
{
    for (int i = 0; i < 3; i++) { /* 1, 2: with a thing of others */
        struct store *s = open_it(state);
        struct err e;
        int status = 0;
        put(s, "0/0000000000000000", "x");
        assert_ok(store_remove(s, "0/0000000000000000", &e), &e);
        if (i > 0)
            assert_int_equal(mkdir(i == 1 ? temp_path(FOLDER "/0/zz") : temp_path(FOLDER "/0/@eaDir"), 0700), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            land_all(temp_path(FOLDER));
        struct without_gaps w = {0};
        do {
            w.last = 0;
            assert_ok(store_list(s, "0/", "", expect_next, &w, &e), &e);
            assert_false(w.gap);
        } while (waitpid(child, &status, WNOHANG) == 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        for (unsigned n = 1; n <= LANDING; n++) {
            char key[STORE_KEY_MAX];
            snprintf(key, sizeof key, "0/%016x", n);
            assert_ok(store_remove(s, key, &e), &e);
        }
    }
}

/* For example lost+found at the root of a disk. */
static void a_folder_that_is_not_ours_may_be_unreadable(void **state)
{
    struct store *s = open_it(state);
    if (geteuid() == 0)
        return; /* root can read any folder; tests/e2e/test_hostile_folder.py becomes another user */
    put(s, "0/01", "x");
    assert_int_equal(mkdir(temp_path(FOLDER "/lost+found"), 0), 0);
    assert_listing_with(s, "", "", "0/01", 1);
    assert_int_equal(chmod(temp_path(FOLDER "/lost+found"), 0400), 0); /* it can be read and not entered */
    assert_listing_with(s, "", "", "0/01", 0);
    assert_int_equal(chmod(temp_path(FOLDER "/lost+found"), 0700), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_file_that_a_crash_left_is_not_an_object, folder),
        STORE_TEST(an_object_that_is_held_can_be_read_after_it_was_removed, folder),
        STORE_TEST(each_allocation_of_a_listing_fails_once, folder),
        STORE_TEST(a_thing_that_is_not_a_regular_file_is_passed_over_and_not_read, folder),
        STORE_TEST(a_name_longer_than_any_key_is_passed_over_and_counted, folder),
        STORE_TEST(a_linked_folder_below_the_root_leads_nowhere, folder),
        UNIT_IN_TEMP(the_root_itself_may_be_a_link),
        STORE_TEST(a_listing_of_level_0_has_no_gap_while_objects_land, folder),
        STORE_TEST(a_folder_that_is_not_ours_may_be_unreadable, folder),
        STORE_TEST(the_folder_of_what_was_tried_out_goes_with_the_last_object_in_it, folder),
        STORE_TEST(many_stores_that_keep_objects_leave_descriptors_for_others, folder),
        UNIT_IN_TEMP(urls_and_paths_name_the_same_folder),
        UNIT_IN_TEMP(a_path_that_is_not_a_folder_is_refused),
        UNIT_IN_TEMP(reading_makes_no_folder),
        STORE_TEST(a_folder_that_cannot_be_read_is_an_error_and_no_short_listing, folder),
        STORE_TEST(a_full_or_missing_place_is_an_error_and_leaves_no_object, folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
