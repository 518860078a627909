/* s3/config.h, s3_verdict.h, s3_listing.h, daemon/budget.h, config/file.h: what needs no server. */
#include "failing_alloc.h"

#include "daemon/budget.h"
#include "s3/config.h"
#include "s3/listing.h"
#include "s3/verdict.h"
#include "storage/open.h"

#define KEY "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

static int setup(void **state)
{
    static const char *const variables[] = {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_REGION",
                                            "AWS_DEFAULT_REGION", "AWS_PROFILE"};
    for (size_t i = 0; i < COUNT_OF(variables); i++)
        unsetenv(variables[i]);
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent", 1);
    setenv("AWS_CONFIG_FILE", "/nonexistent", 1);
    return temp_setup(state);
}

#define UNIT_HERE(test) cmocka_unit_test_setup_teardown(test, setup, temp_teardown)

/* ---- URL */

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

static void what_a_url_leaves_open_comes_from_the_environment(void **state)
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
    assert_true(c.endpoint_http); /* worth a warning */
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

/* ---- verdicts */

static void each_answer_has_its_verdict(void **state)
{
    static const struct {
        enum s3_kind kind;
        int status;
        const char *code;
        enum s3_verdict verdict;
    } cases[] = {
        {S3_PUT, 200, "", S3_DONE},
        {S3_DELETE, 204, "", S3_DONE},
        {S3_GET, 404, "NoSuchKey", S3_MISSING},
        {S3_HEAD, 404, "", S3_MISSING},
        {S3_GET, 404, "NoSuchBucket", S3_PERMANENT},
        {S3_PUT, 404, "", S3_PERMANENT},
        {S3_LIST, 404, "NoSuchKey", S3_PERMANENT},
        {S3_PUT, 412, "PreconditionFailed", S3_EXISTS},
        {S3_PUT, 412, "", S3_EXISTS},
        {S3_PUT, 409, "ConditionalRequestConflict", S3_RETRY},
        {S3_PUT, 409, "OperationAborted", S3_RETRY},
        {S3_PUT, 501, "NotImplemented", S3_UNSUPPORTED},
        {S3_PUT, 400, "NotImplemented", S3_UNSUPPORTED},
        {S3_GET, 416, "InvalidRange", S3_RANGE},
        {S3_PUT, 503, "SlowDown", S3_THROTTLE},
        {S3_PUT, 503, "", S3_THROTTLE},
        {S3_PUT, 429, "", S3_THROTTLE},
        {S3_PUT, 400, "RequestRateLimitExceeded", S3_THROTTLE},
        {S3_PUT, 500, "InternalError", S3_RETRY},
        {S3_GET, 502, "", S3_RETRY},
        {S3_GET, 504, "", S3_RETRY},
        {S3_GET, 509, "", S3_RETRY},
        {S3_PUT, 408, "", S3_RETRY},
        {S3_PUT, 400, "RequestTimeout", S3_RETRY},
        {S3_PUT, 400, "BadDigest", S3_RETRY},
        {S3_PUT, 400, "IncompleteBody", S3_RETRY},
        {S3_PUT, 403, "RequestTimeTooSkewed", S3_CLOCK},
        {S3_PUT, 403, "AccessDenied", S3_PERMANENT},
        {S3_PUT, 403, "SignatureDoesNotMatch", S3_PERMANENT},
        {S3_PUT, 403, "InvalidAccessKeyId", S3_CREDENTIALS},
        {S3_PUT, 400, "ExpiredToken", S3_CREDENTIALS},
        {S3_PUT, 400, "AuthorizationHeaderMalformed", S3_REGION},
        {S3_PUT, 301, "PermanentRedirect", S3_REGION},
        {S3_PUT, 307, "", S3_REGION},
        {S3_PUT, 507, "", S3_PERMANENT},
        {S3_PUT, 400, "InvalidBucketName", S3_PERMANENT},
        {S3_PUT, 413, "EntityTooLarge", S3_PERMANENT},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (s3_judge(cases[i].kind, cases[i].status, cases[i].code) != cases[i].verdict)
            fail_msg("%d %s of kind %d: verdict %d", cases[i].status, cases[i].code, cases[i].kind,
                     s3_judge(cases[i].kind, cases[i].status, cases[i].code));
}

/* ---- listings */

static int read_page(struct s3_listing *l, const char *text, struct err *e)
{
    struct http_response r = {.status = 200, .body = BUF_INIT(100000)};
    assert_int_equal(buf_append(&r.body, text, strlen(text), e), 0);
    int rc = s3_listing_read_page(l, &r, e);
    http_response_release(&r);
    return rc;
}

static int collect(void *context, const struct store_entry *entry)
{
    char *out = context;
    snprintf(out + strlen(out), 200 - strlen(out), "%s:%d ", entry->key, (int)entry->size);
    return 0;
}

#define CONTENTS(key, size) "<Contents><Key>" key "</Key><Size>" size "</Size></Contents>"
#define PAGE(truncated, more)                                                                                          \
    "<ListBucketResult xmlns=\"x\"><IsTruncated>" truncated "</IsTruncated>" more "</ListBucketResult>"

static void pages_follow_each_other_by_token_or_by_the_last_key(void **state)
{
    struct s3_listing l;
    struct err e;
    const char *query = NULL;
    char out[200] = "";
    bool more = false;
    (void)state;
    assert_ok(s3_listing_init(&l, "a b/", "0/", "0/1", &e), &e);
    assert_ok(s3_listing_query(&l, &query, &e), &e);
    assert_string_equal(query, "list-type=2&max-keys=1000&prefix=a%20b%2F0%2F&start-after=a%20b%2F0%2F1");
    assert_ok(
        read_page(&l, PAGE("true", "<NextContinuationToken>t+/=</NextContinuationToken>" CONTENTS("a b/0/2", "5")), &e),
        &e);
    assert_ok(s3_listing_deliver(&l, collect, out, &more, &e), &e);
    assert_true(more);
    assert_ok(s3_listing_query(&l, &query, &e), &e);
    assert_string_equal(query, "continuation-token=t%2B%2F%3D&list-type=2&max-keys=1000&prefix=a%20b%2F0%2F");
    assert_error(read_page(&l, PAGE("true", CONTENTS("a b/0/2", "5") CONTENTS("a b/0/&amp;3", "6")), &e), &e,
                 ERR_REMOTE); /* '&' < '2' */
    assert_error(read_page(&l, PAGE("true", CONTENTS("a b/0/2", "5") CONTENTS("a b/0/4", "7")), &e), &e, ERR_REMOTE);
    assert_contains(e.msg, "it has '0/2' twice");
    assert_ok(read_page(&l, PAGE("true", CONTENTS("a b/0/4", "7")), &e), &e); /* the same page, asked for again */
    assert_ok(s3_listing_deliver(&l, collect, out, &more, &e), &e);
    assert_true(more);
    assert_ok(s3_listing_query(&l, &query, &e), &e); /* no token: after the last key */
    assert_string_equal(query, "list-type=2&max-keys=1000&prefix=a%20b%2F0%2F&start-after=a%20b%2F0%2F4");
    assert_error(read_page(&l, PAGE("true", CONTENTS("a b/0/3", "5") CONTENTS("a b/0/5", "7")), &e), &e, ERR_REMOTE);
    assert_contains(e.msg, "advance: '0/3' comes after '0/4'");
    assert_contains(e.msg, "HINT");
    assert_string_equal(out, "0/2:5 0/4:7 ");
    s3_listing_release(&l);
}

/* The pages of a listing of the prefix "p/", one after the other. Returns the error of the page that has one, or ERR_NONE.
 * `out`: the keys that were delivered. */
static enum err_code list_pages(const char *const *pages, size_t count, char out[200], struct err *e)
{
    struct s3_listing l;
    bool more = true;
    int rc = s3_listing_init(&l, "p/", "", "", e);
    out[0] = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        assert_true(more);
        rc = read_page(&l, pages[i], e);
        if (rc == 0)
            rc = s3_listing_deliver(&l, collect, out, &more, e);
    }
    s3_listing_release(&l);
    return rc ? e->code : ERR_NONE;
}

