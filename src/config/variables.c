/* config/variables.c */
#include "config/variables.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
    [VARIABLE_NAME] = "{name}", [VARIABLE_STEM] = "{stem}", [VARIABLE_FOLDER] = "{folder}",
    [VARIABLE_PATH] = "{path}", [VARIABLE_BRACE] = "{{",
};

/* The variable at the front of `at`, which begins with '{', and its length. */
static enum variable variable_at(const char *at, size_t *ret_len)
{
    for (enum variable v = VARIABLE_NAME; v < VARIABLE_NONE; v++) {
        *ret_len = strlen(names[v]);
        if (strncmp(at, names[v], *ret_len) == 0)
            return v;
    }
    return VARIABLE_NONE;
}

/* ---- where variables are possible */

/* The end of "scheme://" of a URL whose store decodes %XX. NULL: the path of a folder, or file://. */
static const char *after_scheme(const char *url)
{
    const char *colon = strstr(url, "://"), *brace = strchr(url, '{');
    return colon && (!brace || colon < brace) && strncmp(url, "file://", 7) != 0 ? colon + 3 : NULL;
}

/* Where variables end: at the query of a URL that has one. */
static const char *end_of_place(const char *url)
{
    const char *scheme = after_scheme(url);
    return scheme ? scheme + strcspn(scheme, "?") : url + strlen(url);
}

static int check_query(const char *query, struct err *e)
{
    size_t len = 0;
    for (const char *at = strchr(query, '{'); at; at = strchr(at + 1, '{')) {
        enum variable v = variable_at(at, &len);
        if (v < VARIABLE_BRACE)
            return err_set(e, ERR_CONFIG, 0, "%s is after the '?' of a url: a variable is possible before it only",
                           names[v]);
    }
    return 0;
}

static int check_variable(const char *url, const char *at, size_t *ret_len, struct err *e)
{
    const char *scheme = after_scheme(url);
    enum variable v = variable_at(at, ret_len);
    if (v == VARIABLE_NONE && !strchr(at, '}')) {
        err_set(e, ERR_CONFIG, 0, "a '{' in the url has no '}'");
        return err_hint(e, "write {{ for the character itself");
    }
    if (v == VARIABLE_NONE) {
        err_set(e, ERR_CONFIG, 0, "unknown variable '%.*s' in the url", (int)strcspn(at, "}") + 1, at);
        return err_hint(e, "write {name}, {stem}, {folder} or {path}, or {{ for the character '{'");
    }
    if (v != VARIABLE_BRACE && !memchr(url, '/', (size_t)(at - url))) {
        err_set(e, ERR_CONFIG, 0, "%s is at the beginning of the url, before any slash", names[v]);
        return err_hint(e, "write /folder/%s, ./%s or s3://bucket/%s", names[v], names[v], names[v]);
    }
    if (v == VARIABLE_PATH && scheme && !memchr(scheme, '/', (size_t)(at - scheme))) {
        err_set(e, ERR_CONFIG, 0, "{path} has slashes, and can't be a part of the name of a bucket");
        return err_hint(e, "write it after the bucket, as in s3://bucket/{path}");
    }
    return 0;
}

int variables_check(const char *url, struct err *e)
{
    const char *end = end_of_place(url);
    size_t len = 1;
    for (const char *at = url; at < end; at += len) {
        len = 1;
        if (*at == '{' && check_variable(url, at, &len, e))
            return -1;
    }
    return check_query(end, e);
}

bool variables_in(const char *url)
{
    const char *end = end_of_place(url);
    size_t len = 1;
    for (const char *at = url; at < end; at += len) {
        len = 1;
        if (*at == '{' && variable_at(at, &len) < VARIABLE_BRACE)
            return true;
    }
    return false;
}

/* ---- values */

struct output {
    char *at;
    size_t left; /* with the NUL */
    bool encode, full;
};

