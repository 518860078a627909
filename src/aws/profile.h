/* aws/profile.h - profiles in the files that all AWS programs share: ~/.aws/config (AWS_CONFIG_FILE), with
 * sections [default] and [profile name], and ~/.aws/credentials (AWS_SHARED_CREDENTIALS_FILE), with sections
 * [name]. If both have a value, that of ~/.aws/credentials counts. Access key, secret key and session token come from
 * one file: an access key of one file is never used with a session token of the other. */
#ifndef SEAWALL_AWS_PROFILE_H
#define SEAWALL_AWS_PROFILE_H

#include "aws/credential.h"
#include "base/path.h"

struct profile {
    bool found; /* one of the files has this profile */
    struct {
        char access[CREDENTIALS_KEY_MAX], secret[CREDENTIALS_KEY_MAX], token[CREDENTIALS_TOKEN_MAX];
    } keys;
    char role_arn[2049], role_session_name[65], external_id[1225], duration_seconds[6];
    char source_profile[256], credential_source[32];
    char web_identity_token_file[PATH_TEXT_MAX];
    char credential_process[PATH_TEXT_MAX];
    char sso_start_url[1024], sso_session[256]; /* only for the message that single sign-on is not supported */
    char region[64], endpoint_url[1024], s3_endpoint_url[1024];
    char services[256]; /* name of the section with s3_endpoint_url */
};

/* Reads a profile from both files. It is not an error if a file or the profile does not exist. The caller releases
 * `ret` in every case. ERR_CONFIG, ERR_IO: a file cannot be read. ERR_NOMEM. */
int profile_read(const char *name, struct profile *ret, struct err *e) MUST_CHECK;
void profile_release(struct profile *p); /* wipes the profile */

/* Paths of the two files. "": the path is in the home folder, and HOME is not set. ERR_CONFIG: a path is too long. */
struct profile_files {
    char config[PATH_TEXT_MAX], credentials[PATH_TEXT_MAX];
};
int profile_files_find(struct profile_files *ret, struct err *e) MUST_CHECK;

/* Size, times and inode of both files. A change of a file changes its stamp. */
struct profile_stamp {
    int64_t of[2][7];
};
void profile_stamp_take(struct profile_stamp *ret);
bool profile_stamp_equal(const struct profile_stamp *a, const struct profile_stamp *b);

#endif
