/* aws/credentials.h - whose signature: access key, secret and session token, from wherever AWS programs find them.
 *
 * The first of these that is there:
 *   1. a profile that the configuration names
 *   2. AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, with AWS_SESSION_TOKEN if set
 *   3. AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE: AssumeRoleWithWebIdentity
 *   4. the profile AWS_PROFILE, or "default", of ~/.aws/credentials (AWS_SHARED_CREDENTIALS_FILE) and ~/.aws/config
 * (AWS_CONFIG_FILE): keys, role_arn with source_profile or credential_source, web_identity_token_file, credential_process
 *   5. AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI: ECS, EKS Pod Identity
 *   6. IMDSv2, unless AWS_EC2_METADATA_DISABLED is true
 *
 * Those that expire are fetched anew five minutes before, by one caller at a time; if that fails, the old ones stay in use until
 * they really expire, and it is tried again every 30 s. While there are none, it is tried again after 1, 2, 4, ... 30 s; in between
 * the last error is repeated. Every attempt begins at the top of the list and reads its files again. Keys that never expire are
 * fetched anew when one of the two files of profiles changes, any that a store rejects: both once a second at most. An empty
 * variable counts as unset. No secret is ever in a message. */
#ifndef SEAWALL_AWS_CREDENTIALS_H
#define SEAWALL_AWS_CREDENTIALS_H

#include "aws/credential.h"

struct credentials_options {
    const char *profile;       /* NULL: by the environment */
    const char *region;        /* for STS, when neither profile nor environment names one; may be NULL */
    const char *ca_file;       /* for STS and https endpoints; NULL: the system's */
    const atomic_bool *cancel; /* borrowed; NULL, or: credentials_get gives up when it becomes true */
};

struct credential_source;

/* Keeps copies of the options. Asks nobody yet. May be used by several threads. */
int credentials_new(struct http *http, const struct credentials_options *o, struct credential_source **ret_source,
                    struct err *e) MUST_CHECK;
void credentials_free(struct credential_source *s); /* NULL is fine; wipes what it holds */

/* `now_ms`: the wall clock, corrected by what the store's clock says. ERR_CONFIG: there are none, with a HINT that names the places
 * that were looked at; or a file or profile is wrong. ERR_REMOTE, ERR_TIMEOUT: a service did not answer. */
int credentials_get(struct credential_source *s, int64_t now_ms, struct credentials *ret, struct err *e) MUST_CHECK;

/* The store calls those with this serial expired or unknown: the next credentials_get fetches anew, unless that has happened since.
 * If the same ones come back, their serial stays. */
void credentials_reject(struct credential_source *s, uint64_t serial);

/* Where they came from, for the log: "the environment", "web identity", "profile 'x'", "the container", "the instance"; "" before
 * the first credentials_get that succeeded. */
void credentials_origin(struct credential_source *s, char out[CREDENTIALS_ORIGIN_MAX]);

#endif
