/* verify/walk.c
 *
 * A walk goes forward through the history with a map of all pages. After each commit it compares the XOR of all
 * page hashes, which the indexes have, with the checksum in the commit record.
 *
 * Every object must take part in a walk. So there are several: the first prefers level 0, which records every
 * commit; one for each higher level prefers that level; one for each base begins there and ends at the base's max.
 * After that, the state is one that the first walk goes through.
 *
 * If no segment continues a walk, it begins again at the next base or from_empty segment. The reason is a missing
 * object, which is reported by itself, or an incomplete base. The steps of a walk are known in advance (steps.h), so
 * many indexes are read at a time. */
#include "verify/walk.h"

#include "verify/chain.h"
#include "verify/crew.h"
#include "verify/steps.h"

#include "base/claim.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct walk {
    struct check *check;
    struct steps steps;
    bool main;      /* the first walk, whose states are counted */
    struct map map; /* hash and txid of each page at `pos` */
    uint64_t pos;
    uint64_t map_txid; /* the commit that is applied now */
    uint64_t valid_at; /* after a base, its max: before this txid, the map has pages of several states */
    bool wrong;        /* a problem was reported; no more are until a checksum is right again */
};

/* ---- the map */

static int merge(struct walk *w, const struct item *it, const struct version *v, struct err *e)
{
    struct map *m = &w->map;
    if (v->pgno > m->pages && it->name.kind == NAME_CHUNK && map_resize(m, v->pgno, e))
        return -1;
    if (v->pgno > m->pages)
        return 0; /* the database has shrunk since */
    struct map_entry have = map_get(m, v->pgno);
    if (v->txid < have.txid)
        return 0;
    bool differs = v->txid == have.txid && v->hash != have.hash;
    bool astray = v->kind == VERSION_PATCH && v->txid > have.txid && (have.txid == 0 || v->from > have.txid);
    if (astray && w->map_txid < w->valid_at)
        return 0; /* the database had shrunk before the chunk was read. If it had not, `compare` misses the page */
    if (differs && !w->wrong)
        check_problem_of(w->check, &it->name, hint_damaged,
                         "page %u of txid %" PRIu64 " differs from that in other objects", v->pgno, v->txid);
    if (astray && !w->wrong)
        check_problem_of(w->check, &it->name, hint_damaged,
                         "has a patch of page %u from txid %" PRIu64 " to %" PRIu64
                         ", but the page is that of txid %" PRIu64,
                         v->pgno, v->from, v->txid, have.txid);
    w->wrong |= differs || astray;
    map_set(m, v->pgno, (struct map_entry){.hash = v->hash, .txid = v->txid});
    return 0;
}

static void compare(struct walk *w, const struct item *it, const struct commit_record *r)
{
    bool complete = map_is_complete(&w->map);
    if (r->txid < w->valid_at)
        return;
    w->check->result.states += w->main;
    if (complete && w->map.checksum == r->checksum) {
        w->wrong = false;
        return;
    }
    if (!w->wrong && !complete)
        check_problem_of(w->check, &it->name, hint_damaged, "no object has all pages of the state after txid %" PRIu64,
                         r->txid);
    else if (!w->wrong)
        check_problem_of(w->check, &it->name, hint_damaged,
                         "its page hashes do not give the database checksum in the commit record of txid %" PRIu64,
                         r->txid);
    w->wrong = true;
}

struct place {
    uint64_t txid;
    uint32_t index; /* of the version */
};

static int by_txid(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->txid != y->txid)
        return x->txid < y->txid ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

/* Applies a full segment of level 0, commit after commit. */
static int apply_full(struct walk *w, const struct item *it, const struct segment *s, struct err *e)
{
    uint32_t n = s->trailer.version_count, at = 0;
    struct place *order = malloc((n + 1) * sizeof *order);
    int rc = order ? 0 : err_nomem(e, n * sizeof *order);
    for (uint32_t i = 0; rc == 0 && order && i < n; i++)
        order[i] = (struct place){s->versions[i].txid, i};
    if (rc == 0 && n > 0)
        qsort(order, n, sizeof *order, by_txid);
    for (uint32_t k = 0; rc == 0 && k < s->trailer.record_count; k++) {
        const struct commit_record *r = &s->records[k];
        w->map_txid = r->txid;
        if (r->txid > w->pos)
            rc = map_resize(&w->map, r->pages, e);
        for (; rc == 0 && at < n && order[at].txid <= r->txid; at++)
            if (r->txid > w->pos)
                rc = merge(w, it, &s->versions[order[at].index], e);
        if (rc == 0 && r->txid > w->pos)
            compare(w, it, r);
    }
    free(order);
    return rc;
}

