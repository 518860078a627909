/* aws/sigv4.c */
#include "aws/sigv4.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define REQUEST_MAX (HTTP_HEADERS_MAX * HTTP_HEADER_LINE_MAX)
#define PARTS_MAX 64
#define DAY_CHARS 8
#define TIME_MAX 24

/* Writes 20130524T000000Z. The first DAY_CHARS characters are the day. */
static void format_time(int64_t ms, char out[TIME_MAX])
{
    time_t t = (time_t)(ms / 1000);
    struct tm tm;
    gmtime_r(&t, &tm);
    if (strftime(out, TIME_MAX, "%Y%m%dT%H%M%SZ", &tm) == 0)
        memset(out, 0, TIME_MAX); /* a year of many digits: the store refuses the signature */
}

static int append(struct buf *b, const char *text, struct err *e)
{
    return buf_append(b, text, strlen(text), e);
}

/* ---- canonical request */

/* Compares names, then values. A name comes before longer ones that begin with it, although '=' and ':' sort after
 * '-' and digits. */
static int by_name(const char *x, const char *y, const char *separator)
{
    size_t nx = strcspn(x, separator), ny = strcspn(y, separator);
    int order = memcmp(x, y, nx < ny ? nx : ny);
    if (order == 0)
        order = (nx > ny) - (nx < ny);
    return order ? order : strcmp(x + nx, y + ny);
}

static int by_parameter(const void *a, const void *b)
{
    return by_name(*(char *const *)a, *(char *const *)b, "=");
}

static int by_header(const void *a, const void *b)
{
    return by_name(*(char *const *)a, *(char *const *)b, ":");
}

/* Appends the parameters, sorted. A parameter without a value gets an empty one. */
static int append_query(struct buf *out, const char *query, struct err *e)
{
    char *copy = strdup(query), *parts[PARTS_MAX], *rest = copy, *part;
    size_t count = 0;
    int rc = copy ? 0 : err_nomem(e, strlen(query));
    while (rc == 0 && *query && (part = strsep(&rest, "&"))) {
        if (count == PARTS_MAX)
            rc = err_set(e, ERR_LIMIT, 0, "more than %d parameters in a query", PARTS_MAX);
        else
            parts[count++] = part;
    }
    if (rc == 0 && count)
        qsort(parts, count, sizeof parts[0], by_parameter);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = i ? append(out, "&", e) : 0;
        if (rc == 0)
            rc = append(out, parts[i], e);
        if (rc == 0 && !strchr(parts[i], '='))
            rc = append(out, "=", e);
    }
    free(copy);
    return rc;
}

static bool is_signed(const char *line)
{
    static const char *const left_out[] = {
        "content-length:", "user-agent:", "accept:", "accept-encoding:", "connection:", "expect:", "authorization:"};
    for (size_t i = 0; i < sizeof left_out / sizeof left_out[0]; i++)
        if (strncasecmp(line, left_out[i], strlen(left_out[i])) == 0)
            return false;
    return true;
}

/* Turns "Name:  a   b " into "name:a b", in place: the result is never longer. */
static void canonical_line(char *line)
{
    char *to = line;
    while (*line && *line != ':')
        *to++ = (char)tolower((unsigned char)*line++);
    *to++ = ':';
    line += *line == ':';
    line += strspn(line, " \t");
    while (*line) {
        size_t blanks = strspn(line, " \t");
        line += blanks;
        if (blanks && *line)
            *to++ = ' ';
        else if (!blanks)
            *to++ = *line++;
    }
    *to = 0;
}

static int append_headers(struct buf *out, struct buf *names, char **lines, size_t count, struct err *e)
{
    for (size_t i = 0; i < count; i++) {
        if (append(out, lines[i], e) || append(out, "\n", e) || (i && append(names, ";", e)) ||
            buf_append(names, lines[i], strcspn(lines[i], ":"), e))
            return -1;
    }
    return 0;
}

int sigv4_canonical_request(const struct sigv4_target *target, const struct http_headers *headers, struct buf *out,
                            struct buf *signed_names, struct err *e)
{
    char *lines[HTTP_HEADERS_MAX];
    size_t count = 0, at = 0;
    char *copy = malloc(headers->text.len + 1);
    if (!copy)
        return err_nomem(e, headers->text.len);
    memcpy(copy, headers->text.data, headers->text.len);
    while (at < headers->text.len) {
        size_t n = strlen(copy + at);
        if (is_signed(copy + at)) {
            canonical_line(copy + at);
            lines[count++] = copy + at;
        }
        at += n + 1;
    }
    if (count)
        qsort(lines, count, sizeof lines[0], by_header);
    int rc = append(out, target->method, e) || append(out, "\n", e) || append(out, target->path, e) ||
                     append(out, "\n", e) || append_query(out, target->query, e) || append(out, "\n", e) ||
                     append_headers(out, signed_names, lines, count, e) || append(out, "\n", e) ||
                     buf_append(out, signed_names->data, signed_names->len, e) || append(out, "\n", e) ||
                     append(out, target->payload_sha256, e)
                 ? -1
                 : 0;
    wipe(copy, headers->text.len);
    free(copy);
    return rc;
}

