/* aws/metadata.c */
#include "aws/metadata.h"

#include "aws/credential_answer.h"
#include "aws/environment.h"
#include "aws/service_url.h"
#include "base/hash.h"
#include "base/json.h"

#include <stdio.h>
#include <string.h>

#define ENDPOINT "http://169.254.169.254"
#define ROLES "/latest/meta-data/iam/security-credentials/"
#define CONNECT_TIMEOUT_MS 1000
#define TIMEOUT_MS 2000
#define TOKEN_MAX 1024
#define ROLE_MAX 256

struct metadata {
    const struct service_access *access;
    char token[TOKEN_MAX];
};

/* A question has one header. */
struct question {
    const char *method, *path, *header, *value;
};

static int ask(const struct metadata *m, const struct question *q, struct http_response *r, struct err *e)
{
    const char *endpoint = environment("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    struct http_headers headers = HTTP_HEADERS_INIT;
    char url[SERVICE_URL_MAX];
    if (!endpoint)
        endpoint = ENDPOINT;
    size_t n = strlen(endpoint);
    while (n > 0 && endpoint[n - 1] == '/')
        n--;
    if (snprintf(url, sizeof url, "%.*s%s", (int)n, endpoint, q->path) >= (int)sizeof url)
        return err_set(e, ERR_CONFIG, 0, "AWS_EC2_METADATA_SERVICE_ENDPOINT is too long");
    int rc = http_headers_add(&headers, q->header, q->value, e);
    if (rc == 0)
        rc = service_ask(m->access,
                         &(struct http_request){.method = q->method,
                                                .url = url,
                                                .headers = &headers,
                                                .timeout_ms = TIMEOUT_MS,
                                                .connect_timeout_ms = CONNECT_TIMEOUT_MS,
                                                .flags = HTTP_NO_PROXY},
                         r, e);
    http_headers_release(&headers);
    return rc;
}

/* Takes the first line of the answer. */
static int take_line(const struct http_response *r, const char *what, char *out, size_t out_max, struct err *e)
{
    size_t n = 0;
    while (n < r->body.len && r->body.data[n] != '\n' && r->body.data[n] != '\r')
        n++;
    for (size_t i = 0; i < n; i++)
        if (r->body.data[i] <= ' ' || r->body.data[i] >= 0x7f)
            n = 0;
    if (n == 0 || n >= out_max)
        return err_set(e, ERR_REMOTE, 0, "the answer is not a %s", what);
    memcpy(out, r->body.data, n);
    out[n] = 0;
    return 0;
}

static int take_token(struct metadata *m, struct err *e)
{
    struct http_response r = {0};
    const struct question q = {"PUT", "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds", "21600"};
    int rc = ask(m, &q, &r, e);
    if (rc) {
        if (e->code == ERR_REMOTE || e->code == ERR_TIMEOUT) {
            e->code = ERR_NOTFOUND;
            err_hint(e,
                     "in a container on EC2, set the hop limit of the instance metadata to 2 or more; elsewhere, set "
                     "AWS_EC2_METADATA_DISABLED=true");
        }
    } else if (r.status == 200) {
        rc = take_line(&r, "token", m->token, sizeof m->token, e);
    } else {
        rc = err_set(e, r.status >= 500 || r.status == 429 ? ERR_REMOTE : ERR_CONFIG, r.status,
                     "no token: HTTP status %d", r.status);
        if (r.status < 500)
            err_hint(e, "switch IMDSv2 on for this instance; IMDSv1 is not used");
    }
    service_release(&r);
    return rc;
}

/* Sends a GET with the token, and once more with a new token if the old one is no longer valid. */
static int get(struct metadata *m, const char *path, struct http_response *r, struct err *e)
{
    const struct question q = {"GET", path, "X-aws-ec2-metadata-token", m->token}; /* m->token changes below */
    for (int i = 0;; i++) {
        if (ask(m, &q, r, e))
            return -1;
        if (r->status == 200)
            return 0;
        if (r->status != 401 || i > 0)
            break;
        service_release(r);
        *r = (struct http_response){0};
        if (take_token(m, e))
            return -1;
    }
    if (r->status == 404) {
        err_set(e, ERR_CONFIG, r->status, "this instance has no role");
        return err_hint(e, "attach an instance profile with a role to the instance");
    }
    return err_set(e, ERR_REMOTE, r->status, "HTTP status %d", r->status);
}

static int find_role(struct metadata *m, char role[ROLE_MAX], struct err *e)
{
    struct http_response r = {0};
    int rc = get(m, ROLES, &r, e);
    if (rc == 0)
        rc = take_line(&r, "name of a role", role, ROLE_MAX, e);
    service_release(&r);
    return rc;
}

/* Checks Code in the answer: "Success", or why there are no credentials. */
static int check_code(const struct buf *body, struct err *e)
{
    struct json *j = NULL;
    struct err ignored; /* quotes the document, which has secrets */
    char word[SERVICE_WORD_MAX];
    int rc = 0;
    if (json_parse(body->data, body->len, &j, &ignored) == 0) {
        const char *code = json_get_text(j, "Code");
        if (code && strcmp(code, "Success") != 0)
            rc = err_set(e, ERR_REMOTE, 0, "no credentials: %s", service_word(code, word));
    }
    wipe(&ignored, sizeof ignored);
    json_free(j);
    return rc;
}

static int role_credentials(struct metadata *m, const char *role, struct credentials *ret, struct err *e)
{
    struct http_response r = {0};
    struct buf path = BUF_INIT(sizeof ROLES + 3 * ROLE_MAX);
    int rc = buf_append(&path, ROLES, strlen(ROLES), e);
    if (rc == 0)
        rc = http_encode(&path, role, HTTP_ENCODE_ALL, e);
    if (rc == 0)
        rc = buf_append(&path, "", 1, e);
    if (rc == 0)
        rc = get(m, (const char *)path.data, &r, e);
    if (rc == 0)
        rc = check_code(&r.body, e);
    if (rc == 0)
        rc = credentials_from_json(&r.body, "Token", m->access->now_ms, ret, e);
    if (rc == 0 && ret->expires_ms == 0)
        rc = err_set(e, ERR_REMOTE, 0, "the credentials have no expiration");
    service_release(&r);
    buf_release(&path);
    return rc;
}

int metadata_credentials(const struct service_access *a, struct credentials *ret, struct err *e)
{
    struct metadata m = {.access = a};
    char role[ROLE_MAX];
    int rc = take_token(&m, e);
    if (rc == 0)
        rc = find_role(&m, role, e);
    if (rc == 0)
        rc = role_credentials(&m, role, ret, e);
    wipe(&m, sizeof m);
    return rc ? err_wrap(e, "instance metadata service") : 0;
}
