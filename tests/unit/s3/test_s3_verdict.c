/* s3/verdict.h: what a response means. */
#include "unit.h"

#include "s3/verdict.h"

static void each_response_has_its_verdict(void **state)
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

/* A reader of a replica may have keys that only read. */
static void a_refused_read_asks_for_no_permission_to_write(void **state)
{
    (void)state;
    assert_contains(s3_hint(S3_PUT, 403, "AccessDenied"), "allow s3:GetObject, s3:PutObject, s3:DeleteObject on");
    assert_contains(s3_hint(S3_DELETE, 403, "AccessDenied"), "allow s3:GetObject, s3:PutObject, s3:DeleteObject on");
    static const enum s3_kind reads[] = {S3_GET, S3_HEAD, S3_LIST};
    for (size_t i = 0; i < COUNT_OF(reads); i++)
        assert_contains(s3_hint(reads[i], 403, "AccessDenied"),
                        "allow s3:GetObject on bucket/prefix/* and s3:ListBucket on the bucket; a daemon needs");
    assert_null(s3_hint(S3_GET, 404, "NoSuchKey"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(each_response_has_its_verdict),
        UNIT(a_refused_read_asks_for_no_permission_to_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
