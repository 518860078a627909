/* s3/properties.h: whether a response to HEAD shows the properties that the URL asks for. */
#include "unit.h"

#include "http/http.h"
#include "s3/properties.h"

static struct http *http; /* acquired so that libcurl is loaded, which reads dates */

static int setup(void **state)
{
    struct err e;
    (void)state;
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent", 1);
    setenv("AWS_CONFIG_FILE", "/nonexistent", 1);
    return http_acquire(&http, &e);
}

static int teardown(void **state)
{
    (void)state;
    http_release(http);
    return 0;
}

#define STORED "last-modified: Sun, 01 Mar 2026 12:00:00 GMT\n"
#define MODE(mode) "x-amz-object-lock-mode: " mode "\n"
#define UNTIL(until) "x-amz-object-lock-retain-until-date: " until "\n"
#define SSE(name) "x-amz-server-side-encryption: " name "\n"
#define KMS(id) SSE("aws:kms") "x-amz-server-side-encryption-aws-kms-key-id: " id "\n"

/* Checks a response with these headers, one a line, against the URL with this query. */
static int check(const char *query, const char *headers, struct err *e)
{
    char url[512];
    struct s3_config c;
    struct http_response r = {.status = 200, .headers = BUF_INIT(4096)};
    snprintf(url, sizeof url, "s3://bucket/p?%s", query);
    assert_ok(s3_config_parse(url, &c, e), e);
    assert_ok(buf_append(&r.headers, headers, strlen(headers), e), e);
    for (size_t i = 0; i < r.headers.len; i++)
        if (r.headers.data[i] == '\n')
            r.headers.data[i] = 0;
    assert_int_equal(s3_properties_asked(&c), strcmp(query, "region=r") != 0);
    int rc = s3_properties_check(&c, &r, e);
    http_response_release(&r);
    s3_config_release(&c);
    return rc;
}

static void an_object_with_everything_that_was_asked_for_is_accepted(void **state)
{
    static const struct {
        const char *query, *headers;
    } cases[] = {
        {"region=r", "etag: x\n"},
        {"object-lock-mode=GOVERNANCE&object-lock-days=1", STORED MODE("GOVERNANCE") UNTIL("2026-03-02T12:00:00Z")},
        {"object-lock-mode=GOVERNANCE&object-lock-days=1", /* a little less: attempts take time, and clocks differ */
         STORED MODE("GOVERNANCE") UNTIL("2026-03-02T11:00:01.000Z")},
        {"object-lock-mode=GOVERNANCE&object-lock-days=1", /* a longer and stronger lock than was asked for */
         STORED MODE("COMPLIANCE") UNTIL("2027-03-02T12:00:00Z")},
        {"sse=AES256", SSE("AES256")},
        {"sse=AES256", SSE("aws:kms")},
        {"sse=aws:kms", KMS("arn:aws:kms:r:1:key/k-1")},
        {"sse=aws:kms&sse-kms-key-id=k-1", KMS("arn:aws:kms:r:1:key/k-1")},
        {"sse=aws:kms&sse-kms-key-id=arn:aws:kms:r:1:key/k-1", KMS("arn:aws:kms:r:1:key/k-1")},
        {"sse=aws:kms&sse-kms-key-id=alias/mine", KMS("arn:aws:kms:r:1:key/k-1")},
    };
    struct err e;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_ok(check(cases[i].query, cases[i].headers, &e), &e);
}

static void an_object_without_something_that_was_asked_for_is_refused_by_name(void **state)
{
    static const struct {
        const char *query, *headers, *says;
    } cases[] = {
        {"object-lock-mode=GOVERNANCE&object-lock-days=1", STORED, "without the object lock"},
        {"object-lock-mode=COMPLIANCE&object-lock-days=1", STORED MODE("GOVERNANCE") UNTIL("2026-03-02T12:00:00Z"),
         "HEAD shows GOVERNANCE"},
        {"object-lock-mode=GOVERNANCE&object-lock-days=1", STORED MODE("GOVERNANCE"), "without the retention"},
        {"object-lock-mode=GOVERNANCE&object-lock-days=1", STORED MODE("GOVERNANCE") UNTIL("2026-03-02T10:59:59Z"),
         "2026-03-02T10:59:59Z"},
        {"object-lock-mode=GOVERNANCE&object-lock-days=1", STORED MODE("GOVERNANCE") UNTIL("tomorrow"), "tomorrow"},
        {"object-lock-mode=GOVERNANCE&object-lock-days=1", MODE("GOVERNANCE") UNTIL("2026-03-02T12:00:00Z"),
         "without the retention"}, /* the response lacks the time when it was stored */
        {"sse=AES256", STORED, "without the encryption"},
        {"sse=aws:kms", SSE("AES256"), "HEAD shows AES256"},
        {"sse=aws:kms&sse-kms-key-id=k-1", KMS("arn:aws:kms:r:1:key/k-2"), "without the KMS key"},
        {"sse=aws:kms&sse-kms-key-id=alias/mine", SSE("aws:kms"), "without the KMS key"},
    };
    struct err e;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_error(check(cases[i].query, cases[i].headers, &e), &e, ERR_CONFIG);
        assert_contains(e.msg, cases[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_with_everything_that_was_asked_for_is_accepted),
        cmocka_unit_test(an_object_without_something_that_was_asked_for_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
