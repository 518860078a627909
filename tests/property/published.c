/* property/published.c - notes and checks each object that a store receives; restores points and compares them. */
#include "published.h"

#include "hosts.h"
#include "world.h"

#include "base/io.h"
#include "base/page.h"
#include "replica/points.h"
#include "restore/apply.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct published published[STORES];
bool stray_allowed;

struct published *published_of(const struct sim_store *s)
{
    return &published[s - stores];
}

struct point *published_point(struct published *p, uint64_t txid)
{
    if (txid >= p->point_cap) {
        size_t cap = 2 * (txid + 64);
        p->points = realloc(p->points, cap * sizeof *p->points);
        if (!p->points)
            abort();
        memset(p->points + p->point_cap, 0, (cap - p->point_cap) * sizeof *p->points);
        p->point_cap = cap;
    }
    return &p->points[txid];
}

void object_decode(const struct sim_object *o, struct segment *ret_segment)
{
    struct segment_trailer t;
    struct err e;
    if (o->size < SEGMENT_TRAILER_BYTES ||
        segment_trailer_decode(o->bytes + o->size - SEGMENT_TRAILER_BYTES, o->size, &t, &e) ||
        segment_decode(&(struct segment_decoder){sim_codec, SEGMENT_WANT_ALL}, &t, o->bytes + t.tail_offset,
                       ret_segment, &e))
        broken("'%s' is not an object: %s", o->key, e.msg);
}

/* The serial number in the newest version of page 1 up to `txid`; 0: the segment has no version of it. */
static size_t serial_in(const struct segment *s, uint64_t txid)
{
    size_t serial = 0;
    for (uint32_t i = 0; i < s->trailer.version_count && s->versions[i].pgno == 1; i++)
        if (s->versions[i].txid <= txid) {
            serial = truth_find(s->versions[i].hash);
            NEED(serial != 0, "txid %" PRIu64 " has a page 1 that no commit had", s->versions[i].txid);
        }
    return serial;
}

static size_t serial_in_parts(const struct sim_store *store, const struct segment *s, uint64_t txid)
{
    size_t found = serial_in(s, txid);
    for (uint32_t i = s->trailer.list_count; i-- > 0 && found == 0;) {
        const struct sim_object *o = sim_store_get(store, s->list[i].name);
        struct segment part;
        if (!o && published_of(store)->loses > 0)
            return 0;
        NEED(o, "the segment of txid %" PRIu64 " names '%s', which is not there", s->trailer.info.max, s->list[i].name);
        object_decode(o, &part);
        found = serial_in(&part, txid);
        segment_release(&part);
    }
    return found;
}

static void note_writer_of(struct published *p, const struct uid *writer)
{
    for (size_t i = 0; i < p->writer_count; i++)
        if (uid_equal(&p->writers[i], writer))
            return;
    NEED(p->writer_count < 100, "too many writers for the test");
    p->writers[p->writer_count++] = *writer;
}

