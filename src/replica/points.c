/* replica/points.c
 *
 * From one start, a state p can be reached if it is the end of a segment that begins at most one after a reachable
 * state. If the segments are taken in ascending order of their ends, one pass finds all such states: every
 * reachable state before an end is known by then.
 *
 * Two starts that take the same segment reach the same states from there on. So the pass keeps groups of starts, by
 * the state that they have reached, and each group is merged into another once.
 *
 * A pack is longer than that: segments of levels end in it, and a group may have gone on to their ends when the end of the
 * pack comes. So when a group reaches a state in front of a pack or in it, the points of the pack from there on are noted
 * at once.
 *
 * A start reaches all points of a segment from some txid on. So one number for each segment holds the result for all
 * starts, however many points there are. Records are read afterwards, segment by segment. */
#include "replica/points.h"

#include "base/clock.h"
#include "base/mintree.h"
#include "base/search.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

struct reach {
    struct catalog_object *o;
    uint64_t min, max;
    uint64_t first;            /* its points from this txid on can be restored; REACH_NONE: none can */
    int64_t first_ms, last_ms; /* times of its first and last record; -1: not read yet */
    uint64_t clamped;          /* the points from this txid on have clamped times; REACH_NONE: none has */
    uint32_t flags;
    unsigned level;
    bool records_all; /* each of its commits, not only the last */
    bool pack;
    bool lacks; /* objects that it names are missing: it leads nowhere, but its records are true */
};
#define REACH_NONE UINT64_MAX

/* Restore points that one segment records: all from `first` to `last`. */
struct stretch {
    const struct reach *from;
    uint64_t first, last;
};

struct history {
    struct reach *all; /* ascending max */
    size_t count;
    struct reach **packs; /* owned; those of `all` that are packs; ascending min, and max */
    size_t pack_count;
    struct stretch *stretches; /* ascending first; they may overlap */
    size_t stretch_count;
};

static void history_release(struct history *h)
{
    free(h->all);
    free(h->packs);
    free(h->stretches);
    *h = (struct history){0};
}

static int by_end(const void *a, const void *b)
{
    const struct reach *x = a, *y = b;
    if (x->max != y->max)
        return x->max < y->max ? -1 : 1;
    return (x->level > y->level) - (x->level < y->level);
}

/* If several segments record the same point, the one that says most comes first: the one with more points, then
 * the one whose point was stored for fewer commits. */
static int by_first(const void *a, const void *b)
{
    const struct stretch *x = a, *y = b;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    if (x->last != y->last)
        return x->last > y->last ? -1 : 1;
    return (x->from->min < y->from->min) - (x->from->min > y->from->min);
}

/* An object that names one that is missing leads to no restore point. A listing can lag, so what it lacks is read. */
static int has_all(const struct catalog *c, const struct segment *s, bool *ret_all, struct err *e)
{
    *ret_all = true;
    for (uint32_t i = 0; *ret_all && i < s->trailer.list_count; i++)
        if (catalog_has(c, s->list[i].name, s->list[i].size, ret_all, e))
            return -1;
    return 0;
}

/* Whether an object with this error is skipped: a damaged object, or one that no longer exists, has no restore
 * points. */
static bool is_skipped(const struct err *e)
{
    return e->code == ERR_CORRUPT || e->code == ERR_GONE;
}

/* The times of an object never fall. So if one is later than the object, all behind it are. */
static uint64_t first_clamped(const struct segment *s)
{
    uint32_t i = s->trailer.record_count;
    while (i > 0 && s->records[i - 1].clock_ms != 0)
        i--;
    return i < s->trailer.record_count ? s->records[i].txid : REACH_NONE;
}

/* Adds a pack. Of its thousands of records only those at the ends of a range are needed, so its trailer is enough. No time
 * in it is clamped. */
static int add_pack(struct catalog *c, struct history *h, struct catalog_object *o, struct err *e)
{
    struct segment_trailer t;
    if (catalog_look(c, o, &t, e))
        return is_skipped(e) ? 0 : -1;
    h->all[h->count++] = (struct reach){.o = o,
                                        .min = t.info.min,
                                        .max = t.info.max,
                                        .first = REACH_NONE,
                                        .first_ms = -1,
                                        .last_ms = -1,
                                        .clamped = REACH_NONE,
                                        .records_all = true,
                                        .pack = true};
    return 0;
}

