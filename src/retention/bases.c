/* retention/bases.c - rules C and E of retention/retention.h: which bases stay, and which restore point each of
 * them keeps. */
#include "base/trial.h"
#include "replica/ways.h"
#include "retention/decision.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How many ends of segments are tried as the restore point of one base. Where levels nest, one for each level is
 * enough. */
#define ENDS_TRIED 64

/* ---- the restore point of a base */

/* A txid at which a plan can end. */
struct segment_end {
    uint64_t txid;
    const struct catalog_object *segment; /* it has the commit record; NULL: there is none */
};

/* The first end, not before `from`, of a segment that has txid `max`. A full segment of level 0 can also end at
 * `max` itself. */
static int next_end(struct decision *d, uint64_t max, uint64_t from, struct segment_end *ret_end, struct err *e)
{
    struct catalog_object *o = catalog_level0_at(d->c, max);
    struct segment_end end = {.txid = UINT64_MAX};
    if (o && catalog_load(d->c, o, e)) {
        if (e->code != ERR_CORRUPT)
            return -1;
    } else if (o && o->segment->trailer.info.max >= max) {
        const struct segment_info *i = &o->segment->trailer.info;
        uint64_t own = i->flags & SEGMENT_LAST_ONLY ? i->max : max;
        if (own >= from)
            end = (struct segment_end){.txid = own, .segment = o};
    }
    const struct ways_place *level = ways_first_end(d->c->ways, max, from);
    if (level && level->max < end.txid)
        end = (struct segment_end){.txid = level->max, .segment = &d->c->levels[level->index]};
    *ret_end = end;
    return 0;
}

/* Whether the plan begins with a segment that ends after the base's start. Then the segment is from_empty, and serves
 * in place of the base. */
static int starts_within(struct decision *d, const struct retained_base *b, bool *ret_within, struct err *e)
{
    struct catalog_object *o = b->segment_count ? catalog_segment(d->c, b->segments[0]) : NULL;
    *ret_within = false;
    if (!o)
        return 0;
    if (catalog_load(d->c, o, e))
        return e->code == ERR_CORRUPT ? 0 : -1;
    *ret_within = o->segment->trailer.info.max > b->start;
    return 0;
}

/* Notes which segments the plan takes, and in b->usable whether the base is of use: not if the plan takes an
 * object that the listing lacks, or does not take the base. A plan without segments still needs the one that has
 * the commit record of its target. */
static int note_segments(struct decision *d, struct retained_base *b, const struct plan *p,
                         const struct segment_end *end, struct err *e)
{
    bool from_base = false;
    b->segments = calloc(p->source_count + 1, sizeof *b->segments); /* one more, for the segment with the record */
    b->segment_count = 0;
    if (!b->segments)
        return err_nomem(e, p->source_count * sizeof *b->segments);
    for (size_t i = 0; i < p->source_count; i++) {
        const struct name name = name_parse(p->sources[i].key);
        const struct catalog_object *o = catalog_find(d->c, &name);
        if (!o || o->size != p->sources[i].size)
            return 0;
        from_base |= name.kind == NAME_CHUNK;
        if (p->sources[i].kind == OBJECT_SEGMENT)
            b->segments[b->segment_count++] = catalog_segment_index(d->c, o);
    }
    bool within = false;
    if (starts_within(d, b, &within, e))
        return -1;
    from_base |= within;
    if (b->segment_count == 0)
        b->segments[b->segment_count++] = catalog_segment_index(d->c, end->segment);
    b->usable = from_base;
    return 0;
}

static int try_point(struct decision *d, struct retained_base *b, const struct segment_end *end, struct err *e)
{
    struct catalog alone = *d->c; /* this base is the only one in it */
    struct plan p = {0};
    alone.markers = b->marker;
    alone.marker_count = 1;
    int rc = plan_try(&alone, end->txid, &p, e);
    d->c->bytes_kept = alone.bytes_kept;
    d->c->loads = alone.loads;
    if (rc)
        return e->code == ERR_NOTFOUND || e->code == ERR_CORRUPT ? 0 : -1;
    rc = note_segments(d, b, &p, end, e);
    plan_release(&p);
    if (!b->usable) {
        free(b->segments);
        b->segments = NULL;
        b->segment_count = 0;
    }
    b->point = end->txid;
    return rc;
}

/* Takes the first restore point at or after the base's newest chunk. A later point needs more segments. And further
 * compaction would move it later and later, until it is a week after its base. */
static int find_point(struct decision *d, struct retained_base *b, struct err *e)
{
    struct segment_end end = {0};
    uint64_t from = b->max;
    for (unsigned i = 0; i < ENDS_TRIED && !b->usable; i++) {
        if (next_end(d, b->max, from, &end, e))
            return -1;
        if (!end.segment)
            return 0;
        if (try_point(d, b, &end, e) || decision_check_steps(d, 0, e))
            return -1;
        from = end.txid + 1;
    }
    return 0;
}