static void level0_landed(struct sim_store *store, const struct sim_object *o)
{
    struct published *p = published_of(store);
    struct segment s;
    struct digest digest;
    struct err e;
    object_decode(o, &s);
    const struct segment_info *i = &s.trailer.info;
    if (digest_of(o->bytes, o->size, &digest, &e))
        abort();
    if ((stray_allowed || p->loses > 0) && i->min <= p->head) { /* or a late PUT of an object that was lost */
        segment_release(&s);
        return;
    }
    NEED(i->min == p->head + 1, "P7: level 0 of %s forked: txid %" PRIu64 " landed after %" PRIu64, store->url, i->min,
         p->head);
    /* after a loss, the first object of a new history links to the newest object that is left */
    const bool begins_again = p->loses > 0 && (i->flags & SEGMENT_FROM_EMPTY);
    NEED(begins_again || digest_equal(&i->digest_before, &p->head_digest),
         "P7: txid %" PRIu64 " of %s does not link to the head", i->min, store->url);
    const struct run_of *run = host_run_of(&i->run);
    NEED(run, "an object of an unknown run");
    bool changes_hands = p->head > 0 && !uid_equal(&i->writer, &p->head_writer);
    NEED(!changes_hands || hosts[run->host].may_take_over || hosts[run->host].heir[store - stores] == p->head,
         "P7: host %u continued in %s after txid %" PRIu64 " of another writer, without --take-over", run->host,
         store->url, p->head);
    bool full = !(i->flags & SEGMENT_LAST_ONLY);
    if (i->flags & SEGMENT_FROM_EMPTY) {
        NEED(p->epoch_count < 200, "too many new beginnings for the test");
        p->epochs[p->epoch_count++] =
            (struct epoch){.min = i->min, .max = i->max, .base_only = i->flags & SEGMENT_BASE_ONLY};
    }
    NEED(p->epoch_count > 0, "the first object of %s does not begin from empty", store->url);
    for (uint32_t k = 0; k < s.trailer.list_count && p->loses > 0; k++)
        p->ailing |= !sim_store_get(store, s.list[k].name); /* a part was lost before its segment was put */
    size_t before = i->min > 1 ? published_point(p, i->min - 1)->serial : 0;
    for (uint32_t k = 0; k < s.trailer.record_count; k++) {
        const struct commit_record *r = &s.records[k];
        struct point *point = published_point(p, r->txid);
        NEED(r->time_ms >= p->head_time_ms, "the time of txid %" PRIu64 " of %s falls", r->txid, store->url);
        p->head_time_ms = r->time_ms;
        size_t serial = i->flags & SEGMENT_BASE_ONLY ? 0 : serial_in_parts(store, &s, r->txid);
        if (serial == 0 && !(i->flags & SEGMENT_BASE_ONLY) && s.trailer.list_count == 0)
            serial = before;
        if (full && before != 0 && (k > 0 || !(i->flags & SEGMENT_FROM_EMPTY)))
            NEED(serial == before || truths[serial].before == before || truths[serial].alone,
                 "txid %" PRIu64 " of %s: a commit between states %zu and %zu is not a restore point", r->txid,
                 store->url, before, serial);
        *point = (struct point){.is = true,
                                .serial = serial,
                                .checksum = r->checksum,
                                .time_ms = r->time_ms,
                                .born_ms = true_ms,
                                .retired = p->ailing};
        before = serial;
    }
    p->head = i->max;
    p->head_digest = digest;
    p->head_writer = i->writer;
    note_writer_of(p, &i->writer);
    hosts[run->host].has_put |= uid_equal(&hosts[run->host].writer, &i->writer);
    world_figures.objects++;
    segment_release(&s);
}

/* Whether a chunk of the base has this very version of a page. */
static bool chunk_has(const struct sim_store *store, const struct segment *marker, const struct version *v)
{
    bool found = false;
    for (uint32_t i = 0; i < marker->trailer.list_count; i++) {
        struct segment chunk;
        if (v->pgno < marker->list[i].first_page || v->pgno > marker->list[i].last_page)
            continue;
        object_decode(sim_store_get(store, marker->list[i].name), &chunk);
        for (uint32_t k = 0; k < chunk.trailer.version_count; k++)
            found |= chunk.versions[k].pgno == v->pgno && chunk.versions[k].txid == v->txid &&
                     chunk.versions[k].hash == v->hash;
        segment_release(&chunk);
    }
    return found;
}

/* The interior pages that a marker names must be pages of its chunks. All chunks are there. */
static void check_interior(const struct sim_store *store, const struct segment *marker)
{
    const struct segment_info *i = &marker->trailer.info;
    const struct name name = {.kind = NAME_INTERIOR, .start = i->start, .run = i->run};
    char key[NAME_MAX_BYTES];
    struct digest digest;
    struct segment s;
    struct err e;
    if (digest_is_zero(&i->digest_before))
        return;
    name_format(&name, key);
    const struct sim_object *o = sim_store_get(store, key);
    NEED(o || published_of(store)->loses > 0, "a marker names '%s', which is not there", key);
    if (!o)
        return;
    if (digest_of(o->bytes, o->size, &digest, &e))
        abort();
    NEED(digest_equal(&digest, &i->digest_before), "a marker names '%s', which is another object", key);
    object_decode(o, &s);
    NEED(s.trailer.info.kind == OBJECT_INTERIOR && s.trailer.info.max <= i->max && s.trailer.version_count > 0,
         "'%s' can't have interior pages of its base", key);
    for (uint32_t k = 0; k < s.trailer.version_count; k++)
        NEED(chunk_has(store, marker, &s.versions[k]), "'%s' has a page %u that no chunk has", key, s.versions[k].pgno);
    world_figures.interiors++;
    segment_release(&s);
}