static int read_segments(struct catalog *c, struct history *h, struct err *e)
{
    for (size_t i = 0; i < catalog_segment_count(c); i++) {
        struct catalog_object *o = catalog_segment(c, i);
        if (o->name.kind == NAME_PACK && !o->segment) {
            if (add_pack(c, h, o, e))
                return -1;
            continue;
        }
        if (catalog_load(c, o, e)) {
            if (!is_skipped(e))
                return -1;
            continue;
        }
        const struct segment *s = o->segment;
        const struct segment_info *info = &s->trailer.info;
        bool all = false;
        if (has_all(c, s, &all, e))
            return -1;
        h->all[h->count++] = (struct reach){.o = o,
                                            .lacks = !all,
                                            .min = info->min,
                                            .max = info->max,
                                            .first = REACH_NONE,
                                            .first_ms = s->records[0].time_ms,
                                            .last_ms = s->records[s->trailer.record_count - 1].time_ms,
                                            .clamped = first_clamped(s),
                                            .flags = info->flags,
                                            .level = info->level,
                                            .records_all = plan_records_all(info),
                                            .pack = o->name.kind == NAME_PACK};
        catalog_spare(c, o);
    }
    qsort(h->all, h->count, sizeof *h->all, by_end);
    for (size_t i = 0; i < h->count; i++)
        if (h->all[i].pack && !h->all[i].lacks)
            h->packs[h->pack_count++] = &h->all[i]; /* none lies in another: they ascend */
    return 0;
}

/* Starts that have reached the same state. */
struct group {
    uint64_t far;       /* the state */
    uint64_t from_txid; /* the points before it are of no concern: the least number of all starts */
};

struct sweep {
    struct group *groups; /* owned; ascending `far` */
    size_t count;
};

struct pack_query {
    struct reach *const *packs;
    uint64_t txid;
};

static bool begins_after_txid(const void *context, size_t index)
{
    const struct pack_query *q = context;
    return q->packs[index]->min > q->txid;
}

/* Notes the points of the pack that this group can take now. `by`: the segment with which it came to its state; NULL:
 * none. replica/plan.h says which one can't be followed by a pack. */
static void note_pack(const struct history *h, const struct group *g, const struct reach *by)
{
    const struct pack_query q = {h->packs, g->far + 1};
    const size_t behind = search_first(h->pack_count, begins_after_txid, &q);
    struct reach *r = behind ? h->packs[behind - 1] : NULL;
    if (!r || r->max <= g->far || (by && by->level > 0 && by->min < r->min && by->max >= r->min))
        return;
    const uint64_t first = g->far + 1 > g->from_txid ? g->far + 1 : g->from_txid;
    if (first <= r->max && first < r->first)
        r->first = first;
}

/* Notes the points of a segment. All groups that have reached its beginning take it. */
static void take_segment(const struct history *h, struct sweep *s, struct reach *r)
{
    const bool restart = r->flags & SEGMENT_FROM_EMPTY;
    const uint64_t least = r->records_all ? r->min : r->max;
    struct group joined = {.far = r->max, .from_txid = UINT64_MAX};
    bool taken = false;
    while (s->count > 0 && (restart || s->groups[s->count - 1].far + 1 >= r->min)) {
        const struct group *g = &s->groups[--s->count];
        uint64_t first = g->far + 1 > g->from_txid ? g->far + 1 : g->from_txid;
        first = first > least ? first : least;
        if (first <= r->max && first < r->first && !r->pack)
            r->first = first;
        joined.from_txid = g->from_txid < joined.from_txid ? g->from_txid : joined.from_txid;
        taken = true;
    }
    if (!taken)
        return;
    note_pack(h, &joined, r);
    s->groups[s->count++] = joined;
}

/* Notes every point that the segments reach from one of the starts, which are in ascending order. A start takes no
 * segment that ends there or before. */
static int sweep(struct history *h, const struct group *starts, size_t start_count, struct err *e)
{
    struct sweep s = {.groups = calloc(start_count + h->count + 1, sizeof *s.groups)};
    size_t next = 0;
    if (!s.groups)
        return err_nomem(e, (start_count + h->count) * sizeof *s.groups);
    for (size_t i = 0; i < h->count; i++) {
        struct reach *r = &h->all[i];
        for (; next < start_count && starts[next].far < r->max; next++) {
            note_pack(h, &starts[next], NULL);
            s.groups[s.count++] = starts[next];
        }
        if (!(r->flags & SEGMENT_BASE_ONLY) && !r->lacks)
            take_segment(h, &s, r);
    }
    free(s.groups);
    return 0;
}

