/* format/names.c */
#include "format/names.h"

#include "base/hash.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void name_format(const struct name *name, char out[NAME_MAX_BYTES])
{
    char run[2 * UID_BYTES + 1];
    hex_encode(name->run.bytes, UID_BYTES, run);
    switch (name->kind) {
    case NAME_LEVEL0:
        snprintf(out, NAME_MAX_BYTES, "0/%016" PRIx64, name->min);
        return;
    case NAME_LEVEL:
        assert(name->level >= 1 && name->level <= SEGMENT_LEVEL_MAX);
        snprintf(out, NAME_MAX_BYTES, "%u/%016" PRIx64 "-%016" PRIx64, name->level, name->min, name->max);
        return;
    case NAME_CHUNK:
        snprintf(out, NAME_MAX_BYTES, "base/%016" PRIx64 "-%s/%08" PRIx32, name->start, run, name->first_page);
        return;
    case NAME_INTERIOR:
        snprintf(out, NAME_MAX_BYTES, "base/%016" PRIx64 "-%s/interior", name->start, run);
        return;
    case NAME_MARKER:
        snprintf(out, NAME_MAX_BYTES, "base/%016" PRIx64 "-%s/marker", name->start, run);
        return;
    case NAME_PART:
        snprintf(out, NAME_MAX_BYTES, "part/%s-%016" PRIx64, run, name->number);
        return;
    case NAME_PACK:
        snprintf(out, NAME_MAX_BYTES, "pack/%016" PRIx64 "-%016" PRIx64, name->min, name->max);
        return;
    case NAME_OTHER:
        break;
    }
    out[0] = 0;
}

/* Reads exactly `digits` lower-case hex digits, and moves *text behind them. */
static bool take_hex(const char **text, int digits, uint64_t *ret_value)
{
    uint64_t v = 0;
    for (int i = 0; i < digits; i++) {
        char c = (*text)[i];
        if (c >= '0' && c <= '9')
            v = v << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            v = v << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *text += digits;
    *ret_value = v;
    return true;
}

static bool take_text(const char **text, const char *expected)
{
    size_t n = strlen(expected);
    if (strncmp(*text, expected, n) != 0)
        return false;
    *text += n;
    return true;
}

static bool take_run(const char **text, struct uid *ret_run)
{
    char hex[2 * UID_BYTES + 1] = "";
    strncpy(hex, *text, 2 * UID_BYTES);
    if (!hex_decode(hex, ret_run->bytes, UID_BYTES))
        return false;
    *text += 2 * UID_BYTES;
    return true;
}

/* Reads "<min>-<max>", and that nothing follows. */
static bool take_range(const char **text, struct name *name)
{
    return take_hex(text, 16, &name->min) && take_text(text, "-") && take_hex(text, 16, &name->max) && **text == 0;
}

static bool parse(const char *key, struct name *name)
{
    uint64_t v = 0;
    if (take_text(&key, "0/")) {
        name->kind = NAME_LEVEL0;
        return take_hex(&key, 16, &name->min) && *key == 0;
    }
    if (take_text(&key, "pack/")) {
        name->kind = NAME_PACK;
        return take_range(&key, name);
    }
    if (take_text(&key, "part/")) {
        name->kind = NAME_PART;
        return take_run(&key, &name->run) && take_text(&key, "-") && take_hex(&key, 16, &name->number) && *key == 0;
    }
    if (take_text(&key, "base/")) {
        if (!take_hex(&key, 16, &name->start) || !take_text(&key, "-") || !take_run(&key, &name->run) ||
            !take_text(&key, "/"))
            return false;
        name->kind = NAME_MARKER;
        if (strcmp(key, "marker") == 0)
            return true;
        name->kind = NAME_INTERIOR;
        if (strcmp(key, "interior") == 0)
            return true;
        name->kind = NAME_CHUNK;
        bool ok = take_hex(&key, 8, &v) && *key == 0;
        name->first_page = (uint32_t)v;
        return ok;
    }
    if (*key < '1' || *key > '9' || key[1] != '/')
        return false;
    name->kind = NAME_LEVEL;
    name->level = (unsigned)(*key - '0');
    key += 2;
    return take_range(&key, name);
}

struct name name_parse(const char *key)
{
    struct name name = {0};
    return parse(key, &name) ? name : (struct name){.kind = NAME_OTHER};
}

bool name_in_range(const struct name *name)
{
    switch (name->kind) {
    case NAME_LEVEL0:
        return name->min >= 1 && name->min <= SEGMENT_TXID_MAX;
    case NAME_LEVEL:
    case NAME_PACK:
        return name->min >= 1 && name->min <= name->max && name->max <= SEGMENT_TXID_MAX;
    case NAME_CHUNK:
        return name->start <= SEGMENT_TXID_MAX && name->first_page <= SEGMENT_PAGE_MAX;
    case NAME_INTERIOR:
    case NAME_MARKER:
        return name->start <= SEGMENT_TXID_MAX;
    default:
        return true;
    }
}
