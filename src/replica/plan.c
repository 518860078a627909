/* replica/plan.c */
#include "replica/plan.h"

#include "base/array.h"
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
    if (array_reserve(&p->sources, &p->source_cap, p->source_count + 1, sizeof *p->sources, e))
        return -1;
    p->sources[p->source_count++] = *s;
    p->bytes += s->size;
    return 0;
}

/* Adds the chunks of a marker or the parts of a manifest. */
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
    return e->code == ERR_NOMEM || e->code == ERR_CANCELED;
}

/* 0: the object that gave this error is skipped. -1: the error ends the search. */
static int skip_or_stop(const struct err *failed, struct err *e)
{
    if (!plan_must_stop(failed))
        return 0;
    *e = *failed;
    return -1;
}

/* In level 0. *ret_found: a loaded object records `txid`. */
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
    if (txid != t->info.max && (txid > t->info.max || !plan_records_all(&t->info)))
        return 0;
    *ret_record = o->segment->records[txid == t->info.max ? t->record_count - 1 : txid - t->info.min];
    *ret_found = true;
    return 0;
}

int plan_find_record(struct catalog *c, uint64_t txid, struct commit_record *ret_record, struct err *e)
{
    bool found = false;
    struct err damage = {.code = ERR_NONE}; /* the first one: another object may have the record */
    assert(txid > 0);
    if (find_in_level0(c, txid, ret_record, &found, &damage) == 0 && found)
        return 0;
    for (size_t i = 0; i < c->level_count && !plan_must_stop(&damage); i++) {
        struct err failed;
        if (c->levels[i].name.max != txid)
            continue;
        if (catalog_load(c, &c->levels[i], &failed) == 0) {
            *ret_record = c->levels[i].segment->records[0];
            return 0;
        }
        if (damage.code == ERR_NONE || plan_must_stop(&failed))
            damage = failed;
    }
    if (damage.code == ERR_NONE)
        return err_set(e, ERR_NOTFOUND, 0, "txid %" PRIu64 " is not a restore point of '%s'", txid, c->store->url);
    *e = damage;
    return -1;
}

/* ---- the walk to the target */

/* May a plan use an object of which the listing lacks a part or chunk? */
enum care { ONLY_COMPLETE, INCOMPLETE_TOO };

struct walk {
    struct catalog *c;
    struct plan *plan;
    enum care care;
    uint64_t target, pos;
    bool checksum_known; /* of the state at pos */
    uint64_t checksum;
};

static bool is_acceptable(const struct walk *w, const struct segment *s)
{
    return w->care == INCOMPLETE_TOO || catalog_has_all(w->c, s);
}

/* The best segment to take next, while the candidates are looked at. */
struct choice {
    struct catalog_object *best; /* NULL: none yet */
    uint64_t reach;              /* the txid to which it leads; without one, pos */
    struct err damage;           /* the first candidate that could not be loaded; ERR_NONE: all could */
};

static int consider_level0(const struct walk *w, struct choice *choice, struct err *e)
{
    struct catalog_object *o = catalog_level0_at(w->c, w->pos + 1);
    if (!o)
        return 0;
    if (catalog_load(w->c, o, &choice->damage))
        return skip_or_stop(&choice->damage, e);
    const struct segment_info *i = &o->segment->trailer.info;
    bool leads = i->max > w->pos && !(i->flags & SEGMENT_BASE_ONLY) && (i->max <= w->target || plan_records_all(i));
    if (leads && is_acceptable(w, o->segment)) {
        choice->best = o;
        choice->reach = i->max < w->target ? i->max : w->target;
    }
    return 0;
}

static int consider_level(const struct walk *w, struct catalog_object *o, struct choice *choice, struct err *e)
{
    const struct name *n = &o->name;
    struct err failed;
    if (n->min > w->pos + 1 || n->max <= w->pos || n->max > w->target)
        return 0;
    bool better =
        n->max > choice->reach || (n->max == choice->reach && choice->best && n->level > choice->best->name.level);
    if (!better)
        return 0;
    if (catalog_load(w->c, o, &failed)) {
        if (choice->damage.code == ERR_NONE)
            choice->damage = failed;
        return skip_or_stop(&failed, e);
    }
    if (is_acceptable(w, o->segment)) {
        choice->best = o;
        choice->reach = n->max;
    }
    return 0;
}

/* The segment that leads furthest. If none does, and a candidate was damaged, the damage is the error. */
static int choose(const struct walk *w, struct catalog_object **ret_best, struct err *e)
{
    struct choice choice = {.reach = w->pos, .damage = {.code = ERR_NONE}};
    if (consider_level0(w, &choice, e))
        return -1;
    for (size_t i = 0; i < w->c->level_count; i++)
        if (consider_level(w, &w->c->levels[i], &choice, e))
            return -1;
    *ret_best = choice.best;
    if (choice.best)
        return 0;
    if (choice.damage.code == ERR_NONE)
        return err_set(e, ERR_NOTFOUND, 0, "no segment continues the state after txid %" PRIu64, w->pos);
    *e = choice.damage;
    return -1;
}

