/* replica/plan.c */
#include "replica/plan.h"

#include "base/array.h"
#include "base/claim.h"
#include "base/page.h"
#include "base/search.h"
#include "base/trial.h"
#include "replica/ways.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SOURCES 64

void plan_release(struct plan *p)
{
    claim_give(p->charged);
    free(p->sources);
    *p = (struct plan){0};
}

static int double_sources(struct plan *p, struct err *e)
{
    const size_t cap = p->source_cap ? 2 * p->source_cap : FIRST_SOURCES;
    const size_t bytes = (cap - p->source_cap) * sizeof *p->sources;
    if (claim_take(bytes, e))
        return err_wrap(e, "a plan of more than %zu objects", p->source_count);
    p->charged += bytes;
    return array_reserve(&p->sources, &p->source_cap, cap, sizeof *p->sources, e);
}

static int add_source(struct plan *p, const struct plan_source *s, struct err *e)
{
    if (p->source_count == p->source_cap && double_sources(p, e))
        return -1;
    p->sources[p->source_count++] = *s;
    p->bytes += s->size;
    return 0;
}

/* Adds the chunks of a marker or the parts of a segment. */
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

static void start_over(struct plan *p)
{
    p->source_count = 0;
    p->bytes = 0;
    p->page_size = 0;
}

/* ---- the target */

bool plan_records_all(const struct segment_info *i)
{
    return i->level == 0 && !(i->flags & SEGMENT_LAST_ONLY);
}

bool plan_must_stop(const struct err *e)
{
    return e->code == ERR_NOMEM || e->code == ERR_CANCELED || e->code == ERR_CLAIM;
}

/* 0: the object that gave this error is skipped. -1: the error ends the search. */
static int skip_or_stop(const struct err *failed, struct err *e)
{
    if (!plan_must_stop(failed))
        return 0;
    *e = *failed;
    return -1;
}

/* Looks in level 0. *ret_found: a loaded object has the record of `txid`. */
static int find_in_level0(struct catalog *c, uint64_t txid, struct commit_record *ret_record, bool *ret_found,
                          struct err *e)
{
    struct catalog_object *o = catalog_level0_at(c, txid);
    *ret_found = false;
    if (!o)
        return 0;
    if (catalog_load(c, o, e))
        return -1;
    const struct segment_trailer *t = &o->segment->trailer;
    *ret_found = txid == t->info.max || (txid < t->info.max && plan_records_all(&t->info));
    if (*ret_found)
        *ret_record = o->segment->records[txid == t->info.max ? t->record_count - 1 : txid - t->info.min];
    catalog_spare(c, o);
    return 0;
}

/* A search for the record of `txid` in the levels. */
struct record_search {
    struct catalog *c;
    uint64_t txid;
    struct commit_record *found;
    struct err *damage; /* of the first object that can't be loaded */
};

/* Looks at the segments of one level from `from` to `last` in `order`; within a level, the segment that begins first is
 * the last. `damaged`: looks only at segments that are known to be damaged; otherwise only at the others. *ret_place:
 * the segment with the record. True: the search is over. */
static bool find_in_level(const struct record_search *s, size_t from, size_t last, bool damaged, size_t *ret_place)
{
    const struct ways_place *order = s->c->ways->order;
    for (size_t k = last + 1; k-- > from;) {
        struct catalog_object *o = &s->c->levels[order[k].index];
        struct err failed = {.code = ERR_NONE};
        s->c->ways->steps++;
        if ((s->c->ways->fault[catalog_segment_index(s->c, o)] != ERR_NONE) != damaged)
            continue;
        if (catalog_load(s->c, o, &failed) == 0) {
            *s->found = o->segment->records[0];
            *ret_place = k;
            return true;
        }
        if (!plan_must_stop(&failed))
            ways_break(s->c->ways, &order[k], failed.code);
        if (s->damage->code == ERR_NONE || plan_must_stop(&failed))
            *s->damage = failed;
        if (damaged || plan_must_stop(&failed))
            return true; /* of damaged ones, one error is enough */
    }
    return false;
}

