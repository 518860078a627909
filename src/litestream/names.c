/* litestream/names.c */
#include "litestream/names.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TXID_DIGITS 16
#define INDEX_DIGITS 8

/* Takes a text from the front of *at. False: another text is there. */
static bool take(const char **at, const char *text)
{
    size_t n = strlen(text);
    if (strncmp(*at, text, n) != 0)
        return false;
    *at += n;
    return true;
}

/* Takes exactly `digits` lower-case hex digits. */
static bool take_hex(const char **at, unsigned digits, uint64_t *ret)
{
    *ret = 0;
    for (unsigned i = 0; i < digits; i++, (*at)++) {
        const char c = **at;
        if (c >= '0' && c <= '9')
            *ret = *ret << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            *ret = *ret << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    return true;
}

/* "MIN-MAX.ltx" */
static bool take_range(const char *at, struct lite_name *n)
{
    return take_hex(&at, TXID_DIGITS, &n->min) && take(&at, "-") && take_hex(&at, TXID_DIGITS, &n->max) &&
           take(&at, ".ltx") && *at == 0 && n->min >= 1 && n->min <= n->max && n->max <= INT64_MAX;
}

static bool parse_ltx(const char *at, struct lite_name *n)
{
    uint64_t level = 0;
    n->kind = LITE_LTX;
    n->flat = !take(&at, "ltx/");
    if (!take_hex(&at, n->flat ? 4 : 1, &level) || level >= LITE_LEVELS || !take(&at, "/"))
        return false;
    n->level = (unsigned)level;
    return take_range(at, n);
}

static bool parse_generation(const char *at, struct lite_name *n)
{
    uint64_t index = 0, offset = 0;
    if (!take(&at, "generations/") || !take_hex(&at, TXID_DIGITS, &n->generation) || !take(&at, "/"))
        return false;
    n->kind = take(&at, "snapshots/") ? LITE_SNAPSHOT : LITE_SEGMENT;
    if ((n->kind == LITE_SEGMENT && !take(&at, "wal/")) || !take_hex(&at, INDEX_DIGITS, &index))
        return false;
    if (n->kind == LITE_SEGMENT && (!take(&at, "_") || !take_hex(&at, INDEX_DIGITS, &offset)))
        return false;
    n->index = (uint32_t)index;
    n->offset = (uint32_t)offset;
    return strcmp(at, n->kind == LITE_SNAPSHOT ? ".snapshot.lz4" : ".wal.lz4") == 0;
}

struct lite_name lite_name_parse(const char *key)
{
    struct lite_name ltx = {.kind = LITE_OTHER}, generation = {.kind = LITE_OTHER};
    if (parse_ltx(key, &ltx))
        return ltx;
    if (parse_generation(key, &generation))
        return generation;
    return (struct lite_name){.kind = LITE_OTHER};
}

void lite_name_format(const struct lite_name *n, char out[STORE_KEY_MAX])
{
    assert(n->kind != LITE_OTHER);
    if (n->kind == LITE_LTX && n->flat)
        snprintf(out, STORE_KEY_MAX, "%04x/%016" PRIx64 "-%016" PRIx64 ".ltx", n->level, n->min, n->max);
    else if (n->kind == LITE_LTX)
        snprintf(out, STORE_KEY_MAX, "ltx/%u/%016" PRIx64 "-%016" PRIx64 ".ltx", n->level, n->min, n->max);
    else if (n->kind == LITE_SNAPSHOT)
        snprintf(out, STORE_KEY_MAX, "generations/%016" PRIx64 "/snapshots/%08" PRIx32 ".snapshot.lz4", n->generation,
                 n->index);
    else
        snprintf(out, STORE_KEY_MAX, "generations/%016" PRIx64 "/wal/%08" PRIx32 "_%08" PRIx32 ".wal.lz4",
                 n->generation, n->index, n->offset);
}
