/* s3/deletion.h: the request and the answer of DeleteObjects. */
#include "failing_alloc.h"

#include "s3/deletion.h"

static int read_answer(const char *text, struct s3_deletion *d, struct err *e)
{
    struct http_response r = {.status = 200, .body = {.data = (uint8_t *)(uintptr_t)text, .len = strlen(text)}};
    return s3_deletion_read(d, &r, e);
}

static void a_request_names_each_key_below_the_prefix(void **state)
{
    static const char *const keys[] = {"0/1", "base/2"};
    struct buf b = BUF_INIT(S3_DELETION_BYTES_MAX);
    struct err e;
    (void)state;
    assert_ok(s3_deletion_format("a&<b>/", keys, 2, &b, &e), &e);
    assert_ok(buf_append(&b, "", 1, &e), &e);
    assert_string_equal((const char *)b.data,
                        "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>"
                        "<Object><Key>a&amp;&lt;b&gt;/0/1</Key></Object>"
                        "<Object><Key>a&amp;&lt;b&gt;/base/2</Key></Object></Delete>");
    buf_release(&b);
}

static void a_request_for_as_many_keys_as_possible_fits(void **state)
{
    static char prefix[S3_PREFIX_MAX], key[STORE_KEY_MAX];
    static const char *keys[STORE_REMOVE_MAX];
    struct buf b = BUF_INIT(S3_DELETION_BYTES_MAX);
    struct err e;
    (void)state;
    memset(prefix, 'p', sizeof prefix - 1);
    memset(key, 'k', sizeof key - 1);
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        keys[i] = key;
    assert_ok(s3_deletion_format(prefix, keys, COUNT_OF(keys), &b, &e), &e);
    buf_release(&b);
}

#define FAILED(key, code) "<Error><Key>" key "</Key><Code>" code "</Code><Message>because</Message></Error>"

static void an_answer_counts_the_keys_that_were_not_removed(void **state)
{
    struct s3_deletion d;
    struct err e;
    (void)state;
    assert_ok(read_answer("<DeleteResult/>", &d, &e), &e);
    assert_int_equal(d.failed, 0);
    assert_ok(read_answer("<DeleteResult>" FAILED("p/0/1", "NoSuchKey") FAILED("p/0/2", "AccessDenied")
                              FAILED("p/0/3", "InternalError") "</DeleteResult>",
                          &d, &e),
              &e);
    assert_int_equal(d.failed, 2); /* a key that did not exist counts as removed */
    assert_string_equal(d.first, "object 'p/0/2': AccessDenied: because");
}

static void anything_but_a_whole_result_is_an_error(void **state)
{
    static const char *const wrong[] = {"", "<html/>", "<Error><Code>SlowDown</Code></Error>",
                                        "<DeleteResult><Error><Key>p/0/1</Key>"};
    struct s3_deletion d;
    struct err e;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_error(read_answer(wrong[i], &d, &e), &e, ERR_REMOTE);
}

/* ---- out of memory */

static int format_and_read(void *context, struct err *e)
{
    static const char *const keys[] = {"0/1", "0/2"};
    struct buf b = BUF_INIT(S3_DELETION_BYTES_MAX);
    struct s3_deletion d = {.failed = 0};
    (void)context;
    int rc = s3_deletion_format("p/", keys, 2, &b, e);
    if (rc == 0)
        rc = read_answer("<DeleteResult>" FAILED("p/0/2", "AccessDenied") "</DeleteResult>", &d, e);
    if (rc == 0)
        assert_int_equal(d.failed, 1);
    buf_release(&b);
    return rc;
}

static void each_allocation_of_a_deletion_fails_once(void **state)
{
    (void)state;
    assert_each_allocation_fails_once(format_and_read, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(a_request_names_each_key_below_the_prefix),       UNIT(a_request_for_as_many_keys_as_possible_fits),
        UNIT(an_answer_counts_the_keys_that_were_not_removed), UNIT(anything_but_a_whole_result_is_an_error),
        UNIT(each_allocation_of_a_deletion_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
