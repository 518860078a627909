/* retention/proof.c - the two proofs that come before any deletion: the objects that stay give the promised
 * restore points, and the listing can be believed.
 *
 * The planner is the judge, not the rules a second time. It sees a catalog without the objects that go, and
 * without bases from which no restore can start. */
#include "replica/ways.h"
#include "retention/decision.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How many points are tried besides the newest and those of bases. Each costs a few reads of the store. Where they cost
 * money, each prune tries fewer: prunes come often while objects are packed. */
#define SAMPLE 16
#define SAMPLE_COSTLY 6

/* ---- restore points */

/* A catalog with fewer objects than the decision's. It borrows their loaded segments for one plan at a time. */
struct view {
    const struct decision *d;
    struct catalog c;
    struct catalog_object *objects; /* owned; the objects in the lists of c */
    struct catalog_object **lent;   /* owned; the same objects in the decision's catalog */
    size_t count;
    uint64_t borrowed; /* `loads` of the decision's catalog when its segments were borrowed last; 0: never */
};

#define COPIES_A_STEP 32 /* pointers that are copied in the time of a step */

struct proof {
    const struct decision *d;
    struct view before, after;
    uint64_t copies; /* pointers to segments that were lent and given back */
};

static void view_release(struct view *v)
{
    free(v->objects);
    free(v->lent);
    ways_free(v->c.ways);
}

static void view_add(struct view *v, struct catalog_object *o, size_t *count)
{
    v->lent[v->count] = o;
    v->objects[v->count++] = *o;
    ++*count;
}

enum view_of { VIEW_ALL, VIEW_STAYS };

static int view_make(const struct decision *d, enum view_of of, struct view *v, struct err *e)
{
    struct catalog *c = d->c;
    size_t n = d->segment_count + c->marker_count + 1;
    *v = (struct view){.d = d, .c = *c, .objects = calloc(n, sizeof *v->objects), .lent = calloc(n, sizeof *v->lent)};
    v->c.level0_count = v->c.level_count = v->c.marker_count = 0;
    v->c.ways = NULL;
    if (!v->objects || !v->lent)
        return err_nomem(e, n * sizeof *v->objects);
    v->c.level0 = v->objects;
    for (size_t i = 0; i < c->level0_count; i++)
        if (of == VIEW_ALL || !d->segments[i].goes)
            view_add(v, &c->level0[i], &v->c.level0_count);
    v->c.levels = v->objects + v->count;
    for (size_t i = 0; i < c->level_count; i++)
        if (of == VIEW_ALL || !d->segments[c->level0_count + i].goes)
            view_add(v, &c->levels[i], &v->c.level_count);
    v->c.markers = v->objects + v->count;
    for (size_t i = 0; i < c->marker_count; i++)
        if (d->bases[i].usable && (of == VIEW_ALL || !d->markers[i].goes))
            view_add(v, &c->markers[i], &v->c.marker_count);
    return catalog_make_ways(&v->c, e);
}

/* Makes a plan in a view. Segments that it loads are the decision's afterwards. */
static int view_plan(struct proof *f, struct view *v, uint64_t txid, struct plan *ret_plan, struct err *e)
{
    struct catalog *c = v->d->c;
    if (v->borrowed != c->loads + 1) {
        for (size_t i = 0; i < v->count; i++)
            v->objects[i].segment = v->lent[i]->segment;
        f->copies += v->count;
    }
    v->c.bytes_kept = c->bytes_kept;
    v->c.loads = c->loads;
    int rc = txid == POINT_NEWEST ? points_plan(&v->c, txid, ret_plan, e) : plan_try(&v->c, txid, ret_plan, e);
    if (v->c.loads != c->loads) {
        for (size_t i = 0; i < v->count; i++)
            v->lent[i]->segment = v->objects[i].segment;
        f->copies += v->count;
    }
    c->bytes_kept = v->c.bytes_kept;
    c->loads = v->c.loads;
    v->borrowed = c->loads + 1;
    if (rc == 0 &&
        decision_check_steps(v->d, f->before.c.ways->steps + f->after.c.ways->steps + f->copies / COPIES_A_STEP, e)) {
        plan_release(ret_plan);
        rc = -1;
    }
    return rc;
}

