/* s3/config.h - reads the URL of an S3 store: s3://bucket/prefix?key=value&... A configuration file becomes such a
 * URL too. Values are percent-decoded. An unknown key is an error. */
#ifndef SEAWALL_S3_CONFIG_H
#define SEAWALL_S3_CONFIG_H

#include "base/path.h"
#include "http/http.h"

#define S3_SCHEME "s3://"
#define S3_BUCKET_MAX 256
#define S3_PREFIX_MAX 512
#define S3_ENDPOINT_MAX 512
#define S3_NAME_MAX 256 /* region, profile, storage class, key id */
#define S3_KEY_BYTES 32 /* of SSE-C */

enum s3_addressing { S3_ADDRESSING_AUTO, S3_ADDRESSING_PATH, S3_ADDRESSING_VHOST };
enum s3_conditional { S3_CONDITIONAL_AUTO, S3_CONDITIONAL_REQUIRE, S3_CONDITIONAL_OFF };

struct s3_config {
    char bucket[S3_BUCKET_MAX];
    char prefix[S3_PREFIX_MAX];     /* "" or ends with '/' */
    char endpoint[S3_ENDPOINT_MAX]; /* "https://host[:port][/path]", no slash at the end; "": AWS */
    char region[S3_NAME_MAX];       /* "": not set */
    char profile[S3_NAME_MAX];
    char ca_file[PATH_TEXT_MAX];
    uint64_t addressing, conditional; /* enum s3_addressing, enum s3_conditional */
    char storage_class[S3_NAME_MAX];
    char sse[16], sse_kms_key_id[S3_NAME_MAX]; /* AES256, aws:kms */
    char sse_c_key[48], sse_c_md5[28];         /* base64; "": no SSE-C */
    char lock_mode[16];
    uint64_t lock_days, bucket_key, sign_payload, content_md5;
    uint64_t timeout_ms;         /* of one operation with its retries */
    struct http_headers headers; /* extra headers of each request */
    bool key_file_open;          /* other users may read the SSE-C key file */
    bool endpoint_http;          /* plain http to another machine, which the log warns of */
};

/* A key of the URL. Parser, help and the check of the man page use this table. */
struct s3_option {
    const char *name;
    enum s3_option_kind {
        S3_TEXT,
        S3_NUMBER, /* 1 to 36500 */
        S3_TIME,   /* 1s to 10m */
        S3_CHOICE, /* index in value_name */
        S3_WORD,   /* one of value_name, as text */
        S3_YES_NO,
        S3_ENDPOINT,
        S3_KEY_FILE,
        S3_HEADER,
    } kind;
    size_t offset, size; /* in struct s3_config */
    const char *value_name, *help;
};
extern const struct s3_option s3_options[];
extern const size_t s3_option_count;
extern const char s3_config_help[]; /* the text of `seawall help s3` before the keys */

/* Reads `url`, which begins with S3_SCHEME, and the SSE-C key file. Environment and profile fill in endpoint and
 * region. First hides the memory of the process (base/hash.h). The caller releases *ret_config; after an error it need
 * not. ERR_CONFIG: the URL, the key file or the profile is wrong. ERR_NOMEM, ERR_IO. */
int s3_config_parse(const char *url, struct s3_config *ret_config, struct err *e) MUST_CHECK;
void s3_config_release(struct s3_config *c); /* wipes the key */

/* Writes the URL with bucket, prefix and endpoint alone: it has no secrets, and is the name of the replica.
 * ERR_CONFIG: too long. */
int s3_config_show(const struct s3_config *c, char *out, size_t out_max, struct err *e) MUST_CHECK;

#endif
