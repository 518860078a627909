/* base/socket.h: names of any length, private from the first moment, and nobody's but one's own is removed. */
#include "unit.h"

#include "base/socket.h"

#include <sys/socket.h>

static void reaches(const char *path)
{
    struct err e;
    int fd = -1;
    assert_ok(socket_connect(path, 1000, &fd, &e), &e);
    close(fd);
}

static void who_listens_is_found_and_is_gone_afterwards(void **state)
{
    const char *path = temp_path("s");
    struct socket_listener l;
    struct stat st;
    struct err e;
    int fd = -1;
    (void)state;
    assert_error(socket_connect(path, 1000, &fd, &e), &e, ERR_NOTFOUND);
    mode_t before = umask(0);
    assert_ok(socket_listen(path, &l, &e), &e);
    umask(before);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    reaches(path);
    socket_unlisten(&l);
    assert_int_equal(access(path, F_OK), -1);
    socket_unlisten(&l);
}

static void a_stale_one_refuses_and_is_replaced(void **state)
{
    const char *path = temp_path("s");
    struct socket_listener dead, l;
    struct err e;
    int fd = -1;
    (void)state;
    assert_ok(socket_listen(path, &dead, &e), &e);
    close(dead.fd);
    assert_error(socket_connect(path, 1000, &fd, &e), &e, ERR_NOTFOUND);
    assert_ok(socket_listen(path, &l, &e), &e);
    reaches(path);
    socket_unlisten(&l);
}

static void another_ones_name_is_left_alone(void **state)
{
    const char *path = temp_path("s");
    struct socket_listener first, second;
    struct err e;
    (void)state;
    assert_ok(socket_listen(path, &first, &e), &e);
    assert_ok(socket_listen(path, &second, &e), &e);
    socket_unlisten(&first);
    reaches(path);
    socket_unlisten(&second);
}

static void what_is_no_socket_is_left_alone(void **state)
{
    const char *path = temp_path("s");
    struct socket_listener l;
    struct err e;
    size_t n = 0;
    (void)state;
    assert_int_equal(file_write(path, "mine", 4), 0);
    assert_error(socket_listen(path, &l, &e), &e, ERR_EXISTS);
    assert_contains(e.msg, "HINT");
    uint8_t *bytes = file_bytes(path, &n);
    assert_int_equal(n, 4);
    assert_memory_equal(bytes, "mine", 4);
    free(bytes);
}

/* Longer than sun_path in the folder, and in the name alone. */
static void paths_may_be_as_long_as_paths_may_be(void **state)
{
    char dir[600], path[900], name[256];
    struct socket_listener l;
    struct err e;
    (void)state;
    memset(name, 'd', 200);
    name[200] = 0;
    snprintf(dir, sizeof dir, "%s", temp_path(name));
    assert_int_equal(mkdir(dir, 0700), 0);
    memset(name, 'n', 255);
    name[255] = 0;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_ok(socket_listen(path, &l, &e), &e);
    reaches(path);
    socket_unlisten(&l);
    assert_int_equal(rmdir(dir), 0); /* no hidden name is left */
}

static void a_place_that_can_not_have_one_is_an_error(void **state)
{
    struct socket_listener l;
    struct err e;
    char path[800], name[257];
    (void)state;
    memset(name, 'n', 256);
    name[256] = 0;
    snprintf(path, sizeof path, "%s", temp_path(name));
    assert_error(socket_listen(path, &l, &e), &e, ERR_IO);
    assert_error(socket_listen(temp_path("no/such/folder"), &l, &e), &e, ERR_NOTFOUND);
}

/* Nobody accepts: the queue is full at some time. */
static void a_full_queue_is_a_timeout(void **state)
{
    const char *path = temp_path("s");
    struct socket_listener l;
    struct err e = {.code = ERR_NONE};
    int fds[256], n = 0;
    (void)state;
    assert_ok(socket_listen(path, &l, &e), &e);
    while (n < 256 && socket_connect(path, 20, &fds[n], &e) == 0)
        n++;
    assert_true(n > 1 && n < 256);
    assert_int_equal(e.code, ERR_TIMEOUT);
    while (n > 0)
        close(fds[--n]);
    socket_unlisten(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_IN_TEMP(who_listens_is_found_and_is_gone_afterwards),
        UNIT_IN_TEMP(a_stale_one_refuses_and_is_replaced),
        UNIT_IN_TEMP(another_ones_name_is_left_alone),
        UNIT_IN_TEMP(what_is_no_socket_is_left_alone),
        UNIT_IN_TEMP(paths_may_be_as_long_as_paths_may_be),
        UNIT_IN_TEMP(a_place_that_can_not_have_one_is_an_error),
        UNIT_IN_TEMP(a_full_queue_is_a_timeout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
