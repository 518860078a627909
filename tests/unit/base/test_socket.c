/* base/socket.h: a socket can have a name of any length, is private from the first moment, and no file of others is
 * removed. */
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

static void a_listener_is_found_and_its_socket_is_removed_at_the_end(void **state)
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

static void a_stale_socket_refuses_connections_and_is_replaced(void **state)
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

static void the_socket_of_another_process_is_left_alone(void **state)
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

static void a_file_that_is_not_a_socket_is_left_alone(void **state)
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

/* A folder that is longer than sun_path, and a name that is. */
static void a_path_may_be_longer_than_a_socket_address(void **state)
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

static void a_folder_that_can_not_have_a_socket_is_an_error(void **state)
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

/* No process accepts connections, so the queue becomes full. */
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
        UNIT_IN_TEMP(a_listener_is_found_and_its_socket_is_removed_at_the_end),
        UNIT_IN_TEMP(a_stale_socket_refuses_connections_and_is_replaced),
        UNIT_IN_TEMP(the_socket_of_another_process_is_left_alone),
        UNIT_IN_TEMP(a_file_that_is_not_a_socket_is_left_alone),
        UNIT_IN_TEMP(a_path_may_be_longer_than_a_socket_address),
        UNIT_IN_TEMP(a_folder_that_can_not_have_a_socket_is_an_error),
        UNIT_IN_TEMP(a_full_queue_is_a_timeout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