/* Looks in the levels for the first object, in the order of keys, that ends at `txid` and can be loaded. Objects that
 * are known to be damaged are tried again only if no other object has the record. */
static bool find_in_levels(const struct record_search *s, bool damaged)
{
    struct ways *w = s->c->ways;
    const struct ways_place *order = w->order;
    const size_t from = ways_upto(w, s->txid - 1), end = ways_upto(w, s->txid), none = w->count + 1;
    size_t group = from, place = none;
    if (from == end || (!damaged && w->recorded[from] == none))
        return false;
    if (!damaged && w->recorded[from]) { /* it was found before */
        struct catalog_object *o = &s->c->levels[order[w->recorded[from] - 1].index];
        if (catalog_load(s->c, o, s->damage) == 0)
            *s->found = o->segment->records[0];
        if (o->segment || plan_must_stop(s->damage))
            return o->segment != NULL;
    }
    for (size_t i = from; i < end; i++) {
        if (i + 1 != end && order[i + 1].level == order[i].level)
            continue;
        if (find_in_level(s, group, i, damaged, &place))
            break;
        group = i + 1;
    }
    if (!plan_must_stop(s->damage) && !damaged)
        w->recorded[from] = place == none ? none : place + 1;
    else if (place != none)
        w->recorded[from] = 0;
    return place != none;
}

int plan_find_record(struct catalog *c, uint64_t txid, struct commit_record *ret_record, struct err *e)
{
    bool found = false;
    struct err damage = {.code = ERR_NONE}; /* the first one: another object may have the record */
    assert(txid > 0);
    if (find_in_level0(c, txid, ret_record, &found, &damage) == 0 && found)
        return 0;
    const struct record_search search = {c, txid, ret_record, &damage};
    if (!plan_must_stop(&damage) && find_in_levels(&search, false))
        return 0;
    if (damage.code == ERR_NONE && find_in_levels(&search, true))
        return 0;
    if (damage.code == ERR_NONE)
        return err_set(e, ERR_NOTFOUND, 0, "txid %" PRIu64 " is not a restore point of '%s'", txid, c->store->url);
    *e = damage;
    return -1;
}

/* ---- the walk to the target
 *
 * Which segment comes next depends on the state alone, and what follows a segment on the segment alone. So a way that
 * meets a segment through which an earlier one failed fails too: all walks of one search together take each segment
 * once. */

struct walk {
    struct catalog *c;
    struct plan *plan;
    enum care care;
    bool explain; /* goes to the very end of a way, where the reason is known that it does not lead on */
    bool tell;    /* a person will read why there is no plan */
    uint64_t target, pos;
    size_t below;        /* ways_upto(target) */
    bool checksum_known; /* of the state at pos */
    uint64_t checksum;
    size_t taken; /* segments that were taken, in ways->taken */
};

/* Whether this pack can follow. One that begins in a segment that was taken, and goes on behind it, can't: its patches
 * may start from versions that the segment does not have. */
static bool can_follow(const struct walk *w, const struct catalog_object *o)
{
    if (o->name.kind != NAME_PACK || o->name.min == w->pos + 1)
        return true;
    for (size_t i = w->taken; i-- > 0;) {
        const struct name *before = &catalog_segment(w->c, w->c->ways->taken[i])->name;
        if (before->min < o->name.min)
            return before->kind != NAME_LEVEL || before->max < o->name.min;
    }
    return true;
}

static bool is_acceptable(const struct walk *w, const struct catalog_object *o)
{
    if (w->care == INCOMPLETE_TOO || o->segment->trailer.list_count == 0)
        return true;
    uint8_t *known = &w->c->ways->has_all[catalog_segment_index(w->c, o)];
    if (*known == WAYS_UNKNOWN)
        *known = catalog_has_all(w->c, o->segment) ? WAYS_YES : WAYS_NO;
    return *known == WAYS_YES;
}