#define NEXT(token) "<NextContinuationToken>" token "</NextContinuationToken>"

static void keys_ascend_by_bytes_or_by_paths_from_the_first_page_to_the_last(void **state)
{
    static const struct {
        const char *pages[3];
        const char *keys; /* NULL: an error */
    } cases[] = {
        /* by bytes: '-' < '.' < '/' < '0' */
        {{PAGE("true", NEXT("1") CONTENTS("p/a-b", "1") CONTENTS("p/a.b", "1")),
          PAGE("true", NEXT("2") CONTENTS("p/a/b", "1")), PAGE("false", CONTENTS("p/a0", "1"))},
         "a-b:1 a.b:1 a/b:1 a0:1 "},
        /* by paths */
        {{PAGE("true", NEXT("1") CONTENTS("p/a/b", "1") CONTENTS("p/a/b/c", "1")),
          PAGE("true", NEXT("2") CONTENTS("p/a/b-", "1") CONTENTS("p/a-b", "1")),
          PAGE("false", CONTENTS("p/a.b", "1"))},
         "a/b:1 a/b/c:1 a/b-:1 a-b:1 a.b:1 "},
        /* now by the one, now by the other: not even page by page */
        {{PAGE("true", NEXT("1") CONTENTS("p/a/b", "1") CONTENTS("p/a-b", "1")),
          PAGE("true", NEXT("2") CONTENTS("p/b", "1")), PAGE("false", CONTENTS("p/c-b", "1") CONTENTS("p/c/b", "1"))},
         NULL},
        {{PAGE("true", NEXT("1") CONTENTS("p/b", "1")), PAGE("true", NEXT("2") CONTENTS("p/c", "1")),
          PAGE("false", CONTENTS("p/b", "1"))},
         NULL},
        {{PAGE("true", NEXT("1") CONTENTS("p/b", "1")), PAGE("true", NEXT("2") CONTENTS("p/c", "1")),
          PAGE("false", CONTENTS("p/c", "1"))},
         NULL},
        {{PAGE("true", NEXT("1") CONTENTS("p/b", "1")), PAGE("true", NEXT("2")), PAGE("false", CONTENTS("p/c", "1"))},
         "b:1 c:1 "},
        {{PAGE("true", NEXT("1") CONTENTS("p/b", "1")), PAGE("true", NEXT("2")), PAGE("false", CONTENTS("p/a", "1"))},
         NULL},
        /* an empty page that leads nowhere, or to itself */
        {{PAGE("true", NEXT("1") CONTENTS("p/b", "1")), PAGE("true", NEXT("2")), PAGE("true", "")}, NULL},
        {{PAGE("true", NEXT("1") CONTENTS("p/b", "1")), PAGE("true", NEXT("2")), PAGE("true", NEXT("2"))}, NULL},
    };
    char out[200];
    struct err e;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        enum err_code found = list_pages(cases[i].pages, 3, out, &e);
        if (cases[i].keys) {
            assert_int_equal(found, ERR_NONE);
            assert_string_equal(out, cases[i].keys);
            continue;
        }
        assert_int_equal(found, ERR_REMOTE);
        assert_contains(e.msg, "the listing does not advance");
        assert_contains(e.msg, "HINT");
    }
}

