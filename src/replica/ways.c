/* replica/ways.c */
#include "replica/ways.h"

#include "base/search.h"

#include <assert.h>
#include <stdlib.h>

static int by_end(const void *a, const void *b)
{
    const struct ways_place *x = a, *y = b;
    if (x->max != y->max)
        return x->max < y->max ? -1 : 1;
    if (x->level != y->level)
        return x->level < y->level ? -1 : 1;
    if (x->min != y->min)
        return x->min > y->min ? -1 : 1;
    return (x->index < y->index) - (x->index > y->index);
}

static int allocate(struct ways *w, size_t segments, struct err *e)
{
    w->order = calloc(w->count + 1, sizeof *w->order);
    w->has_all = calloc(segments + 1, 1);
    w->begins = calloc(segments + 1, 1);
    w->fault = calloc(segments + 1, 1);
    w->dead = calloc(segments + 1, sizeof *w->dead);
    w->taken = calloc(segments + 1, sizeof *w->taken);
    if (!w->order || !w->has_all || !w->begins || !w->fault || !w->dead || !w->taken)
        return err_nomem(e, segments * sizeof *w->dead);
    if (mintree_init(&w->all, w->count, e) || mintree_init(&w->open[ONLY_COMPLETE], w->count, e) ||
        mintree_init(&w->open[INCOMPLETE_TOO], w->count, e) || mintree_init(&w->broken, w->count, e))
        return -1;
    return 0;
}

static void sort_by_end(const struct ways_levels *levels, struct ways *w)
{
    for (size_t i = 0; i < w->count; i++) {
        const struct name *n = levels->name(levels->context, i);
        w->order[i] = (struct ways_place){n->min, n->max, n->level, i};
    }
    qsort(w->order, w->count, sizeof *w->order, by_end);
    for (size_t i = 0; i < w->count; i++) {
        mintree_set(&w->all, i, w->order[i].min);
        mintree_set(&w->open[ONLY_COMPLETE], i, w->order[i].min);
        mintree_set(&w->open[INCOMPLETE_TOO], i, w->order[i].min);
    }
}

int ways_make(size_t level0_count, const struct ways_levels *levels, struct ways **ret_ways, struct err *e)
{
    struct ways *w = calloc(1, sizeof *w);
    if (!w)
        return err_nomem(e, sizeof *w);
    w->level0_count = level0_count;
    w->count = levels->count;
    if (allocate(w, level0_count + levels->count, e)) {
        ways_free(w);
        return -1;
    }
    sort_by_end(levels, w);
    *ret_ways = w;
    return 0;
}

void ways_free(struct ways *w)
{
    if (!w)
        return;
    free(w->order);
    free(w->has_all);
    free(w->begins);
    free(w->fault);
    free(w->dead);
    free(w->taken);
    mintree_release(&w->all);
    mintree_release(&w->open[ONLY_COMPLETE]);
    mintree_release(&w->open[INCOMPLETE_TOO]);
    mintree_release(&w->broken);
    free(w);
}

/* ---- searching */

struct end_query {
    const struct ways_place *order;
    uint64_t txid;
    unsigned level; /* of those that end at `txid`, the higher levels are beyond */
};

static bool is_beyond(const void *context, size_t at)
{
    const struct end_query *q = context;
    const struct ways_place *p = &q->order[at];
    return p->max != q->txid ? p->max > q->txid : p->level > q->level;
}

size_t ways_upto(const struct ways *w, uint64_t txid)
{
    const struct end_query q = {w->order, txid, SEGMENT_LEVEL_MAX};
    return search_first(w->count, is_beyond, &q);
}

static const struct ways_place *furthest(const struct ways *w, const struct mintree *begins, uint64_t pos, size_t below)
{
    size_t at = 0;
    if (pos + 1 == MINTREE_NONE || !mintree_last(begins, below, pos + 1, &at) || w->order[at].max <= pos)
        return NULL;
    return &w->order[at];
}

const struct ways_place *ways_best(const struct ways *w, enum care care, uint64_t pos, size_t below)
{
    return furthest(w, &w->open[care], pos, below);
}

const struct ways_place *ways_broken(const struct ways *w, uint64_t pos, size_t below)
{
    return furthest(w, &w->broken, pos, below);
}

const struct ways_place *ways_first_end(const struct ways *w, uint64_t upto, uint64_t from)
{
    size_t at = 0;
    if (upto >= MINTREE_NONE || !mintree_first(&w->all, from ? ways_upto(w, from - 1) : 0, upto, &at))
        return NULL;
    const struct end_query same = {w->order, w->order[at].max, w->order[at].level};
    bool found = mintree_last(&w->all, search_first(w->count, is_beyond, &same), upto, &at);
    assert(found);
    (void)found;
    return &w->order[at];
}

/* ---- what searches found out */

void ways_drop(struct ways *w, enum care care, const struct ways_place *place)
{
    mintree_set(&w->open[care], (size_t)(place - w->order), MINTREE_NONE);
}

void ways_break(struct ways *w, const struct ways_place *place, enum err_code code)
{
    ways_drop(w, ONLY_COMPLETE, place);
    ways_drop(w, INCOMPLETE_TOO, place);
    mintree_set(&w->broken, (size_t)(place - w->order), place->min);
    w->fault[w->level0_count + place->index] = (uint8_t)code;
}

void ways_mend(struct ways *w, const struct ways_place *place)
{
    const size_t at = (size_t)(place - w->order);
    mintree_set(&w->open[ONLY_COMPLETE], at, place->min);
    mintree_set(&w->open[INCOMPLETE_TOO], at, place->min);
    mintree_set(&w->broken, at, MINTREE_NONE);
    w->fault[w->level0_count + place->index] = ERR_NONE;
}