static int apply_last(struct walk *w, const struct item *it, const struct segment *s, struct err *e)
{
    w->map_txid = s->trailer.info.max;
    for (uint32_t i = 0; i < s->trailer.version_count; i++)
        if (s->versions[i].txid > w->pos && merge(w, it, &s->versions[i], e))
            return -1;
    return 0;
}

/* ---- step by step */

struct source { /* an object whose index is needed */
    const struct item *item;
    const struct item *step; /* the segment or marker that names it, and that follows it as a source itself */
    struct segment segment;
    bool waits; /* for memory */
};

struct batch {
    struct source list[WALK_BATCH_MAX];
    size_t count;
    uint64_t bytes;
};

static int load_source(struct check *c, struct codec *codec, struct source *s, struct err *e)
{
    char key[NAME_MAX_BYTES];
    if (s->item->name.kind == NAME_MARKER)
        return 0;
    name_format(&s->item->name, key);
    s->waits = false;
    if (object_load(c->store, key, codec, SEGMENT_WANT_ALL, &s->segment, e) == 0)
        return 0;
    s->waits = e->code == ERR_CLAIM;
    if (s->waits)
        return -1;
    if (e->code != ERR_NOTFOUND)
        return check_failed(c, s->item, e);
    check_void(c); /* it was there a moment ago. If it is still listed, the next look reports it, once */
    return 0;
}

/* Loads a source in one of several threads. A source that does not fit into the budget waits. */
static int load_ahead(struct check *c, struct worker *worker, size_t index, struct err *e)
{
    struct source *s = &((struct batch *)worker->context)->list[index];
    return load_source(c, worker->codec, s, e) == 0 || s->waits ? 0 : -1;
}

/* Frees the sources behind `at` of the batch, to make room for it. They are loaded again when it is their turn. */
static void make_room(struct batch *b, size_t at)
{
    for (size_t i = at + 1; i < b->count; i++)
        if (b->list[i].segment.charged) {
            segment_release(&b->list[i].segment);
            b->list[i].waits = true;
        }
}

/* Makes the source `at` of the batch ready to be applied: loads it if it waits, and takes from the budget what sorting
 * its versions needs. *ret_sorting: how much that is. */
static int ready(struct check *c, struct batch *b, size_t at, size_t *ret_sorting, struct err *e)
{
    struct source *s = &b->list[at];
    *ret_sorting = 0;
    if (s->waits && load_source(c, c->codec, s, e) != 0) {
        if (!s->waits)
            return -1;
        make_room(b, at);
        if (load_source(c, c->codec, s, e))
            return -1;
    }
    const size_t sorting = s->segment.trailer.version_count * sizeof(struct place);
    if (claim_take(sorting, e)) {
        make_room(b, at);
        if (claim_take(sorting, e))
            return err_wrap(e, "%u page versions in one object", s->segment.trailer.version_count);
    }
    *ret_sorting = sorting;
    return 0;
}

static int begin_step(struct walk *w, const struct item *step, struct err *e)
{
    const struct segment_info *i = item_info(step);
    bool marker = step->name.kind == NAME_MARKER;
    if (marker || (i->flags & SEGMENT_FROM_EMPTY)) {
        map_clear(&w->map);
        w->map.page_size = i->page_size;
        w->pos = marker ? step->name.start : i->min - 1;
        w->valid_at = marker ? i->max : 0;
        w->wrong = false;
    }
    if (w->map.page_size == 0)
        w->map.page_size = i->page_size;
    if (marker || plan_records_all(i))
        return 0;
    return map_resize(&w->map, step->last.pages, e);
}

