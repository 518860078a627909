/* s3/request.h: the address and the headers of an operation. */
#include "failing_alloc.h"
#include "s3_environment.h"

#include "s3/request.h"

static int setup(void **state)
{
    (void)state;
    forget_s3_environment();
    return 0;
}

static struct s3_config config_of(const char *url)
{
    struct s3_config c;
    struct err e;
    assert_ok(s3_config_parse(url, &c, &e), &e);
    return c;
}

static void the_address_follows_from_endpoint_region_and_addressing(void **state)
{
    static const struct {
        const char *url, *region, *key, *query, *host, *address;
    } cases[] = {
        {"s3://bucket/p", "eu-west-9", "0/1", NULL, "bucket.s3.eu-west-9.amazonaws.com",
         "https://bucket.s3.eu-west-9.amazonaws.com/p/0/1"},
        {"s3://bucket/p", "cn-north-1", "0/1", NULL, "bucket.s3.cn-north-1.amazonaws.com.cn",
         "https://bucket.s3.cn-north-1.amazonaws.com.cn/p/0/1"},
        {"s3://my.bucket", "r-1", "a", NULL, "s3.r-1.amazonaws.com", "https://s3.r-1.amazonaws.com/my.bucket/a"},
        {"s3://bucket?addressing=path", "r-1", NULL, "list-type=2", "s3.r-1.amazonaws.com",
         "https://s3.r-1.amazonaws.com/bucket?list-type=2"},
        {"s3://bucket", "r-1", NULL, "list-type=2", "bucket.s3.r-1.amazonaws.com",
         "https://bucket.s3.r-1.amazonaws.com/?list-type=2"},
        {"s3://bucket/a%20b?endpoint=http://127.0.0.1:9/x+y", "r-1", "k", NULL, "127.0.0.1:9",
         "http://127.0.0.1:9/x%2By/bucket/a%20b/k"},
        {"s3://bucket?endpoint=https://h:443", "r-1", "k", NULL, "h", "https://h:443/bucket/k"},
        {"s3://bucket?endpoint=http://127.0.0.1:80", "r-1", "k", NULL, "127.0.0.1", "http://127.0.0.1:80/bucket/k"},
        {"s3://bucket?endpoint=https://h:80", "r-1", "k", NULL, "h:80", "https://h:80/bucket/k"},
        {"s3://bucket?endpoint=https://h:9&addressing=vhost", "r-1", "k", NULL, "bucket.h:9", "https://bucket.h:9/k"},
    };
    static struct s3_address a;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err e;
        struct s3_config c = config_of(cases[i].url);
        struct s3_op op = {.key = cases[i].key, .query = cases[i].query};
        assert_ok(s3_address_of(&c, &op, cases[i].region, &a, &e), &e);
        assert_string_equal(a.host, cases[i].host);
        assert_string_equal(a.url, cases[i].address);
        s3_config_release(&c);
    }
}

/* Whether the headers have this one, "name: value". */
static bool has(const struct http_headers *h, const char *wanted)
{
    const char *line = (const char *)h->text.data, *end = line + h->text.len;
    for (; line < end; line += strlen(line) + 1)
        if (strcmp(line, wanted) == 0)
            return true;
    return false;
}

static int add_headers(const char *url, const struct s3_op *op, struct http_headers *h, struct err *e)
{
    static const struct credentials by = {.session_token = "TOKEN"};
    struct s3_sender sender = {.host = "h", .sha256 = SIGV4_EMPTY_SHA256, .by = &by, .wall_ms = 1767225600000};
    struct s3_config c;
    *h = HTTP_HEADERS_INIT;
    if (s3_config_parse(url, &c, e))
        return -1;
    int rc = s3_headers_of(&c, op, &sender, h, e);
    s3_config_release(&c);
    return rc;
}

#define EVERYTHING                                                                                                     \
    "s3://bucket/p?storage-class=STANDARD_IA&sse=aws:kms&sse-kms-key-id=k&object-lock-mode=GOVERNANCE"                 \
    "&object-lock-days=2&header=X-Extra:1"

static void a_new_object_gets_the_headers_of_stored_objects(void **state)
{
    static const char empty_digest[] = "x-amz-content-sha256: " SIGV4_EMPTY_SHA256;
    const char *const wanted[] = {"host: h",
                                  empty_digest,
                                  "content-type: application/octet-stream",
                                  "if-none-match: *",
                                  "x-amz-storage-class: STANDARD_IA",
                                  "x-amz-server-side-encryption: aws:kms",
                                  "x-amz-server-side-encryption-aws-kms-key-id: k",
                                  "x-amz-server-side-encryption-bucket-key-enabled: true",
                                  "x-amz-object-lock-mode: GOVERNANCE",
                                  "content-md5: 1B2M2Y8AsgTpgAmY7PhCfg==", /* S3 requires it with a lock */
                                  "x-extra: 1",
                                  "x-amz-security-token: TOKEN"};
    struct http_headers h;
    struct err e;
    struct s3_op put = {.body = "", .flags = S3_OP_NEW_OBJECT | S3_OP_IF_NONE_MATCH};
    (void)state;
    assert_ok(add_headers(EVERYTHING, &put, &h, &e), &e);
    for (size_t i = 0; i < COUNT_OF(wanted); i++)
        if (!has(&h, wanted[i]))
            fail_msg("'%s' is missing", wanted[i]);
    http_headers_release(&h);
}

static void a_read_gets_only_its_range_and_the_extra_headers(void **state)
{
    struct http_headers h;
    struct err e;
    struct s3_op get = {.range = "bytes=0-9"};
    (void)state;
    assert_ok(add_headers(EVERYTHING, &get, &h, &e), &e);
    assert_true(has(&h, "range: bytes=0-9") && has(&h, "x-extra: 1"));
    assert_int_equal(h.count, 5); /* with host, hash and session token */
    http_headers_release(&h);
}

/* ---- out of memory */

static int make_request(void *context, struct err *e)
{
    static struct s3_address a;
    struct s3_config c;
    struct http_headers h = HTTP_HEADERS_INIT;
    struct s3_op put = {.key = "0/1", .body = "", .flags = S3_OP_NEW_OBJECT | S3_OP_IF_NONE_MATCH};
    int rc = s3_config_parse(context, &c, e);
    if (rc)
        return rc;
    rc = s3_address_of(&c, &put, "r-1", &a, e);
    s3_config_release(&c);
    if (rc == 0)
        rc = add_headers(context, &put, &h, e);
    http_headers_release(&h);
    return rc;
}

static void each_allocation_of_a_request_fails_once(void **state)
{
    static char url[] = EVERYTHING;
    (void)state;
    assert_true(assert_each_allocation_fails_once(make_request, url) > 3);
}

#define UNIT_HERE(test) cmocka_unit_test_setup(test, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_HERE(the_address_follows_from_endpoint_region_and_addressing),
        UNIT_HERE(a_new_object_gets_the_headers_of_stored_objects),
        UNIT_HERE(a_read_gets_only_its_range_and_the_extra_headers),
        UNIT_HERE(each_allocation_of_a_request_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
