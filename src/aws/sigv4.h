/* aws/sigv4.h - AWS Signature Version 4 in the Authorization header.
 *
 * Path, query and headers are signed exactly as they are sent; S3 wants path and query encoded once. Headers that
 * proxies change are not signed: content-length, user-agent, accept, accept-encoding, connection, expect. */
#ifndef SEAWALL_AWS_SIGV4_H
#define SEAWALL_AWS_SIGV4_H

#include "base/hash.h"
#include "http/http.h"

#define SIGV4_EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SIGV4_UNSIGNED "UNSIGNED-PAYLOAD"
#define SIGV4_HEX (2 * DIGEST_BYTES + 1)

struct sigv4_scope {
    const char *access_key, *secret_key;
    const char *region;
    const char *service; /* s3, sts */
    int64_t time_ms;     /* of the signature, by the server's clock; sent as x-amz-date */
};

/* The signing key of a day, region, service and secret, kept between signatures. It is computed again when one of them
 * changes. A zeroed one is not computed yet. Only one thread may use it at a time. */
struct sigv4_key {
    struct digest made_of, key;
};

struct sigv4_target {
    const char *method;
    const char *path;           /* encoded, begins with '/' */
    const char *query;          /* encoded, without '?', "name=value" joined by '&' in any order; "": none */
    const char *payload_sha256; /* hex, or SIGV4_UNSIGNED */
};

/* Signs a request: adds x-amz-date and authorization to `headers`. Precondition: `headers` has host and all other
 * headers to sign. ERR_LIMIT: a value is too long, or there are too many headers or parameters. ERR_NOMEM. */
int sigv4_sign(const struct sigv4_scope *scope, const struct sigv4_target *target, struct sigv4_key *key,
               struct http_headers *headers, struct err *e) MUST_CHECK;

/* ---- the steps, as the published test vectors have them */

/* Appends the canonical request to `out`, and the names of the signed headers, "a;b;c", to `signed_names`. */
int sigv4_canonical_request(const struct sigv4_target *target, const struct http_headers *headers, struct buf *out,
                            struct buf *signed_names, struct err *e) MUST_CHECK;
int sigv4_key_make(const struct sigv4_scope *scope, struct sigv4_key *key, struct err *e) MUST_CHECK;
int sigv4_signature(const struct sigv4_key *key, const char *string_to_sign, size_t n, char out[SIGV4_HEX],
                    struct err *e) MUST_CHECK;

#endif
