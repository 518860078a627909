/* replica/losses.c */
#include "replica/losses.h"

#include "replica/points.h"

#include <assert.h>
#include <string.h>

void losses_add(struct losses *l, const struct segment_info *marker)
{
    assert(marker->kind == OBJECT_MARKER);
    if (marker->min == 0 || marker->min >= marker->max)
        return;
    assert(l->count == 0 || l->list[l->count - 1].start <= marker->start);
    if (l->count == LOSSES_MAX)
        memmove(l->list, l->list + 1, --l->count * sizeof l->list[0]);
    l->list[l->count++] = (struct known_loss){.min = marker->min,
                                              .start = marker->start,
                                              .first = marker->min,
                                              .last = marker->max - 1,
                                              .time_ms = marker->time_ms};
}

void losses_note_point(struct losses *l, uint64_t txid)
{
    while (l->open < l->count && l->list[l->open].last < txid)
        l->open++;
    for (size_t i = l->open; i < l->count; i++)
        if (l->list[i].first <= txid && txid <= l->list[i].last)
            l->list[i].first = txid + 1;
}

bool losses_explain(const struct losses *l, uint64_t first, uint64_t last)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->list[i].min <= first && last < l->list[i].start)
            return true;
    return false;
}

static int note_point(void *context, const struct commit_record *record)
{
    losses_note_point(context, record->txid);
    return 0;
}

int losses_read(struct catalog *c, struct losses *ret_losses, struct err *e)
{
    memset(ret_losses, 0, sizeof *ret_losses);
    for (size_t i = 0; i < c->marker_count; i++) {
        if (catalog_load(c, &c->markers[i], e)) {
            if (e->code != ERR_CORRUPT && e->code != ERR_GONE)
                return -1;
            continue;
        }
        losses_add(ret_losses, &c->markers[i].segment->trailer.info);
        catalog_spare(c, &c->markers[i]);
    }
    return ret_losses->count > 0 ? points_each(c, note_point, ret_losses, e) : 0;
}

struct newest_before {
    uint64_t txid, newest;
};

static int note_before(void *context, const struct commit_record *record)
{
    struct newest_before *n = context;
    if (record->txid < n->txid)
        n->newest = record->txid;
    return record->txid >= n->txid;
}

/* Whether the txid is in an object that waits for a base, which was never completed. */
static int was_never_complete(struct catalog *c, uint64_t txid, bool *ret_never, struct err *e)
{
    struct catalog_object *o = catalog_level0_at(c, txid);
    *ret_never = false;
    if (!o)
        return 0;
    if (catalog_load(c, o, e))
        return e->code == ERR_CORRUPT || e->code == ERR_GONE ? 0 : -1;
    const struct segment_info *i = &o->segment->trailer.info;
    *ret_never = i->max >= txid && (i->flags & SEGMENT_BASE_ONLY);
    catalog_spare(c, o);
    return 0;
}

int losses_before(struct catalog *c, uint64_t txid, uint64_t *ret_first, struct err *e)
{
    struct newest_before n = {.txid = txid};
    bool never = false;
    assert(txid > 0);
    if (points_each(c, note_before, &n, e) || was_never_complete(c, n.newest + 1, &never, e))
        return -1;
    *ret_first = n.newest + 1 < txid && !never ? n.newest + 1 : 0;
    return 0;
}
