/* s3/request.c */
#include "s3/request.h"

#include "base/clock.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- address */

bool s3_uses_vhost(const struct s3_config *c)
{
    if (c->addressing == S3_ADDRESSING_AUTO)
        return c->endpoint[0] == 0 && !strchr(c->bucket, '.') && !strchr(c->bucket, '_');
    return c->addressing == S3_ADDRESSING_VHOST;
}

/* Encodes the path of an operation: the endpoint's own path, the bucket unless it is in the host name, the key. */
static int encode_path(const struct s3_config *c, const struct s3_op *op, const char *base, struct buf *path,
                       struct err *e)
{
    bool vhost = s3_uses_vhost(c);
    int rc = http_encode(path, base, HTTP_ENCODE_KEEP_SLASH, e);
    if (rc == 0 && !vhost)
        rc = buf_append(path, "/", 1, e) || http_encode(path, c->bucket, HTTP_ENCODE_ALL, e);
    if (rc == 0 && (op->key || vhost || !path->len))
        rc = buf_append(path, "/", 1, e);
    if (rc == 0 && op->key)
        rc = http_encode(path, c->prefix, HTTP_ENCODE_KEEP_SLASH, e) ||
             http_encode(path, op->key, HTTP_ENCODE_KEEP_SLASH, e);
    return rc || buf_append(path, "", 1, e) ? -1 : 0;
}

/* Cuts the usual port of the scheme off: curl would leave it out of the Host header too. */
static void cut_usual_port(const char *scheme, char *host)
{
    const char *usual = strcmp(scheme, "https://") == 0 ? ":443" : ":80";
    size_t n = strlen(host), k = strlen(usual);
    if (n > k && strcmp(host + n - k, usual) == 0)
        host[n - k] = 0;
}

int s3_address_of(const struct s3_config *c, const struct s3_op *op, const char *region, struct s3_address *a,
                  struct err *e)
{
    char endpoint[S3_ENDPOINT_MAX + S3_NAME_MAX], scheme[16];
    struct buf path = BUF_INIT(S3_ADDRESS_MAX);
    bool vhost = s3_uses_vhost(c);
    if (c->endpoint[0])
        snprintf(endpoint, sizeof endpoint, "%s", c->endpoint);
    else
        snprintf(endpoint, sizeof endpoint, "https://s3.%s.amazonaws.com%s", region,
                 strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
    const char *host = endpoint + strcspn(endpoint, ":") + strlen("://");
    int host_len = (int)strcspn(host, "/");
    snprintf(scheme, sizeof scheme, "%.*s", (int)(host - endpoint), endpoint);
    snprintf(a->host, sizeof a->host, "%s%s%.*s", vhost ? c->bucket : "", vhost ? "." : "", host_len, host);
    int rc = encode_path(c, op, host + host_len, &path, e);
    if (rc == 0) {
        snprintf(a->path, sizeof a->path, "%s", (const char *)path.data);
        int n = snprintf(a->url, sizeof a->url, "%s%s%s%s%s", scheme, a->host, a->path, op->query ? "?" : "",
                         op->query ? op->query : "");
        rc = n < 0 || (size_t)n >= sizeof a->url
                 ? err_set(e, ERR_LIMIT, 0, "the URL is longer than %zu bytes", sizeof a->url - 1)
                 : 0;
    }
    if (rc == 0)
        cut_usual_port(scheme, a->host);
    buf_release(&path);
    return rc;
}

/* ---- headers */

static int add_sse_c(struct http_headers *h, const struct s3_config *c, struct err *e)
{
    if (!c->sse_c_key[0])
        return 0;
    if (http_headers_add(h, "x-amz-server-side-encryption-customer-algorithm", "AES256", e) ||
        http_headers_add(h, "x-amz-server-side-encryption-customer-key", c->sse_c_key, e))
        return -1;
    return http_headers_add(h, "x-amz-server-side-encryption-customer-key-md5", c->sse_c_md5, e);
}

static int add_lock(struct http_headers *h, const struct s3_config *c, int64_t wall_ms, struct err *e)
{
    char until[CLOCK_TEXT_MAX];
    clock_format(wall_ms + (int64_t)c->lock_days * 86400000, until);
    if (http_headers_add(h, "x-amz-object-lock-mode", c->lock_mode, e))
        return -1;
    return http_headers_add(h, "x-amz-object-lock-retain-until-date", until, e);
}

static int add_object_headers(struct http_headers *h, const struct s3_config *c, bool locked, int64_t wall_ms,
                              struct err *e)
{
    if (c->storage_class[0] && http_headers_add(h, "x-amz-storage-class", c->storage_class, e))
        return -1;
    if (c->sse[0] && http_headers_add(h, "x-amz-server-side-encryption", c->sse, e))
        return -1;
    if (c->sse_kms_key_id[0] &&
        http_headers_add(h, "x-amz-server-side-encryption-aws-kms-key-id", c->sse_kms_key_id, e))
        return -1;
    if (strcmp(c->sse, "aws:kms") == 0 && c->bucket_key &&
        http_headers_add(h, "x-amz-server-side-encryption-bucket-key-enabled", "true", e))
        return -1;
    return locked ? add_lock(h, c, wall_ms, e) : 0;
}

static int add_md5(struct http_headers *h, const struct s3_op *op, struct err *e)
{
    uint8_t md5[MD5_BYTES];
    char text[4 * ((MD5_BYTES + 2) / 3) + 1];
    if (md5_of(op->body, op->body_len, md5, e))
        return -1;
    base64_encode(md5, sizeof md5, text);
    return http_headers_add(h, "content-md5", text, e);
}

static int add_extra(struct http_headers *h, const struct http_headers *extra, struct err *e)
{
    const char *line = (const char *)extra->text.data, *end = line ? line + extra->text.len : NULL;
    for (; line < end; line += strlen(line) + 1) {
        char name[HTTP_NAME_MAX + 1];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(line, ":"), line);
        if (http_headers_add(h, name, strchr(line, ':') + 2, e))
            return -1;
    }
    return 0;
}

int s3_headers_of(const struct s3_config *c, const struct s3_op *op, const struct s3_sender *sender,
                  struct http_headers *h, struct err *e)
{
    bool is_new = op->flags & S3_OP_NEW_OBJECT, locked = c->lock_mode[0] && !(op->flags & S3_OP_UNLOCKED);
    bool wants_md5 = (op->flags & S3_OP_MD5) || (is_new && locked);
    assert(sender->host[0] && sender->sha256[0]);
    if (http_headers_add(h, "host", sender->host, e) || http_headers_add(h, "x-amz-content-sha256", sender->sha256, e))
        return -1;
    if (op->body && http_headers_add(h, "content-type", is_new ? "application/octet-stream" : "application/xml", e))
        return -1;
    if (op->range && http_headers_add(h, "range", op->range, e))
        return -1;
    if ((op->flags & S3_OP_IF_NONE_MATCH) && http_headers_add(h, "if-none-match", "*", e))
        return -1;
    if (wants_md5 && c->content_md5 && add_md5(h, op, e))
        return -1;
    if (is_new && add_object_headers(h, c, locked, sender->wall_ms, e))
        return -1;
    if ((op->flags & S3_OP_SSE_C) && add_sse_c(h, c, e))
        return -1;
    if (add_extra(h, &c->headers, e))
        return -1;
    const char *token = sender->by->session_token;
    return token[0] ? http_headers_add(h, "x-amz-security-token", token, e) : 0;
}
