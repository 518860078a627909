/* replica/plan.c */
#include "replica/plan.h"

#include "base/clock.h"
#include "base/page.h"
#include "base/trial.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void plan_release(struct plan *p)
{
    free(p->sources);
    *p = (struct plan){0};
}

static int add_source(struct plan *p, const struct plan_source *s, struct err *e)
{
    if (p->source_count == p->source_cap) {
        size_t cap = p->source_cap ? 2 * p->source_cap : 32;
        void *grown = realloc(p->sources, cap * sizeof *p->sources);
        if (!grown)
            return err_nomem(e, cap * sizeof *p->sources);
        p->sources = grown;
        p->source_cap = cap;
    }
    p->sources[p->source_count++] = *s;
    p->bytes += s->size;
    return 0;
}

/* Parts of a manifest or chunks of a marker. */
static int add_listed(struct plan *p, const struct segment *s, enum object_kind kind, struct err *e)
{
    for (uint32_t i = 0; i < s->trailer.list_count; i++) {
        const struct listed *l = &s->list[i];
        struct plan_source source = {.digest = l->digest,
                                     .kind = kind,
                                     .max = l->max,
                                     .size = l->size,
                                     .first_page = l->first_page,
                                     .last_page = l->last_page};
        enum name_kind want = kind == OBJECT_CHUNK ? NAME_CHUNK : NAME_PART;
        if (name_parse(l->name).kind != want)
            return err_set(e, ERR_CORRUPT, 0, "names an object '%s' that can't be one of its own", l->name);
        snprintf(source.key, sizeof source.key, "%s", l->name);
        if (add_source(p, &source, e))
            return -1;
    }
    return 0;
}

/* ---- the target */

static bool is_full(const struct segment_info *i)
{
    return i->level == 0 && !(i->flags & SEGMENT_LAST_ONLY);
}

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