static void marker_landed(struct sim_store *store, const struct sim_object *o)
{
    struct published *p = published_of(store);
    struct segment s;
    object_decode(o, &s);
    const struct segment_info *i = &s.trailer.info;
    NEED(i->start <= i->max && i->max <= p->head, "a base from %" PRIu64 " to %" PRIu64 ", the head is %" PRIu64,
         i->start, i->max, p->head);
    for (uint32_t k = 0; k < s.trailer.list_count; k++) {
        if (p->loses > 0 && !sim_store_get(store, s.list[k].name)) { /* a look must find this loss */
            p->ailing = true;
            segment_release(&s);
            return;
        }
        NEED(sim_store_get(store, s.list[k].name), "a marker names '%s', which is not there", s.list[k].name);
        NEED(s.list[k].max >= i->start && s.list[k].max <= i->max, "a chunk at %" PRIu64 " in a base to %" PRIu64,
             s.list[k].max, i->max);
    }
    check_interior(store, &s);
    NEED(p->base_count < 2000, "too many bases for the test");
    p->bases[p->base_count++] = (struct base){.start = i->start, .max = i->max, .born_ms = true_ms};
    world_figures.bases++;
    segment_release(&s);
}

/* A compacted segment must lead from one state to another, and not beyond the head. */
static void level_landed(struct sim_store *store, const struct sim_object *o)
{
    struct published *p = published_of(store);
    struct segment s;
    object_decode(o, &s);
    const struct segment_info *i = &s.trailer.info;
    NEED(i->max <= p->head, "%s lands in %s, whose head is %" PRIu64, o->key, store->url, p->head);
    NEED(s.records[0].checksum == published_point(p, i->max)->checksum, "%s of %s leads to another state than level 0",
         o->key, store->url);
    for (uint32_t k = 0; k < s.trailer.version_count; k++)
        world_figures.patches += s.versions[k].kind == VERSION_PATCH;
    world_figures.levels++;
    segment_release(&s);
}

/* A pack must have each commit of level 0, and may not reach to the head. */
static void pack_landed(struct sim_store *store, const struct sim_object *o)
{
    struct published *p = published_of(store);
    struct segment s;
    object_decode(o, &s);
    const struct segment_info *i = &s.trailer.info;
    NEED(i->max < p->head, "%s lands in %s, whose head is %" PRIu64, o->key, store->url, p->head);
    for (uint32_t k = 0; k < s.trailer.record_count; k++) {
        const struct point *point = published_point(p, s.records[k].txid);
        NEED(point->is && s.records[k].checksum == point->checksum,
             "%s of %s has another txid %" PRIu64 " than level 0", o->key, store->url, s.records[k].txid);
    }
    world_figures.packs++;
    segment_release(&s);
}

void world_landed(struct sim_store *s, const struct sim_object *o)
{
    struct name name = name_parse(o->key);
    trace("      %s gets %s, %zu bytes", s->url, o->key, o->size);
    if (name.kind == NAME_LEVEL0)
        level0_landed(s, o);
    else if (name.kind == NAME_MARKER)
        marker_landed(s, o);
    else if (name.kind == NAME_LEVEL)
        level_landed(s, o);
    else if (name.kind == NAME_PACK)
        pack_landed(s, o);
}

/* ---- losing objects */

static bool draw_lost(const struct sim_object *o, unsigned kind, const struct published *p, uint64_t from)
{
    const struct name name = name_parse(o->key);
    switch (kind) {
    case 0:
        return true;
    case 1:
        return name.kind != NAME_OTHER;
    case 2:
        return name.kind == NAME_LEVEL0 && name.min >= from;
    case 3:
        return name.kind == NAME_CHUNK || name.kind == NAME_MARKER;
    case 4:
        return name.kind == NAME_OTHER;
    default:
        return dice_below(&luck, (uint32_t)p->head + 2) < 2;
    }
}