static int count_strange(void *context, const struct store_entry *entry)
{
    int *counts = context;
    counts[!entry->key[0]]++;
    return 0;
}

static void keys_that_no_object_can_have_are_counted_at_the_end(void **state)
{
    static char page[4000], key[1100];
    struct s3_listing l;
    struct err e;
    bool more = false;
    int counts[2] = {0, 0};
    (void)state;
    memset(key, 'k', 1024);
    snprintf(page, sizeof page, PAGE("%s", CONTENTS("p/", "0") CONTENTS("p/0/1", "1") CONTENTS("p/%s", "1")), "true",
             key);
    assert_ok(s3_listing_init(&l, "p/", "", "", &e), &e);
    assert_ok(read_page(&l, page, &e), &e);
    assert_ok(s3_listing_deliver(&l, count_strange, counts, &more, &e), &e);
    assert_true(more && counts[0] == 1 && counts[1] == 0);
    assert_ok(read_page(&l, PAGE("false", CONTENTS("p/z", "1")), &e), &e);
    assert_ok(s3_listing_deliver(&l, count_strange, counts, &more, &e), &e);
    assert_true(!more && counts[0] == 2 && counts[1] == 2);
    memset(key, 'z', 1025);
    snprintf(page, sizeof page, PAGE("%s", CONTENTS("p/%s", "1")), "false", key);
    assert_error(read_page(&l, page, &e), &e, ERR_REMOTE);
    s3_listing_release(&l);
}

