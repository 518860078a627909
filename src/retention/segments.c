/* retention/segments.c - rules B and F of retention/retention.h, and rule C as far as it concerns segments.
 *
 * With 100,000 objects, no segment is compared with all others: of the segments that begin at its begin or before, a
 * tree gives the one that reaches furthest. That one is read when another is to be deleted because of it, and only
 * once. If it is not sound it leaves the tree, and the next one is looked at. */
#include "retention/decision.h"

#include "base/mintree.h"
#include "base/search.h"
#include "base/trial.h"
#include "replica/whole.h"

#include <stdlib.h>

/* An object of level 0 ends before the next one begins, at the latest. Where retention has removed objects between
 * them, this is too far, which is the safe side. */
static void estimate_ends(struct decision *d)
{
    const struct catalog *c = d->c;
    for (size_t i = 0; i < d->segment_count; i++)
        if (catalog_segment(c, i)->name.kind != NAME_LEVEL0)
            d->ends[i] = catalog_segment(c, i)->name.max;
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
    size_t index; /* of the segment */
};

enum soundness { SOUND_UNKNOWN, SOUND, SOUND_NOT };

struct covering {
    struct decision *d;
    struct cover *order; /* owned; of all segments of levels, ascending min, index */
    size_t count;
    struct mintree any;    /* in that order, UINT64_MAX - max; of the levels above the segment that is judged */
    struct mintree good;   /* those of `any` that are older than keep_all and not known to be damaged */
    enum soundness *sound; /* owned; of segments; SOUND_UNKNOWN: not read yet */
    bool *whole;           /* owned; of segments: every block of the pack was read, and is sound */
};