/* The object of level 0 to take next, or NULL. *ret_fault: the one that can't be loaded, or NULL. */
static int consider_level0(const struct walk *w, struct catalog_object **ret_best, struct catalog_object **ret_fault,
                           struct err *e)
{
    struct catalog_object *o = catalog_level0_at(w->c, w->pos + 1);
    *ret_best = *ret_fault = NULL;
    if (!o)
        return 0;
    uint8_t *fault = &w->c->ways->fault[catalog_segment_index(w->c, o)];
    if (*fault != ERR_NONE || catalog_load(w->c, o, e)) {
        *ret_fault = o;
        if (*fault == ERR_NONE && plan_must_stop(e))
            return -1;
        if (*fault == ERR_NONE)
            ways_pass_over(w->c->ways, e->code);
        *fault = *fault ? *fault : (uint8_t)e->code;
        return 0;
    }
    const struct segment_info *i = &o->segment->trailer.info;
    bool leads = i->max > w->pos && !(i->flags & SEGMENT_BASE_ONLY) && (i->max <= w->target || plan_records_all(i));
    if (leads && is_acceptable(w, o) && can_follow(w, o))
        *ret_best = o;
    return 0;
}

/* The segment of a level that leads further than `reach`, or as far; or NULL. */
static int consider_levels(const struct walk *w, uint64_t reach, struct catalog_object **ret_best, struct err *e)
{
    const struct ways_place *place = NULL;
    *ret_best = NULL;
    while ((place = ways_best(w->c->ways, w->care, w->pos, w->below)) && place->max >= reach) {
        struct catalog_object *o = &w->c->levels[place->index];
        if (catalog_load(w->c, o, e)) {
            if (plan_must_stop(e))
                return -1;
            ways_break(w->c->ways, place, e->code);
        } else if (o->segment->trailer.info.flags & SEGMENT_BASE_ONLY) {
            ways_drop(w->c->ways, ONLY_COMPLETE, place);
            ways_drop(w->c->ways, INCOMPLETE_TOO, place);
        } else if (!is_acceptable(w, o)) {
            ways_drop(w->c->ways, w->care, place);
        } else {
            *ret_best = o;
            return 0;
        }
    }
    return 0;
}

/* Explains why no segment continues the state at pos: there is none, or it is damaged. *ret_again: it can be loaded by
 * now. */
static int explain_end(const struct walk *w, struct catalog_object *level0, bool *ret_again, struct err *e)
{
    const struct ways_place *place = level0 ? NULL : ways_broken(w->c->ways, w->pos, w->below);
    struct catalog_object *o = place ? &w->c->levels[place->index] : level0;
    if (!o)
        return err_set(e, ERR_NOTFOUND, 0, "no segment continues the state after txid %" PRIu64, w->pos);
    uint8_t *fault = &w->c->ways->fault[catalog_segment_index(w->c, o)];
    if (!w->explain)
        return err_set(e, *fault, 0, "an object after txid %" PRIu64 " can't be read", w->pos);
    *ret_again = catalog_load(w->c, o, e) == 0;
    if (*ret_again && level0)
        ways_loadable(w->c->ways, catalog_segment_index(w->c, o), o->name.min);
    else if (*ret_again && place)
        ways_mend(w->c->ways, place);
    return *ret_again ? 0 : -1;
}

/* Finds the segment that leads furthest. If there is none, and a candidate was damaged, the damage is the error. */
static int choose(const struct walk *w, struct catalog_object **ret_best, struct err *e)
{
    bool again = true;
    while (again) {
        struct catalog_object *level0 = NULL, *fault = NULL;
        again = false;
        if (consider_level0(w, &level0, &fault, e))
            return -1;
        uint64_t reach = w->pos + 1;
        if (level0)
            reach = level0->segment->trailer.info.max < w->target ? level0->segment->trailer.info.max : w->target;
        if (consider_levels(w, reach, ret_best, e))
            return -1;
        if (!*ret_best)
            *ret_best = level0;
        if (!*ret_best && explain_end(w, fault, &again, e))
            return -1;
    }
    return 0;
}

