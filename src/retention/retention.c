/* retention/retention.c
 *
 * Of 100,000 objects nothing is compared with all others: what covers a segment is found by halving, in a list that is sorted by
 * beginnings and knows for each how far any up to it reaches. What covers is read only when something is to go for it, and that
 * goes once. */
#include "retention/retention.h"

#include "base/trial.h"
#include "retention/decision.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define VALID_MS_MIN 60000 /* of a decision; otherwise half of the grace period */

/* A run that has put no part for so long puts none any more that belongs to what it began. */
#define PARTS_QUIET_MS 86400000

const char *retention_reason_text(enum retention_reason reason)
{
    static const char *const texts[] = {
        [RETENTION_IDENTITY] = "says whose replica this is",
        [RETENTION_HEAD] = "the newest of level 0",
        [RETENTION_YOUNG] = "younger than grace",
        [RETENTION_KEEP_ALL] = "younger than keep-all",
        [RETENTION_ALONE] = "no higher level has all of it",
        [RETENTION_COVER_YOUNG] = "the higher level that has it is younger than keep-all",
        [RETENTION_COVER_DAMAGED] = "the higher level that has it is damaged or lacks parts",
        [RETENTION_POINT_OF_BASE] = "the restore point of a base that stays needs it",
        [RETENTION_BASE_NEWEST] = "the newest base",
        [RETENTION_BASE_BEFORE_ALL] = "what is younger than keep-all begins with it",
        [RETENTION_BASE_ANCHOR] = "what is younger than keep-levels begins with it",
        [RETENTION_BASE_HOURLY] = "keep-hourly",
        [RETENTION_BASE_DAILY] = "keep-daily",
        [RETENTION_BASE_WEEKLY] = "keep-weekly",
        [RETENTION_BASE_MONTHLY] = "keep-monthly",
        [RETENTION_BASE_BRIDGE] = "what comes after it is not reached from an older base",
        [RETENTION_BASE_NO_ANCHOR] = "no base is older than keep-all and keep-levels yet",
        [RETENTION_BASE_INCOMPLETE] = "not complete, or what follows on it is missing",
        [RETENTION_BASE_DAMAGED] = "its marker can't be read",
        [RETENTION_CHUNK_STAYS] = "its base stays",
        [RETENTION_CHUNK_WAITS] = "its base may be under way",
        [RETENTION_PART_STAYS] = "its segment stays",
        [RETENTION_PART_WAITS] = "its segment may be under way",
        [RETENTION_PART_UNKNOWN] = "it, or what may name it, can't be read",
        [RETENTION_COVERED] = "a higher level has it",
        [RETENTION_BEFORE_ANCHOR] = "before the base with which everything begins that is kept",
        [RETENTION_BASE_OUT] = "no rule keeps this base",
        [RETENTION_BASE_GIVEN_UP] = "a base that lacks something, and a newer one is there",
        [RETENTION_CHUNK_GOES] = "its base goes",
        [RETENTION_CHUNK_GIVEN_UP] = "of a base that was given up",
        [RETENTION_PART_GOES] = "its segment goes",
        [RETENTION_PART_GIVEN_UP] = "of a segment that was given up, or went",
    };
    return texts[reason];
}

int retention_policy_check(const struct retention_policy *p, struct err *e)
{
    if (p->keep_all_ms || p->keep_levels_ms || p->keep_hourly || p->keep_daily || p->keep_weekly || p->keep_monthly)
        return 0;
    err_set(e, ERR_CONFIG, 0, "this policy keeps nothing: keep-all, keep-levels and all other keep options are 0");
    return err_hint(e, "set at least one of them: keep-daily 7 keeps one base for each of seven days");
}

void retention_plan_release(struct retention_plan *p)
{
    free(p->verdicts);
    *p = (struct retention_plan){0};
}

/* ---- segments */

/* How far level 0 may reach: the next object begins behind it. Where retention has been that is too far, which is on the safe side.
 */
static void estimate_ends(struct decision *d)
{
    const struct catalog *c = d->c;
    for (size_t i = 0; i < d->segment_count; i++)
        if (i >= c->level0_count)
            d->ends[i] = c->levels[i - c->level0_count].name.max;
        else
            d->ends[i] = i + 1 < c->level0_count ? c->level0[i + 1].name.min - 1 : d->head_max;
}

