/* storage/open.c - the table of the kinds of store. A new kind is its two files and one line here. */
#include "storage/open.h"

#include "s3/s3.h"
#include "storage/cached.h"
#include "storage/file.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct store_kind *const kinds[] = {
    &file_store_kind, /* the first one takes paths too */
    &s3_store_kind,
};

#define KINDS (sizeof kinds / sizeof kinds[0])

const struct store_kind *store_kind_at(size_t index)
{
    return index < KINDS ? kinds[index] : NULL;
}

/* Whether a text without "://" begins as places of other programs do: "s3:/bucket", "sftp:host:/dir", "file:/dir". A
 * folder with a colon in the first part of its path is written with a slash before it: "./a:b". */
static bool looks_like_a_place_of_another_program(const char *url)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-";
    size_t n = strspn(url, letters);
    return n > 0 && url[n] == ':';
}

/* NULL: a scheme of no kind. */
static const struct store_kind *kind_of(const char *url)
{
    for (size_t i = 0; i < KINDS; i++)
        if (strncmp(url, kinds[i]->scheme, strlen(kinds[i]->scheme)) == 0)
            return kinds[i];
    return strstr(url, "://") || looks_like_a_place_of_another_program(url) ? NULL : kinds[0];
}

/* How many bytes of a URL a message may have: those before a query or a user, either of which can have a secret. */
static int safe_bytes(const char *url)
{
    size_t n = strcspn(url, "?@");
    return (int)(url[n] == '@' ? strcspn(url, ":/") : n);
}

/* "s3:/b/x", "s3:b", "S3://b", "file:/x": a scheme of ours, written otherwise. NULL: it is not. */
static const struct store_kind *almost_kind_of(const char *url)
{
    for (size_t i = 0; i < KINDS; i++) {
        const size_t n = strcspn(kinds[i]->scheme, ":");
        if (strncasecmp(url, kinds[i]->scheme, n) == 0 && url[n] == ':')
            return kinds[i];
    }
    return NULL;
}

/* Shows what was meant. */
static int is_almost(const struct store_kind *kind, const char *url, struct err *e)
{
    const int shown = safe_bytes(url);
    const char *rest = url + strcspn(kind->scheme, ":") + 1;
    rest += strspn(rest, "/");
    const int left = shown - (int)(rest - url);
    err_set(e, ERR_CONFIG, 0, "store '%.*s': unknown scheme: this is almost a URL", shown, url);
    return err_hint(e, "write '%s%s%.*s', or, for a folder of this name, './%.*s'", kind->scheme,
                    kind == kinds[0] ? "/" : "", left > 0 ? left : 0, rest, shown, url);
}

static int unknown_kind(const char *url, struct err *e)
{
    const struct store_kind *almost = almost_kind_of(url);
    if (almost)
        return is_almost(almost, url, e);
    char forms[200] = "";
    for (size_t i = 0; i < KINDS; i++)
        snprintf(forms + strlen(forms), sizeof forms - strlen(forms), "%s, ", kinds[i]->form);
    err_set(e, ERR_CONFIG, 0, "store '%.*s': unknown scheme", safe_bytes(url), url);
    return strstr(url, "://")
               ? err_hint(e, "write %sor the path of a folder", forms)
               : err_hint(e, "write %sor, for a folder of this name, './%.*s'", forms, safe_bytes(url), url);
}

int store_open(const char *url, enum store_mode mode, struct store **ret_store, struct err *e)
{
    const struct store_kind *kind = kind_of(url);
    struct store *s = NULL;
    if (!kind)
        return unknown_kind(url, e);
    if (kind->open(url, mode, &s, e))
        return -1;
    if (s->slow && mode == STORE_READ)
        return cached_store_new(s, ret_store, e);
    *ret_store = s;
    return 0;
}

int store_check(const char *url, char ret_shown[STORE_URL_MAX], struct err *e)
{
    const struct store_kind *kind = kind_of(url);
    return kind ? kind->check(url, ret_shown, e) : unknown_kind(url, e);
}

static bool has_option(const struct store_kind *kind, const char *name)
{
    struct store_url_option o;
    for (size_t i = 0; kind->option && kind->option(i, &o); i++)
        if (strcmp(o.name, name) == 0)
            return true;
    return false;
}

bool store_parameter_known(const char *url, const char *name)
{
    const struct store_kind *kind = url ? kind_of(url) : NULL;
    if (url)
        return kind && has_option(kind, name);
    for (size_t i = 0; i < KINDS; i++)
        if (has_option(kinds[i], name))
            return true;
    return false;
}
