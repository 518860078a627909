/* daemon/notify.h: what a service manager hears over a real socket. Time is an argument. */
#include "daemon/notify.h"

#include "unit.h"

#include <sys/socket.h>
#include <sys/un.h>

static struct notify n;
static int manager = -1;
static char heard[512];

static void listen_at(const struct sockaddr_un *address, size_t name_len)
{
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(manager >= 0);
    assert_int_equal(
        bind(manager, (const struct sockaddr *)address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + name_len)),
        0);
}

static void listen_at_path(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "/tmp/seawall-notify-%d", (int)getpid()); /* short enough */
    listen_at(&address, strlen(address.sun_path) + 1);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
}

static int begin(void **state)
{
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    n = NOTIFY_NONE;
    (void)state;
    return 0;
}

static int end(void **state)
{
    struct sockaddr_un own = {.sun_family = AF_UNIX};
    socklen_t size = sizeof own;
    (void)state;
    notify_close(&n);
    if (manager >= 0 && getsockname(manager, (struct sockaddr *)&own, &size) == 0 && own.sun_path[0])
        unlink(own.sun_path);
    if (manager >= 0)
        close(manager);
    manager = -1;
    return 0;
}

/* The datagrams that arrived since the last call, with '|' after each. */
static const char *all_heard(void)
{
    size_t len = 0;
    for (;;) {
        ssize_t got = recv(manager, heard + len, sizeof heard - len - 2, 0);
        if (got < 0)
            break;
        len += (size_t)got;
        heard[len++] = '|';
    }
    heard[len] = 0;
    return heard;
}

static const struct notify_state starting = {.alive = true, .status = "starting"};
static const struct notify_state up = {.up = true, .alive = true, .status = "following"};
static const struct notify_state stuck = {.up = true, .status = "following"};
static const struct notify_state stopping = {.up = true, .stopping = true, .alive = true, .status = "stopping"};

static void without_a_manager_nothing_is_sent(void **state)
{
    (void)state;
    setenv("WATCHDOG_USEC", "3000000", 1);
    notify_open(&n);
    assert_int_equal(n.fd, -1);
    assert_true(notify_patience_ms(&n) == INT64_MAX);
    notify_run(&n, &up, 1000);
    notify_reloading(&n);
    assert_false(n.ready);
}

static void programs_that_are_started_do_not_inherit_the_socket(void **state)
{
    (void)state;
    listen_at_path();
    setenv("WATCHDOG_USEC", "3000000", 1);
    setenv("WATCHDOG_PID", "1", 1);
    notify_open(&n);
    assert_null(getenv("NOTIFY_SOCKET"));
    assert_null(getenv("WATCHDOG_USEC"));
    assert_null(getenv("WATCHDOG_PID"));
}

static void ready_is_said_once_and_only_when_it_is_up(void **state)
{
    (void)state;
    listen_at_path();
    notify_open(&n);
    notify_run(&n, &starting, 1000);
    assert_string_equal(all_heard(), "EXTEND_TIMEOUT_USEC=30000000|STATUS=starting|");
    notify_run(&n, &up, 2500);
    assert_string_equal(all_heard(), "READY=1|STATUS=following|");
    notify_run(&n, &up, 60000);
    assert_string_equal(all_heard(), "");
}

static void an_abstract_address_is_reached(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)state;
    int len = snprintf(address.sun_path, sizeof address.sun_path, "@seawall-test-%d", (int)getpid());
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    address.sun_path[0] = 0;
    listen_at(&address, (size_t)len);
    notify_open(&n);
    notify_run(&n, &up, 1000);
    assert_string_equal(all_heard(), "READY=1|STATUS=following|");
}

static void an_address_that_can_not_be_reached_is_no_error(void **state)
{
    char deep[sizeof((struct sockaddr_un *)NULL)->sun_path + 1];
    (void)state;
    memset(deep, 'x', sizeof deep);
    deep[0] = '/';
    deep[sizeof deep - 1] = 0;
    const char *const names[] = {"/no/such/socket", "relative", "vsock:2:1234", "/", "", deep};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        setenv("NOTIFY_SOCKET", names[i], 1);
        notify_open(&n);
        assert_int_equal(n.fd, -1);
        notify_run(&n, &up, 1000);
    }
}

static void signs_of_life_come_three_times_in_the_time_of_the_watchdog(void **state)
{
    (void)state;
    listen_at_path();
    setenv("WATCHDOG_USEC", "3000000", 1);
    notify_open(&n);
    assert_int_equal(notify_patience_ms(&n), 3000);
    notify_run(&n, &up, 1000);
    assert_string_equal(all_heard(), "READY=1|WATCHDOG=1|STATUS=following|");
    notify_run(&n, &up, 1999);
    assert_string_equal(all_heard(), "");
    notify_run(&n, &up, 2000);
    assert_string_equal(all_heard(), "WATCHDOG=1|");
}

