/* aws/credential_answer.h - what a file, a service or a helper program gives for credentials, checked before anybody signs with it.
 *
 * A value with a control character is refused, and one that is too long: it is never cut. No message holds any of it. */
#ifndef SEAWALL_AWS_CREDENTIAL_ANSWER_H
#define SEAWALL_AWS_CREDENTIAL_ANSWER_H

#include "aws/credential.h"

struct credential_texts {
    const char *access_key, *secret_key;
    const char *session_token; /* NULL or "": none */
    const char *expiration;    /* NULL or "": they never expire */
};

/* ERR_CONFIG: a key is missing, or a value is not what it must be; or they have expired by `now_ms`. Sets everything but serial. */
int credentials_set(struct credentials *ret, const struct credential_texts *texts, int64_t now_ms,
                    struct err *e) MUST_CHECK;

/* Of {"AccessKeyId", "SecretAccessKey", token_key, "Expiration"}. ERR_REMOTE: as above, or no JSON object. */
int credentials_from_json(const struct buf *text, const char *token_key, int64_t now_ms, struct credentials *ret,
                          struct err *e) MUST_CHECK;

/* 2026-03-01T12:00:00Z, with a fraction, with +01:00 in place of Z. */
bool credentials_parse_time(const char *text, int64_t *ret_ms);

#endif
