/* replica/ways.c */
#include "replica/ways.h"

#include "base/search.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

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
    w->fault = calloc(segments + 1, 1);
    for (size_t i = 0; i < 2; i++)
        w->rounds[i].dead = calloc(segments + 1, sizeof *w->rounds[i].dead);
    w->taken = calloc(segments + 1, sizeof *w->taken);
    w->recorded = calloc(w->count + 1, sizeof *w->recorded);
    if (!w->order || !w->has_all || !w->fault || !w->rounds[0].dead || !w->rounds[1].dead || !w->taken || !w->recorded)
        return err_nomem(e, segments * sizeof *w->taken);
    if (mintree_init(&w->all, w->count, e) || mintree_init(&w->open[ONLY_COMPLETE], w->count, e) ||
        mintree_init(&w->open[INCOMPLETE_TOO], w->count, e) || mintree_init(&w->broken, w->count, e) ||
        mintree_init(&w->beginnings, segments, e))
        return -1;
    return 0;
}

static void sort_by_end(const struct ways_segments *segments, struct ways *w)
{
    for (size_t i = 0; i < w->count; i++) {
        const struct name *n = segments->name(segments->context, w->level0_count + i);
        w->order[i] = (struct ways_place){n->min, n->max, n->level, i};
    }
    qsort(w->order, w->count, sizeof *w->order, by_end);
    for (size_t i = 0; i < w->count; i++) {
        mintree_set(&w->all, i, w->order[i].min);
        mintree_set(&w->open[ONLY_COMPLETE], i, w->order[i].min);
        mintree_set(&w->open[INCOMPLETE_TOO], i, w->order[i].min);
    }
}

int ways_make(const struct ways_segments *segments, struct ways **ret_ways, struct err *e)
{
    const size_t all = segments->level0_count + segments->count;
    struct ways *w = calloc(1, sizeof *w);
    if (!w)
        return err_nomem(e, sizeof *w);
    w->level0_count = segments->level0_count;
    w->count = segments->count;
    if (allocate(w, all, e)) {
        ways_free(w);
        return -1;
    }
    sort_by_end(segments, w);
    for (size_t i = 0; i < all; i++)
        mintree_set(&w->beginnings, i, segments->name(segments->context, i)->min);
    *ret_ways = w;
    return 0;
}

void ways_free(struct ways *w)
{
    if (!w)
        return;
    free(w->order);
    free(w->has_all);
    free(w->fault);
    free(w->rounds[0].dead);
    free(w->rounds[1].dead);
    free(w->taken);
    free(w->recorded);
    mintree_release(&w->all);
    mintree_release(&w->open[ONLY_COMPLETE]);
    mintree_release(&w->open[INCOMPLETE_TOO]);
    mintree_release(&w->broken);
    mintree_release(&w->beginnings);
    free(w);
}

/* ---- searching */

struct end_query {
    const struct ways_place *order;
    uint64_t txid;
    unsigned level; /* a segment that ends at `txid` is beyond if its level is higher */
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

bool ways_beginning(const struct ways *w, uint64_t target, size_t below, size_t *ret_index)
{
    assert(target < MINTREE_NONE);
    return mintree_last(&w->beginnings, below, target, ret_index);
}

/* ---- the results of searches */

void ways_begin(struct ways *w, uint64_t target, enum care care)
{
    struct ways_round *r = &w->rounds[care];
    if (r->target == target)
        return;
    r->number++;
    r->target = target;
    r->hopeless = ERR_NONE;
}

void ways_forget(struct ways *w)
{
    w->rounds[ONLY_COMPLETE].target = w->rounds[INCOMPLETE_TOO].target = 0;
}

enum err_code ways_dead_end(const struct ways *w, enum care care, size_t index)
{
    const struct ways_round *r = &w->rounds[care];
    return r->dead[index].round == r->number ? r->dead[index].code : ERR_NONE;
}

void ways_note_dead_end(struct ways *w, enum care care, size_t index, enum err_code code)
{
    const struct ways_round *r = &w->rounds[care];
    r->dead[index] = (struct ways_dead){.round = r->number, .code = code};
}

void ways_no_beginning(struct ways *w, size_t index)
{
    mintree_set(&w->beginnings, index, MINTREE_NONE);
}

void ways_loadable(struct ways *w, size_t index, uint64_t min)
{
    w->fault[index] = ERR_NONE;
    ways_forget(w); /* a dead end may lead on through this segment */
    mintree_set(&w->beginnings, index, min);
    memset(w->recorded, 0, (w->count + 1) * sizeof *w->recorded);
}

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
    ways_pass_over(w, code);
}

void ways_pass_over(struct ways *w, enum err_code code)
{
    if (w->unread == ERR_NONE && code != ERR_CORRUPT && code != ERR_GONE)
        w->unread = code;
}

void ways_mend(struct ways *w, const struct ways_place *place)
{
    const size_t at = (size_t)(place - w->order);
    mintree_set(&w->open[ONLY_COMPLETE], at, place->min);
    mintree_set(&w->open[INCOMPLETE_TOO], at, place->min);
    mintree_set(&w->broken, at, MINTREE_NONE);
    ways_loadable(w, w->level0_count + place->index, place->min);
}
