/* aws/settings.c */
#include "aws/settings.h"

#include "aws/environment.h"
#include "aws/profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int copy(const char *what, const char *value, char *out, size_t max, struct err *e)
{
    size_t n = strlen(value);
    if (n >= max)
        return err_set(e, ERR_CONFIG, 0, "%s is longer than %zu bytes", what, max - 1);
    memcpy(out, value, n + 1);
    return 0;
}

/* Reads the profile of the options, else of AWS_PROFILE, else "default". Only a profile that the user named must
 * exist. */
static int read_named(const char *profile, struct profile **ret_profile, struct err *e)
{
    const char *named = profile ? profile : environment("AWS_PROFILE");
    struct profile *p = calloc(1, sizeof *p);
    if (!p)
        return err_nomem(e, sizeof *p);
    int rc = profile_read(named ? named : "default", p, e);
    if (rc == 0 && named && !p->found) {
        err_set(e, ERR_CONFIG, 0, "profile '%.60s' does not exist", named);
        rc = err_hint(e, "profiles are sections of ~/.aws/config and ~/.aws/credentials");
    }
    if (rc) {
        profile_release(p);
        free(p);
        return -1;
    }
    *ret_profile = p;
    return 0;
}

static int check_region(const char *region, struct err *e)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    if (region[strspn(region, allowed)])
        return err_set(e, ERR_CONFIG, 0, "the region has characters other than letters, digits, '-' and '_'");
    return 0;
}

int settings_region(const char *profile, char *out, size_t out_max, struct err *e)
{
    const char *region = environment("AWS_REGION");
    struct profile *p = NULL;
    if (!region)
        region = environment("AWS_DEFAULT_REGION");
    if (region)
        return check_region(region, e) || copy("the region", region, out, out_max, e) ? -1 : 0;
    if (read_named(profile, &p, e))
        return -1;
    int rc = check_region(p->region, e) || copy("the region", p->region, out, out_max, e) ? -1 : 0;
    profile_release(p);
    free(p);
    return rc;
}

int settings_endpoint(const char *profile, char *out, size_t out_max, struct err *e)
{
    const char *endpoint = environment("AWS_ENDPOINT_URL_S3");
    struct profile *p = NULL;
    if (!endpoint)
        endpoint = environment("AWS_ENDPOINT_URL");
    if (endpoint)
        return copy("the endpoint", endpoint, out, out_max, e);
    if (read_named(profile, &p, e))
        return -1;
    int rc = copy("the endpoint", p->s3_endpoint_url[0] ? p->s3_endpoint_url : p->endpoint_url, out, out_max, e);
    profile_release(p);
    free(p);
    return rc;
}
