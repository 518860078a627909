/* s3/verdict.c */
#include "s3/verdict.h"

#include <stdbool.h>
#include <string.h>

static const struct {
    const char *code;
    enum s3_verdict verdict;
} by_code[] = {
    {"RequestTimeTooSkewed", S3_CLOCK},
    {"RequestExpired", S3_CLOCK},
    {"RequestInTheFuture", S3_CLOCK},
    {"SlowDown", S3_THROTTLE},
    {"Throttling", S3_THROTTLE},
    {"ThrottlingException", S3_THROTTLE},
    {"ThrottledException", S3_THROTTLE},
    {"RequestThrottled", S3_THROTTLE},
    {"RequestLimitExceeded", S3_THROTTLE},
    {"RequestRateLimitExceeded", S3_THROTTLE},
    {"TooManyRequests", S3_THROTTLE},
    {"TooManyRequestsException", S3_THROTTLE},
    {"BandwidthLimitExceeded", S3_THROTTLE},
    {"ServiceUnavailable", S3_THROTTLE},
    {"RequestTimeout", S3_RETRY},
    {"RequestCanceled", S3_RETRY},
    {"InternalError", S3_RETRY},
    {"BadDigest", S3_RETRY}, /* the body changed on its way */
    {"XAmzContentSHA256Mismatch", S3_RETRY},
    {"IncompleteBody", S3_RETRY},
    {"OperationAborted", S3_RETRY},
    {"ConditionalRequestConflict", S3_RETRY},
    {"ExpiredToken", S3_CREDENTIALS},
    {"ExpiredTokenException", S3_CREDENTIALS},
    {"TokenRefreshRequired", S3_CREDENTIALS},
    {"InvalidToken", S3_CREDENTIALS},
    {"InvalidAccessKeyId", S3_CREDENTIALS},
    {"AuthorizationHeaderMalformed", S3_REGION},
    {"PermanentRedirect", S3_REGION},
    {"TemporaryRedirect", S3_REGION},
    {"IllegalLocationConstraintException", S3_REGION},
    {"NotImplemented", S3_UNSUPPORTED},
    {"NoSuchBucket", S3_PERMANENT},
    {"NoSuchKey", S3_MISSING},
    {"NotFound", S3_MISSING},
    {"PreconditionFailed", S3_EXISTS},
    {"InvalidRange", S3_RANGE},
};

enum s3_verdict s3_judge(enum s3_kind kind, int status, const char *code)
{
    if (status >= 200 && status < 300)
        return S3_DONE;
    for (size_t i = 0; i < sizeof by_code / sizeof by_code[0]; i++)
        if (strcmp(by_code[i].code, code) == 0 &&
            !(by_code[i].verdict == S3_MISSING && (kind == S3_PUT || kind == S3_LIST)))
            return by_code[i].verdict;
    switch (status) {
    case 301:
    case 307:
        return S3_REGION;
    case 404:
        return kind == S3_PUT || kind == S3_LIST ? S3_PERMANENT : S3_MISSING;
    case 412:
        return S3_EXISTS;
    case 416:
        return S3_RANGE;
    case 429:
    case 503:
        return S3_THROTTLE;
    case 408:
    case 409:
        return S3_RETRY;
    case 501:
        return S3_UNSUPPORTED;
    case 507:
        return S3_PERMANENT;
    default:
        return status >= 500 || status < 200 ? S3_RETRY : S3_PERMANENT;
    }
}

const char *s3_hint(enum s3_kind kind, int status, const char *code)
{
    static const char reading[] = "allow s3:GetObject on bucket/prefix/* and s3:ListBucket on the bucket; a daemon "
                                  "needs s3:PutObject and s3:DeleteObject too";
    static const char writing[] =
        "allow s3:GetObject, s3:PutObject, s3:DeleteObject on bucket/prefix/* and s3:ListBucket on the bucket";
    static const char headers[] = "check that the bucket supports the options sse, storage-class and object-lock-*, "
                                  "and that the SSE-C key is right";
    static const struct {
        const char *code, *hint;
        bool of_objects; /* not of a listing */
    } hints[] = {
        {"SignatureDoesNotMatch",
         "check that the secret key belongs to the access key, and that no proxy changes requests", false},
        {"InvalidAccessKeyId", "check that the access key belongs to this server", false},
        {"NoSuchBucket", "create the bucket, or correct its name or the endpoint", false},
        {"ExpiredToken", "get new credentials; Seawall renews only those of a role or an instance", false},
        {"InvalidStorageClass", "use a storage-class= that the server knows", true},
        {"InvalidArgument", headers, true},
        {"InvalidRequest", headers, true},
    };
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++)
        if (strcmp(hints[i].code, code) == 0 && !(hints[i].of_objects && kind == S3_LIST))
            return hints[i].hint;
    if (status != 403)
        return NULL;
    return kind == S3_PUT || kind == S3_DELETE ? writing : reading;
}
