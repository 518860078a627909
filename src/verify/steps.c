/* verify/steps.c */
#include "verify/steps.h"

#include "base/array.h"
#include "base/search.h"

#include <assert.h>
#include <stdlib.h>

static bool has_pages(const struct item *it)
{
    return it->sound && !(item_info(it)->flags & SEGMENT_BASE_ONLY);
}

int steps_init(struct steps *s, const struct check *c, struct err *e)
{
    *s = (struct steps){.check = c};
    for (size_t i = 0; i < catalog_segment_count(c->catalog); i++) {
        assert(c->items[i].name.level <= SEGMENT_LEVEL_MAX);
        struct track *t = &s->tracks[c->items[i].name.level];
        if (!has_pages(&c->items[i]))
            continue;
        if (array_reserve(&t->list, &t->cap, t->count + 1, sizeof *t->list, e))
            return -1;
        t->list[t->count++] = &c->items[i];
    }
    return 0;
}

struct track_query {
    const struct track *track;
    uint64_t txid;
};

static bool begins_after(const void *context, size_t index)
{
    const struct track_query *q = context;
    return q->track->list[index]->name.min > q->txid;
}

/* The last segment of the level that begins at or before `txid`, if it has `txid`; otherwise NULL. */
static const struct item *track_at(const struct track *t, uint64_t txid)
{
    const struct track_query q = {t, txid};
    size_t behind = search_first(t->count, begins_after, &q);
    const struct item *last = behind > 0 ? t->list[behind - 1] : NULL;
    return last && item_info(last)->max >= txid ? last : NULL;
}

/* The segment that has the txid after `pos`: of the preferred level if possible, otherwise of the lowest. NULL:
 * there is none. */
static const struct item *choose(const struct steps *s, unsigned preferred, uint64_t pos)
{
    const struct item *it = track_at(&s->tracks[preferred], pos + 1);
    for (unsigned level = 0; !it && level <= SEGMENT_LEVEL_MAX; level++)
        it = track_at(&s->tracks[level], pos + 1);
    return it;
}

static int add_step(struct steps *s, const struct item *it, struct err *e)
{
    if (array_reserve(&s->list, &s->cap, s->count + 1, sizeof *s->list, e))
        return -1;
    s->list[s->count++] = it;
    return 0;
}

/* The first base or from_empty segment that begins after `pos`, where a walk that ends there can begin again;
 * NULL: there is none. */
static const struct item *next_beginning(const struct steps *s, uint64_t pos, uint64_t *ret_pos)
{
    const struct check *c = s->check;
    const struct item *best = NULL;
    for (size_t i = 0; i < c->item_count; i++) {
        const struct item *it = &c->items[i];
        bool marker = it->name.kind == NAME_MARKER;
        if (!it->sound || (!marker && (!has_pages(it) || !(item_info(it)->flags & SEGMENT_FROM_EMPTY))))
            continue;
        uint64_t at = marker ? it->name.start : it->name.min - 1;
        if (at > pos && (!best || at < *ret_pos)) {
            best = it;
            *ret_pos = at;
        }
    }
    return best;
}

int steps_plan_history(struct steps *s, unsigned preferred, struct err *e)
{
    assert(preferred <= SEGMENT_LEVEL_MAX);
    const struct track *t = &s->tracks[preferred];
    uint64_t pos = 0, end = preferred > 0 && t->count > 0 ? item_info(t->list[t->count - 1])->max : UINT64_MAX;
    s->count = 0;
    while (pos < end) {
        const struct item *it = choose(s, preferred, pos);
        uint64_t at = 0;
        if (!it) {
            it = next_beginning(s, pos, &at);
            if (!it)
                break;
            if (it->name.kind == NAME_MARKER) {
                pos = at;
                if (add_step(s, it, e))
                    return -1;
                continue;
            }
        }
        pos = item_info(it)->max;
        if (add_step(s, it, e))
            return -1;
    }
    return 0;
}

int steps_plan_base(struct steps *s, const struct item *marker, uint64_t end, struct err *e)
{
    uint64_t pos = marker->name.start;
    const struct item *it = marker;
    assert(marker->name.kind == NAME_MARKER && marker->sound);
    s->count = 0;
    while (it) {
        if (add_step(s, it, e))
            return -1;
        pos = it == marker ? pos : item_info(it)->max;
        it = pos < end ? choose(s, 0, pos) : NULL;
    }
    return 0;
}

void steps_release(struct steps *s)
{
    for (size_t level = 0; level <= SEGMENT_LEVEL_MAX; level++)
        free(s->tracks[level].list);
    free(s->list);
    *s = (struct steps){.check = NULL};
}