/* Reads pages that `format` makes of numbers that ascend, until one is an error. Returns how many were delivered. */
static unsigned read_endless(const char *format, uint64_t keys_before, struct err *e)
{
    static char page[400];
    struct s3_listing l;
    bool more = true;
    unsigned n = 0;
    int counts[2] = {0, 0};
    assert_ok(s3_listing_init(&l, "p/", "", "", e), e);
    l.done.keys = keys_before;
    for (;; n++) {
        snprintf(page, sizeof page, format, n, n);
        assert_true(more && n < 100000);
        assert_ok(read_page(&l, page, e), e);
        if (s3_listing_deliver(&l, count_strange, counts, &more, e))
            break;
    }
    s3_listing_release(&l);
    return n;
}

static void a_listing_without_end_ends(void **state)
{
    struct err e;
    (void)state;
    assert_int_equal(read_endless(PAGE("true", NEXT("%u") CONTENTS("p/%08x", "1")), 0, &e), S3_LISTING_PAGES_MAX - 1);
    assert_true(e.code == ERR_LIMIT);
    assert_contains(e.msg, "11000 pages with 11000 keys");
    assert_contains(e.msg, "HINT");
    assert_int_equal(read_endless(PAGE("true", NEXT("%u") CONTENTS("p/%08x", "1")), STORE_LIST_MAX - 5, &e), 5);
    assert_true(e.code == ERR_LIMIT);
    assert_int_equal(read_endless(PAGE("true", NEXT("%u-%u")), 0, &e), 1000);
    assert_true(e.code == ERR_REMOTE);
    assert_contains(e.msg, "pages in a row are empty");
}

static void a_page_that_is_none_is_an_error_and_no_short_listing(void **state)
{
    static const char *const pages[] = {
        "",
        "<html><body>Welcome</body></html>",
        "<Error><Code>SlowDown</Code></Error>",
        "<ListBucketResult><IsTruncated>false</IsTruncated>" CONTENTS("p/a", "1"),
        "<ListBucketResult></ListBucketResult>",
        PAGE("false", CONTENTS("other/a", "1")),
        PAGE("false", CONTENTS("p/b", "1") CONTENTS("p/a", "1")),
        PAGE("false", CONTENTS("p/a", "1") CONTENTS("p/a", "1")),
        PAGE("false", CONTENTS("p/a", "many")),
        "<!DOCTYPE x [<!ENTITY a \"b\">]>" PAGE("false", CONTENTS("p/&a;", "1")),
        "<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a></a></a></a></a></a></a></a></a></a></a></a></a></a></"
        "a></a></a></"
        "a></a>",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(pages); i++) {
        struct s3_listing l;
        struct err e;
        assert_ok(s3_listing_init(&l, "p/", "", "", &e), &e);
        assert_error(read_page(&l, pages[i], &e), &e, ERR_REMOTE);
        s3_listing_release(&l);
    }
}

static int list_two_pages(void *context, struct err *e)
{
    struct s3_listing l;
    const char *query = NULL;
    char out[200] = "";
    bool more = false;
    (void)context;
    int rc = s3_listing_init(&l, "p/", "0/", "", e);
    for (int page = 0; rc == 0 && page < 2; page++) {
        static const char *const pages[] = {PAGE("true", CONTENTS("p/0/1", "5")),
                                            PAGE("false", CONTENTS("p/0/2", "6"))};
        struct http_response r = {.status = 200,
                                  .body = {.data = (uint8_t *)(uintptr_t)pages[page], .len = strlen(pages[page])}};
        rc = s3_listing_query(&l, &query, e);
        if (rc == 0)
            rc = s3_listing_read_page(&l, &r, e);
        if (rc == 0)
            rc = s3_listing_deliver(&l, collect, out, &more, e);
    }
    if (rc == 0)
        assert_string_equal(out, "0/1:5 0/2:6 ");
    s3_listing_release(&l);
    return rc;
}