static void a_job_that_is_stuck_ends_the_signs_of_life(void **state)
{
    (void)state;
    listen_at_path();
    setenv("WATCHDOG_USEC", "3000000", 1);
    notify_open(&n);
    notify_run(&n, &up, 1000);
    all_heard();
    notify_run(&n, &stuck, 2000);
    notify_run(&n, &stuck, 9000);
    assert_string_equal(all_heard(), "");
    notify_run(&n, &up, 9001);
    assert_string_equal(all_heard(), "WATCHDOG=1|");
}

static void the_watchdog_of_another_process_is_not_ours(void **state)
{
    (void)state;
    listen_at_path();
    setenv("WATCHDOG_USEC", "3000000", 1);
    setenv("WATCHDOG_PID", "1", 1);
    notify_open(&n);
    notify_run(&n, &up, 1000);
    assert_string_equal(all_heard(), "READY=1|STATUS=following|");
}

static void a_stop_is_said_and_gets_time_as_long_as_it_is_alive(void **state)
{
    struct notify_state hangs = stopping;
    (void)state;
    hangs.alive = false;
    listen_at_path();
    notify_open(&n);
    notify_run(&n, &up, 1000);
    all_heard();
    notify_run(&n, &stopping, 2000);
    assert_string_equal(all_heard(), "STOPPING=1|EXTEND_TIMEOUT_USEC=30000000|STATUS=stopping|");
    notify_run(&n, &stopping, 6999);
    assert_string_equal(all_heard(), "");
    notify_run(&n, &stopping, 7000);
    assert_string_equal(all_heard(), "EXTEND_TIMEOUT_USEC=30000000|");
    notify_run(&n, &hangs, 20000);
    assert_string_equal(all_heard(), "");
}

static void a_reload_begins_and_ends(void **state)
{
    (void)state;
    listen_at_path();
    notify_open(&n);
    notify_run(&n, &up, 1000);
    all_heard();
    notify_reloading(&n);
    assert_true(strncmp(all_heard(), "RELOADING=1\nMONOTONIC_USEC=", 27) == 0);
    notify_run(&n, &up, 1001);
    assert_string_equal(all_heard(), "READY=1|");
}

static void a_status_is_one_line_and_comes_at_most_once_a_second(void **state)
{
    const struct notify_state other = {.up = true, .alive = true, .status = "behind\nREADY=0"};
    (void)state;
    listen_at_path();
    notify_open(&n);
    notify_run(&n, &up, 1000);
    all_heard();
    notify_run(&n, &other, 1999);
    assert_string_equal(all_heard(), "");
    notify_run(&n, &other, 2000);
    assert_string_equal(all_heard(), "STATUS=behind|");
}

static void a_manager_that_does_not_read_is_told_later(void **state)
{
    (void)state;
    listen_at_path();
    notify_open(&n);
    unsigned filled = 0;
    while (send(n.fd, "X", 1, 0) == 1)
        filled++;
    assert_true(filled > 0);
    notify_run(&n, &up, 1000);
    assert_false(n.ready);
    while (recv(manager, heard, sizeof heard, 0) > 0)
        ;
    notify_run(&n, &up, 1001);
    assert_string_equal(all_heard(), "READY=1|STATUS=following|");
}

#define NOTIFY_TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NOTIFY_TEST(without_a_manager_nothing_is_sent),
        NOTIFY_TEST(programs_that_are_started_do_not_inherit_the_socket),
        NOTIFY_TEST(ready_is_said_once_and_only_when_it_is_up),
        NOTIFY_TEST(an_abstract_address_is_reached),
        NOTIFY_TEST(an_address_that_can_not_be_reached_is_no_error),
        NOTIFY_TEST(signs_of_life_come_three_times_in_the_time_of_the_watchdog),
        NOTIFY_TEST(a_job_that_is_stuck_ends_the_signs_of_life),
        NOTIFY_TEST(the_watchdog_of_another_process_is_not_ours),
        NOTIFY_TEST(a_stop_is_said_and_gets_time_as_long_as_it_is_alive),
        NOTIFY_TEST(a_reload_begins_and_ends),
        NOTIFY_TEST(a_status_is_one_line_and_comes_at_most_once_a_second),
        NOTIFY_TEST(a_manager_that_does_not_read_is_told_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