static bool is_gone(const struct retention_verdict *verdicts, const struct catalog_object *list,
                    const struct catalog_object *o)
{
    return verdicts[o - list].goes;
}

/* Whether all sources of the plan stay. */
static bool stays(const struct decision *d, const struct plan *p)
{
    for (size_t i = 0; i < p->source_count; i++) {
        const struct name name = name_parse(p->sources[i].key);
        const struct catalog_object *o = catalog_find(d->c, &name);
        if (!o || o->size != p->sources[i].size)
            return false;
        if (name.kind == NAME_CHUNK  ? is_gone(d->chunks, d->c->chunks, o)
            : name.kind == NAME_PART ? is_gone(d->parts, d->c->parts, o)
                                     : d->segments[catalog_segment_index(d->c, o)].goes)
            return false;
    }
    return true;
}

static int prove_point(struct proof *f, uint64_t txid, struct err *e)
{
    struct plan p = {0};
    int rc = view_plan(f, &f->after, txid, &p, e);
    if (rc != 0 && e->code != ERR_CORRUPT && e->code != ERR_NOTFOUND)
        return -1;
    bool good = rc == 0 && stays(f->d, &p);
    plan_release(&p);
    if (good)
        return 0;
    err_set(e, ERR_CORRUPT, 0,
            "txid %" PRIu64
            " has to stay, but could not be restored from the objects that would stay: nothing is deleted",
            txid);
    return err_hint(e, "look for damage with 'seawall verify'");
}

/* Proves a point, unless it can't be restored now: then it need not be kept. */
static int prove_if_restorable(struct proof *f, uint64_t txid, struct err *e)
{
    struct plan p = {0};
    if (view_plan(f, &f->before, txid, &p, e))
        return e->code == ERR_CORRUPT || e->code == ERR_NOTFOUND ? 0 : -1;
    plan_release(&p);
    return prove_point(f, txid, e);
}

static int prove_newest(struct proof *f, struct err *e)
{
    struct plan p = {0};
    uint64_t txid = 0;
    if (view_plan(f, &f->before, POINT_NEWEST, &p, e)) {
        if (e->code == ERR_NOTFOUND)
            e->code = ERR_CORRUPT; /* there are objects to delete, so there was a restore point once */
        return e->code == ERR_CORRUPT ? err_wrap(e, "nothing is deleted") : -1;
    }
    txid = p.record.txid;
    plan_release(&p);
    return prove_point(f, txid, e);
}

/* Whether the end of this segment is a promised restore point: the segment comes after the anchor, and stays for its
 * own sake, not for that of a base; or it is a pack because of which others go. */
static bool is_promised(const struct decision *d, size_t i)
{
    const struct catalog_object *o = catalog_segment(d->c, i);
    const uint64_t anchored = d->anchor ? d->anchor->max : 0;
    enum retention_reason why = d->segments[i].reason;
    return o->name.min > anchored &&
           (why == RETENTION_KEEP_ALL || why == RETENTION_ALONE || why == RETENTION_COVER_YOUNG || d->relied[i]);
}

/* Whether the segment begins within another one of its level. Then two writers compacted the same txids, and its end
 * is reached only as long as the segments of lower levels exist. Precondition: this is called for all segments in
 * order; `furthest` is the end of those before. */
static bool lies_in_another(const struct decision *d, size_t i, unsigned *level, uint64_t *furthest)
{
    const struct catalog_object *o = catalog_segment(d->c, i);
    if (o->name.kind != NAME_LEVEL)
        return false;
    if (o->name.level != *level)
        *furthest = 0;
    *level = o->name.level;
    bool lies = o->name.min <= *furthest;
    if (o->name.max > *furthest)
        *furthest = o->name.max;
    return lies;
}

