/* aws/credential_chain.c */
#include "aws/credential_chain.h"

#include "aws/container.h"
#include "aws/credential_answer.h"
#include "aws/credential_process.h"
#include "aws/environment.h"
#include "aws/metadata.h"
#include "aws/profile.h"
#include "aws/sts.h"
#include "base/hash.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEPTH_MAX 8 /* of source_profile */
#define REGION "us-east-1"
#define DURATION_MIN_S 900
#define DURATION_MAX_S 43200

/* A profile, and the profiles whose source_profile led to it. */
struct way {
    const char *name;
    unsigned depth;
    const struct way *from; /* the profile before; NULL: this is the first */
};

static int by_profile(const struct credential_chain *chain, const struct way *way, struct credentials *ret,
                      bool *ret_there, struct err *e);

/* ---- the environment */

static int from_keys(const struct credential_chain *chain, struct credentials *ret, bool *ret_there, struct err *e)
{
    const char *access_key = environment("AWS_ACCESS_KEY_ID"), *secret_key = environment("AWS_SECRET_ACCESS_KEY");
    *ret_there = access_key || secret_key;
    if (!*ret_there)
        return 0;
    if (!access_key || !secret_key)
        return err_set(e, ERR_CONFIG, 0, "%s is set, but %s is not",
                       access_key ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
                       access_key ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
    struct credential_texts texts = {
        .access_key = access_key, .secret_key = secret_key, .session_token = environment("AWS_SESSION_TOKEN")};
    return credentials_set(ret, &texts, chain->access.now_ms, e) ? err_wrap(e, "environment") : 0;
}

/* Takes the region from the environment, else from the profile, else from the configuration. */
static const char *region_of(const struct credential_chain *chain, const struct profile *p)
{
    const char *region = environment("AWS_REGION");
    if (!region)
        region = environment("AWS_DEFAULT_REGION");
    if (!region && p && p->region[0])
        region = p->region;
    if (!region && chain->region && *chain->region)
        region = chain->region;
    return region ? region : REGION;
}

static int from_web_identity(const struct credential_chain *chain, struct credentials *ret, bool *ret_there,
                             struct err *e)
{
    const char *role = environment("AWS_ROLE_ARN"), *file = environment("AWS_WEB_IDENTITY_TOKEN_FILE");
    *ret_there = file != NULL;
    if (!file)
        return 0;
    if (!role)
        return err_set(e, ERR_CONFIG, 0, "AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not");
    return sts_assume_role_with_web_identity(&chain->access,
                                             &(struct sts_role){.arn = role,
                                                                .session_name = environment("AWS_ROLE_SESSION_NAME"),
                                                                .region = region_of(chain, NULL)},
                                             file, ret, e);
}

/* ---- a profile */

static int from_process(const struct credential_chain *chain, const char *command, struct credentials *ret,
                        struct err *e)
{
    struct buf output;
    struct json *j = NULL;
    struct err ignored; /* quotes the document, which has secrets */
    int64_t version = 1;
    int rc = credential_process_run(command, CREDENTIAL_PROCESS_TIMEOUT_MS, chain->access.cancel, &output, e);
    if (rc == 0 && json_parse(output.data, output.len, &j, &ignored) == 0 &&
        !(json_get_number(j, "Version", &version) && version == 1)) {
        err_set(e, ERR_CONFIG, 0, "the output has no \"Version\": 1");
        rc = err_hint(e, "the program must print {\"Version\": 1, \"AccessKeyId\": ..., \"SecretAccessKey\": ...}");
    }
    if (rc == 0)
        rc = credentials_from_json(&output, "SessionToken", chain->access.now_ms, ret, e);
    json_free(j);
    wipe(&ignored, sizeof ignored);
    if (output.data)
        wipe(output.data, output.cap);
    buf_release(&output);
    return rc ? err_wrap(e, "credential_process") : 0;
}

static int from_source(const struct credential_chain *chain, const char *source, struct credentials *ret, struct err *e)
{
    bool there = false;
    if (strcmp(source, "Ec2InstanceMetadata") == 0) {
        if (metadata_credentials(&chain->access, ret, e) == 0)
            return 0;
        if (e->code == ERR_NOTFOUND)
            e->code = ERR_REMOTE;
        return -1;
    }
    if (strcmp(source, "EcsContainer") == 0)
        return container_credentials(&chain->access, ret, e);
    if (strcmp(source, "Environment") != 0)
        return err_set(e, ERR_CONFIG, 0, "credential_source is not Environment, Ec2InstanceMetadata or EcsContainer");
    if (from_keys(chain, ret, &there, e))
        return -1;
    return there ? 0 : err_set(e, ERR_CONFIG, 0, "credential_source = Environment, but AWS_ACCESS_KEY_ID is not set");
}

static int from_source_profile(const struct credential_chain *chain, const struct way *way, const struct profile *p,
                               struct credentials *ret, struct err *e)
{
    struct way next = {.name = p->source_profile, .depth = way->depth + 1, .from = way};
    bool there = false;
    if (strcmp(next.name, way->name) == 0 &&
        p->keys.access[0]) { /* a profile may assume its role with keys of its own */
        struct credential_texts texts = {
            .access_key = p->keys.access, .secret_key = p->keys.secret, .session_token = p->keys.token};
        return credentials_set(ret, &texts, chain->access.now_ms, e);
    }
    for (const struct way *w = way; w; w = w->from)
        if (strcmp(w->name, next.name) == 0)
            return err_set(e, ERR_CONFIG, 0, "source_profile goes in a circle: '%.60s' again", next.name);
    if (next.depth >= DEPTH_MAX)
        return err_set(e, ERR_CONFIG, 0, "source_profile goes on for more than %d profiles", DEPTH_MAX);
    if (by_profile(chain, &next, ret, &there, e))
        return -1;
    return there ? 0
                 : err_set(e, ERR_CONFIG, 0, "source_profile '%.60s' does not exist, or has no credentials", next.name);
}

static int check_duration(const char *text, struct err *e)
{
    long seconds = strtol(text, NULL, 10);
    if (*text && (text[strspn(text, "0123456789")] || seconds < DURATION_MIN_S || seconds > DURATION_MAX_S))
        return err_set(e, ERR_CONFIG, 0, "duration_seconds is not a number from %d to %d", DURATION_MIN_S,
                       DURATION_MAX_S);
    return 0;
}

static int from_role(const struct credential_chain *chain, const struct way *way, const struct profile *p,
                     struct credentials *ret, struct err *e)
{
    struct credentials by = {0};
    struct sts_role role = {.arn = p->role_arn,
                            .session_name = p->role_session_name,
                            .external_id = p->external_id,
                            .duration_s = p->duration_seconds,
                            .region = region_of(chain, p)};
    int ways = (p->source_profile[0] != 0) + (p->credential_source[0] != 0) + (p->web_identity_token_file[0] != 0);
    if (ways != 1) {
        err_set(e, ERR_CONFIG, 0, "role_arn has %s",
                ways ? "more than one source of credentials" : "no source of credentials");
        return err_hint(e, "set exactly one of source_profile, credential_source and web_identity_token_file");
    }
    if (check_duration(p->duration_seconds, e))
        return -1;
    if (p->web_identity_token_file[0])
        return sts_assume_role_with_web_identity(&chain->access, &role, p->web_identity_token_file, ret, e);
    int rc = p->source_profile[0] ? from_source_profile(chain, way, p, &by, e)
                                  : from_source(chain, p->credential_source, &by, e);
    if (rc == 0)
        rc = sts_assume_role(&chain->access, &role, &by, ret, e);
    wipe(&by, sizeof by);
    return rc;
}

static int from_profile(const struct credential_chain *chain, const struct way *way, const struct profile *p,
                        struct credentials *ret, bool *ret_there, struct err *e)
{
    *ret_there = true;
    if (p->role_arn[0])
        return from_role(chain, way, p, ret, e);
    if (p->keys.access[0] || p->keys.secret[0]) {
        struct credential_texts texts = {
            .access_key = p->keys.access, .secret_key = p->keys.secret, .session_token = p->keys.token};
        return credentials_set(ret, &texts, chain->access.now_ms, e);
    }
    if (p->credential_process[0])
        return from_process(chain, p->credential_process, ret, e);
    if (p->sso_session[0] || p->sso_start_url[0]) {
        err_set(e, ERR_CONFIG, 0, "sign-in with a browser (sso_session) is not supported");
        return err_hint(e,
                        "use a profile with credential_process = aws configure export-credentials --profile %.60s "
                        "--format process",
                        way->name);
    }
    *ret_there = false;
    return 0;
}

static int by_profile(const struct credential_chain *chain, const struct way *way, struct credentials *ret,
                      bool *ret_there, struct err *e)
{
    struct profile *p = calloc(1, sizeof *p);
    if (!p)
        return err_nomem(e, sizeof *p);
    int rc = profile_read(way->name, p, e);
    if (rc == 0 && (rc = from_profile(chain, way, p, ret, ret_there, e)) != 0)
        err_wrap(e, "profile '%.60s'", way->name);
    profile_release(p);
    free(p);
    return rc;
}

/* Fails if a profile that the user named does not exist. A profile without credentials does not end the search. */
static int check_named(const char *name, struct err *e)
{
    struct profile *p = calloc(1, sizeof *p);
    if (!p)
        return err_nomem(e, sizeof *p);
    int rc = profile_read(name, p, e);
    if (rc == 0 && !p->found) {
        err_set(e, ERR_CONFIG, 0, "profile '%.60s' does not exist", name);
        rc = err_hint(e, "profiles are sections of ~/.aws/config and ~/.aws/credentials");
    }
    profile_release(p);
    free(p);
    return rc;
}

/* ---- the search */

static int from_metadata(const struct credential_chain *chain, struct credentials *ret, struct err *e)
{
    const char *disabled = environment("AWS_EC2_METADATA_DISABLED"), *profile = environment("AWS_PROFILE");
    char why[256] = "";
    if (!disabled || strcasecmp(disabled, "true") != 0) {
        if (metadata_credentials(&chain->access, ret, e) == 0)
            return 0;
        if (e->code != ERR_NOTFOUND)
            return -1;
        size_t n = strcspn(e->msg, "\n");
        snprintf(why, sizeof why, "; %.*s", (int)(n < 200 ? n : 200), e->msg);
    }
    err_set(e, ERR_CONFIG, 0, "no credentials found%s", why);
    return err_hint(
        e,
        "Seawall looked at AWS_ACCESS_KEY_ID, AWS_WEB_IDENTITY_TOKEN_FILE, profile '%.60s' of ~/.aws/credentials and "
        "~/.aws/config, AWS_CONTAINER_CREDENTIALS_*_URI%s",
        profile ? profile : "default", *why ? ", the instance (a container needs a metadata hop limit of 2)" : "");
}

int credential_chain_walk(const struct credential_chain *chain, struct credentials *ret,
                          char origin[CREDENTIALS_ORIGIN_MAX], struct err *e)
{
    const char *named = environment("AWS_PROFILE"), *name = chain->profile ? chain->profile : named ? named : "default";
    const struct way way = {.name = name};
    const char *from = NULL;
    bool there = false;
    int rc = 0;
    if (!chain->profile) {
        rc = from_keys(chain, ret, &there, e);
        from = "the environment";
        if (rc == 0 && !there) {
            rc = from_web_identity(chain, ret, &there, e);
            from = "web identity";
        }
    }
    if (rc == 0 && !there) {
        rc = by_profile(chain, &way, ret, &there, e);
        from = NULL;
    }
    if (rc == 0 && !there && (chain->profile || named))
        rc = check_named(name, e);
    if (rc == 0 && !there && chain->profile)
        rc = err_set(e, ERR_CONFIG, 0, "profile '%.60s' has no credentials", name);
    if (rc == 0 && !there && container_is_there()) {
        rc = container_credentials(&chain->access, ret, e);
        from = "the container";
    } else if (rc == 0 && !there) {
        rc = from_metadata(chain, ret, e);
        from = "the instance";
    }
    if (rc)
        return -1;
    if (from)
        snprintf(origin, CREDENTIALS_ORIGIN_MAX, "%s", from);
    else
        snprintf(origin, CREDENTIALS_ORIGIN_MAX, "profile '%.60s'", name);
    return 0;
}