static bool ends_at_or_after(const void *context, size_t index)
{
    const struct stretch *wanted = context; /* its `from` is the first segment */
    return wanted->from[index].max >= wanted->first;
}

/* A segment that records `txid`; NULL if there is none. `begins`: of the segments that record each commit. */
static const struct reach *find_recording(const struct history *h, const struct mintree *begins, uint64_t txid)
{
    const struct stretch wanted = {.from = h->all, .first = txid};
    size_t at = search_first(h->count, ends_at_or_after, &wanted);
    if (at == h->count)
        return NULL;
    if (h->all[at].max == txid)
        return &h->all[at];
    return txid < MINTREE_NONE && mintree_first(begins, at, txid, &at) ? &h->all[at] : NULL;
}

/* Notes where a base starts. If nothing was committed while it was written (its start is its max), it is a restore
 * point by itself, provided that a segment has the record of that txid. */
static int note_base(struct catalog *c, struct history *h, const struct mintree *begins, struct catalog_object *marker,
                     struct group *ret_start, struct err *e)
{
    bool all = false;
    if (catalog_load(c, marker, e) || has_all(c, marker->segment, &all, e))
        return -1;
    const struct segment_info *i = &marker->segment->trailer.info;
    if (!all) {
        catalog_spare(c, marker);
        return err_set(e, ERR_CORRUPT, 0, "a chunk of the base is missing");
    }
    const struct reach *from = i->start == i->max ? find_recording(h, begins, i->max) : NULL;
    if (from)
        h->stretches[h->stretch_count++] = (struct stretch){.from = from, .first = i->max, .last = i->max};
    *ret_start = (struct group){.far = i->start, .from_txid = i->max};
    catalog_spare(c, marker);
    return 0;
}

/* Notes what the empty state and the bases lead to. */
static int sweep_all(struct catalog *c, struct history *h, struct err *e)
{
    struct group *starts = calloc(c->marker_count + 1, sizeof *starts);
    struct mintree begins;
    size_t count = 1;
    if (!starts)
        return err_nomem(e, c->marker_count * sizeof *starts);
    if (mintree_init(&begins, h->count, e)) {
        free(starts);
        return -1;
    }
    starts[0] = (struct group){.far = 0, .from_txid = 1};
    for (size_t i = 0; i < h->count; i++)
        if (h->all[i].records_all)
            mintree_set(&begins, i, h->all[i].min);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->marker_count; i++) {
        if (note_base(c, h, &begins, &c->markers[i], &starts[count], e) == 0)
            count++;
        else if (!is_skipped(e))
            rc = -1;
    }
    if (rc == 0)
        rc = sweep(h, starts, count, e);
    mintree_release(&begins);
    free(starts);
    return rc;
}

static int history_read(struct catalog *c, struct history *h, struct err *e)
{
    const size_t segments = catalog_segment_count(c);
    *h = (struct history){.all = calloc(segments + 1, sizeof *h->all),
                          .packs = calloc(segments + 1, sizeof(struct reach *)),
                          .stretches = calloc(segments + c->marker_count + 1, sizeof *h->stretches)};
    int rc = h->all && h->packs && h->stretches ? read_segments(c, h, e) : err_nomem(e, segments * sizeof *h->all);
    if (rc == 0)
        rc = sweep_all(c, h, e);
    for (size_t i = 0; rc == 0 && i < h->count; i++)
        if (h->all[i].first != REACH_NONE)
            h->stretches[h->stretch_count++] =
                (struct stretch){.from = &h->all[i], .first = h->all[i].first, .last = h->all[i].max};
    if (rc == 0)
        qsort(h->stretches, h->stretch_count, sizeof *h->stretches, by_first);
    else
        history_release(h);
    return rc;
}

