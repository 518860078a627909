/* retention/segments.c - rule B of retention/retention.h, and rule C as far as it concerns segments.
 *
 * With 100,000 objects, no segment is compared with all others. What covers a segment is found by binary search,
 * in a list that is sorted by min and that notes for each entry how far any entry up to it reaches. A covering
 * segment is read only when another is to be deleted because of it, and only once. */
#include "retention/decision.h"

#include "base/search.h"
#include "base/trial.h"

#include <stdlib.h>

/* An object of level 0 ends before the next one begins, at the latest. Where retention has removed objects between
 * them, this is too far, which is the safe side. */
static void estimate_ends(struct decision *d)
{
    const struct catalog *c = d->c;
    for (size_t i = 0; i < d->segment_count; i++)
        if (i >= c->level0_count)
            d->ends[i] = c->levels[i - c->level0_count].name.max;
        else
            d->ends[i] = i + 1 < c->level0_count ? c->level0[i + 1].name.min - 1 : d->head_max;
}

/* Reads the true end of a segment of level 0. This is needed only where the estimate may be wrong: for the few
 * before a hole. */
static int find_end(struct decision *d, size_t i, struct err *e)
{
    struct catalog_object *o = catalog_segment(d->c, i);
    if (o->name.kind != NAME_LEVEL0)
        return 0;
    if (catalog_load(d->c, o, e))
        return e->code == ERR_CORRUPT ? 0 : -1;
    d->ends[i] = o->segment->trailer.info.max;
    return 0;
}

/* Rules A and E: sets the verdict, and returns true, if the segment stays whatever rules B and C say. */
static bool stays_anyway(struct decision *d, size_t i)
{
    struct retention_verdict *v = &d->segments[i];
    if (i + 1 == d->c->level0_count)
        decision_set(v, false, RETENTION_HEAD);
    else if (!decision_older(d, v->time_ms, d->policy->grace_ms))
        decision_set(v, false, RETENTION_YOUNG);
    else if (d->needed[i])
        decision_set(v, false, RETENTION_POINT_OF_BASE);
    else
        return false;
    return true;
}

/* ---- what covers a segment */

struct cover {
    uint64_t min, max;
    size_t index; /* of the segment that ends at max */
};

/* After covers_seal, `max` and `index` of an entry are those of the segment that reaches furthest, among all up to
 * the entry. */
struct covers {
    struct cover *list; /* ascending min */
    size_t count;
};