/* Ends a step: all chunks of a base, or all parts of a segment and the segment itself, are applied. */
static int end_step(struct walk *w, const struct item *step, struct err *e)
{
    const struct segment_info *i = item_info(step);
    if (step->name.kind == NAME_MARKER) {
        struct commit_record r = {0};
        bool found = false;
        if (chain_record(w->check, i->max, &r, &found, e))
            return -1;
        if (!found || step->name.start != i->max)
            return 0;
        if (map_resize(&w->map, r.pages, e))
            return -1;
        compare(w, step, &r);
        return 0;
    }
    if (!plan_records_all(i))
        compare(w, step, &step->last);
    w->pos = i->max;
    return 0;
}

static int apply_source(struct walk *w, const struct source *s, struct err *e)
{
    const struct segment_info *i = item_info(s->step);
    bool full = s->item == s->step && s->item->name.kind != NAME_MARKER && plan_records_all(i);
    if (s->item->name.kind == NAME_CHUNK) {
        for (uint32_t k = 0; k < s->segment.trailer.version_count; k++)
            if (merge(w, s->item, &s->segment.versions[k], e))
                return -1;
    } else if (s->item->name.kind != NAME_MARKER) {
        if (full ? apply_full(w, s->item, &s->segment, e) : apply_last(w, s->item, &s->segment, e))
            return -1;
    }
    return s->item == s->step ? end_step(w, s->step, e) : 0;
}

static int apply_batch(struct walk *w, struct batch *b, const struct item **step, struct err *e)
{
    struct check *c = w->check;
    int rc = crew_each(c, b->count, load_ahead, b, e);
    for (size_t i = 0; i < b->count; i++) {
        const struct source *s = &b->list[i];
        size_t sorting = 0;
        assert(s->step);
        if (rc == 0 && !c->changed)
            rc = ready(c, b, i, &sorting, e);
        if (rc == 0 && !c->changed && s->step != *step)
            rc = begin_step(w, s->step, e);
        *step = s->item == s->step ? NULL : s->step; /* the same step may come again */
        if (rc == 0 && !c->changed)
            rc = apply_source(w, s, e);
        segment_release(&b->list[i].segment);
        claim_give(sorting);
    }
    b->count = 0;
    b->bytes = 0;
    return rc;
}

static int run_steps(struct walk *w, struct batch *b, struct err *e)
{
    struct check *c = w->check;
    const struct item *open = NULL;
    map_clear(&w->map);
    w->map.page_size = 0;
    w->pos = 0;
    w->valid_at = 0;
    w->wrong = false;
    for (size_t i = 0; i < w->steps.count; i++) {
        const struct item *step = w->steps.list[i];
        for (size_t k = 0; k <= step->named_count; k++) {
            const struct item *it = k < step->named_count ? &c->named[step->first_named + k] : step;
            bool full = b->count == WALK_BATCH_MAX || (b->count > 0 && b->bytes + it->size > WALK_BATCH_BYTES);
            if (full && apply_batch(w, b, &open, e))
                return -1;
            if (c->changed)
                return 0;
            b->list[b->count++] = (struct source){.item = it, .step = step};
            b->bytes += it->size;
        }
    }
    return apply_batch(w, b, &open, e);
}

static int walk_all(struct walk *w, struct batch *b, struct err *e)
{
    struct check *c = w->check;
    for (unsigned level = 0; level <= SEGMENT_LEVEL_MAX; level++) {
        if (level > 0 && w->steps.tracks[level].count == 0)
            continue;
        w->main = level == 0;
        if (steps_plan_history(&w->steps, level, e) || run_steps(w, b, e))
            return -1;
        if (c->changed)
            return 0;
    }
    w->main = false;
    for (size_t i = catalog_segment_count(c->catalog); i < c->item_count; i++) {
        if (!c->items[i].sound)
            continue;
        if (steps_plan_base(&w->steps, &c->items[i], item_info(&c->items[i])->max, e) || run_steps(w, b, e))
            return -1;
        if (c->changed)
            return 0;
    }
    return 0;
}

int walk_check(struct check *c, struct err *e)
{
    struct walk w = {.check = c};
    struct batch *b = calloc(1, sizeof *b);
    map_init_claimed(&w.map, 0, c->catalog->bytes);
    int rc = b ? steps_init(&w.steps, c, e) : err_nomem(e, sizeof *b);
    if (rc == 0)
        rc = walk_all(&w, b, e);
    steps_release(&w.steps);
    map_release(&w.map);
    free(b);
    return rc;
}
