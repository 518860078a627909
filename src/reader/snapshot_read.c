/* reader/snapshot_read.c - the pages of a snapshot. For snapshot.h.
 *
 * A page is an image, or zeros, and the patches after it. Each of them can lie in an object of its own. A slow store is
 * asked for all of these at a time. */
#include "base/hash.h"
#include "base/page.h"
#include "base/search.h"
#include "base/trial.h"
#include "format/patch.h"
#include "reader/blocks.h"
#include "reader/interior_pages.h"
#include "reader/snapshot.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_FIXED 64 /* patches of a page that need no memory of their own */

/* ---- reading */

/* A version that is a step on the way to a page. */
struct step {
    const struct layer *layer;
    const struct place *place;
};

struct steps {
    struct step fixed[STEPS_FIXED];
    struct step *list; /* `fixed`, or owned */
    size_t count, cap;
    struct step whole; /* the image, or zeros, that the first step applies to; NULL: it is in the base */
};

static int add_step(struct steps *t, const struct layer *l, const struct place *p, struct err *e)
{
    if (t->count == t->cap) {
        struct step *more = malloc(2 * t->cap * sizeof *more);
        if (!more)
            return err_nomem(e, 2 * t->cap * sizeof *more);
        memcpy(more, t->list, t->count * sizeof *more);
        if (t->list != t->fixed)
            free(t->list);
        t->list = more;
        t->cap *= 2;
    }
    t->list[t->count++] = (struct step){l, p};
    return 0;
}

/* Finds the versions of a page that count: those of the newest layer with a whole page, and of the layers after it. */
static int find_steps(const struct snapshot *s, uint32_t pgno, struct steps *t, struct err *e)
{
    const struct place *found[SNAPSHOT_LAYERS_MAX];
    size_t counts[SNAPSHOT_LAYERS_MAX], first = s->layer_count;
    t->list = t->fixed;
    t->cap = STEPS_FIXED;
    t->count = 0;
    t->whole = (struct step){NULL, NULL};
    while (first > 0 && !t->whole.place) {
        first--;
        found[first] = layer_find(s->layers[first], pgno, &counts[first]);
        for (size_t k = 0; found[first] && k < counts[first]; k++)
            if (found[first][k].kind != VERSION_PATCH)
                t->whole = (struct step){s->layers[first], &found[first][k]};
    }
    for (size_t i = first; i < s->layer_count; i++)
        for (size_t k = 0; found[i] && k < counts[i]; k++)
            if (found[i][k].kind == VERSION_PATCH && add_step(t, s->layers[i], &found[i][k], e))
                return -1;
    return 0;
}

static struct block_key key_of_version(const struct place *p)
{
    struct block_key k = {.number = p->pgno, .kind = BLOCKS_PAGE};
    memcpy(k.id, &p->hash, 8);
    memcpy(k.id + 8, &p->txid, 8);
    return k;
}

static const struct layer_source *source_of(const struct step *step)
{
    return step->layer->sources[step->place->source];
}

static struct block_key key_of_block(const struct step *step)
{
    struct block_key k = {.number = step->place->block, .kind = BLOCKS_BLOCK};
    memcpy(k.id, source_of(step)->id, UID_BYTES);
    return k;
}

/* The block of a version in a segment, which is not in memory, and those that are fetched with it. */
static struct block_source block_of(const struct snapshot *s, const struct step *step, struct read_ahead *ahead)
{
    const struct layer_source *from = source_of(step);
    const uint32_t first = step->place->block, left = from->block_count - first;
    struct read_stream *stream = pages_stream(ahead, from->id, first, 1);
    struct block_source block = {.origin = s->origin,
                                 .key = from->key,
                                 .id = from->id,
                                 .first = first,
                                 .blocks = &from->blocks[first],
                                 .count = stream->window < left ? stream->window : left};
    block.count = pages_missing(&block);
    pages_stream_reached(stream, (uint64_t)first + block.count);
    return block;
}

/* Reads bytes of a version in a segment. */
static int read_version(const struct snapshot *s, const struct step *step, size_t offset, uint8_t *out, size_t n,
                        struct read_ahead *ahead, struct err *e)
{
    const struct block_key key = key_of_block(step);
    if (blocks_get(&key, offset, out, n))
        return 0;
    const struct block_source block = block_of(s, step, ahead);
    return pages_block(&block, offset, out, n, e);
}

static int is_damaged(const char *key, uint32_t pgno, uint64_t txid, struct err *e)
{
    return err_set(e, ERR_CORRUPT, 0, "object '%s': page %u of txid %" PRIu64 " has the wrong hash", key, pgno, txid);
}

struct chunk_query {
    const struct chunk_list *chunks;
    uint32_t pgno;
};

