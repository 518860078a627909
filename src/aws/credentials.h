/* aws/credentials.h - finds the credentials of a store where other AWS programs find them, and renews them.
 *
 * The first of these places that has credentials counts:
 *   1. the profile that the configuration names; if it names one, the other places are not searched
 *   2. AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, with AWS_SESSION_TOKEN if it is set
 *   3. AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE: AssumeRoleWithWebIdentity
 *   4. the profile AWS_PROFILE, or "default", in ~/.aws/credentials (AWS_SHARED_CREDENTIALS_FILE) and ~/.aws/config
 *      (AWS_CONFIG_FILE): keys, role_arn with source_profile or credential_source, web_identity_token_file,
 *      credential_process
 *   5. AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI: ECS, EKS Pod Identity
 *   6. IMDSv2 of an EC2 instance, unless AWS_EC2_METADATA_DISABLED is true
 *
 * An empty variable counts as unset. Each search begins at the top and reads all files again.
 *
 * When Seawall searches again:
 *   - It has credentials that expire: 5 minutes before they expire. If that search fails, they stay in use until they
 *     expire, and a search runs every 30 s.
 *   - It has keys that do not expire: when one of the two files of profiles changes.
 *   - A store rejects the credentials. Rejections and changed files cause at most one search a second.
 *   - It has no credentials: after 1, 2, 4, ... 30 s. Between two searches the last error is returned.
 *
 * Only one caller searches at a time. No message contains a secret. */
#ifndef SEAWALL_AWS_CREDENTIALS_H
#define SEAWALL_AWS_CREDENTIALS_H

#include "aws/credential.h"

struct credentials_options {
    const char *profile;       /* NULL: chosen by the environment */
    const char *region;        /* for STS, if neither profile nor environment names one; may be NULL */
    const char *ca_file;       /* for STS and https endpoints; NULL: the system's */
    const atomic_bool *cancel; /* borrowed; ends credentials_get when it becomes true; NULL: never */
};

struct credential_source;

/* Makes a source, without a search. Keeps copies of the texts in the options; `http` is borrowed. The caller frees the
 * source. Several threads may use it. ERR_NOMEM. */
int credentials_new(struct http *http, const struct credentials_options *o, struct credential_source **ret_source,
                    struct err *e) MUST_CHECK;
void credentials_free(struct credential_source *s); /* wipes the credentials; NULL is allowed */

/* Returns valid credentials. `now_ms`: the time of the store, in ms since 1970. ERR_CONFIG: no place has credentials (a
 * HINT lists the places), or a file or profile is wrong. ERR_REMOTE, ERR_TIMEOUT: a service failed, or the credentials
 * have expired. ERR_CANCELED, ERR_NOMEM, ERR_IO. */
int credentials_get(struct credential_source *s, int64_t now_ms, struct credentials *ret, struct err *e) MUST_CHECK;

/* Reports that the store rejected the credentials with this serial as expired or unknown. Then the next credentials_get
 * searches again, unless the source has other credentials already. If the search finds the same credentials, they keep
 * their serial. */
void credentials_reject(struct credential_source *s, uint64_t serial);

/* Writes where the credentials came from, for the log: "the environment", "web identity", "profile 'x'", "the
 * container", "the instance". "": credentials_get has not succeeded yet. */
void credentials_origin(struct credential_source *s, char out[CREDENTIALS_ORIGIN_MAX]);

#endif
