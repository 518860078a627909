/* aws/credentials.c */
#include "aws/credentials.h"

#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>

struct credential_source {
    int unused;
};

int credentials_new(struct http *http, const struct credentials_options *o, struct credential_source **ret_source, struct err *e)
{
    (void)http;
    (void)o;
    *ret_source = calloc(1, sizeof **ret_source);
    return *ret_source ? 0 : err_nomem(e, sizeof **ret_source);
}

void credentials_free(struct credential_source *s)
{
    free(s);
}

int credentials_get(struct credential_source *s, int64_t now_ms, struct credentials *ret, struct err *e)
{
    const char *access = getenv("AWS_ACCESS_KEY_ID"), *secret = getenv("AWS_SECRET_ACCESS_KEY"),
               *token = getenv("AWS_SESSION_TOKEN");
    (void)s;
    (void)now_ms;
    if (!access || !secret)
        return err_set(e, ERR_CONFIG, 0, "no credentials");
    *ret = (struct credentials){.serial = 1};
    snprintf(ret->access_key, sizeof ret->access_key, "%s", access);
    snprintf(ret->secret_key, sizeof ret->secret_key, "%s", secret);
    snprintf(ret->session_token, sizeof ret->session_token, "%s", token ? token : "");
    return 0;
}

void credentials_reject(struct credential_source *s, uint64_t serial)
{
    (void)s;
    (void)serial;
}

const char *credentials_origin(const struct credential_source *s)
{
    (void)s;
    return "the environment";
}

static int variable(const char *name, const char *other, char *out, size_t out_max)
{
    const char *value = getenv(name);
    if (!value || !*value)
        value = getenv(other);
    snprintf(out, out_max, "%s", value ? value : "");
    return 0;
}

int credentials_region(const char *profile, char *out, size_t out_max, struct err *e)
{
    (void)profile;
    (void)e;
    return variable("AWS_REGION", "AWS_DEFAULT_REGION", out, out_max);
}

int credentials_endpoint(const char *profile, char *out, size_t out_max, struct err *e)
{
    (void)profile;
    (void)e;
    return variable("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", out, out_max);
}
