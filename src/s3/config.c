/* s3/config.c */
#include "s3/config.h"

#include "aws/credentials.h"
#include "aws/settings.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/units.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define URL_MAX 8192
#define TIMEOUT_MS 60000
#define FIELD(name) offsetof(struct s3_config, name), sizeof(((struct s3_config *)0)->name)

const struct s3_option s3_options[] = {
    {"endpoint", S3_ENDPOINT, FIELD(endpoint), "URL",
     "where the store is, https://host[:port]; else by AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, the profile, else AWS"},
    {"region", S3_TEXT, FIELD(region), "NAME",
     "else by AWS_REGION, AWS_DEFAULT_REGION, the profile, else us-east-1; learned if the server names another"},
    {"addressing", S3_CHOICE, FIELD(addressing), "auto|path|vhost",
     "bucket in the path or in the host name; auto: vhost at AWS if the bucket has no dots in its name, else path"},
    {"profile", S3_TEXT, FIELD(profile), "NAME", "of the shared credentials and configuration files"},
    {"ca-file", S3_TEXT, FIELD(ca_file), "PATH",
     "PEM file of the authorities to trust; else AWS_CA_BUNDLE, SSL_CERT_FILE, the system's"},
    {"conditional", S3_CHOICE, FIELD(conditional), "auto|require|off",
     "exclusive PUT by If-None-Match: find out, insist on it, or do without: then a second writer is noticed late"},
    {"storage-class", S3_TEXT, FIELD(storage_class), "NAME", "x-amz-storage-class of all objects"},
    {"sse", S3_WORD, FIELD(sse), "AES256|aws:kms", "server-side encryption with the store's keys"},
    {"sse-kms-key-id", S3_TEXT, FIELD(sse_kms_key_id), "ID", "the KMS key, with sse=aws:kms"},
    {"bucket-key", S3_YES_NO, FIELD(bucket_key), "yes|no",
     "S3 bucket key, with sse=aws:kms: far fewer requests to KMS (yes)"},
    {"sse-c-key-file", S3_KEY_FILE, FIELD(sse_c_key), "PATH",
     "server-side encryption with a key that only you have: a file with 32 bytes in base64"},
    {"object-lock-mode", S3_WORD, FIELD(lock_mode), "GOVERNANCE|COMPLIANCE",
     "retention of each object, with object-lock-days"},
    {"object-lock-days", S3_NUMBER, FIELD(lock_days), "N", "counted from its upload, 1 to 36500"},
    {"header", S3_HEADER, FIELD(headers), "NAME:VALUE", "an extra header for each request; may be repeated"},
    {"sign-payload", S3_YES_NO, FIELD(sign_payload), "yes|no",
     "no: UNSIGNED-PAYLOAD, for the few stores that want it; https only (yes)"},
    {"content-md5", S3_YES_NO, FIELD(content_md5), "yes|no", "Content-MD5 where AWS demands it (yes)"},
    {"timeout", S3_TIME, FIELD(timeout_ms), "TIME",
     "one operation with its retries, besides the time for the bytes at 64 KiB/s: 1s to 10m (60s)"},
};
const size_t s3_option_count = sizeof s3_options / sizeof s3_options[0];

const char s3_config_help[] = "s3://BUCKET[/PREFIX][?KEY=VALUE&...]\n"
                              "\n"
                              "Quote the URL in the shell. The bucket must exist. Credentials come from the places "
                              "where other AWS programs find\n"
                              "them, never from the URL: the profile in the URL; AWS_ACCESS_KEY_ID, "
                              "AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN; a\n"
                              "web identity; the shared files; the service of a container or an instance.\n"
                              "\n"
                              "Keys; write '%' as %25 and '&' as %26 in a value. In a configuration file they are in "
                              "the section of the replica:\n"
                              "\n";

/* ---- values */

/* Finds `word` in "a|b|c". False: it is not there. */
static bool choose(const char *choices, const char *word, uint64_t *ret_index)
{
    size_t n = strlen(word);
    for (uint64_t i = 0; n > 0; i++) {
        size_t len = strcspn(choices, "|");
        if (len == n && memcmp(choices, word, n) == 0) {
            *ret_index = i;
            return true;
        }
        if (choices[len] == 0)
            break;
        choices += len + 1;
    }
    return false;
}