/* Reads how far it does reach: once it matters, it is one of the few before a hole. */
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

struct cover {
    uint64_t min, max;
    size_t index; /* of the segment; then of the one that reaches furthest, of all up to here */
};

struct covers {
    struct cover *list; /* ascending min; then max is the furthest end of all up to here */
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

/* What has all of min..max; NULL: nothing. */
static const struct cover *covers_find(const struct covers *v, uint64_t min, uint64_t max)
{
    size_t low = 0, high = v->count;
    while (low < high) { /* the first that begins after min */
        size_t mid = low + (high - low) / 2;
        if (v->list[mid].min > min)
            high = mid;
        else
            low = mid + 1;
    }
    return low > 0 && v->list[low - 1].max >= max ? &v->list[low - 1] : NULL;
}

enum soundness { SOUND_UNKNOWN, SOUND, SOUND_NOT };

struct covering {
    struct decision *d;
    struct covers any,
        good; /* of the levels above the one that is looked at; `good` are older than keep_all and not damaged */
    enum soundness *sound; /* of segments; SOUND_UNKNOWN: not read yet */
    bool *relied;          /* something is to go because this one has it */
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

/* Rule B, as if all that was not read yet were sound. */
static int judge_levels(struct covering *v, struct err *e)
{
    struct decision *d = v->d;
    const struct catalog *c = d->c;
    unsigned level = 0;
    collect_covers(v, level);
    for (size_t i = 0; i < d->segment_count; i++) {
        const enum retention_reason why = d->segments[i].reason;
        if (i >= c->level0_count && c->levels[i - c->level0_count].name.level != level) {
            level = c->levels[i - c->level0_count].name.level;
            collect_covers(v, level);
        }
        bool settled = why == RETENTION_HEAD || why == RETENTION_YOUNG || why == RETENTION_POINT_OF_BASE ||
                       why == RETENTION_BEFORE_ANCHOR;
        if (!settled && judge_covered(v, i, e))
            return -1;
    }
    return 0;
}

/* Rule C. */
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

/* Reads what was relied on. Tells whether all of it is sound. */
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

static int judge_segments(struct decision *d, struct err *e)
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
    while (rc == 0 && !done) { /* each turn but the last finds one more that is damaged */
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

/* ---- chunks */

static bool same_base(const struct name *a, const struct name *b)
{
    return a->start == b->start && uid_equal(&a->run, &b->run);
}

/* A base that was begun later is complete: nobody works on one that began before `start` any more. */
static bool was_overtaken(const struct decision *d, uint64_t start)
{
    for (size_t i = d->c->marker_count; i-- > 0 && d->bases[i].start > start;)
        if (d->bases[i].usable && decision_older(d, d->markers[i].time_ms, d->policy->grace_ms))
            return true;
    return false;
}

static int judge_chunks(struct decision *d, struct err *e)
{
    const struct catalog *c = d->c;
    const struct catalog_object *marker = NULL;
    bool overtaken = false;
    for (size_t i = 0; i < c->chunk_count; i++) {
        const struct name *n = &c->chunks[i].name;
        if (i == 0 || !same_base(n, &c->chunks[i - 1].name)) {
            const struct name wanted = {.kind = NAME_MARKER, .start = n->start, .run = n->run};
            marker = catalog_find(c, &wanted);
            overtaken = !marker && was_overtaken(d, n->start);
            if (overtaken && decision_check_missing(d, &wanted, e))
                return -1;
        }
        if (!decision_older(d, c->chunks[i].time_ms, d->policy->grace_ms))
            decision_set(&d->chunks[i], false, RETENTION_YOUNG);
        else if (marker && d->markers[marker - c->markers].goes)
            decision_set(&d->chunks[i], true, RETENTION_CHUNK_GOES);
        else if (marker)
            decision_set(&d->chunks[i], false, RETENTION_CHUNK_STAYS);
        else
            decision_set(&d->chunks[i], overtaken, overtaken ? RETENTION_CHUNK_GIVEN_UP : RETENTION_CHUNK_WAITS);
    }
    return 0;
}

/* ---- parts
 *
 * Which segment a part is of stands in the part. So one part and one segment are read for all parts of that. */

struct ownership {
    bool named, stays; /* by a segment; by one that stays */
};

struct parts {
    struct decision *d;
    struct ownership *owned; /* as the parts of the catalog */
};

static int note_manifest(struct parts *p, struct catalog_object *o, bool *ret_unreadable, struct err *e)
{
    const struct catalog *c = p->d->c;
    if (catalog_load(p->d->c, o, e)) {
        *ret_unreadable = true;
        return e->code == ERR_CORRUPT ? 0 : -1;
    }
    for (uint32_t i = 0; i < o->segment->trailer.list_count; i++) {
        const struct name name = name_parse(o->segment->list[i].name);
        const struct catalog_object *part = name.kind == NAME_PART ? catalog_find(c, &name) : NULL;
        if (!part)
            continue;
        p->owned[part - c->parts].named = true;
        p->owned[part - c->parts].stays |= !p->d->segments[catalog_segment_index(p->d->c, o)].goes;
    }
    catalog_spare(p->d->c, o);
    return 0;
}

/* All segments that begin at `min`, on whatever level. */
static int note_manifests(struct parts *p, uint64_t min, bool *ret_unreadable, struct err *e)
{
    const struct name level0 = {.kind = NAME_LEVEL0, .min = min};
    struct catalog *c = p->d->c;
    struct catalog_object *o = catalog_find(c, &level0);
    if (o && note_manifest(p, o, ret_unreadable, e))
        return -1;
    for (unsigned level = 1; level <= SEGMENT_LEVEL_MAX; level++) {
        const struct name first = {.kind = NAME_LEVEL, .level = level, .min = min};
        for (o = catalog_seek(c, &first);
             o && o < c->levels + c->level_count && o->name.level == level && o->name.min == min; o++)
            if (note_manifest(p, o, ret_unreadable, e))
                return -1;
    }
    return 0;
}

/* Nobody names it: will anybody? Of the run that put the newest object that can't be known. Otherwise what ends before the anchor
 * begins is compacted no more; and of a run that is over nothing comes. */
static bool was_given_up(const struct decision *d, const struct segment_info *i, int64_t newest_ms)
{
    if (uid_equal(&i->run, &d->head_run)) /* it may be at work, however long ago it began */
        return false;
    if (d->anchor && i->max <= d->anchor->start)
        return true;
    return i->min <= d->head_max && decision_older(d, newest_ms, PARTS_QUIET_MS) &&
           decision_older(d, newest_ms, d->policy->grace_ms);
}

/* Of a part that is older than the grace period. `newest_ms`: of the parts of its run. */
static int judge_part(struct parts *p, size_t at, int64_t newest_ms, struct err *e)
{
    const struct decision *d = p->d;
    const struct catalog_object *o = &d->c->parts[at];
    struct segment s = {0};
    char key[NAME_MAX_BYTES];
    bool unreadable = false;
    int rc = 0;
    name_format(&o->name, key);
    if (!p->owned[at].named) {
        if (object_load(d->c->store, key, d->c->codec, SEGMENT_WANT_RECORDS, &s, e)) {
            decision_set(&d->parts[at], false, RETENTION_PART_UNKNOWN);
            if (e->code == ERR_NOTFOUND)
                e->code = ERR_GONE;
            return e->code == ERR_CORRUPT ? 0 : -1;
        }
        rc = note_manifests(p, s.trailer.info.min, &unreadable, e);
    }
    if (rc == 0 && p->owned[at].named) {
        bool goes = !p->owned[at].stays;
        decision_set(&d->parts[at], goes, goes ? RETENTION_PART_GOES : RETENTION_PART_STAYS);
    } else if (rc == 0 && (unreadable || !object_fits_name(&o->name, &s.trailer.info))) {
        decision_set(&d->parts[at], false, RETENTION_PART_UNKNOWN);
    } else if (rc == 0) {
        bool goes = was_given_up(d, &s.trailer.info, newest_ms);
        decision_set(&d->parts[at], goes, goes ? RETENTION_PART_GIVEN_UP : RETENTION_PART_WAITS);
    }
    segment_release(&s);
    return rc;
}

static int judge_parts(struct decision *d, struct err *e)
{
    const struct catalog *c = d->c;
    struct parts p = {.d = d, .owned = calloc(c->part_count + 1, sizeof *p.owned)};
    int64_t newest_ms = 0;
    int rc = p.owned ? 0 : err_nomem(e, c->part_count * sizeof *p.owned);
    for (size_t i = 0; rc == 0 && i < c->part_count; i++) {
        if (i == 0 || !uid_equal(&c->parts[i].name.run, &c->parts[i - 1].name.run)) {
            newest_ms = c->parts[i].time_ms;
            for (size_t k = i; k < c->part_count && uid_equal(&c->parts[k].name.run, &c->parts[i].name.run); k++)
                newest_ms = c->parts[k].time_ms > newest_ms ? c->parts[k].time_ms : newest_ms;
        }
        if (decision_older(d, c->parts[i].time_ms, d->policy->grace_ms))
            rc = judge_part(&p, i, newest_ms, e);
        else
            decision_set(&d->parts[i], false, RETENTION_YOUNG);
    }
    free(p.owned);
    return rc;
}

/* ---- the decision */

static struct retention_verdict *begin_verdicts(struct retention_plan *p, const struct catalog_object *list,
                                                size_t count)
{
    struct retention_verdict *first = p->verdicts + p->count;
    for (size_t i = 0; i < count; i++)
        p->verdicts[p->count++] =
            (struct retention_verdict){.name = list[i].name, .size = list[i].size, .time_ms = list[i].time_ms};
    return first;
}

static int read_head(struct decision *d, struct err *e)
{
    struct catalog *c = d->c;
    if (!c->in_order)
        return err_set(e, ERR_REMOTE, 0, "list '%s': the keys are out of order or come twice: nothing is deleted",
                       c->store->url);
    if (c->level0_count == 0)
        return err_set(e, ERR_NOTFOUND, 0, "'%s' has no object of level 0: nothing is deleted", c->store->url);
    struct catalog_object *head = &c->level0[c->level0_count - 1];
    if (catalog_load(c, head, e))
        return err_wrap(e, "nothing is deleted");
    d->head_max = head->segment->trailer.info.max;
    d->head_run = head->segment->trailer.info.run;
    d->out.head_writer = head->segment->trailer.info.writer;
    return 0;
}

static int begin(struct decision *d, struct err *e)
{
    const struct catalog *c = d->c;
    const struct retention_policy *p = d->policy;
    const size_t segments = c->level0_count + c->level_count,
                 all = segments + c->marker_count + c->chunk_count + c->part_count + 1;
    d->keep_all_ms = p->keep_all_ms > p->grace_ms ? p->keep_all_ms : p->grace_ms;
    d->window_ms = p->keep_levels_ms > d->keep_all_ms ? p->keep_levels_ms : d->keep_all_ms;
    d->segment_count = segments;
    d->out.verdicts = calloc(all, sizeof *d->out.verdicts);
    d->needed = calloc(segments + 1, sizeof *d->needed);
    d->ends = calloc(segments + 1, sizeof *d->ends);
    d->bases = calloc(c->marker_count + 1, sizeof *d->bases);
    if (!d->out.verdicts || !d->needed || !d->ends || !d->bases)
        return err_nomem(e, all * sizeof *d->out.verdicts);
    d->segments = begin_verdicts(&d->out, c->level0, c->level0_count);
    begin_verdicts(&d->out, c->levels, c->level_count);
    d->markers = begin_verdicts(&d->out, c->markers, c->marker_count);
    d->chunks = begin_verdicts(&d->out, c->chunks, c->chunk_count);
    d->parts = begin_verdicts(&d->out, c->parts, c->part_count);
    d->out.verdicts[d->out.count++] = (struct retention_verdict){
        .size = c->identity_size, .time_ms = c->identity_time_ms, .reason = RETENTION_IDENTITY};
    return 0;
}

static void count_verdicts(struct retention_plan *p)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct retention_verdict *v = &p->verdicts[i];
        *(v->goes ? &p->delete_count : &p->keep_count) += 1;
        *(v->goes ? &p->delete_bytes : &p->keep_bytes) += v->size;
    }
}

int retention_decide(struct catalog *c, const struct retention_policy *policy, int64_t now_ms,
                     struct retention_plan *ret_plan, struct err *e)
{
    struct decision d = {.c = c, .policy = policy, .now_ms = now_ms};
    d.out.now_ms = now_ms;
    d.out.valid_ms = (int64_t)policy->grace_ms / 2 > VALID_MS_MIN ? (int64_t)policy->grace_ms / 2 : VALID_MS_MIN;
    int rc = retention_policy_check(policy, e);
    if (rc == 0)
        rc = read_head(&d, e);
    if (rc == 0)
        rc = begin(&d, e);
    if (rc == 0)
        rc = retention_judge_bases(&d, e);
    if (rc == 0)
        rc = judge_segments(&d, e);
    if (rc == 0)
        rc = judge_chunks(&d, e);
    if (rc == 0)
        rc = judge_parts(&d, e);
    if (rc == 0)
        count_verdicts(&d.out);
    if (rc == 0 && d.out.delete_count > 0)
        rc = retention_prove(&d, e);
    if (rc != 0 && e->code == ERR_GONE)
        e->code = ERR_BUSY;
    for (size_t i = 0; d.bases && i < c->marker_count; i++)
        free(d.bases[i].segments);
    free(d.bases);
    free(d.needed);
    free(d.ends);
    if (rc == 0)
        *ret_plan = d.out;
    else
        retention_plan_release(&d.out);
    return rc;
}

int retention_decide_now(struct replica_handle *r, const struct retention_policy *policy,
                         struct retention_plan *ret_plan, struct err *e)
{
    int64_t now_ms = 0;
    if (store_time(r->store, &now_ms, e) || replica_handle_list(r, e))
        return -1;
    int rc = retention_decide(&r->catalog, policy, now_ms, ret_plan, e);
    catalog_release(&r->catalog);
    return rc;
}

/* ---- doing it */

struct batch {
    char names[STORE_REMOVE_MAX][NAME_MAX_BYTES];
    const char *keys[STORE_REMOVE_MAX];
    size_t count;
    uint64_t bytes;
};

/* Each decision relies on what others leave: one that slept must not be carried out. */
static int check_age(struct store *store, const struct retention_plan *p, struct err *e)
{
    int64_t now_ms = 0;
    if (store_time(store, &now_ms, e))
        return -1;
    if (now_ms - p->now_ms <= p->valid_ms)
        return 0;
    err_set(e, ERR_TIMEOUT, 0,
            "deleting took longer than half of the grace period: the rest is left for the next time");
    return err_hint(e, "was the machine suspended? Otherwise run it again, or more often");
}

static int remove_batch(struct store *store, const struct retention_plan *p, struct batch *b,
                        struct retention_figures *f, struct err *e)
{
    if (b->count == 0)
        return 0;
    if (store->cancel && atomic_load(store->cancel))
        return err_set(e, ERR_CANCELED, 0, "interrupted");
    if (check_age(store, p, e) || store_remove_all(store, b->keys, b->count, e))
        return -1;
    f->objects += b->count;
    f->bytes += b->bytes;
    b->count = 0;
    b->bytes = 0;
    return 0;
}

/* One kind at a time: what names others is gone for certain before they go. */
static int remove_kind(struct store *store, const struct retention_plan *p, enum name_kind kind, struct batch *b,
                       struct retention_figures *f, struct err *e)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct retention_verdict *v = &p->verdicts[i];
        if (!v->goes || v->name.kind != kind)
            continue;
        name_format(&v->name, b->names[b->count]);
        b->keys[b->count] = b->names[b->count];
        b->bytes += v->size;
        if (++b->count == STORE_REMOVE_MAX && remove_batch(store, p, b, f, e))
            return -1;
    }
    return remove_batch(store, p, b, f, e);
}

int retention_apply(struct store *store, const struct retention_plan *p, struct retention_figures *ret_figures,
                    struct err *e)
{
    static const enum name_kind order[] = {NAME_MARKER, NAME_LEVEL0, NAME_LEVEL, NAME_CHUNK, NAME_PART};
    struct batch *b = calloc(1, sizeof *b);
    *ret_figures = (struct retention_figures){0};
    int rc = b ? 0 : err_nomem(e, sizeof *b);
    for (size_t i = 0; rc == 0 && i < sizeof order / sizeof order[0]; i++)
        rc = remove_kind(store, p, order[i], b, ret_figures, e);
    free(b);
    return rc;
}
