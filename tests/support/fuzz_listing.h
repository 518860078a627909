/* support/fuzz_listing.h - checks the entries of a listing. Keys must strictly ascend, in one of two orders from the
 * first to the last: by bytes, or by paths, where '/' comes before all other characters. An entry that can't be an
 * object must have no key. */
#ifndef TESTS_FUZZ_LISTING_H
#define TESTS_FUZZ_LISTING_H

#include "fuzz.h"

#include "base/store.h"

#include <string.h>

struct seen_keys {
    char last[STORE_KEY_MAX];
    size_t count;
    bool not_by_bytes, not_by_paths;
};

static inline int path_order(const char *a, const char *b)
{
    size_t n = 0;
    while (a[n] && a[n] == b[n])
        n++;
    int x = a[n] == '/' ? 1
            : a[n]      ? (unsigned char)a[n] + 1
                        : 0,
        y = b[n] == '/' ? 1
            : b[n]      ? (unsigned char)b[n] + 1
                        : 0;
    return x - y;
}

/* A store_entry_fn; `context` is a struct seen_keys of zeros. */
static inline int check_listed(void *context, const struct store_entry *entry)
{
    struct seen_keys *s = context;
    FUZZ_CHECK(strlen(entry->key) < STORE_KEY_MAX);
    if (!entry->key[0])
        return 0;
    s->not_by_bytes |= s->count > 0 && strcmp(s->last, entry->key) >= 0;
    s->not_by_paths |= s->count > 0 && path_order(s->last, entry->key) >= 0;
    FUZZ_CHECK(!s->not_by_bytes || !s->not_by_paths);
    memcpy(s->last, entry->key, strlen(entry->key) + 1);
    s->count++;
    return 0;
}

#endif