static bool is_loopback(const char *host)
{
    size_t n = strspn(host, "0123456789.");
    return (strncmp(host, "127.", 4) == 0 && (host[n] == 0 || host[n] == ':' || host[n] == '/')) ||
           strncmp(host, "[::1]", 5) == 0 ||
           (strncmp(host, "localhost", 9) == 0 && (host[9] == 0 || host[9] == ':' || host[9] == '/'));
}

/* Sets the endpoint; the scheme is https unless the value begins with http://. */
static int set_endpoint(struct s3_config *c, const char *value, struct err *e)
{
    const char *scheme = strstr(value, "://");
    int n = snprintf(c->endpoint, sizeof c->endpoint, "%s%s", scheme ? "" : "https://", value);
    bool http = strncmp(c->endpoint, "http://", 7) == 0;
    const char *host = c->endpoint + (http ? 7 : 8);
    if (n < 0 || n >= (int)sizeof c->endpoint || (!http && strncmp(c->endpoint, "https://", 8) != 0) ||
        strpbrk(host, "?#@ \t\r\n") || *host == 0 || *host == '/') {
        err_set(e, ERR_CONFIG, 0, "invalid endpoint '%.100s'", strchr(value, '@') ? "...@..." : value);
        return err_hint(
            e, "write https://host, https://host:port or http://127.0.0.1:port, without credentials and query");
    }
    for (size_t len = strlen(c->endpoint); c->endpoint[len - 1] == '/'; len--)
        c->endpoint[len - 1] = 0;
    c->endpoint_http = http && !is_loopback(host);
    return 0;
}

static int read_key_file(struct s3_config *c, const char *path, struct err *e)
{
    char text[128] = "";
    uint8_t key[S3_KEY_BYTES], md5[MD5_BYTES];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    int sys = errno;
    struct stat st;
    c->key_file_open = fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & (S_IRWXG | S_IRWXO));
    io_close(&fd);
    if (n < 0)
        return err_set(e, ERR_CONFIG, sys, "sse-c-key-file '%s': %s", path, strerror(sys));
    text[n] = 0;
    text[strcspn(text, " \t\r\n")] = 0;
    int rc = 0;
    if (!base64_decode(text, key, sizeof key)) {
        err_set(e, ERR_CONFIG, 0, "sse-c-key-file '%s' does not hold 32 bytes in base64", path);
        rc =
            err_hint(e, "make one with 'openssl rand -base64 32', and keep a copy: without it nothing can be restored");
    }
    if (rc == 0)
        rc = md5_of(key, sizeof key, md5, e);
    if (rc == 0) {
        base64_encode(key, sizeof key, c->sse_c_key);
        base64_encode(md5, sizeof md5, c->sse_c_md5);
    }
    wipe(text, sizeof text);
    wipe(key, sizeof key);
    return rc;
}

