/* aws/profile.c */
#include "aws/profile.h"

#include "aws/environment.h"
#include "base/hash.h"
#include "base/ini.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static const struct field {
    const char *key;
    size_t offset, max;
} fields[] = {
#define FIELD(key, member) {key, offsetof(struct profile, member), sizeof((struct profile *)NULL)->member}
    FIELD("aws_access_key_id", keys.access),
    FIELD("aws_secret_access_key", keys.secret),
    FIELD("aws_session_token", keys.token),
    FIELD("role_arn", role_arn),
    FIELD("role_session_name", role_session_name),
    FIELD("external_id", external_id),
    FIELD("duration_seconds", duration_seconds),
    FIELD("source_profile", source_profile),
    FIELD("credential_source", credential_source),
    FIELD("web_identity_token_file", web_identity_token_file),
    FIELD("credential_process", credential_process),
    FIELD("sso_start_url", sso_start_url),
    FIELD("sso_session", sso_session),
    FIELD("region", region),
    FIELD("endpoint_url", endpoint_url),
    FIELD("services", services),
#undef FIELD
};
#define FIELDS (sizeof fields / sizeof fields[0])
#define KEY_FIELDS 3 /* the first ones */

/* ---- sections */

/* Takes the name out of `profile name` or `profile "name"`. NULL: another kind of section. */
static const char *section_of_kind(const char *section, const char *kind, char out[INI_KEY_MAX * 2])
{
    size_t n = strlen(kind);
    if (strncmp(section, kind, n) != 0 || !isblank((unsigned char)section[n]))
        return NULL;
    section += n + strspn(section + n, " \t");
    size_t len = strlen(section);
    bool quoted = len >= 2 && (section[0] == '"' || section[0] == '\'') && section[len - 1] == section[0];
    snprintf(out, INI_KEY_MAX * 2, "%.*s", (int)(quoted ? len - 2 : len), section + quoted);
    return strlen(out) == (quoted ? len - 2 : len) ? out : NULL;
}

enum which_file { FILE_CONFIG, FILE_CREDENTIALS };

struct reading {
    const char *name; /* of the profile, or of the services section */
    enum which_file file;
    struct profile *profile;
};

static bool is_wanted(const struct reading *r, const char *section)
{
    char plain[INI_KEY_MAX * 2];
    if (r->file == FILE_CREDENTIALS)
        return strcmp(section, r->name) == 0;
    if (strcmp(section, "default") == 0)
        return strcmp(r->name, "default") == 0;
    const char *name = section_of_kind(section, "profile", plain);
    return name && strcmp(name, r->name) == 0;
}

/* ---- values */

static int take_text(const char *key, const char *value, char *out, size_t max, struct err *e)
{
    size_t n = strlen(value);
    if (n >= max)
        return err_set(e, ERR_CONFIG, 0, "'%s' is longer than %zu bytes", key, max - 1);
    for (size_t i = 0; i < n; i++)
        if (iscntrl((unsigned char)value[i]) && value[i] != '\t')
            return err_set(e, ERR_CONFIG, 0, "'%s' has a control character", key);
    memcpy(out, value, n + 1);
    return 0;
}

static int take_field(void *context, const char *section, const char *key, const char *value, struct err *e)
{
    const struct reading *r = context;
    if (!*key || !is_wanted(r, section)) /* the beginning of a section is not a value */
        return 0;
    r->profile->found = true;
    for (const struct field *f = fields; f < fields + FIELDS; f++) {
        size_t n = strlen(f->key);
        if (strcasecmp(key, f->key) == 0)
            return take_text(f->key, value, (char *)r->profile + f->offset, f->max, e);
        if (strncasecmp(key, f->key, n) == 0 && key[n] == '.')
            return err_set(e, ERR_CONFIG, 0, "'%s' continues in an indented line, which is not supported", f->key);
    }
    return 0;
}