/* Checks that the segment can follow the state at pos. */
static int check_follows(const struct walk *w, const struct segment_info *i, struct err *e)
{
    const uint32_t page_size = w->plan->page_size;
    if (i->flags & SEGMENT_FROM_EMPTY)
        return 0;
    if (i->min - 1 == w->pos && w->checksum_known && i->checksum_before != w->checksum)
        return err_set(e, ERR_CORRUPT, 0, "does not continue the state after txid %" PRIu64 ": checksums differ",
                       w->pos);
    if (page_size != 0 && page_size != i->page_size)
        return err_set(e, ERR_CORRUPT, 0, "page size %u after %u", i->page_size, page_size);
    return 0;
}

static int take(struct walk *w, const struct catalog_object *o, struct err *e)
{
    const struct segment *s = o->segment;
    const struct segment_info *i = &s->trailer.info;
    struct plan *p = w->plan;
    assert(i->max > w->pos && (i->max <= w->target || plan_records_all(i)));
    if (i->flags & SEGMENT_FROM_EMPTY)
        start_over(p);
    p->page_size = i->page_size;
    struct plan_source source = {.kind = OBJECT_SEGMENT, .max = i->max, .size = o->size};
    name_format(&o->name, source.key);
    if (add_listed(p, s, OBJECT_PART, e) || add_source(p, &source, e))
        return -1;
    w->checksum_known = i->max <= w->target;
    w->checksum = s->records[s->trailer.record_count - 1].checksum;
    w->pos = i->max < w->target ? i->max : w->target;
    return 0;
}

static int name_object(const struct catalog_object *o, struct err *e)
{
    char key[NAME_MAX_BYTES];
    name_format(&o->name, key);
    return err_wrap(e, "object '%s'", key);
}

/* Takes `o`, and after it what leads furthest, until the target is reached. NULL: begins with what leads furthest.
 * After a failure, the segments that were taken are dead ends of this round. */
static int walk_from(struct walk *w, struct catalog_object *o, struct err *e)
{
    struct ways *ways = w->c->ways;
    int rc = 0;
    w->taken = 0;
    while (rc == 0 && (o || w->pos < w->target)) {
        ways->steps++;
        if (!o && choose(w, &o, e)) {
            rc = -1;
            break;
        }
        assert(o && o->segment);
        const size_t at = catalog_segment_index(w->c, o);
        if (check_follows(w, &o->segment->trailer.info, e)) {
            rc = name_object(o, e);
        } else if (ways_dead_end(ways, w->care, at) != ERR_NONE && !w->explain) {
            rc = err_set(e, ways_dead_end(ways, w->care, at), 0, "no way leads from txid %" PRIu64 " to the target",
                         w->pos);
        } else {
            ways->taken[w->taken++] = at;
            if (take(w, o, e))
                rc = name_object(o, e);
            catalog_spare(w->c, o);
        }
        o = NULL;
    }
    for (size_t i = 0; rc != 0 && i < w->taken; i++)
        ways_note_dead_end(ways, w->care, ways->taken[i], e->code);
    assert(rc != 0 || w->pos == w->target);
    return rc;
}

static int walk_to_target(struct walk *w, struct err *e)
{
    return walk_from(w, NULL, e);
}

/* ---- where the walk starts */

/* Whether the chunks of a base cover all its pages. A base that was begun while nothing was known of the database can
 * have no chunks. */
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

static int take_base(struct walk *w, const struct catalog_object *marker, struct err *e)
{
    const struct segment_info *i = &marker->segment->trailer.info;
    w->pos = RULE(base_start) ? i->start : i->max;
    w->plan->page_size = i->page_size;
    if (chunks_fill_base(marker->segment))
        return add_listed(w->plan, marker->segment, OBJECT_CHUNK, e);
    return err_set(e, ERR_CORRUPT, 0, "names no chunks for all pages of the base");
}

static bool is_no_way(const struct err *e)
{
    return e->code == ERR_CORRUPT || e->code == ERR_NOTFOUND;
}

static int plan_from_empty(const struct walk *from, struct err *e)
{
    struct walk w = *from;
    w.explain = w.tell;
    start_over(w.plan);
    int rc = walk_to_target(&w, e);
    if (rc == 0 || w.explain || is_no_way(e) || plan_must_stop(e))
        return rc;
    w = *from;
    w.explain = true; /* the store failed: once more */
    start_over(w.plan);
    return walk_to_target(&w, e);
}

