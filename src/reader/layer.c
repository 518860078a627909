/* reader/layer.c */
#include "reader/layer.h"

#include "base/array.h"
#include "base/claim.h"
#include "base/endian.h"
#include "base/search.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXTRA_MAX ((1u << 30) - 1)
#define PRUNE_MIN 65536 /* places; fewer are pruned once, at the end */

int layer_begin(uint64_t upto, uint32_t page_size, size_t sources, struct layer **ret_layer, struct err *e)
{
    struct layer *l = calloc(1, sizeof *l);
    if (!l)
        return err_nomem(e, sizeof *l);
    atomic_init(&l->users, 1);
    l->upto = upto;
    l->page_size = page_size;
    l->source_count = sources;
    if (array_reserve(&l->sources, &l->source_cap, sources + 1, sizeof(struct layer_source *), e)) {
        free(l);
        return -1;
    }
    *ret_layer = l;
    return 0;
}

static void release_source(struct layer_source *s)
{
    if (!s || atomic_fetch_sub(&s->users, 1) != 1)
        return;
    claim_give(s->charged);
    free(s->blocks);
    free(s);
}

void layer_release(struct layer *l)
{
    if (!l || atomic_fetch_sub(&l->users, 1) != 1)
        return;
    for (size_t i = 0; i < l->source_count; i++)
        release_source(l->sources[i]);
    claim_give(l->charged);
    free(l->places);
    free(l->patches);
    free(l->sources);
    free(l);
}

struct layer *layer_retain(struct layer *l)
{
    atomic_fetch_add(&l->users, 1);
    return l;
}

/* ---- order */

