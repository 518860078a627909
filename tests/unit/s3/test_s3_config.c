/* s3/config.h: what an s3:// URL and the environment say. */
#include "s3_environment.h"

#include "s3/config.h"

#define KEY "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

static int setup(void **state)
{
    forget_s3_environment();
    return temp_setup(state);
}

#define UNIT_HERE(test) cmocka_unit_test_setup_teardown(test, setup, temp_teardown)

static void a_url_says_bucket_prefix_and_options(void **state)
{
    struct s3_config c;
    struct err e;
    char shown[1024], url[2048];
    (void)state;
    assert_int_equal(file_write(temp_path("key"), KEY "\n", strlen(KEY) + 1), 0);
    snprintf(url, sizeof url,
             "s3://my.bucket-1/a/b%%20c//?endpoint=https://h:9000/x/"
             "&region=eu-west-9&addressing=path&conditional=require&timeout=90s&"
             "sse-c-key-file=%s&object-lock-mode=COMPLIANCE&object-lock-days=7&header=X-Foo:%%20a%%26b&header=x-bar:1&"
             "sign-payload=no&"
             "content-md5=no&storage-class=STANDARD_IA&ca-file=/ca&profile=p",
             temp_path("key"));
    setenv("AWS_ENDPOINT_URL", "https://not.this", 1);
    setenv("AWS_REGION", "nor-this-1", 1);
    assert_ok(s3_config_parse(url, &c, &e), &e);
    assert_string_equal(c.bucket, "my.bucket-1");
    assert_string_equal(c.prefix, "a/b c/");
    assert_string_equal(c.endpoint, "https://h:9000/x");
    assert_string_equal(c.region, "eu-west-9");
    assert_int_equal(c.addressing, S3_ADDRESSING_PATH);
    assert_int_equal(c.conditional, S3_CONDITIONAL_REQUIRE);
    assert_int_equal(c.timeout_ms, 90000);
    assert_string_equal(c.sse_c_key, KEY);
    assert_int_equal(strlen(c.sse_c_md5), 24);
    assert_string_equal(c.lock_mode, "COMPLIANCE");
    assert_int_equal(c.lock_days, 7);
    assert_int_equal(c.headers.count, 2);
    assert_string_equal((char *)c.headers.text.data, "x-foo: a&b");
    assert_int_equal(c.sign_payload, 0);
    assert_int_equal(c.content_md5, 0);
    assert_false(c.endpoint_http);
    assert_ok(s3_config_show(&c, shown, sizeof shown, &e), &e);
    assert_string_equal(shown, "s3://my.bucket-1/a/b c?endpoint=https://h:9000/x"); /* no key, no header */
    s3_config_release(&c);
}

static void options_that_the_url_lacks_come_from_the_environment(void **state)
{
    struct s3_config c;
    struct err e;
    char shown[1024];
    (void)state;
    assert_ok(s3_config_parse("s3://bucket", &c, &e), &e);
    assert_string_equal(c.prefix, "");
    assert_string_equal(c.endpoint, "");
    assert_ok(s3_config_show(&c, shown, sizeof shown, &e), &e);
    assert_string_equal(shown, "s3://bucket");
    s3_config_release(&c);
    setenv("AWS_ENDPOINT_URL", "http://other:1", 1);
    setenv("AWS_DEFAULT_REGION", "r-1", 1);
    assert_ok(s3_config_parse("s3://bucket/", &c, &e), &e);
    assert_string_equal(c.endpoint, "http://other:1");
    assert_true(c.endpoint_http); /* the program warns of it */
    assert_string_equal(c.region, "r-1");
    s3_config_release(&c);
    setenv("AWS_ENDPOINT_URL_S3", "127.0.0.1:9", 1);
    assert_ok(s3_config_parse("s3://bucket/", &c, &e), &e);
    assert_string_equal(c.endpoint, "https://127.0.0.1:9"); /* https unless it says http */
    s3_config_release(&c);
    setenv("AWS_ENDPOINT_URL_S3", "http://localhost:9", 1);
    assert_ok(s3_config_parse("s3://bucket/", &c, &e), &e);
    assert_false(c.endpoint_http);
    s3_config_release(&c);
}

static void a_wrong_url_is_refused_with_a_reason(void **state)
{
    static const struct {
        const char *url, *reason;
    } cases[] = {
        {"s3://", "bucket"},
        {"s3:///prefix", "bucket"},
        {"s3://bu cket/x", "bucket"},
        {"s3://bucket/x&endpoint=https://h", "'?'"},
        {"s3://bucket/x?region=a&region=b", "twice"},
        {"s3://bucket/x?enpoint=https://h", "enpoint"},
        {"s3://bucket/x?endpoint=ftp://h", "endpoint"},
        {"s3://bucket/x?endpoint=https://user:secret@h", "endpoint"},
        {"s3://bucket/x?endpoint=https://", "endpoint"},
        {"s3://bucket/x?region", "region"},
        {"s3://bucket/x?region=", "region"},
        {"s3://bucket/x?addressing=both", "addressing"},
        {"s3://bucket/x?timeout=0s", "timeout"},
        {"s3://bucket/x?timeout=2h", "timeout"},
        {"s3://bucket/x?object-lock-days=7", "object-lock-mode"},
        {"s3://bucket/x?object-lock-mode=GOVERNANCE", "object-lock-days"},
        {"s3://bucket/x?header=nocolon", "NAME:VALUE"},
        {"s3://bucket/x?header=Authorization:x", "authorization"},
        {"s3://bucket/x?header=a:b%0d%0ac", "%"},
        {"s3://bucket/%zz", "prefix"},
        {"s3://bucket/x?region=%4", "region"},
        {"s3://bucket/x?sse=AES", "sse"},
        {"s3://bucket/x?sse-kms-key-id=a", "sse"},
        {"s3://bucket/x?sse-c-key-file=/nonexistent", "/nonexistent"},
        {"s3://bucket/x?sign-payload=no&endpoint=http://127.0.0.1", "https"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct s3_config c;
        struct err e;
        assert_error(s3_config_parse(cases[i].url, &c, &e), &e, ERR_CONFIG);
        assert_contains(e.msg, cases[i].reason);
        assert_null(strstr(e.msg, "user:secret"));
    }
}

static void an_sse_c_key_does_not_go_over_plain_http(void **state)
{
    struct s3_config c;
    struct err e;
    char url[1100];
    (void)state;
    assert_int_equal(file_write(temp_path("key"), KEY, strlen(KEY)), 0);
    snprintf(url, sizeof url, "s3://bucket/x?endpoint=http://h&sse-c-key-file=%s", temp_path("key"));
    assert_error(s3_config_parse(url, &c, &e), &e, ERR_CONFIG);
    assert_int_equal(file_write(temp_path("key"), KEY "A", strlen(KEY) + 1), 0);
    snprintf(url, sizeof url, "s3://bucket/x?sse-c-key-file=%s", temp_path("key"));
    assert_error(s3_config_parse(url, &c, &e), &e, ERR_CONFIG);
    assert_contains(e.msg, "HINT");
    assert_null(strstr(e.msg, "MDEyMzQ1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_HERE(a_url_says_bucket_prefix_and_options),
        UNIT_HERE(options_that_the_url_lacks_come_from_the_environment),
        UNIT_HERE(a_wrong_url_is_refused_with_a_reason),
        UNIT_HERE(an_sse_c_key_does_not_go_over_plain_http),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
