/* aws/profile.h - profiles of the files that all AWS programs share: ~/.aws/config (AWS_CONFIG_FILE), with sections [default] and
 * [profile name], and ~/.aws/credentials (AWS_SHARED_CREDENTIALS_FILE), with sections [name]. What the second says of a profile
 * wins. The keys come out of one of them as a set: an access key here never meets a session token there. */
#ifndef SEAWALL_AWS_PROFILE_H
#define SEAWALL_AWS_PROFILE_H

#include "aws/credential.h"
#include "base/path.h"

struct profile {
    bool found; /* in one of the files */
    struct {
        char access[CREDENTIALS_KEY_MAX], secret[CREDENTIALS_KEY_MAX], token[CREDENTIALS_TOKEN_MAX];
    } keys;
    char role_arn[2049], role_session_name[65], external_id[1225], duration_seconds[6];
    char source_profile[256], credential_source[32];
    char web_identity_token_file[PATH_TEXT_MAX];
    char credential_process[PATH_TEXT_MAX];
    char sso_start_url[1024], sso_session[256]; /* only to say that single sign-on is not supported */
    char region[64], endpoint_url[1024], s3_endpoint_url[1024];
    char services[256]; /* the section that has s3_endpoint_url */
};

/* A profile that is in neither file, or that has no files, is not an error. ERR_CONFIG, ERR_IO: a file can't be read. `ret` is
 * released by the caller in every case. */
int profile_read(const char *name, struct profile *ret, struct err *e) MUST_CHECK;
void profile_release(struct profile *p); /* wipes it */

/* Where the files are; "": nowhere, HOME is not set. */
struct profile_files {
    char config[PATH_TEXT_MAX], credentials[PATH_TEXT_MAX];
};
int profile_files_find(struct profile_files *ret, struct err *e) MUST_CHECK;

/* What is known of both files without reading them: another one, other files. */
struct profile_stamp {
    int64_t of[2][7];
};
void profile_stamp_take(struct profile_stamp *ret);
bool profile_stamp_equal(const struct profile_stamp *a, const struct profile_stamp *b);

#endif
