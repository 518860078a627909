/* reader/disk.h: a folder that keeps bytes; what is damaged is not there. */
#include "unit.h"

#include "reader/disk.h"

#include <fcntl.h>
#include <sys/stat.h>

static struct disk *opened(uint64_t bytes)
{
    struct disk *d = NULL;
    struct err e;
    assert_ok(disk_open(temp_path("cache"), bytes, &d, &e), &e);
    return d;
}

static bool has(struct disk *d, const char *name, const char *text)
{
    struct buf b = BUF_INIT(1 << 20);
    bool found = disk_get(d, name, &b);
    if (found) {
        assert_int_equal(b.len, strlen(text));
        assert_memory_equal(b.data, text, b.len);
    }
    buf_release(&b);
    return found;
}

static void bytes_are_there_for_the_next_process(void **state)
{
    (void)state;
    struct disk *d = opened(1 << 20);
    assert_false(has(d, "aa-1", ""));
    disk_put(d, "aa-1", "some bytes", 10);
    disk_put(d, "aa-2", "", 0);
    assert_true(has(d, "aa-1", "some bytes") && has(d, "aa-2", ""));
    disk_close(d);
    d = opened(1 << 20);
    assert_true(has(d, "aa-1", "some bytes"));
    disk_drop(d, "aa-1");
    disk_drop(d, "aa-1");
    assert_false(has(d, "aa-1", ""));
    disk_close(d);
}

/* Each byte changed, and each length. */
static void a_damaged_file_is_not_there_and_goes(void **state)
{
    const char *text = "twenty six bytes of a page";
    (void)state;
    struct disk *d = opened(1 << 20);
    char path[600];
    snprintf(path, sizeof path, "%s/aa-1", temp_path("cache"));
    for (size_t i = 0; i < 2 * (16 + strlen(text)); i++) {
        size_t n = 0;
        disk_put(d, "aa-1", text, strlen(text));
        uint8_t *bytes = file_bytes(path, &n);
        assert_int_equal(n, 16 + strlen(text));
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        if (i < n)
            bytes[i] ^= 1;
        fwrite(bytes, 1, i < n ? n : i - n, f);
        fclose(f);
        free(bytes);
        assert_false(has(d, "aa-1", text));
        assert_int_equal(access(path, F_OK), -1);
    }
    disk_close(d);
}

static void the_folder_stays_below_its_limit(void **state)
{
    static char bytes[10000];
    char name[40];
    unsigned there = 0;
    (void)state;
    struct disk *d = opened(100000);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "%x-1", i);
        disk_put(d, name, bytes, sizeof bytes);
    }
    for (int i = 0; i < 100; i++) {
        struct buf b = BUF_INIT(1 << 20);
        snprintf(name, sizeof name, "%x-1", i);
        there += disk_get(d, name, &b);
        buf_release(&b);
    }
    assert_true(there >= 5 && there <= 11);
    disk_close(d);
}

/* Without O_TMPFILE a file has a hidden name while it is written. */
static void what_a_killed_process_left_counts_and_goes(void **state)
{
    static const char bytes[60000];
    static const char *const names[] = {".seawall-0123456789abcdef.tmp", ".seawall-fedcba9876543210.tmp", "mine.tmp"};
    char paths[3][600];
    (void)state;
    disk_close(opened(100000));
    for (size_t i = 0; i < 3; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/%s", temp_path("cache"), names[i]);
        FILE *f = fopen(paths[i], "w");
        assert_non_null(f);
        assert_int_equal(fwrite(bytes, 1, sizeof bytes, f), sizeof bytes);
        fclose(f);
        const struct timespec old[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
        if (i != 1) /* the second one is being written */
            assert_int_equal(utimensat(AT_FDCWD, paths[i], old, 0), 0);
    }
    struct disk *d = opened(100000);
    disk_put(d, "aa-1", bytes, sizeof bytes);
    assert_int_equal(access(paths[0], F_OK), -1);
    assert_int_equal(access(paths[1], F_OK), 0);
    assert_int_equal(access(paths[2], F_OK), 0);
    disk_close(d);
}

static void a_folder_that_others_can_write_to_is_refused(void **state)
{
    struct disk *d = NULL;
    struct err e;
    (void)state;
    disk_close(opened(1 << 20));
    assert_int_equal(chmod(temp_path("cache"), 0777), 0);
    assert_error(disk_open(temp_path("cache"), 1 << 20, &d, &e), &e, ERR_CONFIG);
    assert_error(disk_open(temp_path("a/b"), 1 << 20, &d, &e), &e, ERR_NOTFOUND);
    assert_false(disk_get(NULL, "aa-1", NULL)); /* no folder keeps nothing */
    disk_put(NULL, "aa-1", "", 0);
    disk_drop(NULL, "aa-1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_IN_TEMP(bytes_are_there_for_the_next_process),
        UNIT_IN_TEMP(a_damaged_file_is_not_there_and_goes),
        UNIT_IN_TEMP(the_folder_stays_below_its_limit),
        UNIT_IN_TEMP(what_a_killed_process_left_counts_and_goes),
        UNIT_IN_TEMP(a_folder_that_others_can_write_to_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