static int take(struct walk *w, const struct catalog_object *o, struct err *e)
{
    const struct segment *s = o->segment;
    const struct segment_info *i = &s->trailer.info;
    struct plan *p = w->plan;
    assert(i->max > w->pos && (i->max <= w->target || plan_records_all(i)));
    if (i->flags & SEGMENT_FROM_EMPTY)
        start_over(p);
    else if (i->min - 1 == w->pos && w->checksum_known && i->checksum_before != w->checksum)
        return err_set(e, ERR_CORRUPT, 0, "does not continue the state after txid %" PRIu64 ": checksums differ",
                       w->pos);
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

static int name_object(const struct catalog_object *o, struct err *e)
{
    char key[NAME_MAX_BYTES];
    name_format(&o->name, key);
    return err_wrap(e, "object '%s'", key);
}

static int walk_to_target(struct walk *w, struct err *e)
{
    while (w->pos < w->target) {
        struct catalog_object *o = NULL;
        if (choose(w, &o, e) || !o)
            return -1;
        if (take(w, o, e))
            return name_object(o, e);
    }
    assert(w->pos == w->target);
    return 0;
}

/* ---- where the walk starts */

/* Do the chunks of a base cover all its pages? A base that was begun while nothing was known of the database could
 * have none. */
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

static int plan_from_empty(struct walk w, struct err *e)
{
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
    *ret_fits = !later && is_acceptable(&w, marker->segment);
    if (!*ret_fits)
        return 0;
    start_over(w.plan);
    if (take_base(&w, marker, e))
        return name_object(marker, e);
    return walk_to_target(&w, e);
}

/* From the newest base that leads to the target. *ret_done: one does. If none does, the error explains why: damage
 * is preferred to a missing segment, the newest base to older ones. */
static int plan_from_bases(const struct walk *w, bool *ret_done, struct err *ret_why, struct err *e)
{
    *ret_done = false;
    *ret_why = (struct err){.code = ERR_NONE};
    for (size_t i = w->c->marker_count; i-- > 0;) {
        struct catalog_object *marker = &w->c->markers[i];
        bool fits = false;
        if (marker->name.start > w->target)
            continue;
        if (plan_from_base(*w, marker, &fits, e) == 0) {
            *ret_done = fits;
            if (fits)
                return 0;
            continue;
        }
        if (e->code != ERR_CORRUPT && e->code != ERR_NOTFOUND)
            return -1;
        if (ret_why->code == ERR_NONE || (ret_why->code == ERR_NOTFOUND && e->code == ERR_CORRUPT))
            *ret_why = *e;
    }
    return 0;
}

/* From the newest segment that needs nothing before it. */
static int plan_from_new_beginning(const struct walk *from, bool *ret_done, struct err *e)
{
    *ret_done = false;
    for (size_t i = catalog_segment_count(from->c); i-- > 0;) {
        struct catalog_object *o = catalog_segment(from->c, i);
        struct walk w = *from;
        if (o->name.min > w.target)
            continue;
        struct err failed;
        if (catalog_load(w.c, o, &failed)) {
            if (skip_or_stop(&failed, e))
                return -1;
            continue;
        }
        const struct segment_info *info = &o->segment->trailer.info;
        bool begins = (info->flags & SEGMENT_FROM_EMPTY) && !(info->flags & SEGMENT_BASE_ONLY);
        if (!begins || (info->max > w.target && !plan_records_all(info)) || !is_acceptable(&w, o->segment))
            continue;
        w.pos = info->min - 1;
        start_over(w.plan);
        *ret_done = take(&w, o, &failed) == 0 && walk_to_target(&w, &failed) == 0;
        if (*ret_done)
            return 0;
        if (skip_or_stop(&failed, e))
            return -1;
    }
    return 0;
}

static int plan_with(const struct walk *w, struct err *e)
{
    bool done = false;
    struct err why, empty;
    if (plan_from_bases(w, &done, &why, e))
        return -1;
    if (done || plan_from_empty(*w, &empty) == 0)
        return 0;
    if (skip_or_stop(&empty, e) || plan_from_new_beginning(w, &done, e))
        return -1;
    if (done)
        return 0;
    *e = why.code == ERR_CORRUPT ? why : empty; /* damage explains more than a missing start */
    return err_wrap(e, "txid %" PRIu64, w->target);
}

int plan_make(struct catalog *c, uint64_t txid, struct plan *ret_plan, struct err *e)
{
    struct plan p = {.database = c->identity.database};
    struct walk w = {.c = c, .plan = &p, .care = ONLY_COMPLETE, .target = txid};
    if (txid == 0) {
        *ret_plan = p;
        return 0;
    }
    if (plan_find_record(c, txid, &p.record, e))
        return -1;
    int rc = plan_with(&w, e);
    if (rc != 0 && (e->code == ERR_CORRUPT || e->code == ERR_NOTFOUND)) {
        w.care = INCOMPLETE_TOO;
        rc = plan_with(&w, e);
    }
    if (rc)
        plan_release(&p);
    else
        *ret_plan = p;
    return rc;
}

/* ---- the map of the target */

static int merge_source(struct catalog *c, const struct plan *p, const struct plan_source *source, struct map *m,
                        struct err *e)
{
    struct segment s;
    if (object_load(c->store, source->key, c->codec, SEGMENT_WANT_ALL, &s, e)) {
        const struct name name = name_parse(source->key);
        if (e->code == ERR_NOTFOUND) /* a marker or manifest may name an object that was never listed */
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
