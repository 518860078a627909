/* aws/sts.c */
#include "aws/sts.h"

#include "aws/credential_answer.h"
#include "aws/environment.h"
#include "aws/service_url.h"
#include "aws/sigv4.h"
#include "aws/token_file.h"
#include "aws/xml.h"
#include "base/hash.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 10000
#define FORM_MAX (4 * TOKEN_FILE_MAX) /* each byte of a token as %XX, and the other parameters */
#define DURATION_S "3600"
#define SESSION_NAME "seawall"

/* ---- request */

static int find_url(const char *region, char out[SERVICE_URL_MAX], struct service_url *ret_url, struct err *e)
{
    const char *endpoint = environment("AWS_ENDPOINT_URL_STS");
    int n = endpoint ? snprintf(out, SERVICE_URL_MAX - 1, "%s", endpoint)
                     : snprintf(out, SERVICE_URL_MAX - 1, "https://sts.%s.amazonaws.com%s/", region,
                                strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
    if (n >= SERVICE_URL_MAX - 1)
        return err_set(e, ERR_CONFIG, 0, "AWS_ENDPOINT_URL_STS is too long");
    if (service_url_parse(out, ret_url, e))
        return err_wrap(e, endpoint ? "AWS_ENDPOINT_URL_STS" : "region");
    if (strchr(ret_url->path, '?'))
        return err_set(e, ERR_CONFIG, 0, "AWS_ENDPOINT_URL_STS has a query");
    if (!*ret_url->path)
        memcpy(out + n, "/", 2);
    return 0;
}

static int add(struct buf *form, const char *name, const char *value, struct err *e)
{
    return buf_append(form, name, strlen(name), e) || http_encode(form, value, HTTP_ENCODE_ALL, e) ? -1 : 0;
}

static int fill_form(const struct sts_role *role, const char *action, struct buf *form, struct err *e)
{
    bool external = role->external_id && *role->external_id;
    assert(role->arn && role->region);
    if (buf_reserve(form, FORM_MAX, e)) /* now: a growing buffer would leave copies of the token in freed memory */
        return -1;
    int rc = add(form, "Action=", action, e);
    if (rc == 0)
        rc = add(form, "&Version=", "2011-06-15", e);
    if (rc == 0)
        rc = add(form, "&RoleArn=", role->arn, e);
    if (rc == 0)
        rc = add(form,
                 "&RoleSessionName=", role->session_name && *role->session_name ? role->session_name : SESSION_NAME, e);
    if (rc == 0)
        rc = add(form, "&DurationSeconds=", role->duration_s && *role->duration_s ? role->duration_s : DURATION_S, e);
    if (rc == 0 && external)
        rc = add(form, "&ExternalId=", role->external_id, e);
    return rc;
}

struct call {
    const struct service_access *access;
    const char *region;
    const struct credentials *by; /* signs the call; NULL: it is not signed */
    const struct buf *form;
    char url[SERVICE_URL_MAX];
    struct service_url parsed;
    struct http_headers headers;
};

static int sign(struct call *c, struct err *e)
{
    struct digest body;
    struct sigv4_key key = {0};
    char hex[SIGV4_HEX];
    const char *token = c->by->session_token;
    if (digest_of(c->form->data, c->form->len, &body, e) ||
        (token[0] && http_headers_add(&c->headers, "x-amz-security-token", token, e)))
        return -1;
    hex_encode(body.bytes, DIGEST_BYTES, hex);
    struct sigv4_scope scope = {.access_key = c->by->access_key,
                                .secret_key = c->by->secret_key,
                                .region = c->region,
                                .service = "sts",
                                .time_ms = c->access->now_ms};
    struct sigv4_target target = {
        .method = "POST", .path = *c->parsed.path ? c->parsed.path : "/", .query = "", .payload_sha256 = hex};
    int rc = sigv4_sign(&scope, &target, &key, &c->headers, e);
    wipe(&key, sizeof key);
    return rc;
}

/* ---- response */

struct fields {
    /* One byte more than credentials_set allows, so that it refuses a value that is too long. */
    char access_key[CREDENTIALS_KEY_MAX + 1], secret_key[CREDENTIALS_KEY_MAX + 1];
    char session_token[CREDENTIALS_TOKEN_MAX + 1];
    char expiration[64];
};

/* Copies `text` without the blanks around it. */
static void copy_trimmed(const char *text, char *out, size_t out_max)
{
    static const char blanks[] = " \t\r\n";
    text += strspn(text, blanks);
    size_t n = strlen(text);
    while (n > 0 && strchr(blanks, text[n - 1]))
        n--;
    snprintf(out, out_max, "%.*s", (int)n, text);
}

static int take_field(void *context, const char *path, const char *text, struct err *e)
{
    struct fields *f = context;
    const char *parent = strstr(path, "Result/Credentials/"), *name = strrchr(path, '/');
    (void)e;
    if (!parent || !name)
        return 0;
    if (strcmp(name, "/AccessKeyId") == 0)
        copy_trimmed(text, f->access_key, sizeof f->access_key);
    else if (strcmp(name, "/SecretAccessKey") == 0)
        copy_trimmed(text, f->secret_key, sizeof f->secret_key);
    else if (strcmp(name, "/SessionToken") == 0)
        copy_trimmed(text, f->session_token, sizeof f->session_token);
    else if (strcmp(name, "/Expiration") == 0)
        copy_trimmed(text, f->expiration, sizeof f->expiration);
    return 0;
}

static int take_credentials(const struct buf *body, int64_t now_ms, struct credentials *ret, struct err *e)
{
    struct fields f = {0};
    int rc = xml_read(body->data, body->len, &(struct xml_visitor){.text = take_field, .context = &f}, e);
    if (rc == 0)
        rc = credentials_set(ret,
                             &(struct credential_texts){.access_key = f.access_key,
                                                        .secret_key = f.secret_key,
                                                        .session_token = f.session_token,
                                                        .expiration = f.expiration[0] ? f.expiration : "none"},
                             now_ms, e);
    if (rc && e->code != ERR_NOMEM)
        e->code = ERR_REMOTE;
    wipe(&f, sizeof f);
    return rc;
}

/* Shows only the code of the error: some messages quote the signed request with its session token. */
static int refused(const struct http_response *r, struct err *e)
{
    static const char *const passing[] = {"IDPCommunicationError", "ExpiredTokenException", "Throttling",
                                          "ThrottlingException", "RequestLimitExceeded"};
    char code[128], word[SERVICE_WORD_MAX];
    bool passes = r->status >= 500 || r->status == 429;
    xml_find(r->body.data, r->body.len, "ErrorResponse/Error/Code", code, sizeof code);
    service_word(code, word);
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++)
        passes |= strcmp(word, passing[i]) == 0;
    err_set(e, passes ? ERR_REMOTE : ERR_CONFIG, r->status, "HTTP status %d%s%s", r->status, *word ? " " : "", word);
    if (strcmp(word, "AccessDenied") == 0)
        return err_hint(e,
                        "allow this in the trust policy of the role, and in the policies of the keys that assume it");
    if (strcmp(word, "ExpiredTokenException") == 0 || strcmp(word, "InvalidIdentityToken") == 0)
        return err_hint(
            e, "check that the token file is renewed, and that its issuer is an identity provider of the account");
    if (strcmp(word, "InvalidClientTokenId") == 0 || strcmp(word, "SignatureDoesNotMatch") == 0)
        return err_hint(e, "check the keys that the role is assumed with");
    return -1;
}