static int compare(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int by_place(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    int order = compare(x->pgno, y->pgno);
    order = order ? order : compare(x->source, y->source);
    return order ? order : compare(x->txid, y->txid);
}

/* The end of the run of ordered places that begins at `at`. */
static size_t run_end(const struct place *p, size_t at, size_t count)
{
    while (++at < count && by_place(&p[at - 1], &p[at]) <= 0)
        ;
    return at < count ? at : count;
}

static void merge_runs(const struct place *from, size_t begin, size_t middle, size_t end, struct place *to)
{
    size_t a = begin, b = middle, n = begin;
    while (a < middle && b < end)
        to[n++] = by_place(&from[a], &from[b]) <= 0 ? from[a++] : from[b++];
    memcpy(&to[n], &from[a], (middle - a) * sizeof *to);
    memcpy(&to[n + (middle - a)], &from[b], (end - b) * sizeof *to);
}

/* Merges each run with the next one. False: more than one is left. */
static bool merge_all_runs(const struct place *from, size_t count, struct place *to)
{
    size_t runs = 0;
    for (size_t begin = 0; begin < count; runs++) {
        const size_t middle = run_end(from, begin, count), end = run_end(from, middle, count);
        merge_runs(from, begin, middle, end, to);
        begin = end;
    }
    return runs <= 1;
}

/* The versions of a segment are in order. So there are as few runs as segments, and merging them takes fewer passes than
 * qsort, which does not look. */
static void sort(struct layer *l)
{
    struct place *from = l->places, *to = NULL;
    bool done = l->count == 0 || run_end(from, 0, l->count) == l->count;
    if (!done && !(to = malloc(l->count * sizeof *to))) {
        qsort(l->places, l->count, sizeof *l->places, by_place);
        return;
    }
    struct place *const other = to;
    while (!done) {
        done = merge_all_runs(from, l->count, to);
        struct place *const merged = to;
        to = from;
        from = merged;
    }
    if (from != l->places)
        memcpy(l->places, from, l->count * sizeof *from);
    free(other);
}

/* Keeps of each page the newest whole version, and the patches after it. */
static void prune(struct layer *l)
{
    size_t kept = 0;
    sort(l);
    for (size_t i = 0, end = 0; i < l->count; i = end) {
        uint64_t whole = 0;
        size_t chosen = SIZE_MAX;
        for (end = i; end < l->count && l->places[end].pgno == l->places[i].pgno; end++)
            if (l->places[end].kind != VERSION_PATCH && l->places[end].txid >= whole) {
                whole = l->places[end].txid;
                chosen = end;
            }
        for (size_t k = i; k < end; k++) {
            const struct place p = l->places[k];
            if (k == chosen || (p.kind == VERSION_PATCH && p.txid > whole))
                l->places[kept++] = p;
        }
    }
    l->count = l->sorted = kept;
}

/* ---- adding */

static int charge(struct layer *l, size_t bytes, struct err *e)
{
    if (claim_take(bytes, e))
        return -1;
    l->charged += bytes;
    return 0;
}

/* Makes room for `more` places and patches, and takes it from the budget. */
static int make_room(struct layer *l, size_t more, size_t patches, struct err *e)
{
    const size_t cap = l->cap, patch_cap = l->patch_cap;
    size_t want = l->count + more, want_patches = l->patch_count + patches;
    want = want > cap && want < 2 * cap ? 2 * cap : want;
    want_patches = want_patches > patch_cap && want_patches < 2 * patch_cap ? 2 * patch_cap : want_patches;
    if (want_patches > EXTRA_MAX)
        return err_set(e, ERR_LIMIT, 0, "more than %u patches", EXTRA_MAX);
    if (want > cap && (charge(l, (want - cap) * sizeof *l->places, e) ||
                       array_reserve(&l->places, &l->cap, want, sizeof *l->places, e)))
        return -1;
    if (want_patches > patch_cap && (charge(l, (want_patches - patch_cap) * sizeof *l->patches, e) ||
                                     array_reserve(&l->patches, &l->patch_cap, want_patches, sizeof *l->patches, e)))
        return -1;
    return 0;
}

static void add_version(struct layer *l, size_t source, const struct version *v, uint32_t block, uint32_t offset)
{
    struct place *p = &l->places[l->count++];
    *p = (struct place){.hash = v->hash,
                        .txid = v->txid,
                        .pgno = v->pgno,
                        .block = block,
                        .source = (uint32_t)source,
                        .kind = v->kind,
                        .extra = offset};
    if (v->kind != VERSION_PATCH)
        return;
    p->extra = (uint32_t)l->patch_count;
    l->patches[l->patch_count++] = (struct place_patch){.from = v->from, .mask = v->mask, .offset = offset};
}

static void add_versions(struct layer *l, size_t source, const struct segment *s)
{
    for (uint32_t b = 0; b < s->trailer.block_count; b++) {
        size_t offset = 0;
        for (uint32_t i = 0; i < s->blocks[b].versions; i++) {
            const struct version *v = &s->versions[s->blocks[b].first_version + i];
            if (v->txid <= l->upto)
                add_version(l, source, v, b, (uint32_t)offset);
            offset += version_size(v, l->page_size);
        }
    }
}

static void set_id(struct layer_source *s, const struct segment_trailer *t)
{
    uint8_t sum[8];
    memcpy(s->id, t->info.nonce.bytes, UID_BYTES);
    put_be64(sum, t->tail_checksum);
    for (size_t i = 0; i < sizeof sum; i++)
        s->id[i] ^= sum[i];
}

int layer_add(struct layer *l, size_t source, const char *key, struct segment *s, struct err *e)
{
    const size_t table = s->trailer.block_count * sizeof *s->blocks;
    size_t patches = 0;
    assert(source < l->source_count && !l->sources[source]);
    for (uint32_t i = 0; i < s->trailer.version_count; i++)
        patches += s->versions[i].kind == VERSION_PATCH;
    if (l->count >= PRUNE_MIN && l->count >= 2 * l->sorted)
        prune(l);
    if (make_room(l, s->trailer.version_count, patches, e))
        return err_wrap(e, "object '%s'", key);
    struct layer_source *from = calloc(1, sizeof *from);
    if (!from || claim_take(table, e)) {
        if (!from)
            err_nomem(e, sizeof *from);
        free(from);
        return -1;
    }
    add_versions(l, source, s);
    atomic_init(&from->users, 1);
    from->charged = table;
    snprintf(from->key, sizeof from->key, "%s", key);
    set_id(from, &s->trailer);
    from->blocks = s->blocks;
    from->block_count = s->trailer.block_count;
    s->blocks = NULL;
    l->sources[source] = from;
    return 0;
}

void layer_end(struct layer *l)
{
    prune(l);
}

/* ---- merging */

static void copy_places(struct layer *l, const struct layer *from, size_t first_source)
{
    for (size_t i = 0; i < from->count; i++) {
        struct place p = from->places[i];
        if (p.kind == VERSION_PATCH) {
            l->patches[l->patch_count] = from->patches[p.extra];
            p.extra = (uint32_t)l->patch_count++;
        }
        p.source += (uint32_t)first_source;
        l->places[l->count++] = p;
    }
    for (size_t i = 0; i < from->source_count; i++) {
        l->sources[first_source + i] = from->sources[i];
        if (from->sources[i])
            atomic_fetch_add(&from->sources[i]->users, 1);
    }
}

static size_t count_patches(const struct layer *l)
{
    size_t n = 0;
    for (size_t i = 0; i < l->count; i++)
        n += l->places[i].kind == VERSION_PATCH;
    return n;
}

/* Forgets sources that no place needs any more, so that a layer that grows for long does not keep all of them. */
static void drop_unused(struct layer *l)
{
    uint32_t *to = calloc(l->source_count + 1, sizeof *to);
    size_t kept = 0;
    if (!to)
        return; /* they only take memory */
    for (size_t i = 0; i < l->count; i++)
        to[l->places[i].source] = 1;
    for (size_t i = 0; i < l->source_count; i++) {
        if (!to[i]) {
            release_source(l->sources[i]);
            continue;
        }
        to[i] = (uint32_t)kept;
        l->sources[kept++] = l->sources[i];
    }
    for (size_t i = 0; i < l->count; i++)
        l->places[i].source = to[l->places[i].source];
    l->source_count = kept;
    free(to);
}

int layer_merge(const struct layer *older, const struct layer *newer, struct layer **ret_layer, struct err *e)
{
    struct layer *l = NULL;
    if (layer_begin(newer->upto, newer->page_size, older->source_count + newer->source_count, &l, e))
        return -1;
    if (make_room(l, older->count + newer->count, count_patches(older) + count_patches(newer), e)) {
        layer_release(l);
        return -1;
    }
    copy_places(l, older, 0);
    copy_places(l, newer, older->source_count);
    prune(l);
    drop_unused(l);
    *ret_layer = l;
    return 0;
}

/* ---- searching */

struct page_query {
    const struct layer *layer;
    uint32_t pgno;
};

static bool is_at_or_after(const void *context, size_t index)
{
    const struct page_query *q = context;
    return q->layer->places[index].pgno >= q->pgno;
}

const struct place *layer_find(const struct layer *l, uint32_t pgno, size_t *ret_count)
{
    const struct page_query q = {l, pgno};
    const size_t first = search_first(l->count, is_at_or_after, &q);
    size_t end = first;
    while (end < l->count && l->places[end].pgno == pgno)
        end++;
    *ret_count = end - first;
    return end > first ? &l->places[first] : NULL;
}