/* ---- key and signature */

static int hmac_text(struct digest *key, const char *text, size_t n, struct err *e)
{
    struct digest next;
    if (digest_hmac(key->bytes, DIGEST_BYTES, text, n, &next, e))
        return -1;
    *key = next;
    return 0;
}

int sigv4_key_make(const struct sigv4_scope *scope, struct sigv4_key *key, struct err *e)
{
    char when[TIME_MAX], secret[1024];
    struct digest made_of;
    format_time(scope->time_ms, when);
    int n = snprintf(secret, sizeof secret, "AWS4%s%c%.8s%c%s%c%s", scope->secret_key, 0, when, 0, scope->region, 0,
                     scope->service);
    if (n < 0 || n >= (int)sizeof secret)
        return err_set(e, ERR_LIMIT, 0, "secret key or region is too long");
    int rc = digest_of(secret, (size_t)n, &made_of, e);
    if (rc == 0 && !digest_equal(&made_of, &key->made_of)) {
        rc = digest_hmac(secret, strlen(secret), when, DAY_CHARS, &key->key, e);
        if (rc == 0)
            rc = hmac_text(&key->key, scope->region, strlen(scope->region), e);
        if (rc == 0)
            rc = hmac_text(&key->key, scope->service, strlen(scope->service), e);
        if (rc == 0)
            rc = hmac_text(&key->key, "aws4_request", 12, e);
        key->made_of = rc == 0 ? made_of : (struct digest){{0}};
    }
    wipe(secret, sizeof secret);
    return rc;
}

int sigv4_signature(const struct sigv4_key *key, const char *string_to_sign, size_t n, char out[SIGV4_HEX],
                    struct err *e)
{
    struct digest signature = key->key;
    if (hmac_text(&signature, string_to_sign, n, e))
        return -1;
    hex_encode(signature.bytes, DIGEST_BYTES, out);
    return 0;
}

static int authorize(const struct sigv4_scope *scope, const char *when, const struct buf *request,
                     const struct buf *names, const struct sigv4_key *key, struct http_headers *headers, struct err *e)
{
    struct digest hash;
    char hash_hex[SIGV4_HEX], signature[SIGV4_HEX], text[512], line[HTTP_HEADER_LINE_MAX];
    if (digest_of(request->data, request->len, &hash, e))
        return -1;
    hex_encode(hash.bytes, DIGEST_BYTES, hash_hex);
    int n = snprintf(text, sizeof text, "AWS4-HMAC-SHA256\n%s\n%.8s/%s/%s/aws4_request\n%s", when, when, scope->region,
                     scope->service, hash_hex);
    if (n < 0 || n >= (int)sizeof text)
        return err_set(e, ERR_LIMIT, 0, "region '%.40s...' is too long", scope->region);
    if (sigv4_signature(key, text, (size_t)n, signature, e))
        return -1;
    n = snprintf(
        line, sizeof line, "AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/%s/aws4_request,SignedHeaders=%.*s,Signature=%s",
        scope->access_key, when, scope->region, scope->service, (int)names->len, (const char *)names->data, signature);
    if (n < 0 || n >= (int)sizeof line)
        return err_set(e, ERR_LIMIT, 0, "the authorization header is too long");
    return http_headers_add(headers, "authorization", line, e);
}

int sigv4_sign(const struct sigv4_scope *scope, const struct sigv4_target *target, struct sigv4_key *key,
               struct http_headers *headers, struct err *e)
{
    struct buf request = BUF_INIT(REQUEST_MAX), names = BUF_INIT(HTTP_HEADER_LINE_MAX);
    char when[TIME_MAX];
    format_time(scope->time_ms, when);
    int rc = http_headers_add(headers, "x-amz-date", when, e);
    if (rc == 0)
        rc = sigv4_canonical_request(target, headers, &request, &names, e);
    if (rc == 0)
        rc = sigv4_key_make(scope, key, e);
    if (rc == 0)
        rc = authorize(scope, when, &request, &names, key, headers, e);
    if (request.data)
        wipe(request.data, request.len); /* it holds the session token */
    buf_release(&request);
    buf_release(&names);
    return rc;
}