static bool ends_at_or_after(const void *context, size_t index)
{
    const struct chunk_query *q = context;
    return q->chunks->list[index].last_page >= q->pgno;
}

static const struct chunk *chunk_of(const struct snapshot *s, uint32_t pgno)
{
    const struct chunk_query q = {s->chunks, pgno};
    const size_t count = s->chunks ? s->chunks->count : 0, at = search_first(count, ends_at_or_after, &q);
    return at < count && s->chunks->list[at].first_page <= pgno ? &s->chunks->list[at] : NULL;
}

/* Reads the page from the base. *ret_txid: of its version. */
static int read_from_base(const struct snapshot *s, uint32_t pgno, struct read_ahead *ahead, uint8_t *out,
                          uint64_t *ret_txid, struct err *e)
{
    const struct pages_of of = {s->origin, s->page_size, s->database};
    const struct chunk *c = chunk_of(s, pgno);
    if (c && s->chunks->has_interior && interior_page(s->chunks->interior, pgno, s->page_size, out, ret_txid))
        return 0;
    struct chunk_page page = {.pgno = pgno};
    const struct chunk_place *place = &page.place;
    if (c && pages_in_chunk(&of, c, pgno, &page.place, e))
        return -1;
    if (place->txid == 0)
        return err_set(e, ERR_CORRUPT, 0, "no object holds page %u as of txid %" PRIu64, pgno, s->record.txid);
    *ret_txid = place->txid;
    if (place->hash == 0) {
        memset(out, 0, s->page_size);
        return 0;
    }
    if (pages_chunk_block(&of, c, &page, out, ahead, e))
        return -1;
    return page_hash(pgno, out, s->page_size) == place->hash ? 0 : is_damaged(c->key, pgno, place->txid, e);
}

static int read_whole(const struct snapshot *s, uint32_t pgno, const struct steps *t, struct read_ahead *ahead,
                      uint8_t *out, uint64_t *ret_txid, struct err *e)
{
    const struct place *p = t->whole.place;
    if (!p)
        return read_from_base(s, pgno, ahead, out, ret_txid, e);
    *ret_txid = p->txid;
    if (p->kind == VERSION_ZERO) {
        memset(out, 0, s->page_size);
        return 0;
    }
    if (read_version(s, &t->whole, p->extra, out, s->page_size, ahead, e))
        return -1;
    return page_hash(pgno, out, s->page_size) == p->hash ? 0 : is_damaged(source_of(&t->whole)->key, pgno, p->txid, e);
}

static int apply_step(const struct snapshot *s, const struct step *step, uint64_t have, struct read_ahead *ahead,
                      uint8_t *out, struct err *e)
{
    const struct place *p = step->place;
    const struct place_patch *patch = &step->layer->patches[p->extra];
    const size_t n = patch_size(patch->mask, s->page_size);
    if (patch->from > have)
        return err_set(e, ERR_CORRUPT, 0,
                       "object '%s': the patch of page %u from txid %" PRIu64 " to %" PRIu64
                       " does not apply to the page as of txid %" PRIu64,
                       source_of(step)->key, p->pgno, patch->from, p->txid, have);
    uint8_t *bytes = malloc(n + 1);
    if (!bytes)
        return err_nomem(e, n);
    int rc = read_version(s, step, patch->offset, bytes, n, ahead, e);
    if (rc == 0)
        patch_apply(patch->mask, bytes, s->page_size, out);
    free(bytes);
    return rc;
}

/* Applies the patches from `next` on to a page as of txid `have`. */
static int apply_steps(const struct snapshot *s, const struct steps *t, size_t next, uint64_t have,
                       struct read_ahead *ahead, uint8_t *out, struct err *e)
{
    const struct step *last = NULL;
    for (; next < t->count; next++) {
        if (t->list[next].place->txid <= have)
            continue;
        if (apply_step(s, &t->list[next], have, ahead, out, e))
            return -1;
        last = &t->list[next];
        have = last->place->txid;
    }
    if (!last)
        return 0;
    const uint32_t pgno = last->place->pgno;
    if (page_hash(pgno, out, s->page_size) != last->place->hash)
        return is_damaged(source_of(last)->key, pgno, last->place->txid, e);
    const struct block_key key = key_of_version(last->place);
    blocks_put(&key, out, s->page_size);
    return 0;
}

static bool in_source(const struct block_source *b, const struct step *step)
{
    const uint32_t block = step->place->block;
    return b->id == source_of(step)->id && block >= b->first && block - b->first < b->count;
}