static void each_allocation_of_a_listing_fails_once(void **state)
{
    (void)state;
    assert_each_allocation_fails_once(list_two_pages, NULL);
}

/* ---- budget */

static void a_budget_spends_its_burst_and_then_its_rate(void **state)
{
    struct budget b = budget_full(3600, 3, 1000);
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(budget_ready_at_ms(&b, 1000), 1000);
        budget_take(&b, 1000);
    }
    assert_int_equal(budget_ready_at_ms(&b, 1000), 2000);
    assert_int_equal(budget_ready_at_ms(&b, 1999), 2000);
    assert_int_equal(budget_ready_at_ms(&b, 2000), 2000);
    budget_take(&b, 2000);
    assert_int_equal(budget_ready_at_ms(&b, 2500), 3000);
    budget_take(&b, 2500); /* overdrawn: half a token is lost, no more */
    assert_int_equal(budget_ready_at_ms(&b, 2500), 3500);
    assert_int_equal(budget_ready_at_ms(&b, 100000), 100000);
    for (int i = 0; i < 3; i++)
        budget_take(&b, 100000); /* it never holds more than the burst */
    assert_int_equal(budget_ready_at_ms(&b, 100000), 101000);
}

static void a_budget_can_be_slow_or_without_limit(void **state)
{
    struct budget slow = budget_full(1, 1, 0), none = budget_full(UINT64_MAX, 3600, 0);
    (void)state;
    budget_take(&slow, 0);
    assert_int_equal(budget_ready_at_ms(&slow, 1), 3600000);
    for (int i = 0; i < 100000; i++)
        budget_take(&none, 0);
    assert_int_equal(budget_ready_at_ms(&none, 0), 0);
}

/* ---- the check of a URL */

static void a_url_can_be_checked_without_its_place(void **state)
{
    char shown[STORE_URL_MAX];
    struct err e;
    (void)state;
    assert_ok(store_check("s3://bucket/p?endpoint=h&region=r&header=x-key:SECRET", shown, &e), &e);
    assert_string_equal(shown, "s3://bucket/p?endpoint=https://h");
    assert_ok(store_check("file:///no/such/folder", shown, &e), &e);
    assert_string_equal(shown, "/no/such/folder");
    static const char *const secret[] = {"s3://bucket/p?header=Bearer%20sesame",
                                         "s3://bucket/p?header=Bearer%20sesame:x",
                                         "s3://bucket/p?header=:sesame",
                                         "s3://bucket/p?header=x-key:a&sesame",
                                         "s3://bucket/p?header=x-key:a&sesame=b",
                                         "s3:bucket?header=sesame",
                                         "gopher://x?header=sesame",
                                         "s3://bucket/p?timeout=soon&header=sesame"};
    for (size_t i = 0; i < COUNT_OF(secret); i++) {
        assert_error(store_check(secret[i], shown, &e), &e, ERR_CONFIG);
        assert_null(strstr(e.msg, "sesame"));
    }
    static const char *const wrong[] = {"s3://bucket/p?timeout=soon", "s3://b", "file://dir", "gopher://x", ""};
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_error(store_check(wrong[i], shown, &e), &e, ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_HERE(a_url_says_bucket_prefix_and_options),
        UNIT_HERE(what_a_url_leaves_open_comes_from_the_environment),
        UNIT_HERE(a_wrong_url_is_refused_with_a_reason),
        UNIT_HERE(an_sse_c_key_does_not_go_over_plain_http),
        UNIT(each_answer_has_its_verdict),
        UNIT(pages_follow_each_other_by_token_or_by_the_last_key),
        UNIT(keys_ascend_by_bytes_or_by_paths_from_the_first_page_to_the_last),
        UNIT(keys_that_no_object_can_have_are_counted_at_the_end),
        UNIT(a_listing_without_end_ends),
        UNIT(a_page_that_is_none_is_an_error_and_no_short_listing),
        UNIT(each_allocation_of_a_listing_fails_once),
        UNIT(a_budget_spends_its_burst_and_then_its_rate),
        UNIT(a_budget_can_be_slow_or_without_limit),
        UNIT_HERE(a_url_can_be_checked_without_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