/* Level 0 has nothing there: retention has taken it. What is left around it, all objects have to tell. */
static int between_points(struct catalog *c, uint64_t txid, struct err *e)
{
    struct nearest n = {.txid = txid};
    struct err failed;
    if (plan_points(c, note_nearest, &n, &failed)) {
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
    return err_hint(e, "'seawall list' shows which there are");
}

/* `around`: the last object of level 0 that begins at it or before. */
static int no_such_point(struct catalog *c, uint64_t txid, const struct catalog_object *around, struct err *e)
{
    const struct segment_info *i = around && around->segment ? &around->segment->trailer.info : NULL;
    err_set(e, ERR_NOTFOUND, 0, "txid %" PRIu64 " is no restore point of '%s'", txid, c->store->url);
    if (i && i->max >= txid)
        return err_hint(e, "txids %" PRIu64 " to %" PRIu64 " were stored as one; try %" PRIu64, i->min, i->max, i->max);
    if (i && around == &c->level0[c->level0_count - 1])
        return err_hint(e, "the newest is %" PRIu64, i->max);
    return between_points(c, txid, e);
}

/* A level-0 object records each of its commits, or its last; a higher one its last. A damaged one is passed over while another has
 * it. */
static int find_record(struct catalog *c, uint64_t txid, struct commit_record *ret_record, struct err *e)
{
    struct catalog_object *o = catalog_level0_at(c, txid);
    struct err damage = {.code = ERR_NONE};
    if (o && catalog_load(c, o, &damage)) {
        o = NULL;
    } else if (o) {
        const struct segment_trailer *t = &o->segment->trailer;
        bool recorded = txid == t->info.max || (txid < t->info.max && is_full(&t->info));
        if (recorded) {
            *ret_record = o->segment->records[txid == t->info.max ? t->record_count - 1 : txid - t->info.min];
            return 0;
        }
    }
    for (size_t i = 0; i < c->level_count; i++) {
        struct err later;
        if (c->levels[i].name.max != txid)
            continue;
        if (catalog_load(c, &c->levels[i], &later) == 0) {
            *ret_record = c->levels[i].segment->records[0];
            return 0;
        }
        if (damage.code == ERR_NONE)
            damage = later;
    }
    if (damage.code == ERR_NONE)
        return no_such_point(c, txid, o, e);
    *e = damage;
    return -1;
}

/* ---- the walk */

/* Is an object of which the listing lacks a part or chunk taken too? Only where there is no other way: a restore will fail at it,
 * and say what is missing. */
enum care { ONLY_COMPLETE, INCOMPLETE_TOO };

struct walk {
    struct plan *plan;
    enum care care;
    uint64_t target, pos;
    bool checksum_known; /* of the state at pos */
    uint64_t checksum;
};

/* Does the listing have all that a manifest or marker names, with its size? */
static bool is_complete(const struct catalog *c, const struct segment *s)
{
    for (uint32_t i = 0; i < s->trailer.list_count; i++) {
        const struct name name = name_parse(s->list[i].name);
        const struct catalog_object *o = catalog_find(c, &name);
        if (!o || o->size != s->list[i].size)
            return false;
    }
    return true;
}

static bool is_acceptable(const struct catalog *c, enum care care, const struct segment *s)
{
    return care == INCOMPLETE_TOO || is_complete(c, s);
}

/* The segment that takes the walk furthest. A damaged one is passed over when another reaches; otherwise its error stands. */
static int choose(struct catalog *c, const struct walk *w, struct catalog_object **ret_best, struct err *e)
{
    struct catalog_object *best = NULL, *o = catalog_level0_at(c, w->pos + 1);
    uint64_t best_reach = w->pos;
    int rc = 0;
    if (o && (rc = catalog_load(c, o, e)) == 0) {
        const struct segment_info *i = &o->segment->trailer.info;
        bool usable = i->max > w->pos && !(i->flags & SEGMENT_BASE_ONLY) && (i->max <= w->target || is_full(i)) &&
                      is_acceptable(c, w->care, o->segment);
        if (usable) {
            best = o;
            best_reach = i->max < w->target ? i->max : w->target;
        }
    }
    for (size_t i = 0; i < c->level_count; i++) {
        const struct name *n = &c->levels[i].name;
        if (n->min > w->pos + 1 || n->max <= w->pos || n->max > w->target)
            continue;
        bool better = n->max > best_reach || (n->max == best_reach && best && n->level > best->name.level);
        struct err damaged;
        if (!better)
            continue;
        if (catalog_load(c, &c->levels[i], &damaged)) {
            if (rc == 0)
                *e = damaged;
            rc = -1;
            continue;
        }
        if (!is_acceptable(c, w->care, c->levels[i].segment))
            continue;
        best = &c->levels[i];
        best_reach = n->max;
    }
    *ret_best = best;
    if (best)
        return 0;
    return rc ? -1 : err_set(e, ERR_NOTFOUND, 0, "no segment continues the state after txid %" PRIu64, w->pos);
}

static int take(struct walk *w, const struct catalog_object *o, struct err *e)
{
    const struct segment *s = o->segment;
    const struct segment_info *i = &s->trailer.info;
    struct plan *p = w->plan;
    if (i->flags & SEGMENT_FROM_EMPTY) {
        p->source_count = 0;
        p->bytes = 0;
        p->page_size = i->page_size;
    } else if (i->min - 1 == w->pos && w->checksum_known && i->checksum_before != w->checksum) {
        return err_set(e, ERR_CORRUPT, 0, "does not continue the state after txid %" PRIu64 ": checksums differ",
                       w->pos);
    }
    if (p->page_size == 0)
        p->page_size = i->page_size;
    if (p->page_size != i->page_size)
        return err_set(e, ERR_CORRUPT, 0, "page size %u after %u", i->page_size, p->page_size);
    struct plan_source source = {.kind = OBJECT_SEGMENT, .max = i->max, .size = o->size};
    name_format(&o->name, source.key);
    if (add_listed(p, s, OBJECT_PART, e) || add_source(p, &source, e))
        return -1;
    w->checksum_known = i->max <= w->target;
    w->checksum = s->records[s->trailer.record_count - 1].checksum;
    w->pos = i->max < w->target ? i->max : w->target;
    return 0;
}

static int walk_to(struct catalog *c, struct walk *w, struct err *e)
{
    while (w->pos < w->target) {
        struct catalog_object *o = NULL;
        char key[NAME_MAX_BYTES];
        if (choose(c, w, &o, e) || !o)
            return -1;
        if (take(w, o, e)) {
            name_format(&o->name, key);
            return err_wrap(e, "object '%s'", key);
        }
    }
    return 0;
}

static void start_over(struct plan *p)
{
    p->source_count = 0;
    p->bytes = 0;
    p->page_size = 0;
}

/* Do its chunks have all pages that it says? One that was begun while nothing was known of the database could have none. */
static bool chunks_fill_base(const struct segment *marker)
{
    uint64_t next = 1;
    for (uint32_t i = 0; i < marker->trailer.list_count; i++) {
        if (marker->list[i].first_page > next)
            return false;
        next = (uint64_t)marker->list[i].last_page + 1;
    }
    return marker->trailer.list_count > 0 && next > marker->trailer.info.last_page;
}

/* `marker` NULL: from the empty state. */
static int plan_from(struct catalog *c, struct catalog_object *marker, uint64_t target, enum care care, struct plan *p,
                     struct err *e)
{
    struct walk w = {.plan = p, .care = care, .target = target};
    start_over(p);
    if (marker) {
        const struct segment_info *i = &marker->segment->trailer.info;
        w.pos = RULE(base_start) ? i->start : i->max;
        p->page_size = i->page_size;
        int rc = chunks_fill_base(marker->segment)
                     ? add_listed(p, marker->segment, OBJECT_CHUNK, e)
                     : err_set(e, ERR_CORRUPT, 0, "names no chunks for all pages of the base");
        if (rc) {
            char key[NAME_MAX_BYTES];
            name_format(&marker->name, key);
            return err_wrap(e, "object '%s'", key);
        }
    }
    return walk_to(c, &w, e);
}

/* From a segment before which nothing counts, whatever is missing there; the newest first. */
static int plan_from_new_beginning(struct catalog *c, uint64_t target, enum care care, struct plan *p)
{
    struct err e;
    for (size_t i = c->level0_count + c->level_count; i-- > 0;) {
        struct catalog_object *o = i < c->level0_count ? &c->level0[i] : &c->levels[i - c->level0_count];
        if (o->name.min > target || catalog_load(c, o, &e))
            continue;
        const struct segment_info *info = &o->segment->trailer.info;
        bool begins = (info->flags & SEGMENT_FROM_EMPTY) && !(info->flags & SEGMENT_BASE_ONLY);
        if (!begins || (info->max > target && !is_full(info)) || !is_acceptable(c, care, o->segment))
            continue;
        struct walk w = {.plan = p, .care = care, .target = target, .pos = info->min - 1};
        start_over(p);
        if (take(&w, o, &e) == 0 && walk_to(c, &w, &e) == 0)
            return 0;
    }
    return -1;
}

/* From the newest base that leads there, an older one, the empty state or a new beginning. */
static int plan_with(struct catalog *c, uint64_t txid, enum care care, struct plan *p, struct err *e)
{
    struct err first = {.code = ERR_NONE};
    for (size_t i = c->marker_count; i-- > 0;) {
        struct catalog_object *marker = &c->markers[i];
        if (marker->name.start > txid)
            continue;
        int rc = catalog_load(c, marker, e);
        if (rc == 0 && marker->segment->trailer.info.max > txid && RULE(base_span))
            continue;
        if (rc == 0 && !is_acceptable(c, care, marker->segment))
            continue;
        if (rc == 0)
            rc = plan_from(c, marker, txid, care, p, e);
        if (rc == 0)
            return 0;
        if (e->code != ERR_CORRUPT && e->code != ERR_NOTFOUND)
            return -1;
        if (first.code == ERR_NONE || (first.code == ERR_NOTFOUND && e->code == ERR_CORRUPT))
            first = *e;
    }
    if (plan_from(c, NULL, txid, care, p, e) == 0 || plan_from_new_beginning(c, txid, care, p) == 0)
        return 0;
    if (first.code == ERR_CORRUPT) /* damage explains more than a missing start does */
        *e = first;
    return err_wrap(e, "txid %" PRIu64, txid);
}

static int plan_exact(struct catalog *c, uint64_t txid, struct plan *ret_plan, struct err *e)
{
    struct plan p = {.database = c->identity.database};
    if (txid == 0) {
        *ret_plan = p;
        return 0;
    }
    if (find_record(c, txid, &p.record, e))
        return -1;
    int rc = plan_with(c, txid, ONLY_COMPLETE, &p, e);
    if (rc != 0 && (e->code == ERR_CORRUPT || e->code == ERR_NOTFOUND))
        rc = plan_with(c, txid, INCOMPLETE_TOO, &p, e);
    if (rc)
        plan_release(&p);
    else
        *ret_plan = p;
    return rc;
}

struct newest {
    uint64_t txid;
};

static int note_newest(void *context, const struct commit_record *record)
{
    ((struct newest *)context)->txid = record->txid;
    return 0;
}

/* Is what comes after `txid` only waiting for a base that is not complete yet? Otherwise objects are missing or were overwritten.
 */
static bool waits_for_base(struct catalog *c, uint64_t txid)
{
    struct err ignored;
    for (size_t i = c->level0_count; i-- > 0 && c->level0[i].name.min > txid;)
        if (catalog_load(c, &c->level0[i], &ignored) == 0 &&
            (c->level0[i].segment->trailer.info.flags & SEGMENT_BASE_ONLY))
            return true;
    return false;
}

int plan_make(struct catalog *c, uint64_t txid, struct plan *ret_plan, struct err *e)
{
    if (txid != PLAN_NEWEST)
        return plan_exact(c, txid, ret_plan, e);
    if (c->level0_count == 0)
        return err_set(e, ERR_NOTFOUND, 0, "'%s' has no restore point yet", c->store->url);
    struct catalog_object *head = &c->level0[c->level0_count - 1];
    if (catalog_load(c, head, e))
        return -1;
    const uint64_t end = head->segment->trailer.info.max;
    if (plan_exact(c, end, ret_plan, e) == 0)
        return 0;
    if (e->code != ERR_NOTFOUND)
        return -1;
    struct newest newest = {0}; /* a base is under way, or its levels are incomplete: what came before still counts */
    if (plan_points(c, note_newest, &newest, e))
        return -1;
    if (newest.txid == 0)
        return err_set(e, ERR_NOTFOUND, 0, "'%s' has no complete restore point yet", c->store->url);
    if (!waits_for_base(c, newest.txid)) {
        err_set(e, ERR_CORRUPT, 0,
                "'%s' goes on to txid %" PRIu64 ", but objects after txid %" PRIu64 " are missing or damaged",
                c->store->url, end, newest.txid);
        return err_hint(e, "--txid %" PRIu64 " restores what is before the gap", newest.txid);
    }
    return plan_exact(c, newest.txid, ret_plan, e);
}

/* ---- the map of a target */

static int merge_source(struct catalog *c, const struct plan *p, const struct plan_source *source, struct map *m,
                        struct err *e)
{
    struct segment s;
    if (object_load(c->store, source->key, c->codec, SEGMENT_WANT_ALL, &s, e)) {
        const struct name name = name_parse(source->key);
        if (e->code == ERR_NOTFOUND) /* the replica names it; it was there, or it was not even listed */
            e->code = catalog_find(c, &name) ? ERR_GONE : ERR_CORRUPT;
        return -1;
    }
    for (uint32_t i = 0; i < s.trailer.version_count; i++) {
        const struct version *v = &s.versions[i];
        if (v->txid <= p->record.txid && v->pgno <= p->record.pages && v->txid >= map_get(m, v->pgno).txid)
            map_set(m, v->pgno, (struct map_entry){.hash = v->hash, .txid = v->txid});
    }
    segment_release(&s);
    return 0;
}

int plan_map(struct catalog *c, const struct plan *p, struct map *ret_map, struct err *e)
{
    struct map m;
    map_init_memory(&m, p->page_size);
    int rc = map_resize(&m, p->record.pages, e);
    for (size_t i = 0; rc == 0 && i < p->source_count; i++)
        rc = merge_source(c, p, &p->sources[i], &m, e);
    if (rc == 0 && m.checksum != p->record.checksum)
        rc = err_set(e, ERR_CORRUPT, 0,
                     "txid %" PRIu64 ": the indexes give another database checksum than the commit record",
                     p->record.txid);
    if (rc == 0)
        *ret_map = m;
    else
        map_release(&m);
    return rc;
}

/* ---- all restore points
 *
 * From one start, a state p can be reached if it is the end of a segment that begins at or before a reachable state + 1. Taking the
 * segments in ascending order of their ends makes that one pass: every reachable state below the end is known by then.
 *
 * What a start reaches of a segment is a suffix of its points, so over all starts one number for each segment says it all, however
 * many points there are. Records are looked at afterwards, segment by segment. */

struct reach {
    struct catalog_object *o;
    uint64_t min, max;
    uint64_t first;            /* its points from here on can be restored; REACH_NONE: none */
    int64_t first_ms, last_ms; /* of its first and its last record */
    uint32_t flags;
    unsigned level;
    bool full;
};
#define REACH_NONE UINT64_MAX

/* Points that one segment records: all from `first` to `last`. */
struct piece {
    const struct reach *from;
    uint64_t first, last;
};

struct history {
    struct reach *all; /* ascending max */
    size_t count;
    struct piece *pieces; /* ascending first; they may overlap */
    size_t piece_count;
};

static void history_release(struct history *h)
{
    free(h->all);
    free(h->pieces);
    *h = (struct history){0};
}

static int by_end(const void *a, const void *b)
{
    const struct reach *x = a, *y = b;
    if (x->max != y->max)
        return x->max < y->max ? -1 : 1;
    return (x->level > y->level) - (x->level < y->level);
}

/* Where several record the same point, the one that says most comes first: more points, then a point that stands for less. */
static int by_first(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    if (x->last != y->last)
        return x->last > y->last ? -1 : 1;
    return (x->from->min < y->from->min) - (x->from->min > y->from->min);
}

/* A damaged object, or one that is gone by now: what it alone would give is no restore point. */
static bool to_be_passed_over(const struct err *e)
{
    return e->code == ERR_CORRUPT || e->code == ERR_GONE;
}

static int read_segments(struct catalog *c, struct history *h, struct err *e)
{
    for (size_t i = 0; i < c->level0_count + c->level_count; i++) {
        struct catalog_object *o = i < c->level0_count ? &c->level0[i] : &c->levels[i - c->level0_count];
        if (catalog_load(c, o, e)) {
            if (!to_be_passed_over(e))
                return -1;
            continue;
        }
        const struct segment *s = o->segment;
        const struct segment_info *info = &s->trailer.info;
        h->all[h->count++] = (struct reach){.o = o,
                                            .min = info->min,
                                            .max = info->max,
                                            .first = REACH_NONE,
                                            .first_ms = s->records[0].time_ms,
                                            .last_ms = s->records[s->trailer.record_count - 1].time_ms,
                                            .flags = info->flags,
                                            .level = info->level,
                                            .full = is_full(info)};
        catalog_spare(c, o);
    }
    qsort(h->all, h->count, sizeof *h->all, by_end);
    return 0;
}

/* One start: every point not before `from_txid` that the segments reach from the state `start`. */
static void sweep(struct history *h, uint64_t start, uint64_t from_txid)
{
    uint64_t far = start;
    for (size_t i = 0; i < h->count; i++) {
        struct reach *r = &h->all[i];
        bool restart = (r->flags & SEGMENT_FROM_EMPTY) && !(r->flags & SEGMENT_BASE_ONLY);
        if ((r->flags & SEGMENT_BASE_ONLY) || r->max <= start || (r->min > far + 1 && !restart))
            continue;
        uint64_t first = far + 1 > from_txid ? far + 1 : from_txid; /* before it, others were there first */
        if (!r->full && first <= r->max)
            first = r->max;
        if (first < r->min)
            first = r->min;
        if (first <= r->max && first < r->first)
            r->first = first;
        if (r->max > far)
            far = r->max;
    }
}

static const struct reach *that_records(const struct history *h, uint64_t txid)
{
    for (size_t i = 0; i < h->count; i++)
        if (h->all[i].max == txid || (h->all[i].full && h->all[i].min <= txid && txid <= h->all[i].max))
            return &h->all[i];
    return NULL;
}

/* A base alone gives its own newest txid, whose record stands in a segment. */
static int sweep_base(struct catalog *c, struct history *h, struct catalog_object *marker, struct err *e)
{
    if (catalog_load(c, marker, e))
        return to_be_passed_over(e) ? 0 : -1;
    const struct segment_info *i = &marker->segment->trailer.info;
    const struct reach *from = i->start == i->max ? that_records(h, i->max) : NULL;
    if (from)
        h->pieces[h->piece_count++] = (struct piece){.from = from, .first = i->max, .last = i->max};
    sweep(h, i->start, i->max);
    return 0;
}

static int history_read(struct catalog *c, struct history *h, struct err *e)
{
    size_t segments = c->level0_count + c->level_count;
    *h = (struct history){.all = calloc(segments + 1, sizeof *h->all),
                          .pieces = calloc(segments + c->marker_count + 1, sizeof *h->pieces)};
    int rc = h->all && h->pieces ? read_segments(c, h, e) : err_nomem(e, segments * sizeof *h->all);
    if (rc == 0)
        sweep(h, 0, 1);
    for (size_t i = 0; rc == 0 && i < c->marker_count; i++)
        rc = sweep_base(c, h, &c->markers[i], e);
    for (size_t i = 0; rc == 0 && i < h->count; i++)
        if (h->all[i].first != REACH_NONE)
            h->pieces[h->piece_count++] =
                (struct piece){.from = &h->all[i], .first = h->all[i].first, .last = h->all[i].max};
    if (rc == 0)
        qsort(h->pieces, h->piece_count, sizeof *h->pieces, by_first);
    else
        history_release(h);
    return rc;
}

int plan_points(struct catalog *c, plan_point_fn *fn, void *context, struct err *e)
{
    struct history h;
    uint64_t done = 0; /* the last point that was told */
    bool stopped = false;
    int rc = history_read(c, &h, e);
    for (size_t i = 0; rc == 0 && !stopped && i < h.piece_count; i++) {
        const struct piece *p = &h.pieces[i];
        uint64_t after = p->first - 1 > done ? p->first - 1 : done;
        if (p->last <= after)
            continue;
        if (catalog_load(c, p->from->o, e)) {
            rc = to_be_passed_over(e) ? 0 : -1;
            continue;
        }
        const struct segment *s = p->from->o->segment;
        for (uint32_t r = 0; r < s->trailer.record_count && !stopped; r++)
            if (s->records[r].txid > after && s->records[r].txid <= p->last)
                stopped = fn(context, &s->records[r]) != 0;
        done = p->last;
        catalog_spare(c, p->from->o);
    }
    history_release(&h);
    return rc;
}

/* When the point `txid` was, which the segment records. */
static int time_of(struct catalog *c, const struct reach *r, uint64_t txid, int64_t *ret_ms, struct err *e)
{
    *ret_ms = txid == r->max ? r->last_ms : r->first_ms;
    if (txid == r->max || txid == r->min)
        return 0;
    if (catalog_load(c, r->o, e))
        return -1;
    *ret_ms = r->o->segment->records[txid - r->min].time_ms;
    catalog_spare(c, r->o);
    return 0;
}

/* The points of a piece behind those that were told: from `after` + 1. */
static int range_of(struct catalog *c, const struct piece *p, uint64_t after, struct plan_range *ret_range,
                    struct err *e)
{
    uint64_t first = p->first > after ? p->first : after + 1;
    uint64_t covers = p->from->full ? first : p->from->min > after ? p->from->min : after + 1;
    *ret_range = (struct plan_range){
        .first_txid = covers, .last_txid = p->last, .first_point = first, .points = p->last - first + 1};
    return time_of(c, p->from, first, &ret_range->first_ms, e) || time_of(c, p->from, p->last, &ret_range->last_ms, e)
               ? -1
               : 0;
}

bool plan_range_every(const struct plan_range *r)
{
    return r->points == r->last_txid - r->first_txid + 1;
}

int plan_ranges(struct catalog *c, plan_range_fn *fn, void *context, struct err *e)
{
    struct history h;
    struct plan_range range = {.points = 0}, next;
    bool stopped = false;
    int rc = history_read(c, &h, e);
    for (size_t i = 0; rc == 0 && !stopped && i < h.piece_count; i++) {
        if (h.pieces[i].last <= range.last_txid)
            continue;
        if (range_of(c, &h.pieces[i], range.last_txid, &next, e)) {
            rc = to_be_passed_over(e) ? 0 : -1;
        } else if (range.points && next.first_txid == range.last_txid + 1 &&
                   plan_range_every(&next) == plan_range_every(&range)) {
            range.last_txid = next.last_txid;
            range.last_ms = next.last_ms;
            range.points += next.points;
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

/* ---- a moment */

/* The last commit of level 0 not after it, as times never fall: a dozen objects are looked at, whatever the history. 0: none, an
 * object on the way can't be read, or level 0 has a gap there, which higher levels may bridge. */
static uint64_t find_in_level0(struct catalog *c, int64_t time_ms)
{
    size_t low = 0, high = c->level0_count;
    struct err ignored;
    while (low < high) { /* the first object that begins after it */
        size_t mid = low + (high - low) / 2;
        if (catalog_load(c, &c->level0[mid], &ignored))
            return 0;
        if (c->level0[mid].segment->records[0].time_ms > time_ms)
            high = mid;
        else
            low = mid + 1;
    }
    if (low == 0)
        return 0;
    const struct segment *s = c->level0[low - 1].segment;
    uint64_t txid = 0;
    bool gap = low < c->level0_count && s->trailer.info.max + 1 != c->level0[low].name.min;
    for (size_t i = 0; low == c->level0_count && i < c->level_count; i++)
        gap |= c->levels[i].name.max > s->trailer.info.max;
    if (gap)
        return 0;
    for (uint32_t i = 0; i < s->trailer.record_count && s->records[i].time_ms <= time_ms; i++)
        txid = s->records[i].txid;
    return txid;
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

int plan_find_time(struct catalog *c, int64_t time_ms, uint64_t *ret_txid, struct err *e)
{
    struct plan p = {0};
    struct moment m = {.time_ms = time_ms};
    uint64_t txid = find_in_level0(c, time_ms);
    if (txid && plan_exact(c, txid, &p, e) == 0) {
        plan_release(&p);
        *ret_txid = txid;
        return 0;
    }
    if (plan_points(c, note_moment, &m, e))
        return -1;
    *ret_txid = m.found.txid;
    if (m.found.txid)
        return 0;
    if (m.first.txid == 0)
        return err_set(e, ERR_NOTFOUND, 0, "'%s' has no restore point yet", c->store->url);
    char first[CLOCK_TEXT_MAX], asked[CLOCK_TEXT_MAX];
    clock_format(m.first.time_ms, first);
    clock_format(time_ms, asked);
    err_set(e, ERR_NOTFOUND, 0, "'%s' has no restore point at or before %s", c->store->url, asked);
    return err_hint(e, "the earliest is txid %" PRIu64 " of %s", m.first.txid, first);
}
