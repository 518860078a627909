/* retention/leftovers.c - rule D of retention/retention.h: which chunks and parts stay. */
#include "retention/decision.h"

#include <stdlib.h>

/* A run that has put no part for so long will not complete the segments that it began. */
#define PARTS_QUIET_MS 86400000

/* ---- chunks */

static bool same_base(const struct name *a, const struct name *b)
{
    return a->start == b->start && uid_equal(&a->run, &b->run);
}

/* The start of the newest base that is complete and older than the grace period; 0: there is none. No daemon works on
 * a base that was begun before it. */
static uint64_t newest_complete(const struct decision *d)
{
    uint64_t start = 0;
    for (size_t i = 0; i < d->c->marker_count; i++)
        if (d->bases[i].usable && decision_older(d, d->markers[i].time_ms, d->policy->grace_ms))
            start = d->bases[i].start; /* they ascend */
    return start;
}

/* Reads what a chunk or part says about its age, and the rest of its trailer. *ret_read: it could be read. */
static int read_own(const struct decision *d, struct retention_verdict *v, struct segment *ret_segment, bool *ret_read,
                    struct err *e)
{
    char key[NAME_MAX_BYTES];
    name_format(&v->name, key);
    *ret_read = object_load(d->c->store, key, d->c->codec, SEGMENT_WANT_RECORDS, ret_segment, e) == 0;
    if (*ret_read)
        decision_note_own(d, v, ret_segment);
    return *ret_read || e->code == ERR_CORRUPT ? 0 : store_listed_is_gone(e);
}

/* The same, of an object that nothing else vouches for and that would go. */
static int check_age(const struct decision *d, struct retention_verdict *v, struct err *e)
{
    struct segment s = {0};
    bool read = false;
    if (read_own(d, v, &s, &read, e))
        return -1;
    if (read)
        segment_release(&s);
    return 0;
}

/* Judges a chunk, or interior pages, that are older than the grace period. `marker`: of its base; NULL: there is none. `chunks`:
 * its base has some. */
static void judge_chunk(const struct decision *d, size_t i, const struct catalog_object *marker, bool overtaken,
                        bool chunks)
{
    struct retention_verdict *v = &d->chunks[i];
    const bool interior = d->c->chunks[i].name.kind == NAME_INTERIOR;
    const struct retained_base *base = marker ? &d->bases[marker - d->c->markers] : NULL;
    if (marker && d->markers[marker - d->c->markers].goes)
        decision_set(v, true, RETENTION_CHUNK_GOES);
    else if (interior && base && base->readable && !base->interior)
        decision_set(v, true, RETENTION_INTERIOR_UNNAMED);
    else if (marker)
        decision_set(v, false, RETENTION_CHUNK_STAYS);
    else if (!overtaken)
        decision_set(v, false, RETENTION_CHUNK_WAITS);
    else
        decision_set(v, true, chunks ? RETENTION_CHUNK_GIVEN_UP : RETENTION_INTERIOR_LEFT);
}

int retention_judge_chunks(struct decision *d, struct err *e)
{
    const struct catalog *c = d->c;
    const struct catalog_object *marker = NULL;
    const uint64_t newest = newest_complete(d);
    bool overtaken = false, chunks = false;
    for (size_t i = 0; i < c->chunk_count; i++) {
        const struct name *n = &c->chunks[i].name;
        if (i == 0 || !same_base(n, &c->chunks[i - 1].name)) {
            chunks = n->kind == NAME_CHUNK;
            const struct name wanted = {.kind = NAME_MARKER, .start = n->start, .run = n->run};
            marker = catalog_find(c, &wanted);
            overtaken = !marker && n->start < newest;
            if (overtaken && decision_check_missing(d, &wanted, e))
                return -1;
        }
        const bool would_go = overtaken && decision_older(d, d->chunks[i].time_ms, d->policy->grace_ms);
        if (would_go && check_age(d, &d->chunks[i], e))
            return -1;
        if (!decision_older(d, d->chunks[i].time_ms, d->policy->grace_ms))
            decision_set(&d->chunks[i], false, RETENTION_YOUNG);
        else
            judge_chunk(d, i, marker, overtaken, chunks);
    }
    return 0;
}

/* ---- parts
 *
 * A part says at which txid its segment begins. So for all parts of one segment, one part and that segment are
 * read. */

struct ownership {
    bool named; /* by a segment */
    bool stays; /* a segment that stays names it */
};

struct parts {
    struct decision *d;
    struct ownership *owned; /* in the order of the catalog's parts */
    uint8_t *noted; /* enum noted; by catalog_segment_index, of the first segment of a level that begins at some txid */
};

/* Whether the parts are noted that the segments of one level that begin at one txid name. */
enum noted { NOTED_NOT, NOTED, NOTED_NOT_ALL };

/* Notes the parts that the segment `o` names. *ret_unreadable is set if `o` is damaged. */
static int note_list(struct parts *p, struct catalog_object *o, bool *ret_unreadable, struct err *e)
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

/* The same for `first` and the segments behind it that are of its level and have its min. Each is read once, however
 * many parts say that their segment begins there. */
