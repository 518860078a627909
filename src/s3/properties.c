/* s3/properties.c */
#include "s3/properties.h"

#include "base/clock.h"
#include "base/when.h"

#include <string.h>
#include <strings.h>

#define DAY_MS INT64_C(86400000)
/* The end of the retention is counted from the clock at the attempt, and Last-Modified is set when the object is
 * stored. Servers accept clocks that differ by 15 minutes. */
#define SLACK_MS INT64_C(3600000)

bool s3_properties_asked(const struct s3_config *c)
{
    return c->lock_mode[0] || c->sse[0] || c->sse_c_key[0];
}

static int lacks(const char *what, const char *found, const char *hint, struct err *e)
{
    err_set(e, ERR_CONFIG, 0, "the object is there, but without %s that the URL asks for: HEAD shows %s", what,
            found ? found : "none");
    return err_hint(e, "%s", hint);
}

static int check_lock(const struct s3_config *c, const struct http_response *r, struct err *e)
{
    static const char hint[] =
        "check that the bucket has object lock, and allow s3:GetObjectRetention; the object has to be "
        "removed before it can be put again";
    const char *mode = http_header(r, "x-amz-object-lock-mode");
    const char *until = http_header(r, "x-amz-object-lock-retain-until-date");
    int64_t stored_ms = http_time_ms(r, "last-modified"), until_ms = 0;
    if (!mode || (strcasecmp(mode, c->lock_mode) != 0 && strcasecmp(mode, "COMPLIANCE") != 0))
        return lacks("the object lock", mode, hint, e);
    if (stored_ms < 0)
        stored_ms = http_date_ms(r);
    if (!until || stored_ms < 0 || !when_parse(until, 0, &until_ms) ||
        until_ms < stored_ms + (int64_t)c->lock_days * DAY_MS - SLACK_MS)
        return lacks("the retention", until, hint, e);
    return 0;
}

/* A KMS key can be named by its id, an alias or an ARN; the response has the ARN. An alias can't be compared. */
static bool is_key(const char *asked, const char *found)
{
    if (!found)
        return false;
    const size_t a = strlen(asked), f = strlen(found);
    if (strstr(asked, "alias/"))
        return f > 0;
    return f >= a && strcmp(found + (f - a), asked) == 0;
}

static int check_encryption(const struct s3_config *c, const struct http_response *r, struct err *e)
{
    static const char hint[] =
        "check that the server supports this encryption; the object has to be removed before it can "
        "be put again";
    const char *sse = http_header(r, "x-amz-server-side-encryption");
    const char *key = http_header(r, "x-amz-server-side-encryption-aws-kms-key-id");
    const char *customer = http_header(r, "x-amz-server-side-encryption-customer-algorithm");
    bool kms = strcmp(c->sse, "aws:kms") == 0;
    if (c->sse[0] && (!sse || (kms && strncmp(sse, "aws:kms", 7) != 0)))
        return lacks("the encryption", sse, hint, e);
    if (c->sse_kms_key_id[0] && !is_key(c->sse_kms_key_id, key))
        return lacks("the KMS key", key, hint, e);
    if (c->sse_c_key[0] && !customer)
        return lacks("the encryption by the key of the sse-c-key-file", NULL, hint, e);
    return 0;
}

int s3_properties_check(const struct s3_config *c, const struct http_response *r, struct err *e)
{
    if (c->lock_mode[0] && check_lock(c, r, e))
        return -1;
    return check_encryption(c, r, e);
}