/* *ret_fits: this base may serve the target. */
static int plan_from_base(struct walk w, struct catalog_object *marker, bool *ret_fits, struct err *e)
{
    *ret_fits = true;
    if (catalog_load(w.c, marker, e))
        return -1;
    bool later = marker->segment->trailer.info.max > w.target && RULE(base_span);
    bool complete = w.care == INCOMPLETE_TOO || catalog_has_all(w.c, marker->segment);
    *ret_fits = !later && complete;
    int rc = 0;
    if (*ret_fits) {
        start_over(w.plan);
        w.c->ways->steps += marker->segment->trailer.list_count;
        if (take_base(&w, marker, e))
            rc = name_object(marker, e);
    }
    catalog_spare(w.c, marker);
    return rc == 0 && *ret_fits ? walk_to_target(&w, e) : rc;
}

static bool starts_after(const void *context, size_t index)
{
    const struct walk *w = context;
    return w->c->markers[index].name.start > w->target;
}

/* Whether the error `e` explains more than `why`. Damage explains more than a missing segment, and the newest base more
 * than older ones. */
static bool explains_more(const struct err *why, const struct err *e)
{
    return why->code == ERR_NONE || (why->code == ERR_NOTFOUND && e->code == ERR_CORRUPT);
}

/* Plans from the newest base that leads to the target. *ret_done: there is one. Otherwise *ret_why explains it. */
static int plan_from_bases(const struct walk *w, bool *ret_done, struct err *ret_why, struct err *e)
{
    *ret_done = false;
    *ret_why = (struct err){.code = ERR_NONE};
    for (size_t i = search_first(w->c->marker_count, starts_after, w); i-- > 0;) {
        struct walk from = *w;
        bool fits = false;
        w->c->ways->steps++;
        int rc = plan_from_base(from, &w->c->markers[i], &fits, e);
        bool skipped = rc != 0 && is_no_way(e);
        if (rc != 0 && !plan_must_stop(e) && (!skipped || (w->tell && explains_more(ret_why, e)))) {
            from.explain = true;
            rc = plan_from_base(from, &w->c->markers[i], &fits, e);
        }
        if (rc == 0 && fits) {
            *ret_done = true;
            return 0;
        }
        if (rc != 0 && !is_no_way(e))
            return -1;
        if (rc != 0 && explains_more(ret_why, e))
            *ret_why = *e;
    }
    return 0;
}

/* *ret_begins: a way to the target can begin with this segment. */
static int look_for_beginning(const struct walk *w, size_t at, bool *ret_begins, struct err *e)
{
    struct catalog_object *o = catalog_segment(w->c, at);
    struct err failed = {.code = ERR_NONE};
    *ret_begins = false;
    w->c->ways->steps++;
    if (w->c->ways->fault[at] != ERR_NONE || catalog_load(w->c, o, &failed)) {
        if (w->c->ways->fault[at] != ERR_NONE || failed.code == ERR_CORRUPT || failed.code == ERR_GONE)
            ways_no_beginning(w->c->ways, at);
        if (failed.code != ERR_NONE && !plan_must_stop(&failed))
            ways_pass_over(w->c->ways, failed.code);
        return skip_or_stop(&failed, e);
    }
    const struct segment_info *info = &o->segment->trailer.info;
    if (!(info->flags & SEGMENT_FROM_EMPTY) || (info->flags & SEGMENT_BASE_ONLY))
        ways_no_beginning(w->c->ways, at);
    else
        *ret_begins = (info->max <= w->target || plan_records_all(info)) && is_acceptable(w, o);
    if (!*ret_begins)
        catalog_spare(w->c, o);
    return 0;
}