static int read_base(struct decision *d, struct retained_base *b, struct err *e)
{
    bool there = false;
    b->start = b->marker->name.start;
    if (catalog_load(d->c, b->marker, e))
        return e->code == ERR_CORRUPT ? 0 : -1;
    b->readable = true;
    b->interior = !digest_is_zero(&b->marker->segment->trailer.info.digest_before);
    b->time_ms = b->marker->segment->trailer.info.time_ms;
    b->max = b->marker->segment->trailer.info.max;
    decision_note_own(d, &d->markers[b->marker - d->c->markers], b->marker->segment);
    if (decision_listed(d, b->marker->segment, &there, e))
        return -1;
    catalog_spare(d->c, b->marker);
    return there ? find_point(d, b, e) : 0;
}

/* ---- bases that stay */

static void keep(struct decision *d, const struct retained_base *base, enum retention_reason reason)
{
    struct retained_base *b = &d->bases[base - d->bases];
    assert(b->usable);
    if (!b->stays)
        decision_set(&d->markers[b - d->bases], false, reason);
    b->stays = true;
}

/* The newest usable base that is older than `age_ms`, or NULL. */
static const struct retained_base *newest_older_than(const struct decision *d, uint64_t age_ms)
{
    for (size_t i = d->c->marker_count; i-- > 0;)
        if (d->bases[i].usable && decision_older(d, d->markers[i].time_ms, age_ms))
            return &d->bases[i];
    return NULL;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t hour_of(int64_t time_ms)
{
    return floor_div(time_ms, 3600000);
}

static int64_t day_of(int64_t time_ms)
{
    return floor_div(time_ms, 86400000);
}

static int64_t week_of(int64_t time_ms)
{
    return floor_div(day_of(time_ms) + 3, 7); /* 1970-01-01 was a Thursday */
}

static int64_t month_of(int64_t time_ms)
{
    struct tm tm = {0};
    time_t seconds = (time_t)floor_div(time_ms, 1000);
    return gmtime_r(&seconds, &tm) ? (int64_t)tm.tm_year * 12 + tm.tm_mon : 0;
}

static int newest_first(const void *a, const void *b)
{
    const struct retained_base *x = *(const struct retained_base *const *)a,
                               *y = *(const struct retained_base *const *)b;
    if (x->time_ms != y->time_ms)
        return x->time_ms > y->time_ms ? -1 : 1;
    return (x < y) - (x > y); /* of two that are equally old, the one with the later start first */
}

/* One of the keep-hourly, -daily, -weekly, -monthly rules. */
struct calendar_rule {
    uint64_t periods;                 /* so many of those that have a base keep their last one */
    int64_t (*period_of)(int64_t ms); /* the number of the period that the moment is in */
    enum retention_reason reason;
};

/* `by_time`: `n` bases, the newest first. */
static void keep_last_of_each(struct decision *d, const struct calendar_rule *rule,
                              const struct retained_base *const *by_time, size_t n)
{
    uint64_t left = rule->periods;
    for (size_t i = 0; i < n && left > 0; i++)
        if (i == 0 || rule->period_of(by_time[i]->time_ms) != rule->period_of(by_time[i - 1]->time_ms)) {
            keep(d, by_time[i], rule->reason);
            left--;
        }
}

static int keep_by_calendar(struct decision *d, struct err *e)
{
    const struct retention_policy *p = d->policy;
    const struct calendar_rule rules[] = {{p->keep_hourly, hour_of, RETENTION_BASE_HOURLY},
                                          {p->keep_daily, day_of, RETENTION_BASE_DAILY},
                                          {p->keep_weekly, week_of, RETENTION_BASE_WEEKLY},
                                          {p->keep_monthly, month_of, RETENTION_BASE_MONTHLY}};
    const struct retained_base **by_time = calloc(d->c->marker_count + 1, sizeof *by_time);
    size_t n = 0;
    if (!by_time)
        return err_nomem(e, d->c->marker_count * sizeof *by_time);
    for (size_t i = 0; i < d->c->marker_count; i++)
        if (d->bases[i].usable)
            by_time[n++] = &d->bases[i];
    qsort(by_time, n, sizeof *by_time, newest_first);
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        keep_last_of_each(d, &rules[i], by_time, n);
    free(by_time);
    return 0;
}

/* ---- bridges
 *
 * From the anchor, segments lead to all later states. They do not lead past a segment that holds no pages
 * (SEGMENT_BASE_ONLY) or is missing. A base after it has to stay. */

/* Whether the plan begins at a base, or with a segment that ends after the anchor's start, and so stays. */
static bool begins_after_anchor(const struct decision *d, const struct plan *p)
{
    for (size_t i = 0; i < p->source_count; i++) {
        const struct plan_source *s = &p->sources[i];
        if (s->kind == OBJECT_SEGMENT)
            return s->max > d->anchor->start;
    }
    return true;
}

/* *ret_reached: the bases of `view` lead to the restore point of this base. */
static int reached_by(struct decision *d, struct catalog *view, const struct retained_base *b, bool *ret_reached,
                      struct err *e)
{
    assert(d->anchor && b > d->anchor && b->usable);
    struct plan p = {0};
    view->bytes_kept = d->c->bytes_kept;
    view->loads = d->c->loads;
    int rc = plan_try(view, b->point, &p, e);
    d->c->bytes_kept = view->bytes_kept;
    d->c->loads = view->loads;
    *ret_reached = rc == 0 && begins_after_anchor(d, &p);
    plan_release(&p);
    if (rc != 0 && e->code != ERR_NOTFOUND && e->code != ERR_CORRUPT)
        return -1;
    return decision_check_steps(d, 0, e);
}

static int keep_bridges(struct decision *d, struct err *e)
{
    const size_t n = d->c->marker_count, anchor = (size_t)(d->anchor - d->bases);
    struct catalog view = *d->c; /* its bases: those that stay, of those before the one that is looked at */
    view.markers = calloc(n + 1, sizeof *view.markers);
    view.marker_count = 0;
    int rc = view.markers ? 0 : err_nomem(e, n * sizeof *view.markers);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        bool reached = true;
        if (i > anchor && d->bases[i].usable && !d->bases[i].stays)
            rc = reached_by(d, &view, &d->bases[i], &reached, e);
        if (rc == 0 && !reached)
            keep(d, &d->bases[i], RETENTION_BASE_BRIDGE);
        if (rc == 0 && d->bases[i].stays) {
            struct catalog_object *o = &view.markers[view.marker_count++];
            *o = *d->bases[i].marker;
            o->lent = o->segment != NULL; /* otherwise the planner reads it again */
        }
    }
    for (size_t i = 0; view.markers && i < view.marker_count; i++)
        catalog_forget(d->c, &view.markers[i]);
    free(view.markers);
    return rc;
}