static int exchange(struct call *c, struct credentials *ret, struct err *e)
{
    struct http_response r = {0};
    struct http_request q = {.method = "POST",
                             .url = c->url,
                             .headers = &c->headers,
                             .body = c->form->data,
                             .body_len = c->form->len,
                             .timeout_ms = TIMEOUT_MS};
    int rc = service_ask(c->access, &q, &r, e);
    if (rc == 0)
        rc = r.status == 200 ? take_credentials(&r.body, c->access->now_ms, ret, e) : refused(&r, e);
    service_release(&r);
    return rc;
}

static int ask(struct call *c, struct credentials *ret, struct err *e)
{
    c->headers = HTTP_HEADERS_INIT;
    int rc = find_url(c->region, c->url, &c->parsed, e);
    if (rc == 0)
        rc = http_headers_add(&c->headers, "Host", c->parsed.host, e);
    if (rc == 0)
        rc = http_headers_add(&c->headers, "Content-Type", "application/x-www-form-urlencoded", e);
    if (rc == 0 && c->by)
        rc = sign(c, e);
    if (rc == 0)
        rc = exchange(c, ret, e);
    http_headers_release(&c->headers);
    return rc;
}

static void form_release(struct buf *form)
{
    if (form->data)
        wipe(form->data, form->cap);
    buf_release(form);
}

int sts_assume_role(const struct service_access *a, const struct sts_role *role, const struct credentials *by,
                    struct credentials *ret, struct err *e)
{
    struct buf form = BUF_INIT(FORM_MAX);
    int rc = fill_form(role, "AssumeRole", &form, e);
    if (rc == 0)
        rc = ask(&(struct call){.access = a, .region = role->region, .by = by, .form = &form}, ret, e);
    form_release(&form);
    return rc ? err_wrap(e, "assume role '%.120s'", role->arn) : 0;
}

int sts_assume_role_with_web_identity(const struct service_access *a, const struct sts_role *role,
                                      const char *token_file, struct credentials *ret, struct err *e)
{
    struct buf form = BUF_INIT(FORM_MAX);
    char token[TOKEN_FILE_MAX];
    int rc = token_file_read(token_file, token, e);
    if (rc == 0) {
        token[strcspn(token, "\r\n")] = 0;
        rc = fill_form(role, "AssumeRoleWithWebIdentity", &form, e);
    }
    if (rc == 0)
        rc = add(&form, "&WebIdentityToken=", token, e);
    if (rc == 0)
        rc = ask(&(struct call){.access = a, .region = role->region, .form = &form}, ret, e);
    form_release(&form);
    wipe(token, sizeof token);
    return rc ? err_wrap(e, "assume role '%.120s' with web identity", role->arn) : 0;
}