static int by_min(const void *a, const void *b)
{
    const struct cover *x = a, *y = b;
    if (x->min != y->min)
        return x->min < y->min ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static void covers_seal(struct covers *v)
{
    qsort(v->list, v->count, sizeof *v->list, by_min);
    for (size_t i = 1; i < v->count; i++)
        if (v->list[i].max < v->list[i - 1].max) {
            v->list[i].max = v->list[i - 1].max;
            v->list[i].index = v->list[i - 1].index;
        }
}

struct covers_query {
    const struct cover *list;
    uint64_t min;
};

static bool begins_after(const void *context, size_t index)
{
    const struct covers_query *q = context;
    return q->list[index].min > q->min;
}

/* A segment that has all txids from `min` to `max`, or NULL. */
static const struct cover *covers_find(const struct covers *v, uint64_t min, uint64_t max)
{
    const struct covers_query q = {v->list, min};
    size_t behind = search_first(v->count, begins_after, &q);
    return behind > 0 && v->list[behind - 1].max >= max ? &v->list[behind - 1] : NULL;
}

/* ---- rule B */

enum soundness { SOUND_UNKNOWN, SOUND, SOUND_NOT };

struct covering {
    struct decision *d;
    struct covers any;     /* segments of the levels above the one that is judged */
    struct covers good;    /* those of `any` that are older than keep_all and not known to be damaged */
    enum soundness *sound; /* of segments; SOUND_UNKNOWN: not read yet */
    bool *relied;          /* of segments: another one is to be deleted because this one has its txids */
};

static void collect_covers(struct covering *v, unsigned above)
{
    const struct decision *d = v->d;
    v->any.count = v->good.count = 0;
    for (size_t i = d->c->level0_count; i < d->segment_count; i++) {
        const struct name *n = &catalog_segment(d->c, i)->name;
        const struct cover cover = {n->min, n->max, i};
        if (n->level <= above || d->segments[i].reason == RETENTION_BEFORE_ANCHOR)
            continue;
        v->any.list[v->any.count++] = cover;
        bool old = decision_older(d, d->segments[i].time_ms, d->keep_all_ms) || !RULE(cover_age);
        if (old && v->sound[i] != SOUND_NOT)
            v->good.list[v->good.count++] = cover;
    }
    covers_seal(&v->any);
    covers_seal(&v->good);
}

static int judge_covered(struct covering *v, size_t i, struct err *e)
{
    struct decision *d = v->d;
    const uint64_t min = catalog_segment(d->c, i)->name.min;
    const struct cover *good = covers_find(&v->good, min, d->ends[i]), *any = covers_find(&v->any, min, d->ends[i]);
    if (!good && covers_find(&v->good, min, min)) {
        if (find_end(d, i, e))
            return -1;
        good = covers_find(&v->good, min, d->ends[i]);
        any = covers_find(&v->any, min, d->ends[i]);
    }
    if (good) {
        decision_set(&d->segments[i], true, RETENTION_COVERED);
        v->relied[good->index] = true;
    } else if (!decision_older(d, d->segments[i].time_ms, d->keep_all_ms)) {
        decision_set(&d->segments[i], false, RETENTION_KEEP_ALL);
    } else if (!any) {
        decision_set(&d->segments[i], false, RETENTION_ALONE);
    } else {
        bool damaged = v->sound[any->index] == SOUND_NOT;
        decision_set(&d->segments[i], false, damaged ? RETENTION_COVER_DAMAGED : RETENTION_COVER_YOUNG);
    }
    return 0;
}

/* Applies rule B as if every segment that was not read yet were sound. */
static int judge_levels(struct covering *v, struct err *e)
{
    struct decision *d = v->d;
    unsigned level = 0;
    collect_covers(v, level);
    for (size_t i = 0; i < d->segment_count; i++) {
        const enum retention_reason why = d->segments[i].reason;
        if (catalog_segment(d->c, i)->name.level != level) {
            level = catalog_segment(d->c, i)->name.level;
            collect_covers(v, level);
        }
        bool settled = why == RETENTION_HEAD || why == RETENTION_YOUNG || why == RETENTION_POINT_OF_BASE ||
                       why == RETENTION_BEFORE_ANCHOR;
        if (!settled && judge_covered(v, i, e))
            return -1;
    }
    return 0;
}

/* ---- rule C */

static int judge_before_anchor(struct decision *d, struct err *e)
{
    const uint64_t start = d->anchor ? d->anchor->start : 0;
    for (size_t i = 0; i < d->segment_count; i++) {
        if (stays_anyway(d, i) || !d->anchor)
            continue;
        if (catalog_segment(d->c, i)->name.min <= start && d->ends[i] > start && find_end(d, i, e))
            return -1;
        if (d->ends[i] <= start)
            decision_set(&d->segments[i], true, RETENTION_BEFORE_ANCHOR);
    }
    return 0;
}

/* ---- is the covering segment sound? */

static int examine(struct covering *v, size_t i, struct err *e)
{
    struct catalog_object *o = catalog_segment(v->d->c, i);
    bool there = false;
    if (catalog_load(v->d->c, o, e)) {
        v->sound[i] = SOUND_NOT;
        return e->code == ERR_CORRUPT ? 0 : -1;
    }
    if (decision_listed(v->d, o->segment, &there, e))
        return -1;
    v->sound[i] = there && !(o->segment->trailer.info.flags & SEGMENT_BASE_ONLY) ? SOUND : SOUND_NOT;
    catalog_spare(v->d->c, o);
    return 0;
}

/* Reads the segments that were relied on and not read yet. *ret_all_sound: all that were relied on are sound. */
static int examine_relied(struct covering *v, bool *ret_all_sound, struct err *e)
{
    *ret_all_sound = true;
    for (size_t i = v->d->c->level0_count; i < v->d->segment_count; i++) {
        if (v->relied[i] && v->sound[i] == SOUND_UNKNOWN && examine(v, i, e))
            return -1;
        if (v->relied[i] && v->sound[i] == SOUND_NOT)
            *ret_all_sound = false;
        v->relied[i] = false;
    }
    return 0;
}

int retention_judge_segments(struct decision *d, struct err *e)
{
    const size_t n = d->segment_count + 1;
    struct covering v = {.d = d,
                         .any.list = calloc(n, sizeof *v.any.list),
                         .good.list = calloc(n, sizeof *v.good.list),
                         .sound = calloc(n, sizeof *v.sound),
                         .relied = calloc(n, sizeof *v.relied)};
    bool done = false;
    int rc = v.any.list && v.good.list && v.sound && v.relied ? 0 : err_nomem(e, n * sizeof *v.any.list);
    estimate_ends(d);
    if (rc == 0)
        rc = judge_before_anchor(d, e);
    while (rc == 0 && !done) { /* each turn but the last finds at least one more segment that is not sound */
        rc = judge_levels(&v, e);
        if (rc == 0)
            rc = examine_relied(&v, &done, e);
    }
    free(v.any.list);
    free(v.good.list);
    free(v.sound);
    free(v.relied);
    return rc;
}
