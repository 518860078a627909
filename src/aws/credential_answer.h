/* aws/credential_answer.h - checks credentials that come from a file, a service or a helper program.
 *
 * A value that is too long or has a control character is refused, never cut. No message contains a value. */
#ifndef SEAWALL_AWS_CREDENTIAL_ANSWER_H
#define SEAWALL_AWS_CREDENTIAL_ANSWER_H

#include "aws/credential.h"

struct credential_texts {
    const char *access_key, *secret_key; /* NULL or "": missing */
    const char *session_token;           /* NULL or "": none */
    const char *expiration;              /* NULL or "": never */
};

/* Checks the texts and fills in *ret, with serial 0. ERR_CONFIG: a key is missing, a value is malformed, or the
 * credentials expired at `now_ms` or before. */
int credentials_set(struct credentials *ret, const struct credential_texts *texts, int64_t now_ms,
                    struct err *e) MUST_CHECK;

/* Reads {"AccessKeyId", "SecretAccessKey", token_key, "Expiration"}. ERR_REMOTE: not a JSON object, or the reasons of
 * credentials_set. */
int credentials_from_json(const struct buf *text, const char *token_key, int64_t now_ms, struct credentials *ret,
                          struct err *e) MUST_CHECK;

/* Reads 2026-03-01T12:00:00Z, also with a fraction, and with +01:00 in place of Z. False: another format, or not a
 * date. */
bool credentials_parse_time(const char *text, int64_t *ret_ms);

#endif
