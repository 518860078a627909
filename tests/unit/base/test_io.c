/* base/io.h: whole reads and writes. */
#include "base/io.h"

#include "unit.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_IN_TEMP(a_read_gives_all_bytes_or_says_where_the_file_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