/* Takes endpoint_url, an indented line below `s3 =`, from [services name]. */
static int take_service(void *context, const char *section, const char *key, const char *value, struct err *e)
{
    const struct reading *r = context;
    char plain[INI_KEY_MAX * 2];
    const char *name = section_of_kind(section, "services", plain);
    if (!name || strcmp(name, r->name) != 0 || strcasecmp(key, "s3.endpoint_url") != 0)
        return 0;
    return take_text(key, value, r->profile->s3_endpoint_url, sizeof r->profile->s3_endpoint_url, e);
}

/* ---- the files */

static int find_file(const char *variable, const char *standard, char out[PATH_TEXT_MAX], struct err *e)
{
    const char *path = environment(variable), *home = environment("HOME");
    if (path && strncmp(path, "~/", 2) != 0)
        return path_format(out, e, "%s", path);
    out[0] = 0;
    return home ? path_format(out, e, "%s/%s", home, path ? path + 2 : standard) : 0;
}

int profile_files_find(struct profile_files *ret, struct err *e)
{
    return find_file("AWS_CONFIG_FILE", ".aws/config", ret->config, e) ||
                   find_file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", ret->credentials, e)
               ? -1
               : 0;
}

/* A file in a folder that this process may not enter counts as missing: services can run without home folders. */
static int read_file(const char *path, ini_fn *fn, struct reading *r, struct err *e)
{
    struct stat st;
    if (!*path || ini_read(path, fn, r, e) == 0)
        return 0;
    return e->code == ERR_NOTFOUND || (e->code == ERR_IO && stat(path, &st) != 0) ? 0 : -1;
}

/* Values of `over` win. The keys are taken as a set. */
static void merge(struct profile *p, const struct profile *over)
{
    bool has_keys = over->keys.access[0] || over->keys.secret[0];
    if (has_keys)
        p->keys = over->keys;
    for (const struct field *f = fields + KEY_FIELDS; f < fields + FIELDS; f++) {
        const char *value = (const char *)over + f->offset;
        if (*value)
            memcpy((char *)p + f->offset, value, f->max);
    }
    p->found |= over->found;
}

int profile_read(const char *name, struct profile *ret, struct err *e)
{
    struct profile_files files;
    struct profile *over = calloc(1, sizeof *over);
    *ret = (struct profile){0};
    if (!over)
        return err_nomem(e, sizeof *over);
    int rc = profile_files_find(&files, e);
    if (rc == 0)
        rc = read_file(files.config, take_field, &(struct reading){.name = name, .file = FILE_CONFIG, .profile = ret},
                       e);
    if (rc == 0)
        rc = read_file(files.credentials, take_field,
                       &(struct reading){.name = name, .file = FILE_CREDENTIALS, .profile = over}, e);
    if (rc == 0)
        merge(ret, over);
    if (rc == 0 && ret->services[0])
        rc = read_file(files.config, take_service, &(struct reading){.name = ret->services, .profile = ret}, e);
    profile_release(over);
    free(over);
    return rc;
}

void profile_release(struct profile *p)
{
    wipe(p, sizeof *p);
}

static void stamp(const char *path, int64_t out[7])
{
    struct stat st;
    memset(out, 0, 7 * sizeof out[0]);
    if (!*path || stat(path, &st) != 0)
        return;
    const int64_t all[7] = {1,
                            (int64_t)st.st_dev,
                            (int64_t)st.st_ino,
                            st.st_size,
                            st.st_mtim.tv_sec,
                            st.st_mtim.tv_nsec,
                            st.st_ctim.tv_sec ^ ((int64_t)st.st_ctim.tv_nsec << 32)};
    memcpy(out, all, sizeof all);
}

void profile_stamp_take(struct profile_stamp *ret)
{
    struct profile_files files;
    struct err ignored;
    *ret = (struct profile_stamp){0};
    if (profile_files_find(&files, &ignored))
        return;
    stamp(files.config, ret->of[0]);
    stamp(files.credentials, ret->of[1]);
}

bool profile_stamp_equal(const struct profile_stamp *a, const struct profile_stamp *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}
