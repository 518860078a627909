/* storage/file.h: a folder keeps the contract of storage/store.h; and what only a folder has. */
#include "store_contract.h"

#include "base/path.h"

#include <sys/types.h>

static struct store *open_folder(void)
{
    struct err e;
    struct store *s = NULL;
    return store_open(temp_path("store/with/parents"), STORE_WRITE, &s, &e) ? NULL : s;
}

static struct store_under_test folder = {.open = open_folder, .clear = temp_setup, .forget = temp_teardown};

static void what_a_crash_leaves_is_nobodys_object(void **state)
{
    struct store *s = open_folder();
    (void)state;
    assert_non_null(s);
    put(s, "0/01", "x");
    assert_int_equal(file_write(temp_path("store/with/parents/.seawall-0123456789abcdef.tmp"), "half", 4), 0);
    assert_int_equal(file_write(temp_path("store/with/parents/0/.seawall-0123456789abcdef.tmp"), "half", 4), 0);
    assert_listing(s, "", "", "0/01");
    assert_listing(s, "0/", "", "0/01");
    store_close(s);
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
    assert_string_equal(a->url, b->url); /* the state file knows a replica by it */
    assert_string_equal(a->url, c->url);
    store_close(a);
    store_close(b);
    store_close(c);
}

static void what_is_no_folder_is_refused(void **state)
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
    struct store *s = open_folder();
    (void)state;
    assert_non_null(s);
    put(s, "0/01", "x");
    put(s, "1/01-02", "x");
    if (geteuid() == 0) { /* root reads everything: take the folder away instead */
        assert_int_equal(rename(temp_path("store/with/parents"), temp_path("gone")), 0);
        assert_error(store_list(s, "", "", store_listing_add, &l, &e), &e, ERR_NOTFOUND);
    } else {
        assert_int_equal(chmod(temp_path("store/with/parents/0"), 0), 0);
        assert_error(store_list(s, "", "", store_listing_add, &l, &e), &e, ERR_IO);
        assert_int_equal(chmod(temp_path("store/with/parents/0"), 0700), 0);
    }
    assert_int_equal(l.count, 0);
    store_close(s);
}

static void a_full_or_missing_place_is_an_error_and_leaves_no_object(void **state)
{
    struct err e;
    struct store *s = open_folder();
    (void)state;
    assert_non_null(s);
    assert_int_equal(file_write(temp_path("store/with/parents/0"), "in the way", 10), 0);
    assert_int_not_equal(store_put_new(s, "0/01", "x", 1, NULL, &e), 0);
    assert_int_not_equal(e.code, ERR_EXISTS);
    assert_listing(s, "0/", "", "");
    assert_listing(s, "", "", "0");
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_CONTRACT_TESTS(folder),
        STORE_CONTRACT_TESTS_OF_PROCESSES(folder),
        UNIT_IN_TEMP(what_a_crash_leaves_is_nobodys_object),
        UNIT_IN_TEMP(urls_and_paths_name_the_same_folder),
        UNIT_IN_TEMP(what_is_no_folder_is_refused),
        UNIT_IN_TEMP(reading_makes_no_folder),
        UNIT_IN_TEMP(a_folder_that_cannot_be_read_is_an_error_and_no_short_listing),
        UNIT_IN_TEMP(a_full_or_missing_place_is_an_error_and_leaves_no_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
