/* extension/request.c */
#include "extension/request.h"

#include "base/clock.h"
#include "base/units.h"
#include "base/when.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_BYTES_MIN (1u << 20)
#define FOLLOW_MS_MAX 86400000

static int invalid(const char *name, const char *value, const char *expects, struct err *e)
{
    return err_set(e, ERR_CONFIG, 0, "%s: invalid value '%s': it takes %s", name, value, expects);
}

static int read_moment(const char *at, const char *txid, struct moment *m, struct err *e)
{
    uint64_t number = 0;
    if (at && txid)
        return err_set(e, ERR_CONFIG, 0, "at and txid exclude each other");
    if (txid && (!units_parse(txid, UNITS_NONE, &number) || number == 0 || number > SEGMENT_TXID_MAX))
        return invalid("txid", txid, "a number from 1", e);
    if (at && !when_parse(at, clock_wall_ms(), &m->time_ms))
        return invalid("at", at, "a time, such as 2026-03-01T12:00:00Z or '2 hours ago'", e);
    m->kind = at ? MOMENT_TIME : txid ? MOMENT_TXID : MOMENT_NEWEST;
    m->txid = number;
    return 0;
}

/* ---- names */

static const char *const own_names[] = {"replica", "at", "txid", "follow", "cache-dir", "cache-size"};
/* SQLite, and its encryption extensions, read these. */
static const char *const sqlite_names[] = {"vfs",       "mode",   "cache", "immutable", "nolock", "psow",
                                           "8_3_names", "modeof", "key",   "hexkey",    "textkey"};

int request_check_name(const char *parameter, struct err *e)
{
    for (size_t i = 0; i < sizeof own_names / sizeof own_names[0]; i++)
        if (strcmp(parameter, own_names[i]) == 0)
            return 0;
    for (size_t i = 0; i < sizeof sqlite_names / sizeof sqlite_names[0]; i++)
        if (strcmp(parameter, sqlite_names[i]) == 0)
            return 0;
    return err_set(e, ERR_CONFIG, 0,
                   "unknown parameter '%s': there are replica, at, txid, follow, cache-dir and cache-size", parameter);
}

int request_check_none(request_get_fn *get, const void *context, struct err *e)
{
    for (size_t i = 0; i < sizeof own_names / sizeof own_names[0]; i++)
        if (get(context, own_names[i]))
            return err_set(e, ERR_CONFIG, 0, "%s is given without the parameter replica", own_names[i]);
    return 0;
}

/* ---- values */

int request_read(request_get_fn *get, const void *context, struct reader_options *ret_options, bool *ret_asked,
                 struct err *e)
{
    const char *url = get(context, "replica"), *follow = get(context, "follow"), *size = get(context, "cache-size");
    const char *shared = get(context, "cache");
    struct reader_options o = {.url = url, .cache_bytes = DISK_BYTES_DEFAULT};
    uint64_t ms = 0;
    *ret_asked = url != NULL;
    if (!url)
        return 0;
    if (!*url)
        return err_set(e, ERR_CONFIG, 0, "replica: missing replica URL");
    if (shared && strcmp(shared, "shared") == 0)
        return err_set(e, ERR_CONFIG, 0, "cache=shared can't be used with a replica: leave it out");
    if (read_moment(get(context, "at"), get(context, "txid"), &o.moment, e))
        return -1;
    if (follow && (!units_parse(follow, UNITS_MS, &ms) || ms > FOLLOW_MS_MAX))
        return invalid("follow", follow, "a time from 1ms to 24h", e);
    if (ms > 0 && o.moment.kind != MOMENT_NEWEST)
        return err_set(e, ERR_CONFIG, 0, "follow excludes at and txid: a moment does not change");
    o.follow_ms = (int64_t)ms;
    o.cache = get(context, "cache-dir");
    if (o.cache && !*o.cache)
        return invalid("cache-dir", o.cache, "the path of a folder", e);
    if (size && (!units_parse(size, UNITS_BYTES, &o.cache_bytes) || o.cache_bytes < CACHE_BYTES_MIN))
        return invalid("cache-size", size, "a size from 1M", e);
    *ret_options = o;
    return 0;
}

/* ---- the environment */

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes up to one of the bytes in `ends`, and appends a NUL. NULL: malformed, or too long. */
static const char *decode(const char *text, const char *ends, char **out, const char *room)
{
    while (*text && !strchr(ends, *text)) {
        char c = *text++;
        if (c == '%') {
            const int high = hex_of(text[0]), low = high < 0 ? -1 : hex_of(text[1]);
            if (low < 0 || (high == 0 && low == 0))
                return NULL;
            c = (char)(16 * high + low);
            text += 2;
        }
        if (*out + 1 >= room)
            return NULL;
        *(*out)++ = c;
    }
    if (*out >= room)
        return NULL;
    *(*out)++ = 0;
    return text;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int malformed(const char *part, struct err *e)
{
    return err_set(
        e, ERR_CONFIG, 0,
        "SEAWALL_REPLICA: the %s can't be read: a %% needs two hexadecimal digits behind it, and there are at "
        "most %d bytes",
        part, REQUEST_BYTES_MAX);
}

/* Decodes "?name=value&name=value" and checks the names. */
static int decode_parameters(const char *text, struct request_text *request, struct err *e)
{
    char *out = request->bytes;
    const char *room = out + sizeof request->bytes;
    while (*text) {
        const char *name = out;
        text = decode(text + 1, "=&", &out, room);
        const char *value = out;
        if (text && *text == '=')
            text = decode(text + 1, "&", &out, room);
        else if (text && out < room)
            *out++ = 0; /* no value */
        else
            text = NULL;
        if (!text)
            return malformed("list of parameters", e);
        request->count += 2;
        if ((*name || *value) && request_check_name(name, e))
            return err_wrap(e, "SEAWALL_REPLICA");
    }
    return 0;
}

int request_decode(const char *text, const char *name, struct request_text *ret_request, bool *ret_ours, struct err *e)
{
    char *out = ret_request->bytes;
    const char *wanted = out, *all = text;
    ret_request->count = 0;
    *ret_ours = false;
    if (!*text)
        return 0;
    text = decode(text, "?", &out, out + sizeof ret_request->bytes);
    if (!text)
        return malformed("file name", e);
    if (!*wanted)
        return err_set(e, ERR_CONFIG, 0, "SEAWALL_REPLICA has no file name before '?': '%s'", all);
    if (strcmp(wanted, strchr(wanted, '/') ? name : last_part(name)) != 0)
        return 0;
    *ret_ours = true;
    if (decode_parameters(text, ret_request, e))
        return -1;
    if (!request_text_get(ret_request, "replica"))
        return err_set(e, ERR_CONFIG, 0, "SEAWALL_REPLICA has the file name '%s', but lacks replica=URL", name);
    return 0;
}

const char *request_text_get(const void *context, const char *parameter)
{
    const struct request_text *t = context;
    const char *at = t->bytes;
    for (size_t i = 0; i < t->count; i += 2) {
        const char *value = at + strlen(at) + 1;
        if (strcmp(at, parameter) == 0)
            return value;
        at = value + strlen(value) + 1;
    }
    return NULL;
}