static int by_min(const void *a, const void *b)
{
    const struct cover *x = a, *y = b;
    if (x->min != y->min)
        return x->min < y->min ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static int covering_init(struct covering *v, struct decision *d, struct err *e)
{
    *v = (struct covering){.d = d, .count = d->segment_count - d->c->level0_count};
    v->order = calloc(v->count + 1, sizeof *v->order);
    v->sound = calloc(d->segment_count + 1, sizeof *v->sound);
    v->whole = calloc(d->segment_count + 1, sizeof *v->whole);
    if (!v->order || !v->sound || !v->whole)
        return err_nomem(e, d->segment_count * sizeof *v->order);
    for (size_t i = 0; i < v->count; i++) {
        const struct name *n = &d->c->levels[i].name;
        v->order[i] = (struct cover){n->min, n->max, d->c->level0_count + i};
    }
    qsort(v->order, v->count, sizeof *v->order, by_min);
    return mintree_init(&v->any, v->count, e) || mintree_init(&v->good, v->count, e) ? -1 : 0;
}

static void covering_release(struct covering *v)
{
    free(v->order);
    free(v->sound);
    free(v->whole);
    mintree_release(&v->any);
    mintree_release(&v->good);
}

/* Whether others can go because of this segment. */
static bool is_old(const struct decision *d, size_t i)
{
    return decision_older(d, d->segments[i].time_ms, d->keep_all_ms) || !RULE(cover_age);
}

/* Keeps the segments of the levels above `above` in the trees. */
static void collect_covers(struct covering *v, unsigned above)
{
    const struct decision *d = v->d;
    for (size_t at = 0; at < v->count; at++) {
        const size_t i = v->order[at].index;
        const uint64_t value = UINT64_MAX - v->order[at].max;
        const bool is =
            catalog_segment(d->c, i)->name.level > above && d->segments[i].reason != RETENTION_BEFORE_ANCHOR;
        mintree_set(&v->any, at, is ? value : MINTREE_NONE);
        mintree_set(&v->good, at, is && is_old(d, i) && v->sound[i] != SOUND_NOT ? value : MINTREE_NONE);
    }
}

struct covers_query {
    const struct cover *order;
    uint64_t min;
};

static bool begins_after(const void *context, size_t at)
{
    const struct covers_query *q = context;
    return q->order[at].min > q->min;
}

/* Of the segments in the tree that begin at `min` or before, the one that reaches furthest; NULL: there is none. */
static const struct cover *furthest(const struct covering *v, const struct mintree *tree, uint64_t min)
{
    const struct covers_query q = {v->order, min};
    size_t at = 0;
    return mintree_least(tree, search_first(v->count, begins_after, &q), &at) ? &v->order[at] : NULL;
}

/* Reads a segment, and finds out whether it is sound, and how old by its own word. */
static int examine(struct covering *v, size_t i, struct err *e)
{
    struct catalog_object *o = catalog_segment(v->d->c, i);
    bool there = false;
    if (catalog_load(v->d->c, o, e)) {
        v->sound[i] = SOUND_NOT;
        return e->code == ERR_CORRUPT ? 0 : -1;
    }
    decision_note_own(v->d, &v->d->segments[i], o->segment);
    if (decision_listed(v->d, o->segment, &there, e))
        return -1;
    v->sound[i] = there && !(o->segment->trailer.info.flags & SEGMENT_BASE_ONLY) ? SOUND : SOUND_NOT;
    catalog_spare(v->d->c, o);
    return 0;
}

/* *ret_cover: a sound segment in v->any that has all txids of `n`, whatever its age; NULL: there is none. If it goes too, one
 * of a higher level covers both. */
static int find_any_sound(struct covering *v, const struct name *n, const struct cover **ret_cover, struct err *e)
{
    const struct cover *any = furthest(v, &v->any, n->min);
    *ret_cover = NULL;
    if (!any || any->max < n->max)
        return 0;
    if (v->sound[any->index] == SOUND_UNKNOWN && examine(v, any->index, e))
        return -1;
    if (v->sound[any->index] == SOUND)
        *ret_cover = any;
    return 0;
}

/* ---- rule B */

/* *ret_lies: a pack has the same txids as its cover, and these lie in a third segment too. Then the cover can go because of
 * the pack, by rule F: of two prunes at a time, each would delete what the other relies on. */
static int lies_in_pack(struct covering *v, const struct cover *cover, size_t pack, bool *ret_lies, struct err *e)
{
    const struct name *n = &catalog_segment(v->d->c, pack)->name;
    *ret_lies = false;
    if (n->kind != NAME_PACK || cover->min != n->min || cover->max != n->max || !RULE(pack_equal))
        return 0;
    const size_t at = (size_t)(cover - v->order);
    const struct cover *third = NULL;
    mintree_set(&v->any, at, MINTREE_NONE);
    int rc = find_any_sound(v, n, &third, e);
    mintree_set(&v->any, at, UINT64_MAX - cover->max);
    *ret_lies = third;
    return rc;
}

/* *ret_covered: a sound segment, old enough, has all txids of the segment `i`. */
static int find_sound(struct covering *v, size_t i, bool *ret_covered, struct err *e)
{
    struct decision *d = v->d;
    const uint64_t min = catalog_segment(d->c, i)->name.min;
    bool end_known = false;
    *ret_covered = false;
    for (;;) {
        const struct cover *good = furthest(v, &v->good, min);
        if (!good || good->max < min)
            return 0;
        if (good->max < d->ends[i] && !end_known) {
            if (find_end(d, i, e))
                return -1;
            end_known = true;
        }
        if (good->max < d->ends[i])
            return 0;
        if (v->sound[good->index] == SOUND_UNKNOWN && examine(v, good->index, e))
            return -1;
        if (v->sound[good->index] == SOUND && is_old(d, good->index)) {
            bool lies = false; /* then no other cover has more: of those that reach as far, the first one was found */
            int rc = lies_in_pack(v, good, i, &lies, e);
            *ret_covered = rc == 0 && !lies;
            return rc;
        }
        mintree_set(&v->good, (size_t)(good - v->order), MINTREE_NONE);
    }
}

static int judge_covered(struct covering *v, size_t i, struct err *e)
{
    struct decision *d = v->d;
    bool covered = false;
    if (find_sound(v, i, &covered, e))
        return -1;
    const struct cover *any = furthest(v, &v->any, catalog_segment(d->c, i)->name.min);
    if (!decision_older(d, d->segments[i].time_ms, d->policy->grace_ms)) { /* by its own word */
        decision_set(&d->segments[i], false, RETENTION_YOUNG);
    } else if (covered) {
        decision_set(&d->segments[i], true, RETENTION_COVERED);
    } else if (!decision_older(d, d->segments[i].time_ms, d->keep_all_ms)) {
        decision_set(&d->segments[i], false, RETENTION_KEEP_ALL);
    } else if (!any || any->max < d->ends[i]) {
        decision_set(&d->segments[i], false, RETENTION_ALONE);
    } else {
        bool damaged = v->sound[any->index] == SOUND_NOT;
        decision_set(&d->segments[i], false, damaged ? RETENTION_COVER_DAMAGED : RETENTION_COVER_YOUNG);
    }
    return 0;
}

/* ---- rule F */

/* *ret_pack: the pack that has all txids from `min` to `max`, as far as names say; NULL: none has, or it is not sound. A
 * pack that goes is not read: its age by its own word would come too late. */
static int find_pack(struct covering *v, uint64_t min, uint64_t max, const struct catalog_object **ret_pack,
                     struct err *e)
{
    const struct catalog_object *o = catalog_level0_at(v->d->c, min);
    *ret_pack = NULL;
    if (!o || o->name.kind != NAME_PACK || o->name.max < max)
        return 0;
    const size_t i = catalog_segment_index(v->d->c, o);
    const bool goes = v->d->segments[i].goes;
    if (!goes && v->sound[i] == SOUND_UNKNOWN && examine(v, i, e))
        return -1;
    if (goes || v->sound[i] == SOUND)
        *ret_pack = o;
    return 0;
}

/* Whether others can go because of this pack, by the store's word and by its own: what lies in it is older still.
 * Before: find_pack gave it. */
static bool has_settled(const struct decision *d, const struct catalog_object *pack)
{
    const struct retention_verdict *v = &d->segments[catalog_segment_index(d->c, pack)];
    return !v->goes && decision_older(d, v->time_ms, d->settle_ms);
}

/* Something is to go because of this pack: reads it whole, unless this was done. *ret_sound: it may go. */
static int rely_on(struct covering *v, size_t pack, bool *ret_sound, struct err *e)
{
    struct decision *d = v->d;
    *ret_sound = d->segments[pack].goes || v->whole[pack];
    if (!*ret_sound && whole_check(d->c, catalog_segment(d->c, pack), d->policy->whole, e)) {
        v->sound[pack] = SOUND_NOT;
        return e->code == ERR_CORRUPT ? 0 : -1;
    }
    *ret_sound = true;
    v->whole[pack] = true;
    d->relied[pack] |= !d->expired[pack] && !d->segments[pack].goes;
    return 0;
}

/* Whether another prune under way may delete the pack because of the segment in it: see lies_in_pack. It does not if it
 * knows the segment's cover, because that is older than the grace period. */
static bool may_be_relied_on(const struct decision *d, const struct name *n, const struct name *pack,
                             const struct cover *cover)
{
    const uint64_t valid_ms = (uint64_t)d->out.valid_ms, grace_ms = d->policy->grace_ms;
    return RULE(pack_equal) && n->min == pack->min && n->max == pack->max &&
           !decision_older(d, d->segments[cover->index].time_ms, grace_ms > valid_ms ? grace_ms : valid_ms);
}

/* A segment of a level whose end is a restore point in a pack. */
static int judge_packed_level(struct covering *v, size_t i, struct err *e)
{
    struct decision *d = v->d;
    struct retention_verdict *verdict = &d->segments[i];
    const struct catalog_object *o = catalog_segment(d->c, i), *pack = NULL;
    const struct cover *cover = NULL;
    bool sound = false;
    if (verdict->goes || d->needed[i] || !decision_older(d, verdict->time_ms, d->settle_ms))
        return 0;
    if (find_pack(v, o->name.min, o->name.max, &pack, e) || (pack && find_any_sound(v, &o->name, &cover, e)))
        return -1;
    if (!cover || !has_settled(d, pack) || may_be_relied_on(d, &o->name, &pack->name, cover))
        return 0;
    if (rely_on(v, catalog_segment_index(d->c, pack), &sound, e))
        return -1;
    if (sound)
        decision_set(verdict, true, RETENTION_LEVEL_PACKED);
    return 0;
}

/* What lies in packs. If a pack goes for another reason, so does what is left of it. */
static int judge_in_pack(struct covering *v, size_t i, struct err *e)
{
    struct decision *d = v->d;
    const struct name *n = &d->c->packed[i].name;
    const struct catalog_object *pack = NULL;
    struct retention_verdict *verdict = &d->packed[i];
    bool sound = false;
    if (find_pack(v, n->min, n->max, &pack, e))
        return -1;
    const size_t at = pack ? catalog_segment_index(d->c, pack) : 0;
    const bool out = pack && d->segments[at].goes && decision_older(d, verdict->time_ms, d->policy->grace_ms);
    const bool ripe = out || (pack && has_settled(d, pack) && decision_older(d, verdict->time_ms, d->settle_ms));
    if (ripe && rely_on(v, at, &sound, e))
        return -1;
    if (sound)
        decision_set(verdict, true, RETENTION_PACKED);
    else
        decision_set(verdict, false, pack && !ripe ? RETENTION_PACK_YOUNG : RETENTION_PACK_DAMAGED);
    return 0;
}

static int judge_packed(struct covering *v, struct err *e)
{
    for (size_t i = 0; i < v->d->c->packed_count; i++)
        if (judge_in_pack(v, i, e))
            return -1;
    return 0;
}

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
        if (catalog_segment(d->c, i)->name.kind == NAME_PACK && find_sound(v, i, &d->expired[i], e))
            return -1;
        bool settled = why == RETENTION_HEAD || why == RETENTION_YOUNG || why == RETENTION_POINT_OF_BASE ||
                       why == RETENTION_BEFORE_ANCHOR;
        if ((!settled && judge_covered(v, i, e)) || (level > 0 && judge_packed_level(v, i, e)))
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

/* ---- both */

int retention_judge_segments(struct decision *d, struct err *e)
{
    struct covering v;
    estimate_ends(d);
    int rc = covering_init(&v, d, e);
    if (rc == 0)
        rc = judge_before_anchor(d, e);
    if (rc == 0)
        rc = judge_levels(&v, e);
    if (rc == 0)
        rc = judge_packed(&v, e);
    covering_release(&v);
    return rc;
}
