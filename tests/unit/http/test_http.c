/* http/http.h: the bytes of a request, and the result of each kind of answer. */
#include "unit.h"

#include "base/clock.h"
#include "http/http.h"
#include "http_server.h"

static struct server server;
static struct http *http;

static int setup(void **state)
{
    struct err e;
    (void)state;
    return server_start(&server) || http_acquire(&http, &e) ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    http_release(http);
    server_stop(&server);
    return 0;
}

static struct http_request request_of(const char *method, const char *path)
{
    static char url[1024];
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", server.port, path);
    return (struct http_request){.method = method, .url = url, .timeout_ms = 5000, .body_max = 1000};
}

static void reply_hello(const struct server_request *q, struct server_reply *r)
{
    (void)q;
    r->status = 200;
    snprintf(r->body, sizeof r->body, "hello");
}

static void reply_part(const struct server_request *q, struct server_reply *r)
{
    reply_hello(q, r);
    r->status = 206;
}

static void reply_much(const struct server_request *q, struct server_reply *r)
{
    r->status = strcmp(q->path, "/error") == 0 ? 500 : 200;
    r->size = 2000;
    memset(r->body, 'x', r->size);
}

static void hang_up(const struct server_request *q, struct server_reply *r)
{
    (void)q;
    r->status = 0;
}

static void stall(const struct server_request *q, struct server_reply *r)
{
    clock_sleep_us(400000);
    reply_hello(q, r);
}

static void the_path_goes_out_as_it_is_and_nothing_is_expected(void **state)
{
    struct http_headers h = HTTP_HEADERS_INIT;
    struct http_response r = {0};
    struct err e;
    char value[100];
    (void)state;
    server_answer(&server, reply_hello);
    assert_ok(http_headers_add(&h, "x-one", "1", &e), &e);
    assert_ok(http_headers_add(&h, "x-empty", "", &e), &e);
    assert_ok(http_headers_add(&h, "host", "some.host", &e), &e);
    struct http_request q = request_of("PUT", "/a/./b/../c//d%20e?x=%2F");
    q.headers = &h;
    q.body = "body";
    q.body_len = 4;
    assert_ok(http_request(http, &q, &r, &e), &e);
    assert_int_equal(r.status, 200);
    assert_memory_equal(r.body.data, "hello", 5);
    assert_string_equal(server.last.method, "PUT");
    assert_string_equal(server.last.path, "/a/./b/../c//d%20e?x=%2F");
    assert_string_equal(server.last.body, "body");
    assert_string_equal(server_header(&server.last, "expect", value, sizeof value), "");
    assert_string_equal(server_header(&server.last, "content-length", value, sizeof value), "4");
    assert_string_equal(server_header(&server.last, "content-type", value, sizeof value), "");
    assert_string_equal(server_header(&server.last, "transfer-encoding", value, sizeof value), "");
    assert_string_equal(server_header(&server.last, "accept-encoding", value, sizeof value), "");
    assert_string_equal(server_header(&server.last, "host", value, sizeof value), "some.host");
    assert_string_equal(server_header(&server.last, "x-one", value, sizeof value), "1");
    assert_contains(server.last.headers, "x-empty:");
    http_response_release(&r);
    http_headers_release(&h);
}

static void an_empty_body_has_a_length(void **state)
{
    struct http_response r = {0};
    struct err e;
    char value[100];
    (void)state;
    server_answer(&server, reply_hello);
    struct http_request q = request_of("PUT", "/x");
    q.body = "";
    assert_ok(http_request(http, &q, &r, &e), &e);
    assert_string_equal(server_header(&server.last, "content-length", value, sizeof value), "0");
    http_response_release(&r);
}

