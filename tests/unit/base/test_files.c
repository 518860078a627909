/* base/path.h, io.h, stage.h, clock.h, log.h: paths that are never cut, whole reads and writes, files that are hidden
 * until they are whole, moments as text, lines of the log. */
#include "unit.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/path.h"
#include "base/stage.h"

#include <errno.h>
#include <limits.h>

static void parents_and_names_of_paths(void **state)
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

static void a_read_gives_all_bytes_or_says_where_the_file_ends(void **state)
{
    struct err e;
    char out[8] = "";
    (void)state;
    assert_int_equal(file_write(temp_path("f"), "0123456789", 10), 0);
    int fd = open(temp_path("f"), O_RDWR | O_CLOEXEC);
    assert_ok(io_pread(fd, out, 7, 3, &e), &e);
    assert_memory_equal(out, "3456789", 7);
    assert_error(io_pread(fd, out, 7, 4, &e), &e, ERR_CORRUPT);
    assert_error(io_pread(fd, out, 1, 100, &e), &e, ERR_CORRUPT);
    assert_ok(io_pread(fd, out, 0, 100, &e), &e);
    assert_ok(io_pwrite(fd, "abc", 3, 9, &e), &e);
    assert_ok(io_pread(fd, out, 4, 8, &e), &e);
    assert_memory_equal(out, "8abc", 4);
    io_close(&fd);
    assert_int_equal(fd, -1);
    io_close(&fd); /* a second call is allowed */
    assert_error(io_pread(-1, out, 1, 0, &e), &e, ERR_IO);
}

static void a_staged_file_has_no_name_until_it_is_linked(void **state)
{
    struct err e;
    struct stage st;
    size_t n = 0;
    (void)state;
    assert_ok(stage_begin(&st, temp_dir, &e), &e);
    assert_ok(io_write(st.fd, "whole", 5, &e), &e);
    if (st.name[0] == 0) /* the file system has nameless files */
        assert_int_equal(names_in(temp_dir), 0);
    assert_ok(stage_link(&st, "f", &e), &e);
    stage_end(&st);
    assert_int_equal(names_in(temp_dir), 1);
    uint8_t *bytes = file_bytes(temp_path("f"), &n);
    assert_string_equal((char *)bytes, "whole");
    free(bytes);
}

static void a_staged_file_never_replaces_another_by_link(void **state)
{
    struct err e;
    struct stage st;
    size_t n = 0;
    (void)state;
    assert_int_equal(file_write(temp_path("f"), "old", 3), 0);
    for (int named = 0; named < 2; named++) {
        assert_ok(stage_begin(&st, temp_dir, &e), &e);
        if (named)
            assert_ok(stage_name(&st, &e), &e);
        assert_error(stage_link(&st, "f", &e), &e, ERR_EXISTS);
        stage_end(&st);
        assert_int_equal(names_in(temp_dir), 1);
    }
    uint8_t *bytes = file_bytes(temp_path("f"), &n);
    assert_string_equal((char *)bytes, "old");
    free(bytes);
}

static void a_staged_file_with_a_name_replaces_another_by_rename(void **state)
{
    struct err e;
    struct stage st;
    size_t n = 0;
    (void)state;
    assert_int_equal(file_write(temp_path("f"), "old", 3), 0);
    assert_ok(stage_begin(&st, temp_dir, &e), &e);
    assert_ok(io_write(st.fd, "new", 3, &e), &e);
    assert_ok(stage_name(&st, &e), &e);
    assert_int_equal(st.name[0], '.');
    assert_ok(stage_rename(&st, "f", &e), &e);
    stage_end(&st);
    assert_int_equal(names_in(temp_dir), 1);
    uint8_t *bytes = file_bytes(temp_path("f"), &n);
    assert_string_equal((char *)bytes, "new");
    free(bytes);
}

static void an_abandoned_stage_leaves_nothing_behind(void **state)
{
    struct err e;
    struct stage st = STAGE_NONE;
    (void)state;
    stage_end(&st);
    assert_ok(stage_begin(&st, temp_dir, &e), &e);
    assert_ok(stage_name(&st, &e), &e);
    assert_int_equal(names_in(temp_dir), 1);
    stage_end(&st);
    stage_end(&st);
    assert_int_equal(names_in(temp_dir), 0);
    assert_error(stage_begin(&st, temp_path("absent"), &e), &e, ERR_NOTFOUND);
}

static void times_are_written_in_utc_with_milliseconds(void **state)
{
    char text[CLOCK_TEXT_MAX];
    (void)state;
    setenv("TZ", "Asia/Tokyo", 1);
    clock_format(1772366400250, text);
    assert_string_equal(text, "2026-03-01T12:00:00.250Z");
    clock_format(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
    clock_format(INT64_MAX, text); /* a damaged object can have this time: any text, but no overflow */
    assert_true(strlen(text) < CLOCK_TEXT_MAX);
    assert_string_equal(text, "292278994-08-17T07:12:55.807Z");
    clock_format(253402300800000, text);
    assert_string_equal(text, "10000-01-01T00:00:00.000Z");
    clock_format(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
    clock_format(INT64_MIN, text);
    assert_string_equal(text, "-292275055-05-16T16:47:04.192Z");
}

static void an_event_is_one_line_on_stderr_however_long(void **state)
{
    char text[4096] = "", long_text[3000];
    size_t n = 0;
    (void)state;
    memset(long_text, 'x', sizeof long_text);
    long_text[sizeof long_text - 1] = 0;
    int kept = dup(STDERR_FILENO), fd = open(temp_path("log"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(kept >= 0 && fd >= 0 && dup2(fd, STDERR_FILENO) >= 0);
    log_warn("disk %d%% full", 95);
    log_error("%s", long_text);
    log_info("done");
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(fd);
    char *lines = (char *)file_bytes(temp_path("log"), &n);
    assert_non_null(lines);
    int used = 0;
    assert_int_equal(sscanf(lines, "%*4d-%*2d-%*2dT%*2d:%*2d:%*2d.%*3dZ %n%4095[^\n]", &used, text), 1);
    assert_string_equal(text, "WARN  disk 95% full");
    assert_int_equal(lines[n - 1], '\n');
    assert_contains(lines, "ERROR xxx");
    assert_contains(lines, "\n20");
    unsigned count = 0;
    for (size_t i = 0; i < n; i++)
        count += lines[i] == '\n';
    assert_int_equal(count, 3);
    free(lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(parents_and_names_of_paths),
        UNIT(a_path_that_does_not_fit_is_an_error),
        UNIT_IN_TEMP(folders_are_made_with_all_their_parents),
        UNIT_IN_TEMP(a_read_gives_all_bytes_or_says_where_the_file_ends),
        UNIT_IN_TEMP(a_staged_file_has_no_name_until_it_is_linked),
        UNIT_IN_TEMP(a_staged_file_never_replaces_another_by_link),
        UNIT_IN_TEMP(a_staged_file_with_a_name_replaces_another_by_rename),
        UNIT_IN_TEMP(an_abandoned_stage_leaves_nothing_behind),
        UNIT(times_are_written_in_utc_with_milliseconds),
        UNIT_IN_TEMP(an_event_is_one_line_on_stderr_however_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