int points_each(struct catalog *c, points_fn *fn, void *context, struct err *e)
{
    struct history h;
    uint64_t done = 0; /* the last point that `fn` was called for */
    bool stopped = false;
    int rc = history_read(c, &h, e);
    for (size_t i = 0; rc == 0 && !stopped && i < h.stretch_count; i++) {
        const struct stretch *p = &h.stretches[i];
        uint64_t after = p->first - 1 > done ? p->first - 1 : done;
        if (p->last <= after)
            continue;
        if (catalog_load(c, p->from->o, e)) {
            rc = is_skipped(e) ? 0 : -1;
            continue;
        }
        const struct segment *s = p->from->o->segment;
        const uint64_t base = p->from->records_all ? p->from->min : p->from->max; /* of the first record */
        for (uint64_t txid = after + 1 > base ? after + 1 : base; txid <= p->last && !stopped; txid++)
            stopped = fn(context, &s->records[txid - base]) != 0;
        done = p->last;
        if (i + 1 == h.stretch_count || h.stretches[i + 1].from != p->from)
            catalog_spare(c, p->from->o);
    }
    history_release(&h);
    return rc;
}

/* The time of the point `txid`, which the segment records. */
static int time_of(struct catalog *c, const struct reach *r, uint64_t txid, int64_t *ret_ms, struct err *e)
{
    assert(r->min <= txid && txid <= r->max);
    *ret_ms = txid == r->max ? r->last_ms : r->first_ms;
    if (*ret_ms >= 0 && (txid == r->max || txid == r->min))
        return 0;
    if (catalog_load(c, r->o, e))
        return -1;
    *ret_ms = r->o->segment->records[txid - r->min].time_ms;
    catalog_spare(c, r->o);
    return 0;
}

/* The points of a stretch that come after the txid `after`, as a range. */
static int range_of(struct catalog *c, const struct stretch *p, uint64_t after, struct point_range *ret_range,
                    struct err *e)
{
    uint64_t first = p->first > after ? p->first : after + 1;
    assert(first <= p->last);
    uint64_t covers = p->from->records_all ? first : p->from->min > after ? p->from->min : after + 1;
    *ret_range = (struct point_range){
        .first_txid = covers, .last_txid = p->last, .first_point = first, .points = p->last - first + 1};
    if (time_of(c, p->from, first, &ret_range->first_ms, e) || time_of(c, p->from, p->last, &ret_range->last_ms, e))
        return -1;
    if (p->from->clamped <= p->last) {
        ret_range->clamped_first = first > p->from->clamped ? first : p->from->clamped;
        ret_range->clamped_last = p->last;
    }
    return 0;
}

bool point_range_every(const struct point_range *r)
{
    return r->points == r->last_txid - r->first_txid + 1;
}

/* Whether the stretch is a pack between neighbours that each have every commit. Then no time of it is needed, and nothing
 * of it is read: a day can be thousands of packs. */
static bool is_in_middle(const struct history *h, size_t i, const struct point_range *range)
{
    const struct stretch *p = &h->stretches[i], *next = p + 1;
    return p->from->pack && i + 1 < h->stretch_count && range->points > 0 && point_range_every(range) &&
           p->first <= range->last_txid + 1 && next->first == p->last + 1 && next->from->records_all;
}

int points_ranges(struct catalog *c, point_range_fn *fn, void *context, struct err *e)
{
    struct history h;
    struct point_range range = {.points = 0}, next;
    bool stopped = false;
    int rc = history_read(c, &h, e);
    for (size_t i = 0; rc == 0 && !stopped && i < h.stretch_count; i++) {
        if (h.stretches[i].last <= range.last_txid)
            continue;
        if (is_in_middle(&h, i, &range)) {
            range.points += h.stretches[i].last - range.last_txid;
            range.last_txid = h.stretches[i].last;
        } else if (range_of(c, &h.stretches[i], range.last_txid, &next, e)) {
            rc = is_skipped(e) ? 0 : -1;
        } else if (range.points && next.first_txid == range.last_txid + 1 &&
                   point_range_every(&next) == point_range_every(&range)) {
            range.last_txid = next.last_txid;
            range.last_ms = next.last_ms;
            range.points += next.points;
            if (range.clamped_last == 0)
                range.clamped_first = next.clamped_first;
            if (next.clamped_last)
                range.clamped_last = next.clamped_last;
        } else {
            stopped = range.points && fn(context, &range);
            range = next;
        }
    }
    if (rc == 0 && !stopped && range.points)
        fn(context, &range);
    history_release(&h);
    return rc;
}

/* ---- the point that a person asked for */

struct nearest {
    uint64_t txid, before, after, newest; /* 0: none */
};