static void the_body_of_a_part_goes_into_the_given_buffer_and_any_other_body_does_not(void **state)
{
    struct http_response r = {0};
    struct err e;
    char into[5] = "";
    (void)state;
    struct http_request q = request_of("GET", "/x");
    q.into = into;
    q.into_max = sizeof into;
    server_answer(&server, reply_part);
    assert_ok(http_request(http, &q, &r, &e), &e);
    assert_int_equal(r.into_len, 5);
    assert_memory_equal(into, "hello", 5);
    assert_int_equal(r.body.len, 0);
    http_response_release(&r);
    r = (struct http_response){0};
    q.into_max = 4;
    assert_error(http_request(http, &q, &r, &e), &e, ERR_LIMIT);
    http_response_release(&r);
    r = (struct http_response){0};
    server_answer(&server, reply_hello);
    assert_ok(http_request(http, &q, &r, &e), &e);
    assert_int_equal(r.into_len, 0);
    assert_int_equal(r.body.len, 5);
    http_response_release(&r);
}

static void an_answer_has_a_ceiling(void **state)
{
    struct http_response r = {0};
    struct err e;
    (void)state;
    server_answer(&server, reply_much);
    struct http_request q = request_of("GET", "/x");
    assert_error(http_request(http, &q, &r, &e), &e, ERR_LIMIT);
    http_response_release(&r);
    r = (struct http_response){0};
    q = request_of("GET", "/error"); /* of an error document only the beginning is read */
    assert_ok(http_request(http, &q, &r, &e), &e);
    assert_int_equal(r.status, 500);
    assert_int_equal(r.body.len, 1000);
    http_response_release(&r);
}

static size_t long_header;

static void reply_long_header(const struct server_request *q, struct server_reply *r)
{
    reply_hello(q, r);
    r->long_header = long_header;
}

/* Our own limit is 64 KiB. libcurl has limits of 100 kB for a line and of 300 KiB for all lines. */
static void too_long_headers_are_an_error_of_the_response_and_not_of_memory(void **state)
{
    static const size_t sizes[] = {60000, 70000, 101000, 110000, 330000};
    (void)state;
    server_answer(&server, reply_long_header);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct http_response r = {0};
        struct err e = {.code = ERR_NONE};
        struct http_request q = request_of("GET", "/x");
        long_header = sizes[i];
        int rc = http_request(http, &q, &r, &e);
        http_response_release(&r);
        if (i == 0) {
            assert_ok(rc, &e);
            continue;
        }
        assert_int_equal(rc, -1);
        assert_true(e.code == ERR_LIMIT || e.code == ERR_REMOTE);
        assert_null(strstr(e.msg, "memory"));
    }
}

static void a_missing_answer_can_be_tried_again_and_says_whether_anything_was_sent(void **state)
{
    struct http_response r = {0};
    struct err e;
    (void)state;
    server_answer(&server, hang_up);
    struct http_request q = request_of("PUT", "/x");
    q.body = "b";
    q.body_len = 1;
    assert_error(http_request(http, &q, &r, &e), &e, ERR_REMOTE);
    assert_true(r.sent);
    http_response_release(&r);
    r = (struct http_response){0};
    q.url = "http://127.0.0.1:1/x";
    assert_error(http_request(http, &q, &r, &e), &e, ERR_REMOTE);
    assert_false(r.sent);
    http_response_release(&r);
    r = (struct http_response){0};
    q.url = "file:///etc/passwd";
    assert_error(http_request(http, &q, &r, &e), &e, ERR_CONFIG);
    http_response_release(&r);
}

static void a_slow_answer_ends_at_the_deadline(void **state)
{
    struct http_response r = {0};
    struct err e;
    (void)state;
    server_answer(&server, stall);
    struct http_request q = request_of("GET", "/x");
    q.timeout_ms = 100;
    assert_error(http_request(http, &q, &r, &e), &e, ERR_TIMEOUT);
    http_response_release(&r);
}

static atomic_bool canceled;

static void *cancel_soon(void *unused)
{
    (void)unused;
    while (server_requests(&server) == 0)
        clock_sleep_us(1000);
    atomic_store(&canceled, true);
    return NULL;
}