/* Plans from the newest segment that needs nothing before it. */
static int plan_from_new_beginning(const struct walk *from, bool *ret_done, struct err *e)
{
    *ret_done = false;
    for (size_t at = catalog_segment_count(from->c); ways_beginning(from->c->ways, from->target, at, &at);) {
        struct catalog_object *o = catalog_segment(from->c, at);
        struct walk w = *from;
        struct err failed = {.code = ERR_NONE};
        bool begins = false;
        if (look_for_beginning(&w, at, &begins, e))
            return -1;
        if (!begins)
            continue;
        w.pos = o->segment->trailer.info.min - 1;
        start_over(w.plan);
        *ret_done = walk_from(&w, o, &failed) == 0;
        if (*ret_done)
            return 0;
        if (skip_or_stop(&failed, e))
            return -1;
    }
    return 0;
}

/* Plans from the empty state, or from the newest segment that needs nothing before it. */
static int plan_without_base(const struct walk *w, struct err *e)
{
    bool done = false;
    struct err empty = {.code = ERR_NONE};
    struct ways_round *round = &w->c->ways->rounds[w->care];
    if (round->hopeless != ERR_NONE && !w->tell)
        return err_set(e, round->hopeless, 0, "no way leads to the target");
    if (plan_from_empty(w, &empty) == 0)
        return 0;
    if (skip_or_stop(&empty, e) || plan_from_new_beginning(w, &done, e))
        return -1;
    if (done)
        return 0;
    if (is_no_way(&empty))
        round->hopeless = empty.code;
    *e = empty;
    return -1;
}

static int plan_with(const struct walk *w, struct err *e)
{
    bool done = false;
    struct err why = {.code = ERR_NONE};
    ways_begin(w->c->ways, w->target, w->care);
    int rc = plan_from_bases(w, &done, &why, e);
    if (rc == 0 && !done && plan_without_base(w, e)) {
        rc = -1;
        if (!plan_must_stop(e)) {
            if (why.code == ERR_CORRUPT)
                *e = why; /* damage explains more than a missing start */
            err_wrap(e, "txid %" PRIu64, w->target);
        }
    }
    if (rc != 0 && !is_no_way(e))
        ways_forget(w->c->ways); /* what is known of dead ends may be due to that failure */
    return rc;
}

static int make(struct catalog *c, uint64_t txid, bool tell, struct plan *ret_plan, struct err *e)
{
    struct plan p = {.database = c->identity.database};
    struct walk w = {.c = c, .plan = &p, .care = ONLY_COMPLETE, .tell = tell, .target = txid};
    assert(c->ways);
    if (txid == 0) {
        *ret_plan = p;
        return 0;
    }
    if (plan_find_record(c, txid, &p.record, e))
        return -1;
    w.below = ways_upto(c->ways, txid);
    int rc = plan_with(&w, e);
    if (rc != 0 && is_no_way(e)) {
        w.care = INCOMPLETE_TOO;
        rc = plan_with(&w, e);
    }
    if (rc != 0 && is_no_way(e) && c->ways->unread != ERR_NONE) { /* it proves nothing */
        e->code = c->ways->unread;
        ways_forget(c->ways);
        err_wrap(e, "an object can't be read now");
    }
    if (rc)
        plan_release(&p);
    else
        *ret_plan = p;
    return rc;
}

int plan_make(struct catalog *c, uint64_t txid, struct plan *ret_plan, struct err *e)
{
    return make(c, txid, true, ret_plan, e);
}

int plan_try(struct catalog *c, uint64_t txid, struct plan *ret_plan, struct err *e)
{
    return make(c, txid, false, ret_plan, e);
}

/* ---- the map of the target */

static int merge_source(struct catalog *c, const struct plan *p, const struct plan_source *source, struct map *m,
                        struct err *e)
{
    struct segment s;
    if (object_load(c->store, source->key, c->codec, SEGMENT_WANT_ALL, &s, e)) {
        const struct name name = name_parse(source->key);
        if (e->code == ERR_NOTFOUND) /* a marker or segment may name an object that was never listed */
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
    assert(p->record.txid > 0 || p->source_count == 0);
    map_init_claimed(&m, p->page_size, p->bytes);
    int rc = map_resize(&m, p->record.pages, e);
    if (rc)
        err_wrap(e, "txid %" PRIu64, p->record.txid);
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