static int note_nearest(void *context, const struct commit_record *record)
{
    struct nearest *n = context;
    if (record->txid < n->txid)
        n->before = record->txid;
    else if (n->after == 0)
        n->after = record->txid;
    n->newest = record->txid;
    return 0;
}

/* Adds the nearest restore points to the error, from all objects: retention has removed what level 0 had at
 * `txid`. */
static int hint_from_all(struct catalog *c, uint64_t txid, struct err *e)
{
    struct nearest n = {.txid = txid};
    struct err failed;
    if (points_each(c, note_nearest, &n, &failed)) {
        *e = failed;
        return -1;
    }
    if (n.before && n.after)
        return err_hint(e, "the nearest are %" PRIu64 " and %" PRIu64 ", the newest is %" PRIu64, n.before, n.after,
                        n.newest);
    if (n.after)
        return err_hint(e, "the oldest is %" PRIu64 ", the newest is %" PRIu64, n.after, n.newest);
    if (n.before)
        return err_hint(e, "the newest is %" PRIu64, n.before);
    return err_hint(e, "list the restore points with 'seawall list'");
}

/* Adds the nearest restore points to the error. */
static int hint_nearest(struct catalog *c, uint64_t txid, struct err *e)
{
    struct catalog_object *around = catalog_level0_at(c, txid);
    struct err failed = {.code = ERR_NONE};
    const bool known = around && catalog_load(c, around, &failed) == 0; /* without it the hint says less */
    if (plan_must_stop(&failed)) {
        *e = failed;
        return -1;
    }
    const struct segment_info *i = known ? &around->segment->trailer.info : NULL;
    if (i && i->max >= txid)
        return err_hint(e, "txids %" PRIu64 " to %" PRIu64 " were stored as one; try %" PRIu64, i->min, i->max, i->max);
    if (i && around == catalog_head(c))
        return err_hint(e, "the newest is %" PRIu64, i->max);
    return hint_from_all(c, txid, e);
}

static int plan_exact(struct catalog *c, uint64_t txid, struct plan *ret_plan, struct err *e)
{
    struct commit_record record;
    struct err failed;
    if (plan_make(c, txid, ret_plan, e) == 0)
        return 0;
    if (e->code != ERR_NOTFOUND || plan_find_record(c, txid, &record, &failed) == 0)
        return -1; /* if it has a record, objects are missing that lead there: the error says which */
    if (!plan_must_stop(&failed))
        return hint_nearest(c, txid, e);
    *e = failed;
    return -1;
}

static int note_newest(void *context, const struct commit_record *record)
{
    *(uint64_t *)context = record->txid;
    return 0;
}

/* *ret_waits: what comes after `txid` can't be restored only because a base is not complete yet. Otherwise objects
 * are missing or were overwritten. */
static int look_for_base_to_come(struct catalog *c, uint64_t txid, bool *ret_waits, struct err *e)
{
    *ret_waits = false;
    for (size_t i = c->level0_count; i-- > 0 && c->level0[i].name.min > txid && !*ret_waits;) {
        struct err failed;
        if (catalog_load(c, &c->level0[i], &failed) == 0) {
            *ret_waits = c->level0[i].segment->trailer.info.flags & SEGMENT_BASE_ONLY;
        } else if (failed.code != ERR_CORRUPT && failed.code != ERR_NOTFOUND) {
            *e = failed; /* a store that does not answer damages nothing */
            return -1;
        }
    }
    return 0;
}

/* The newest restore point, which is not the end `end` of the history. */
static int plan_newest_before(struct catalog *c, uint64_t end, struct plan *ret_plan, struct err *e)
{
    uint64_t newest = 0;
    bool waits = false;
    if (points_each(c, note_newest, &newest, e))
        return -1;
    if (newest == 0)
        return err_set(e, ERR_NOTFOUND, 0, "'%s' has no complete restore point yet", c->store->url);
    if (look_for_base_to_come(c, newest, &waits, e))
        return -1;
    if (waits)
        return plan_make(c, newest, ret_plan, e);
    err_set(e, ERR_CORRUPT, 0,
            "'%s' goes on to txid %" PRIu64 ", but objects after txid %" PRIu64 " are missing or damaged",
            c->store->url, end, newest);
    return err_hint(e, "restore the last point before the gap with --txid %" PRIu64, newest);
}