static void put(struct output *o, char c)
{
    if (o->left > 1) {
        *o->at++ = c;
        o->left--;
    } else {
        o->full = true;
    }
}

/* Puts a part of the path. Encoded are bytes that have a meaning in a URL; s3/config.c refuses '&' and '='. */
static void put_value(struct output *o, const char *value, size_t n)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)value[i];
        if (o->encode && c && strchr("%?#&=", c)) {
            put(o, '%');
            put(o, hex[c >> 4]);
            put(o, hex[c & 15]);
        } else {
            put(o, (char)c);
        }
    }
}

/* A dot at the front of a name begins no ending. */
size_t variables_stem_length(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && dot != name ? (size_t)(dot - name) : strlen(name);
}

static int put_variable(struct output *o, enum variable v, const char *path, struct err *e)
{
    const char *name = path_name(path), *folder = name - 1;
    switch (v) {
    case VARIABLE_NAME:
        put_value(o, name, strlen(name));
        return 0;
    case VARIABLE_STEM:
        put_value(o, name, variables_stem_length(name));
        return 0;
    case VARIABLE_FOLDER:
        while (folder > path && folder[-1] != '/')
            folder--;
        if (folder == path)
            return err_set(e, ERR_CONFIG, 0, "{folder} has no value: the root folder has no name");
        put_value(o, folder, (size_t)(name - 1 - folder));
        return 0;
    case VARIABLE_PATH:
        put_value(o, path + 1, strlen(path + 1));
        return 0;
    default:
        put(o, '{');
        return 0;
    }
}

int variables_expand(const char *url, const char *path, char *out, size_t size, struct err *e)
{
    const char *end = end_of_place(url), *at = url;
    struct output o = {.at = out, .left = size, .encode = after_scheme(url) != NULL};
    assert(path[0] == '/' && size > 0);
    while (at < end) {
        size_t len = 1;
        if (*at != '{') {
            put(&o, *at);
        } else {
            enum variable v = variable_at(at, &len);
            assert(v != VARIABLE_NONE);
            if (put_variable(&o, v, path, e))
                return -1;
        }
        at += len;
    }
    for (; *at; at++)
        put(&o, *at);
    *o.at = 0;
    return o.full ? err_set(e, ERR_CONFIG, 0, "the url is longer than %zu bytes", size - 1) : 0;
}

/* ---- pieces */

bool variables_are_encoded(const char *url)
{
    return after_scheme(url) != NULL;
}

const char *variables_end(const char *url)
{
    return end_of_place(url);
}

enum variable variables_at(const char *at, size_t *ret_len)
{
    enum variable v = *at == '{' ? variable_at(at, ret_len) : VARIABLE_NONE;
    assert(*at && (*at != '{' || v != VARIABLE_NONE));
    if (v == VARIABLE_NONE)
        *ret_len = 1;
    return v;
}

bool variables_put_value(const char *url, const char *value, size_t n, char *out, size_t size)
{
    struct output o = {.at = out, .left = size, .encode = after_scheme(url) != NULL};
    assert(size > 0);
    put_value(&o, value, n);
    *o.at = 0;
    return !o.full;
}

bool variables_can_give(const char *url, const char *wanted)
{
    const char *end = end_of_place(url), *at = url, *again = NULL, *taken = NULL;
    const char *wanted_end = end_of_place(wanted);
    while (at < end || wanted < wanted_end) {
        size_t len = 1;
        enum variable v = at < end && *at == '{' ? variable_at(at, &len) : VARIABLE_NONE;
        if (v < VARIABLE_BRACE) { /* first it takes no byte, then one more at each mismatch */
            at += len;
            again = at;
            taken = wanted;
        } else if (at < end && wanted < wanted_end && *at == *wanted) {
            at += len;
            wanted++;
        } else if (again && taken < wanted_end) {
            at = again;
            wanted = ++taken;
        } else {
            return false;
        }
    }
    return true;
}