void published_lose(struct sim_store *s)
{
    struct published *p = published_of(s);
    unsigned kind = dice_below(&luck, 7);
    uint64_t from = p->head - dice_below(&luck, 3);
    size_t lost = 0;
    for (size_t i = s->count; i-- > 0;)
        if (draw_lost(&s->objects[i], kind, p, from)) {
            sim_store_delete(s, s->objects[i].key);
            lost++;
        }
    trace("  %s: loses %zu objects", s->url, lost);
    if (lost == 0)
        return;
    p->ailing = true;
    p->loses++;
    world_figures.losses++;
    for (uint64_t t = 1; t <= p->head; t++)
        published_point(p, t)->retired = true;
}

bool published_any_ails(void)
{
    return published[0].ailing || published[1].ailing;
}

static bool has_all(const struct sim_store *s, const struct plan *plan)
{
    for (size_t i = 0; i < plan->source_count; i++)
        if (!sim_store_get(s, plan->sources[i].key))
            return false;
    return true;
}

/* Looks whether the newest point can be restored again. If so, it is promised from now on. */
static void note_recovery(struct sim_store *s)
{
    struct published *p = published_of(s);
    struct view v;
    struct plan plan = {0};
    struct err e;
    bool well = view_open(&v, s) && plan_make(&v.catalog, p->head, &plan, &e) == 0;
    well = well && has_all(s, &plan);
    plan_release(&plan);
    view_close(&v);
    if (well) {
        trace("  %s: its newest point, txid %" PRIu64 ", can be restored again", s->url, p->head);
        p->ailing = false;
        p->points[p->head].retired = false;
    }
}

/* ---- restore points that must be there */

/* Whether the objects that came before `ms` can give the point. */
static bool is_reachable(const struct published *p, uint64_t txid, int64_t ms)
{
    size_t n = p->epoch_count;
    while (n > 0 && p->epochs[n - 1].min > txid)
        n--;
    if (n == 0)
        return false;
    const struct epoch *epoch = &p->epochs[n - 1];
    if (!epoch->base_only)
        return true;
    for (size_t i = 0; i < p->base_count; i++)
        if (p->bases[i].start >= epoch->max && p->bases[i].max <= txid && p->bases[i].born_ms < ms)
            return true;
    return false;
}

bool published_promises(const struct published *p, uint64_t txid)
{
    if (txid >= p->point_cap || !p->points[txid].is || p->points[txid].retired)
        return false;
    if (txid != p->head && true_ms - p->points[txid].born_ms >= KEEP_ALL_MS) /* retention may have deleted it */
        return false;
    return is_reachable(p, txid, INT64_MAX);
}

uint64_t published_newest_before(const struct published *p, int64_t ms)
{
    for (uint64_t t = p->head; t > 0; t--) {
        const struct point *point = &p->points[t];
        if (point->is && !point->retired && point->born_ms < ms && is_reachable(p, t, ms))
            return t;
    }
    return 0;
}

size_t published_serial(struct published *p, uint64_t txid, const uint8_t *page1, uint32_t page_size)
{
    struct point *point = published_point(p, txid);
    if (point->is && point->serial == 0)
        point->serial = truth_find(page_hash(1, page1, page_size));
    return point->serial;
}

bool view_open(struct view *v, struct sim_store *s)
{
    struct err e;
    *v = (struct view){.store = s, .down = s->down, .loss = s->loss};
    s->down = false;
    s->loss = 0;
    if (store_open(s->url, STORE_READ, &v->handle, &e))
        broken("%s", e.msg);
    if (catalog_open(&v->catalog, v->handle, sim_codec, &e) == 0)
        return true;
    NEED(e.code == ERR_NOTFOUND || published_of(s)->ailing, "%s can't be listed: %s", s->url, e.msg);
    return false;
}

void view_close(struct view *v)
{
    catalog_release(&v->catalog);
    store_close(v->handle);
    v->store->down = v->down;
    v->store->loss = v->loss;
}