/* Lists the blocks of the patches from `next` on that are not in memory. Patches up to `have` may not be needed. */
static size_t list_missing(const struct snapshot *s, const struct steps *t, size_t next, uint64_t have,
                           struct read_ahead *ahead, struct block_source *list)
{
    size_t count = 0;
    for (; next < t->count; next++) {
        const struct step *step = &t->list[next];
        const struct block_key key = key_of_block(step);
        if (step->place->txid <= have || (count > 0 && in_source(&list[count - 1], step)) || blocks_has(&key))
            continue;
        list[count++] = block_of(s, step, ahead);
    }
    return count;
}

/* Reads what the patches apply to. A slow store is asked for the blocks of the patches from `next` on meanwhile. */
static int read_whole_and_fetch(const struct snapshot *s, uint32_t pgno, const struct steps *t, size_t next,
                                struct read_ahead *ahead, uint8_t *out, uint64_t *have, struct err *e)
{
    const struct chunk *c = next == 0 && !t->whole.place ? chunk_of(s, pgno) : NULL;
    struct pages_fetch fetch;
    struct block_source *list = NULL;
    size_t count = 0;
    int rc = 0;
    if (s->origin->store->slow && (list = malloc(t->count * sizeof *list)))
        count = list_missing(s, t, next, c ? c->max : *have, ahead, list);
    if (count > 0)
        pages_fetch_begin(&fetch, list, count);
    if (next == 0)
        rc = read_whole(s, pgno, t, ahead, out, have, e);
    struct err later;
    if (count > 0 && pages_fetch_end(&fetch, rc ? &later : e))
        rc = -1;
    free(list);
    return rc;
}

/* Makes a page that has patches. Versions of it that were made before are in memory, maybe: begins with the newest. */
static int read_patched(const struct snapshot *s, uint32_t pgno, const struct steps *t, struct read_ahead *ahead,
                        uint8_t *out, struct err *e)
{
    size_t next = t->count;
    uint64_t have = 0;
    for (; next > 0; next--) {
        const struct block_key key = key_of_version(t->list[next - 1].place);
        if (!blocks_get(&key, 0, out, s->page_size))
            continue;
        have = t->list[next - 1].place->txid;
        break;
    }
    if (next == t->count)
        return 0;
    if (read_whole_and_fetch(s, pgno, t, next, ahead, out, &have, e))
        return -1;
    return apply_steps(s, t, next, have, ahead, out, e);
}

int snapshot_read(const struct snapshot *s, uint32_t pgno, struct read_ahead *ahead, uint8_t *out, struct err *e)
{
    struct steps t;
    uint64_t txid = 0;
    assert(pgno >= 1 && pgno <= s->record.pages);
    if (pgno == lock_byte_page(s->page_size)) {
        memset(out, 0, s->page_size);
        return 0;
    }
    int rc = find_steps(s, pgno, &t, e);
    if (rc == 0)
        rc = t.count > 0 ? read_patched(s, pgno, &t, ahead, out, e) : read_whole(s, pgno, &t, ahead, out, &txid, e);
    if (t.list != t.fixed)
        free(t.list);
    return rc;
}

/* ---- comparing */

/* The newest version of a page. NULL: the base has it. */
static const struct place *newest_place(const struct snapshot *s, uint32_t pgno)
{
    for (size_t i = s->layer_count; i > 0; i--) {
        size_t count = 0;
        const struct place *found = layer_find(s->layers[i - 1], pgno, &count);
        if (found && count > 0)
            return &found[count - 1];
    }
    return NULL;
}

/* *ret_known: an index has the page. */
static int hash_of_page(const struct snapshot *s, uint32_t pgno, const struct place *place, uint64_t *ret_hash,
                        bool *ret_known, struct err *e)
{
    const struct pages_of of = {s->origin, s->page_size, s->database};
    const struct chunk *c = place ? NULL : chunk_of(s, pgno);
    struct chunk_place in_chunk = {.txid = 0};
    if (c && pages_in_chunk(&of, c, pgno, &in_chunk, e))
        return -1;
    *ret_known = place || in_chunk.txid > 0;
    *ret_hash = place ? place->hash : in_chunk.hash;
    return 0;
}

int snapshot_same_page(const struct snapshot *a, const struct snapshot *b, uint32_t pgno, bool *ret_same, struct err *e)
{
    const struct place *in_a = newest_place(a, pgno), *in_b = newest_place(b, pgno);
    const struct chunk *of_a = chunk_of(a, pgno), *of_b = chunk_of(b, pgno);
    uint64_t hash_a = 0, hash_b = 0;
    bool known_a = false, known_b = false;
    *ret_same = !in_a && !in_b && of_a && of_b && memcmp(of_a->id, of_b->id, sizeof of_a->id) == 0;
    if (*ret_same)
        return 0;
    if (hash_of_page(a, pgno, in_a, &hash_a, &known_a, e) || hash_of_page(b, pgno, in_b, &hash_b, &known_b, e))
        return -1;
    *ret_same = known_a && known_b && hash_a == hash_b;
    return 0;
}