static int prove_sample(struct proof *f, struct err *e)
{
    const struct decision *d = f->d;
    const size_t sample = d->c->store->costs ? SAMPLE_COSTLY : SAMPLE;
    size_t count = 0, seen = 0;
    unsigned level = 0;
    uint64_t furthest = 0;
    for (size_t i = 0; i < d->segment_count; i++)
        count += is_promised(d, i);
    for (size_t i = 0; i < d->segment_count; i++) {
        struct catalog_object *o = catalog_segment(d->c, i);
        bool lies = lies_in_another(d, i, &level, &furthest);
        if (!is_promised(d, i) || lies || seen++ % (count / sample + 1) != 0)
            continue;
        uint64_t end = o->name.max;
        if (d->relied[i] && prove_if_restorable(f, o->name.min, e))
            return -1;
        if (o->name.kind == NAME_LEVEL0) {
            if (catalog_load(d->c, o, e)) {
                if (e->code != ERR_CORRUPT)
                    return -1;
                continue;
            }
            end = o->segment->trailer.info.max;
        }
        if (prove_if_restorable(f, end, e))
            return -1;
    }
    return 0;
}

static int prove_points(const struct decision *d, struct err *e)
{
    struct proof f = {.d = d};
    int rc = view_make(d, VIEW_ALL, &f.before, e);
    if (rc == 0)
        rc = view_make(d, VIEW_STAYS, &f.after, e);
    if (rc == 0)
        rc = prove_newest(&f, e);
    for (size_t i = 0; rc == 0 && i < d->c->marker_count; i++)
        if (d->bases[i].usable && !d->markers[i].goes)
            rc = prove_point(&f, d->bases[i].point, e);
    if (rc == 0)
        rc = prove_sample(&f, e);
    view_release(&f.before);
    view_release(&f.after);
    return rc;
}

/* ---- the listing */

struct comparison {
    const struct decision *d;
    char strange[STORE_KEY_MAX]; /* an object older than the grace period that the first listing lacks; "": none */
    size_t found;                /* objects of the first listing that the second one has too */
    bool *seen;                  /* owned; which they are: level 0, levels, markers, chunks, parts, what is packed */
};

/* Of an object of the first listing: its index in `seen`. */
static size_t place_of(const struct catalog *c, const struct catalog_object *o)
{
    const size_t segments = catalog_segment_count(c);
    if (c->packed_count > 0 && o >= c->packed && o < c->packed + c->packed_count)
        return segments + c->marker_count + c->chunk_count + c->part_count + (size_t)(o - c->packed);
    switch (o->name.kind) {
    case NAME_MARKER:
        return segments + (size_t)(o - c->markers);
    case NAME_CHUNK:
    case NAME_INTERIOR:
        return segments + c->marker_count + (size_t)(o - c->chunks);
    case NAME_PART:
        return segments + c->marker_count + c->chunk_count + (size_t)(o - c->parts);
    default:
        return catalog_segment_index(c, o);
    }
}

static int compare_entry(void *context, const struct store_entry *entry)
{
    struct comparison *m = context;
    const struct name name = name_parse(entry->key);
    const struct catalog_object *o = catalog_find(m->d->c, &name);
    if (name.kind == NAME_OTHER)
        return 0;
    if (o) {
        bool *seen = &m->seen[place_of(m->d->c, o)];
        m->found += !*seen && o->size == entry->size;
        *seen = true;
    } else if (decision_older(m->d, entry->time_ms, m->d->policy->grace_ms)) {
        snprintf(m->strange, sizeof m->strange, "%s", entry->key);
    }
    return m->strange[0] != 0;
}

/* A store that leaves out a page of a listing is not likely to leave it out twice. */
static int list_again(const struct decision *d, struct err *e)
{
    const struct catalog *c = d->c;
    const size_t objects =
        catalog_segment_count(c) + c->marker_count + c->chunk_count + c->part_count + c->packed_count;
    struct comparison m = {.d = d, .seen = calloc(objects + 1, sizeof *m.seen)};
    int rc = m.seen ? store_list(c->store, "", "", compare_entry, &m, e) : err_nomem(e, objects);
    free(m.seen);
    if (rc)
        return rc;
    if (m.strange[0])
        return err_set(e, ERR_REMOTE, 0,
                       "list '%s': '%s' exists, but was not in the listing before: nothing is deleted", c->store->url,
                       m.strange);
    if (m.found != objects)
        return err_set(e, ERR_BUSY, 0, "list '%s': two listings in a row differ: nothing is deleted", c->store->url);
    return 0;
}

int retention_prove(const struct decision *d, struct err *e)
{
    return prove_points(d, e) || list_again(d, e) ? -1 : 0;
}