/* ---- the verdicts */

/* Judges a base that no rule keeps. If its marker can't be read it stays, and a person has to decide: the connection
 * may be damaged, not the marker. */
static void judge_rest(struct decision *d, size_t i)
{
    const struct retained_base *b = &d->bases[i];
    struct retention_verdict *v = &d->markers[i];
    if (b->stays)
        return;
    if (!b->readable)
        decision_set(v, false, RETENTION_BASE_DAMAGED);
    else if (!decision_older(d, v->time_ms, d->policy->grace_ms))
        decision_set(v, false, RETENTION_YOUNG);
    else if (b->usable)
        decision_set(v, d->anchor != NULL, d->anchor ? RETENTION_BASE_OUT : RETENTION_BASE_NO_ANCHOR);
    else if (d->anchor && b->start < d->anchor->start && decision_older(d, v->time_ms, d->window_ms))
        decision_set(v, true, RETENTION_BASE_GIVEN_UP);
    else
        decision_set(v, false, RETENTION_BASE_INCOMPLETE);
}

static void keep_newest(struct decision *d)
{
    const struct retained_base *newest = NULL, *before_all = newest_older_than(d, d->keep_all_ms);
    for (size_t i = 0; i < d->c->marker_count; i++)
        newest = d->bases[i].usable ? &d->bases[i] : newest;
    if (newest)
        keep(d, newest, RETENTION_BASE_NEWEST);
    for (size_t i = 0; i < d->c->marker_count; i++)
        if (d->bases[i].usable && !decision_older(d, d->markers[i].time_ms, d->keep_all_ms))
            keep(d, &d->bases[i], RETENTION_KEEP_ALL);
    if (before_all)
        keep(d, before_all, RETENTION_BASE_BEFORE_ALL);
}

/* Another prune may decide later, while this decision is carried out. Its anchor must not go. */
static void keep_next_anchors(struct decision *d)
{
    const uint64_t valid_ms = (uint64_t)d->out.valid_ms;
    for (size_t i = 0; i < d->c->marker_count; i++)
        if (d->bases[i].usable && !decision_older(d, d->markers[i].time_ms, d->window_ms) &&
            decision_older(d, d->markers[i].time_ms, d->window_ms > valid_ms ? d->window_ms - valid_ms : 0))
            keep(d, &d->bases[i], RETENTION_BASE_ANCHOR_SOON);
}

/* Rule E. */
static void note_needed(struct decision *d, size_t i)
{
    for (size_t k = 0; !d->markers[i].goes && k < d->bases[i].segment_count; k++)
        d->needed[d->bases[i].segments[k]] = true;
}

int retention_judge_bases(struct decision *d, struct err *e)
{
    const size_t n = d->c->marker_count;
    for (size_t i = 0; i < n; i++) {
        d->bases[i].marker = &d->c->markers[i];
        if (read_base(d, &d->bases[i], e))
            return -1;
    }
    keep_newest(d);
    d->anchor = newest_older_than(d, RULE(anchor_age) ? d->window_ms : 0);
    if (d->anchor)
        keep(d, d->anchor, RETENTION_BASE_ANCHOR);
    keep_next_anchors(d);
    if (keep_by_calendar(d, e) || (d->anchor && keep_bridges(d, e)))
        return -1;
    for (size_t i = 0; i < n; i++) {
        judge_rest(d, i);
        note_needed(d, i);
    }
    return 0;
}
