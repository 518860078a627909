/* ship/found_interior.c - the pages of interior pages and of chunks ascend, so one pass through both compares them. */
#include "ship/found_interior.h"

static bool is_same(const struct version *a, const struct version *b)
{
    return a->pgno == b->pgno && a->kind == b->kind && a->txid == b->txid && a->hash == b->hash;
}

/* Whether the chunk has these pages. */
static bool has_all(const struct segment *chunk, const struct version *pages, size_t count)
{
    size_t k = 0;
    for (uint32_t i = 0; i < chunk->trailer.version_count && k < count; i++)
        k += is_same(&chunk->versions[i], &pages[k]);
    return k == count;
}

static int compare(struct store *store, struct codec *codec, const struct segment *interior,
                   const struct copy_objects *chunks, bool *ret_right, struct err *e)
{
    const struct version *pages = interior->versions;
    const size_t count = interior->trailer.version_count;
    size_t at = 0;
    *ret_right = true;
    for (size_t i = 0; *ret_right && i < chunks->count; i++) {
        const struct listed *chunk = &chunks->list[i];
        struct segment s = {0};
        size_t end = at;
        while (end < count && pages[end].pgno >= chunk->first_page && pages[end].pgno <= chunk->last_page)
            end++;
        if (end == at)
            continue;
        if (object_load(store, chunk->name, codec, SEGMENT_WANT_ALL, &s, e))
            return -1;
        *ret_right = s.trailer.info.kind == OBJECT_CHUNK && has_all(&s, &pages[at], end - at);
        segment_release(&s);
        at = end;
    }
    *ret_right = *ret_right && at == count;
    return 0;
}

int found_interior_check(struct store *store, struct codec *codec, const char *key, const struct copy_objects *chunks,
                         bool *ret_right, struct err *e)
{
    struct segment interior = {0};
    if (object_load(store, key, codec, SEGMENT_WANT_ALL, &interior, e))
        return -1;
    int rc = compare(store, codec, &interior, chunks, ret_right, e);
    segment_release(&interior);
    return rc;
}
