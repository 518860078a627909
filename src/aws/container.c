/* aws/container.c */
#include "aws/container.h"

#include "aws/credential_answer.h"
#include "aws/environment.h"
#include "aws/service_url.h"
#include "aws/token_file.h"
#include "base/hash.h"

#include <stdio.h>
#include <string.h>

#define RELATIVE "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
#define FULL "AWS_CONTAINER_CREDENTIALS_FULL_URI"
#define TOKEN "AWS_CONTAINER_AUTHORIZATION_TOKEN"
#define TOKEN_FILE "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
#define CONNECT_TIMEOUT_MS 1000
#define TIMEOUT_MS 5000

bool container_is_there(void)
{
    return environment(RELATIVE) || environment(FULL);
}

/* Allows http only to this machine. On a network others could read the keys, or answer with their own. */
static int check_full(const char *url, struct err *e)
{
    struct service_url u;
    if (service_url_parse(url, &u, e))
        return err_wrap(e, FULL);
    if (u.https || u.place == SERVICE_LOOPBACK || u.place == SERVICE_CONTAINER)
        return 0;
    err_set(e, ERR_CONFIG, 0, FULL ": http to '%s' is not allowed", u.host);
    return err_hint(e, "use https, or http to a loopback address, 169.254.170.2, 169.254.170.23 or [fd00:ec2::23]");
}

static int find_url(char out[SERVICE_URL_MAX], struct err *e)
{
    const char *relative = environment(RELATIVE), *full = environment(FULL);
    if (relative && relative[0] != '/')
        return err_set(e, ERR_CONFIG, 0, RELATIVE " does not begin with '/'");
    if (!relative && !full)
        return err_set(e, ERR_CONFIG, 0, "neither " RELATIVE " nor " FULL " is set");
    if (snprintf(out, SERVICE_URL_MAX, "%s%s", relative ? "http://169.254.170.2" : "", relative ? relative : full) >=
        SERVICE_URL_MAX)
        return err_set(e, ERR_CONFIG, 0, "%s is too long", relative ? RELATIVE : FULL);
    return relative ? 0 : check_full(out, e);
}

static int add_authorization(struct http_headers *headers, struct err *e)
{
    const char *file = environment(TOKEN_FILE), *value = environment(TOKEN);
    char token[TOKEN_FILE_MAX];
    if (!file && !value)
        return 0;
    if (file && token_file_read(file, token, e))
        return -1;
    if (file)
        value = token;
    int rc = strpbrk(value, "\r\n") ? err_set(e, ERR_CONFIG, 0, "%s has a line break", file ? TOKEN_FILE : TOKEN)
                                    : http_headers_add(headers, "Authorization", value, e);
    if (file)
        wipe(token, sizeof token);
    return rc;
}

static int judge(const struct http_response *r, struct err *e)
{
    if (r->status == 200)
        return 0;
    if (r->status != 401 && r->status != 403)
        return err_set(e, ERR_REMOTE, r->status, "HTTP status %d", r->status);
    err_set(e, ERR_REMOTE, r->status, "HTTP status %d", r->status);
    return err_hint(e, "check " TOKEN_FILE " or " TOKEN);
}

int container_credentials(const struct service_access *a, struct credentials *ret, struct err *e)
{
    struct http_response r = {0};
    struct http_headers headers = HTTP_HEADERS_INIT;
    char url[SERVICE_URL_MAX];
    int rc = find_url(url, e);
    if (rc == 0)
        rc = add_authorization(&headers, e);
    if (rc == 0)
        rc = service_ask(a,
                         &(struct http_request){.method = "GET",
                                                .url = url,
                                                .headers = headers.count ? &headers : NULL,
                                                .timeout_ms = TIMEOUT_MS,
                                                .connect_timeout_ms = CONNECT_TIMEOUT_MS},
                         &r, e);
    if (rc == 0)
        rc = judge(&r, e);
    if (rc == 0)
        rc = credentials_from_json(&r.body, "Token", a->now_ms, ret, e);
    service_release(&r);
    http_headers_release(&headers);
    return rc ? err_wrap(e, "container credentials") : 0;
}