static int add_header(struct s3_config *c, const char *value, struct err *e)
{
    static const char *const ours[] = {
        "host",  "authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "content-length",
        "range", "if-none-match", "expect",     "transfer-encoding"};
    char name[HTTP_NAME_MAX + 1];
    const char *colon = strchr(value, ':');
    if (!colon || colon == value || (size_t)(colon - value) >= sizeof name)
        return err_set(e, ERR_CONFIG, 0, "a 'header' has no name, or a name of over %d bytes: write NAME:VALUE",
                       HTTP_NAME_MAX); /* without the text, which can be a secret */
    snprintf(name, sizeof name, "%.*s", (int)(colon - value), value);
    for (char *p = name; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (strcmp(name, ours[i]) == 0)
            return err_set(e, ERR_CONFIG, 0, "header '%s' cannot be set: Seawall makes it for each request", name);
    return http_headers_add(&c->headers, name, colon + 1 + strspn(colon + 1, " \t"), e);
}

static int set(struct s3_config *c, const struct s3_option *o, const char *value, struct err *e)
{
    void *field = (char *)c + o->offset;
    uint64_t number = 0;
    bool ok = true;
    switch (o->kind) {
    case S3_ENDPOINT:
        return set_endpoint(c, value, e);
    case S3_KEY_FILE:
        return read_key_file(c, value, e);
    case S3_HEADER:
        return add_header(c, value, e);
    case S3_WORD:
    case S3_TEXT:
        ok = (o->kind == S3_TEXT || choose(o->value_name, value, &number)) && *value && strlen(value) < o->size;
        if (ok)
            memcpy(field, value, strlen(value) + 1);
        break;
    case S3_CHOICE:
        ok = choose(o->value_name, value, field);
        break;
    case S3_YES_NO:
        ok = choose("no|yes", value, field);
        break;
    case S3_NUMBER:
        ok = units_parse(value, UNITS_NONE, field) && *(uint64_t *)field >= 1 && *(uint64_t *)field <= 36500;
        break;
    case S3_TIME:
        ok = units_parse(value, UNITS_MS, field) && *(uint64_t *)field >= 1000 && *(uint64_t *)field <= 600000;
        break;
    }
    if (ok)
        return 0;
    err_set(e, ERR_CONFIG, 0, "'%s': invalid value '%.60s'", o->name, value);
    return err_hint(e, "%s: %s", o->value_name, o->help);
}

/* ---- the URL */

static int hex_digit(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : -1;
}

/* Decodes %XX in place. False: a '%' without two hex digits, or a control character. */
static bool percent_decode(char *text)
{
    char *to = text;
    for (; *text; text++) {
        int high = *text == '%' ? hex_digit(text[1]) : -1, low = high >= 0 ? hex_digit(text[2]) : -1;
        if (*text == '%' && low < 0)
            return false;
        *to = low < 0 ? *text : (char)(16 * high + low);
        text += low < 0 ? 0 : 2;
        if ((unsigned char)*to++ < ' ')
            return false;
    }
    *to = 0;
    return true;
}

static int set_place(struct s3_config *c, char *place, struct err *e)
{
    char *prefix = strchr(place, '/');
    if (prefix)
        *prefix++ = 0;
    if (strlen(place) < 3 || strlen(place) >= sizeof c->bucket ||
        strspn(place, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") != strlen(place)) {
        err_set(e, ERR_CONFIG, 0, "invalid bucket name '%.80s'", strchr(place, '@') ? "...@..." : place);
        return err_hint(e, "write s3://bucket/prefix, with ?endpoint=https://host for another server than AWS");
    }
    memcpy(c->bucket, place, strlen(place) + 1);
    if (!prefix)
        return 0;
    prefix += strspn(prefix, "/");
    size_t n = strlen(prefix);
    while (n > 0 && prefix[n - 1] == '/')
        n--;
    prefix[n] = 0;
    if (strpbrk(prefix, "&=")) {
        err_set(e, ERR_CONFIG, 0, "prefix '%.80s' has a '&' or '='", prefix);
        return err_hint(e, "write '?' before the options; write '&' as %%26 and '=' as %%3D in a prefix");
    }
    if (!percent_decode(prefix) || n + 2 > sizeof c->prefix)
        return err_set(e, ERR_CONFIG, 0, "prefix '%.80s' has a malformed %%XX, or is longer than %d bytes", prefix,
                       S3_PREFIX_MAX - 2);
    if (n > 0) {
        size_t len = strlen(prefix);
        memcpy(c->prefix, prefix, len);
        memcpy(c->prefix + len, "/", 2);
    }
    return 0;
}

static int set_parameter(struct s3_config *c, char *parameter, uint64_t *given, struct err *e)
{
    char *value = strchr(parameter, '=');
    if (value)
        *value++ = 0;
    for (size_t i = 0; i < s3_option_count; i++)
        if (strcmp(s3_options[i].name, parameter) == 0) {
            if (!value || !percent_decode(value))
                return err_set(e, ERR_CONFIG, 0, "'%s' needs a value; write '%%' as %%25 in it", parameter);
            if ((*given >> i & 1) && s3_options[i].kind != S3_HEADER)
                return err_set(e, ERR_CONFIG, 0, "'%s' is given twice", parameter);
            *given |= UINT64_C(1) << i;
            return set(c, &s3_options[i], value, e);
        }
    if (c->headers.count > 0) /* it can be the rest of a secret */
        err_set(e, ERR_CONFIG, 0, "an unknown option follows a 'header'; write '&' as %%26 in a value");
    else
        err_set(e, ERR_CONFIG, 0, "unknown option '%.60s'", parameter);
    return err_hint(e, "'seawall help s3' lists the keys of an s3:// URL");
}

/* Checks options that depend on each other. */
static int check(const struct s3_config *c, struct err *e)
{
    if ((c->lock_mode[0] != 0) != (c->lock_days > 0))
        return err_set(e, ERR_CONFIG, 0, "object-lock-mode and object-lock-days must be set together");
    if (c->sse_c_key[0] && c->endpoint_http)
        return err_set(e, ERR_CONFIG, 0, "sse-c-key-file needs an https endpoint: the key goes with each request");
    if (!c->sign_payload && strncmp(c->endpoint, "http://", 7) == 0)
        return err_set(e, ERR_CONFIG, 0, "sign-payload=no needs an https endpoint");
    if (c->sse_c_key[0] && c->sse[0])
        return err_set(e, ERR_CONFIG, 0, "sse and sse-c-key-file exclude each other");
    if (c->sse_kms_key_id[0] && strcmp(c->sse, "aws:kms") != 0)
        return err_set(e, ERR_CONFIG, 0, "sse-kms-key-id needs sse=aws:kms");
    return 0;
}

static int parse(struct s3_config *c, char *text, struct err *e)
{
    char *query = strchr(text, '?'), *parameter;
    uint64_t given = 0; /* a bit for each entry of the table */
    if (query)
        *query++ = 0;
    if (set_place(c, text, e))
        return -1;
    while (query && (parameter = strsep(&query, "&")))
        if (*parameter && set_parameter(c, parameter, &given, e))
            return -1;
    const char *profile = c->profile[0] ? c->profile : NULL;
    if (!c->endpoint[0]) {
        char endpoint[S3_ENDPOINT_MAX] = "";
        if (settings_endpoint(profile, endpoint, sizeof endpoint, e) || (endpoint[0] && set_endpoint(c, endpoint, e)))
            return -1;
    }
    if (!c->region[0] && settings_region(profile, c->region, sizeof c->region, e))
        return -1;
    return check(c, e);
}

int s3_config_parse(const char *url, struct s3_config *ret_config, struct err *e)
{
    char text[URL_MAX];
    assert(strncmp(url, S3_SCHEME, strlen(S3_SCHEME)) == 0);
    *ret_config = (struct s3_config){
        .headers = HTTP_HEADERS_INIT, .bucket_key = 1, .sign_payload = 1, .content_md5 = 1, .timeout_ms = TIMEOUT_MS};
    hide_memory(); /* headers and the key; the credentials come later */
    int n = snprintf(text, sizeof text, "%s", url + strlen(S3_SCHEME));
    int rc = n < 0 || n >= (int)sizeof text ? err_set(e, ERR_CONFIG, 0, "the URL is longer than %d bytes", URL_MAX - 1)
                                            : parse(ret_config, text, e);
    wipe(text, sizeof text);
    if (rc) {
        s3_config_release(ret_config);
        return strchr(url, '@')
                   ? -1
                   : err_wrap(e, "store '%.*s'", (int)strcspn(url, "?"), url); /* text before an '@' can be a secret */
    }
    return 0;
}

void s3_config_release(struct s3_config *c)
{
    http_headers_release(&c->headers);
    wipe(c->sse_c_key, sizeof c->sse_c_key);
}

int s3_config_show(const struct s3_config *c, char *out, size_t out_max, struct err *e)
{
    int n = snprintf(out, out_max, "s3://%s%s%.*s%s%s", c->bucket, c->prefix[0] ? "/" : "",
                     c->prefix[0] ? (int)strlen(c->prefix) - 1 : 0, c->prefix, c->endpoint[0] ? "?endpoint=" : "",
                     c->endpoint);
    return n < 0 || (size_t)n >= out_max
               ? err_set(e, ERR_CONFIG, 0, "bucket, prefix and endpoint are too long together")
               : 0;
}