int points_plan(struct catalog *c, uint64_t txid, struct plan *ret_plan, struct err *e)
{
    struct catalog_object *head = catalog_head(c);
    if (txid != POINT_NEWEST)
        return plan_exact(c, txid, ret_plan, e);
    if (!head)
        return err_set(e, ERR_NOTFOUND, 0, "'%s' has no restore point yet", c->store->url);
    if (catalog_load(c, head, e))
        return -1;
    const uint64_t end = head->segment->trailer.info.max;
    catalog_spare(c, head);
    if (plan_make(c, end, ret_plan, e) == 0)
        return 0;
    return e->code == ERR_NOTFOUND ? plan_newest_before(c, end, ret_plan, e) : -1;
}

/* ---- the last point before a moment */

/* A binary search in level 0, by time. An object that can't be loaded ends it. */
struct time_search {
    struct catalog *c;
    int64_t time_ms;
    struct err *failed; /* ERR_NONE as long as all objects could be loaded */
};

static bool begins_later(const void *context, size_t index)
{
    const struct time_search *s = context;
    struct catalog_object *o = &s->c->level0[index];
    if (s->failed->code != ERR_NONE || catalog_load(s->c, o, s->failed))
        return true;
    return o->segment->records[0].time_ms > s->time_ms;
}

/* Whether level 0 has a gap before the object `next`. Higher levels may have the missing txids. */
static bool is_before_gap(const struct catalog *c, size_t next)
{
    const uint64_t max = c->level0[next - 1].segment->trailer.info.max;
    if (next < c->level0_count)
        return max + 1 != c->level0[next].name.min;
    for (size_t i = 0; i < c->level_count; i++)
        if (c->levels[i].name.max > max)
            return true;
    return false;
}

/* Finds the last commit of level 0 that is not later than `time_ms`. Times never decrease, so a dozen objects are read,
 * however long the history is. *ret_txid is 0 if level 0 does not have that commit, an object on the way can't be
 * read, or level 0 has a gap there. */
static int find_in_level0(struct catalog *c, int64_t time_ms, uint64_t *ret_txid, struct err *e)
{
    struct err failed = {.code = ERR_NONE};
    const struct time_search search = {c, time_ms, &failed};
    size_t next = search_first(c->level0_count, begins_later, &search);
    *ret_txid = 0;
    if (plan_must_stop(&failed)) {
        *e = failed;
        return -1;
    }
    if (failed.code != ERR_NONE || next == 0 || is_before_gap(c, next))
        return 0;
    const struct segment *s = c->level0[next - 1].segment;
    for (uint32_t i = 0; i < s->trailer.record_count && s->records[i].time_ms <= time_ms; i++)
        *ret_txid = s->records[i].txid;
    return 0;
}

struct moment {
    int64_t time_ms;
    struct commit_record first, found; /* txid 0: none */
};

static int note_moment(void *context, const struct commit_record *r)
{
    struct moment *m = context;
    if (m->first.txid == 0)
        m->first = *r;
    if (r->time_ms <= m->time_ms)
        m->found = *r;
    return r->time_ms > m->time_ms;
}

static int no_point_before(const struct catalog *c, const struct moment *m, struct err *e)
{
    char first[CLOCK_TEXT_MAX], asked[CLOCK_TEXT_MAX];
    if (m->first.txid == 0)
        return err_set(e, ERR_NOTFOUND, 0, "'%s' has no restore point yet", c->store->url);
    clock_format(m->first.time_ms, first);
    clock_format(m->time_ms, asked);
    err_set(e, ERR_NOTFOUND, 0, "'%s' has no restore point at or before %s", c->store->url, asked);
    return err_hint(e, "the earliest is txid %" PRIu64 " of %s", m->first.txid, first);
}

int points_at_time(struct catalog *c, int64_t time_ms, uint64_t *ret_txid, struct err *e)
{
    struct moment m = {.time_ms = time_ms};
    uint64_t txid = 0;
    if (find_in_level0(c, time_ms, &txid, e))
        return -1;
    if (txid) {
        struct plan p = {0};
        int rc = plan_make(c, txid, &p, e);
        plan_release(&p);
        if (rc == 0)
            *ret_txid = txid;
        if (rc == 0 || plan_must_stop(e))
            return rc;
    }
    if (points_each(c, note_moment, &m, e))
        return -1;
    if (m.found.txid == 0)
        return no_point_before(c, &m, e);
    *ret_txid = m.found.txid;
    return 0;
}