static int note_level(struct parts *p, struct catalog_object *first, bool *ret_unreadable, struct err *e)
{
    const struct catalog *c = p->d->c;
    uint8_t *noted = &p->noted[catalog_segment_index(c, first)];
    const struct catalog_object *end =
        first->name.kind == NAME_LEVEL0 ? c->level0 + c->level0_count : c->levels + c->level_count;
    bool unreadable = false;
    for (struct catalog_object *o = first;
         *noted == NOTED_NOT && o < end && o->name.level == first->name.level && o->name.min == first->name.min; o++)
        if (note_list(p, o, &unreadable, e))
            return -1;
    if (*noted == NOTED_NOT)
        *noted = unreadable ? NOTED_NOT_ALL : NOTED;
    *ret_unreadable |= *noted == NOTED_NOT_ALL;
    return 0;
}

/* The same for the segments of all levels that begin at `min`. */
static int note_lists(struct parts *p, uint64_t min, bool *ret_unreadable, struct err *e)
{
    for (unsigned level = 0; level <= SEGMENT_LEVEL_MAX; level++) {
        const struct name wanted = {.kind = level ? NAME_LEVEL : NAME_LEVEL0, .level = level, .min = min};
        struct catalog_object *first = catalog_seek(p->d->c, &wanted);
        if (first && first->name.level == level && first->name.min == min && note_level(p, first, ret_unreadable, e))
            return -1;
    }
    return 0;
}

/* Whether it is certain that no segment will name this part, which none names yet. It is not certain for a part of the
 * run that put the newest object. It is if the part ends before the anchor starts: these txids are not compacted any
 * more. And it is if its run has been quiet for so long that it must be over. */
static bool was_given_up(const struct decision *d, const struct segment_info *i, int64_t newest_ms)
{
    if (uid_equal(&i->run, &d->head_run)) /* it may still work on the segment, however long ago it began */
        return false;
    if (d->anchor && i->max <= d->anchor->start)
        return true;
    return i->min <= d->head_max && decision_older(d, newest_ms, PARTS_QUIET_MS) &&
           decision_older(d, newest_ms, d->policy->grace_ms);
}

/* Finds the newest time of the parts of a run, from `first` on in the catalog, by the store's word and by their own.
 * They are read only if the store's word is not young already. */
static int newest_of_run(const struct decision *d, size_t first, int64_t *ret_ms, struct err *e)
{
    const struct catalog *c = d->c;
    *ret_ms = d->parts[first].time_ms;
    for (size_t k = first; k < c->part_count && uid_equal(&c->parts[k].name.run, &c->parts[first].name.run); k++) {
        if (decision_older(d, *ret_ms, PARTS_QUIET_MS) && check_age(d, &d->parts[k], e))
            return -1;
        *ret_ms = d->parts[k].time_ms > *ret_ms ? d->parts[k].time_ms : *ret_ms;
    }
    return 0;
}

/* Judges a part that no segment names. `first`: the first part of its run in the catalog. */
static int judge_unnamed(struct parts *p, size_t at, size_t first, const struct segment_info *i, struct err *e)
{
    const struct decision *d = p->d;
    int64_t newest_ms = INT64_MAX;
    bool goes = was_given_up(d, i, newest_ms);
    if (!goes && was_given_up(d, i, 0)) { /* it depends on the age of its run */
        if (newest_of_run(d, first, &newest_ms, e))
            return -1;
        goes = was_given_up(d, i, newest_ms);
    }
    decision_set(&d->parts[at], goes, goes ? RETENTION_PART_GIVEN_UP : RETENTION_PART_WAITS);
    return 0;
}

/* Judges a part that is older than the grace period by the store's word. */
static int judge_part(struct parts *p, size_t at, size_t first, struct err *e)
{
    const struct decision *d = p->d;
    struct segment s = {0};
    bool unreadable = false, read = false;
    int rc = 0;
    if (!p->owned[at].named) {
        if (read_own(d, &d->parts[at], &s, &read, e))
            return -1;
        unreadable = !read;
        if (read)
            rc = note_lists(p, s.trailer.info.min, &unreadable, e);
    }
    if (rc == 0 && !decision_older(d, d->parts[at].time_ms, d->policy->grace_ms)) { /* by its own word */
        decision_set(&d->parts[at], false, RETENTION_YOUNG);
    } else if (rc == 0 && p->owned[at].named) {
        bool goes = !p->owned[at].stays;
        decision_set(&d->parts[at], goes, goes ? RETENTION_PART_GOES : RETENTION_PART_STAYS);
    } else if (rc == 0 && (unreadable || !object_fits_name(&d->parts[at].name, &s.trailer.info))) {
        decision_set(&d->parts[at], false, RETENTION_PART_UNKNOWN);
    } else if (rc == 0) {
        rc = judge_unnamed(p, at, first, &s.trailer.info, e);
    }
    segment_release(&s);
    return rc;
}

int retention_judge_parts(struct decision *d, struct err *e)
{
    const struct catalog *c = d->c;
    struct parts p = {.d = d,
                      .owned = calloc(c->part_count + 1, sizeof *p.owned),
                      .noted = calloc(d->segment_count + 1, sizeof *p.noted)};
    size_t first = 0; /* of the run */
    int rc = p.owned && p.noted ? 0 : err_nomem(e, c->part_count * sizeof *p.owned);
    for (size_t i = 0; rc == 0 && i < c->part_count; i++) {
        if (!uid_equal(&c->parts[i].name.run, &c->parts[first].name.run))
            first = i;
        if (decision_older(d, d->parts[i].time_ms, d->policy->grace_ms))
            rc = judge_part(&p, i, first, e);
        else
            decision_set(&d->parts[i], false, RETENTION_YOUNG);
    }
    free(p.owned);
    free(p.noted);
    return rc;
}
