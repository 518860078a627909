/* web/listener.h: the place where the status page is served. */
#include "unit.h"

#include "web/listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct listen_place free_place(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    char text[32];
    struct listen_place place;
    struct err e;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    close(fd);
    snprintf(text, sizeof text, "%u", ntohs(a.sin_port));
    assert_ok(listen_parse(text, &place, &e), &e);
    return place;
}

static void what_the_kernel_keeps_for_a_client_is_bounded(void **state)
{
    const struct listen_place place = free_place();
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(place.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct listener l;
    struct err e;
    int bytes = 0;
    socklen_t n = sizeof bytes;
    (void)state;
    assert_ok(listener_open(&place, &l, &e), &e);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(client, (const struct sockaddr *)&to, sizeof to), 0);
    int served = accept(l.fd, NULL, NULL);
    assert_true(served >= 0);
    assert_int_equal(getsockopt(served, SOL_SOCKET, SO_SNDBUF, &bytes, &n), 0);
    assert_true(bytes <= 2 * LISTENER_SEND_BYTES);
    close(served);
    close(client);
    listener_close(&l);
}

static void a_port_in_use_is_an_error_with_a_hint(void **state)
{
    const struct listen_place place = free_place();
    struct listener first, second;
    struct err e;
    (void)state;
    assert_ok(listener_open(&place, &first, &e), &e);
    assert_int_equal(listener_open(&place, &second, &e), -1);
    assert_int_equal(e.code, ERR_BUSY);
    assert_contains(e.msg, "HINT: 'ss -ltnp");
    listener_close(&first);
    assert_ok(listener_open(&place, &second, &e), &e); /* at once, without waiting for old connections */
    listener_close(&second);
}

static void an_address_of_another_machine_is_an_error_with_a_hint(void **state)
{
    struct listen_place place;
    struct listener l;
    struct err e;
    (void)state;
    assert_ok(listen_parse("192.0.2.1:9099", &place, &e), &e);
    assert_int_equal(listener_open(&place, &l, &e), -1);
    assert_int_equal(e.code, ERR_CONFIG);
    assert_contains(e.msg, "HINT: 'ip address'");
}

static void a_unix_socket_is_for_its_user_alone_and_goes_with_the_listener(void **state)
{
    char path[64];
    struct listen_place place = {.port = 0};
    struct listener l, second;
    struct stat st;
    struct err e;
    (void)state;
    snprintf(path, sizeof path, "/tmp/seawall-listener-%d", getpid());
    snprintf(place.path, sizeof place.path, "%s", path);
    assert_ok(listener_open(&place, &l, &e), &e);
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(listener_open(&place, &second, &e), -1);
    assert_int_equal(e.code, ERR_BUSY);
    listener_close(&l);
    assert_int_not_equal(stat(path, &st), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(what_the_kernel_keeps_for_a_client_is_bounded),
        UNIT(a_port_in_use_is_an_error_with_a_hint),
        UNIT(an_address_of_another_machine_is_an_error_with_a_hint),
        UNIT(a_unix_socket_is_for_its_user_alone_and_goes_with_the_listener),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