static void restore_and_compare(struct view *v, uint64_t txid)
{
    static uint8_t bytes[PAGES_MAX * PAGE_BYTES_MAX];
    struct published *p = published_of(v->store);
    struct point *point = &p->points[txid];
    struct plan plan = {0};
    struct map map = {.fd = -1};
    struct err e;
    int fd = memfd_create("restored", MFD_CLOEXEC);
    if (fd < 0)
        abort();
    struct apply_options options = {.fd = fd, .jobs = 1};
    if (plan_make(&v->catalog, txid, &plan, &e))
        broken("P3: txid %" PRIu64 " of %s has no plan: %s", txid, v->store->url, e.msg);
    if (apply_plan(&v->catalog, &plan, &options, &map, &e))
        broken("P4: txid %" PRIu64 " of %s does not restore: %s", txid, v->store->url, e.msg);
    size_t size = (size_t)plan.record.pages * plan.page_size;
    if (io_pread(fd, bytes, size, 0, &e))
        broken("%s", e.msg);
    if (point->serial == 0)
        point->serial = truth_find(page_hash(1, bytes, plan.page_size));
    NEED(point->serial != 0, "txid %" PRIu64 " of %s is a state that no commit made", txid, v->store->url);
    NEED(truth_equal(&truths[point->serial], bytes, plan.record.pages, plan.page_size),
         "P4: txid %" PRIu64 " of %s restores wrongly", txid, v->store->url);
    world_figures.restores++;
    map_release(&map);
    plan_release(&plan);
    close(fd);
}

/* Compares a point that is not promised. It may be missing. If it is there, it must be right. */
static void compare_if_there(struct view *v, uint64_t txid)
{
    struct plan plan = {0};
    struct err e;
    if (!published_of(v->store)->points[txid].is || plan_make(&v->catalog, txid, &plan, &e))
        return;
    bool there = has_all(v->store, &plan);
    plan_release(&plan);
    NEED(there || published_of(v->store)->loses > 0,
         "the plan of txid %" PRIu64 " of %s names objects that are missing", txid, v->store->url);
    if (there)
        restore_and_compare(v, txid);
}

static int note_listed(void *context, const struct commit_record *r)
{
    struct published *p = context;
    if (r->txid < p->point_cap)
        p->points[r->txid].listed = true;
    return 0;
}

/* `seawall list` must show each restore point that is promised. */
static void check_listed(struct view *v)
{
    struct published *p = published_of(v->store);
    struct err e;
    for (uint64_t t = 1; t <= p->head; t++)
        published_point(p, t)->listed = false;
    if (points_each(&v->catalog, note_listed, p, &e))
        broken("the restore points of %s can't be listed: %s", v->store->url, e.msg);
    for (uint64_t t = 1; t <= p->head; t++)
        NEED(!published_promises(p, t) || p->points[t].listed, "P3: txid %" PRIu64 " of %s is not listed", t,
             v->store->url);
}

void published_check(struct sim_store *s, unsigned percent)
{
    struct published *p = published_of(s);
    struct view v;
    if (p->head == 0)
        return;
    if (p->ailing)
        note_recovery(s);
    bool there = view_open(&v, s);
    if (there && percent > 0)
        check_listed(&v);
    for (uint64_t t = 1; there && t <= p->head; t++) {
        if (published_promises(p, t) && (t == p->head || chance(percent)))
            restore_and_compare(&v, t);
        else if (t < p->point_cap && chance(percent))
            compare_if_there(&v, t);
    }
    view_close(&v);
}

/* Checks a random point of a store. If it is promised, it must restore. If it is there, it must be right. */
void published_check_any(struct sim_store *s)
{
    struct published *p = published_of(s);
    struct view v;
    if (p->head == 0)
        return;
    if (p->ailing)
        note_recovery(s);
    uint64_t t = 1 + dice_below(&luck, (uint32_t)p->head);
    if (view_open(&v, s)) {
        if (published_promises(p, t))
            restore_and_compare(&v, t);
        else
            compare_if_there(&v, t);
    }
    view_close(&v);
}