static void a_waiting_request_can_be_canceled(void **state)
{
    struct http_response r = {0};
    struct err e;
    pthread_t thread;
    (void)state;
    server_answer(&server, stall);
    struct http_request q = request_of("GET", "/x");
    q.cancel = &canceled;
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, NULL), 0);
    assert_error(http_request(http, &q, &r, &e), &e, ERR_CANCELED);
    pthread_join(thread, NULL);
    http_response_release(&r);
}

static void the_proxy_of_the_environment_is_used_unless_the_request_forbids_it(void **state)
{
    struct http_response r = {0};
    struct err e;
    char proxy[100];
    (void)state;
    server_answer(&server, reply_hello);
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", server.port);
    setenv("http_proxy", proxy, 1);
    struct http_request q = request_of("GET", "/x");
    q.url = "http://store.invalid/key";
    assert_ok(http_request(http, &q, &r, &e), &e);
    assert_string_equal(server.last.path, "http://store.invalid/key");
    http_response_release(&r);
    r = (struct http_response){0};
    q.flags = HTTP_NO_PROXY;
    assert_error(http_request(http, &q, &r, &e), &e, ERR_REMOTE); /* the host does not exist */
    http_response_release(&r);
    unsetenv("http_proxy");
}

static void headers_of_the_answer_are_found_in_any_case(void **state)
{
    struct http_response r = {.headers = BUF_INIT(1000)};
    struct err e;
    static const char lines[] = "Date: Tue, 15 Nov 1994 08:12:31 GMT\0ETag:\"x\"\0X-Empty:";
    (void)state;
    assert_int_equal(http_date_ms(&r), -1);
    assert_null(http_header(&r, "date"));
    assert_ok(buf_append(&r.headers, lines, sizeof lines, &e), &e);
    assert_string_equal(http_header(&r, "etag"), "\"x\"");
    assert_string_equal(http_header(&r, "x-empty"), "");
    assert_null(http_header(&r, "tag"));
    assert_int_equal(http_date_ms(&r), INT64_C(784887151000));
    http_response_release(&r);
}

enum { THREADS = 16, EACH = 8 };

static void *ask(void *failures)
{
    for (int i = 0; i < EACH; i++) {
        struct http_response r = {0};
        struct err e;
        char url[100];
        snprintf(url, sizeof url, "http://127.0.0.1:%u/x", server.port);
        struct http_request q = {.method = "GET", .url = url, .timeout_ms = 10000, .body_max = 100};
        if (http_request(http, &q, &r, &e) || r.status != 200 || r.body.len != 5)
            atomic_fetch_add((atomic_int *)failures, 1);
        http_response_release(&r);
    }
    return NULL;
}

static void many_threads_share_the_connections_of_one(void **state)
{
    pthread_t threads[THREADS];
    atomic_int failures = 0;
    (void)state;
    server_answer(&server, reply_hello);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &failures), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&failures), 0);
    assert_int_equal(server_requests(&server), THREADS * EACH);
}

#define UNIT_HERE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_HERE(the_path_goes_out_as_it_is_and_nothing_is_expected),
        UNIT_HERE(an_empty_body_has_a_length),
        UNIT_HERE(the_body_of_a_part_goes_into_the_given_buffer_and_any_other_body_does_not),
        UNIT_HERE(an_answer_has_a_ceiling),
        UNIT_HERE(too_long_headers_are_an_error_of_the_response_and_not_of_memory),
        UNIT_HERE(a_missing_answer_can_be_tried_again_and_says_whether_anything_was_sent),
        UNIT_HERE(a_slow_answer_ends_at_the_deadline),
        UNIT_HERE(a_waiting_request_can_be_canceled),
        UNIT_HERE(the_proxy_of_the_environment_is_used_unless_the_request_forbids_it),
        UNIT(headers_of_the_answer_are_found_in_any_case),
        UNIT_HERE(many_threads_share_the_connections_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
