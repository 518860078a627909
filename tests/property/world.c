/* property/world.c - steps, and what must be true after them. */
#include "world.h"

#include "sim.h"

#include "base/io.h"
#include "base/page.h"
#include "restore/apply.h"
#include "restore/restore.h"
#include "retention/retention.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct world_figures world_figures;

/* ---- hosts */

struct host {
    bool used;
    char path[256], state_path[300];
    struct sim_database db;
    struct sim_process process;
    bool alive;   /* its daemon runs */
    bool lost;    /* its state file was deleted, damaged or copied from elsewhere: it may be nobody */
    bool damaged; /* ... so an older slot may count, which does not know of the newest run */
    bool has_put; /* `writer` has put something: it must come back */
    struct uid writer;
    bool may_take_over;   /* a run of it was told to: what it attached to then stands in its state file */
    int64_t paused_until; /* SIGSTOP, a suspended machine */
    uint8_t *synced;      /* the state file as a power cut would leave it, if nothing newer reached the disk */
    size_t synced_size;
    uint64_t heir[STORES]; /* restored from this txid of that store: may go on there while it is the head */
};
static struct host hosts[HOSTS_MAX];
static const char *world_folder;

/* ---- what was published */

struct point {
    bool is;         /* a restore point */
    bool retired;    /* retention may have taken it */
    int64_t born_ms; /* when its object landed */
    size_t serial;   /* the state that it must give; 0: its object had no pages, nobody can know yet */
    uint64_t checksum;
};
struct epoch {
    uint64_t min, max; /* of the object that began it */
    bool base_only;
};
struct base {
    uint64_t start, max;
    int64_t born_ms;
};
static struct published {
    struct point *points;
    size_t point_cap;
    uint64_t head;
    struct uid writers[100]; /* who put level-0 objects */
    size_t writer_count;
    struct digest head_digest;
    struct uid head_writer;
    int64_t head_time_ms;
    struct epoch epochs[200];
    size_t epoch_count;
    struct base bases[2000];
    size_t base_count;
} published[STORES];
static bool stray_allowed; /* a put may land in the past: it has to be taken back */

static struct published *published_of(const struct sim_store *s)
{
    return &published[s - stores];
}

static struct point *point_at(struct published *p, uint64_t txid)
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

static void decode(const struct sim_object *o, struct segment *ret_segment)
{
    struct segment_trailer t;
    struct err e;
    if (o->size < SEGMENT_TRAILER_BYTES ||
        segment_trailer_decode(o->bytes + o->size - SEGMENT_TRAILER_BYTES, o->size, &t, &e) ||
        segment_decode(&t, o->bytes + t.tail_offset, sim_codec, SEGMENT_WANT_ALL, ret_segment, &e))
        broken("object '%s' is none: %s", o->key, e.msg);
}

/* The state that page 1 of a version says it is of; 0: no such version. */
static size_t serial_in(const struct segment *s, uint64_t txid)
{
    size_t serial = 0;
    for (uint32_t i = 0; i < s->trailer.version_count && s->versions[i].pgno == 1; i++)
        if (s->versions[i].txid <= txid) {
            serial = truth_find(s->versions[i].hash);
            NEED(serial != 0, "txid %" PRIu64 " has a first page that no commit ever had", s->versions[i].txid);
        }
    return serial;
}

static size_t serial_in_parts(const struct sim_store *store, const struct segment *s, uint64_t txid)
{
    size_t found = serial_in(s, txid);
    for (uint32_t i = s->trailer.list_count; i-- > 0 && found == 0;) {
        const struct sim_object *o = sim_store_get(store, s->list[i].name);
        struct segment part;
        NEED(o, "the manifest of txid %" PRIu64 " names '%s', which is not there", s->trailer.info.max,
             s->list[i].name);
        decode(o, &part);
        found = serial_in(&part, txid);
        segment_release(&part);
    }
    return found;
}

/* ---- who may write */

struct run_of {
    struct uid run;
    unsigned host;
};
static struct run_of runs[1000];
static size_t run_count;

static const struct run_of *run_of(const struct uid *run)
{
    for (size_t i = run_count; i > 0; i--)
        if (uid_equal(&runs[i - 1].run, run))
            return &runs[i - 1];
    return NULL;
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
    decode(o, &s);
    const struct segment_info *i = &s.trailer.info;
    if (digest_of(o->bytes, o->size, &digest, &e))
        abort();
    if (stray_allowed && i->min <= p->head) {
        segment_release(&s);
        return;
    }
    NEED(i->min == p->head + 1, "P7: level 0 of %s forked: txid %" PRIu64 " landed after %" PRIu64, store->url, i->min,
         p->head);
    NEED(digest_equal(&i->digest_before, &p->head_digest), "P7: txid %" PRIu64 " of %s does not link to the head",
         i->min, store->url);
    const struct run_of *run = run_of(&i->run);
    NEED(run, "an object of no run");
    bool changes_hands = p->head > 0 && !uid_equal(&i->writer, &p->head_writer);
    NEED(!changes_hands || hosts[run->host].may_take_over || hosts[run->host].heir[store - stores] == p->head,
         "P7: host %u went on in %s after txid %" PRIu64 " of another writer, unasked", run->host, store->url, p->head);
    bool full = !(i->flags & SEGMENT_LAST_ONLY);
    if (i->flags & SEGMENT_FROM_EMPTY) {
        NEED(p->epoch_count < 200, "too many new beginnings for the test");
        p->epochs[p->epoch_count++] =
            (struct epoch){.min = i->min, .max = i->max, .base_only = i->flags & SEGMENT_BASE_ONLY};
    }
    NEED(p->epoch_count > 0, "the first object of %s does not begin from empty", store->url);
    size_t before = i->min > 1 ? point_at(p, i->min - 1)->serial : 0;
    for (uint32_t k = 0; k < s.trailer.record_count; k++) {
        const struct commit_record *r = &s.records[k];
        struct point *point = point_at(p, r->txid);
        NEED(r->time_ms >= p->head_time_ms, "the time of txid %" PRIu64 " of %s falls", r->txid, store->url);
        p->head_time_ms = r->time_ms;
        size_t serial = i->flags & SEGMENT_BASE_ONLY ? 0 : serial_in_parts(store, &s, r->txid);
        if (serial == 0 && !(i->flags & SEGMENT_BASE_ONLY))
            serial = before;
        if (full && before != 0 && (k > 0 || !(i->flags & SEGMENT_FROM_EMPTY)))
            NEED(serial == before || truths[serial].before == before || truths[serial].alone,
                 "txid %" PRIu64 " of %s: a commit between states %zu and %zu is no restore point", r->txid, store->url,
                 before, serial);
        *point = (struct point){.is = true, .serial = serial, .checksum = r->checksum, .born_ms = true_ms};
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

static void marker_landed(struct sim_store *store, const struct sim_object *o)
{
    struct published *p = published_of(store);
    struct segment s;
    decode(o, &s);
    const struct segment_info *i = &s.trailer.info;
    NEED(i->start <= i->max && i->max <= p->head, "a base from %" PRIu64 " to %" PRIu64 ", the head is %" PRIu64,
         i->start, i->max, p->head);
    for (uint32_t k = 0; k < s.trailer.list_count; k++) {
        NEED(sim_store_get(store, s.list[k].name), "a marker names '%s', which is not there", s.list[k].name);
        NEED(s.list[k].max >= i->start && s.list[k].max <= i->max, "a chunk at %" PRIu64 " in a base to %" PRIu64,
             s.list[k].max, i->max);
    }
    NEED(p->base_count < 2000, "too many bases for the test");
    p->bases[p->base_count++] = (struct base){.start = i->start, .max = i->max, .born_ms = true_ms};
    world_figures.bases++;
    segment_release(&s);
}

/* A compacted segment leads from a state to another, and never beyond the head. */
static void level_landed(struct sim_store *store, const struct sim_object *o)
{
    struct published *p = published_of(store);
    struct segment s;
    decode(o, &s);
    const struct segment_info *i = &s.trailer.info;
    NEED(i->max <= p->head, "%s lands in %s, whose head is %" PRIu64, o->key, store->url, p->head);
    NEED(s.records[0].checksum == point_at(p, i->max)->checksum, "%s of %s leads to another state than level 0", o->key,
         store->url);
    for (uint32_t k = 0; k < s.trailer.version_count; k++)
        world_figures.patches += s.versions[k].kind == VERSION_PATCH;
    world_figures.levels++;
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
}

/* ---- what must be restorable */

static bool promised(const struct published *p, uint64_t txid)
{
    if (txid >= p->point_cap || !p->points[txid].is || p->points[txid].retired)
        return false;
    if (txid != p->head && true_ms - p->points[txid].born_ms >= KEEP_ALL_MS) /* retention may have taken it */
        return false;
    size_t n = p->epoch_count;
    while (n > 0 && p->epochs[n - 1].min > txid)
        n--;
    if (n == 0)
        return false;
    const struct epoch *epoch = &p->epochs[n - 1];
    if (!epoch->base_only)
        return true;
    for (size_t i = 0; i < p->base_count; i++)
        if (p->bases[i].start >= epoch->max && p->bases[i].max <= txid)
            return true;
    return false;
}

/* Looks at a replica as it is, without faults. */
struct view {
    struct sim_store *store;
    struct store *handle;
    struct catalog catalog;
    bool down;
    unsigned loss;
};

static bool view_open(struct view *v, struct sim_store *s)
{
    struct err e;
    *v = (struct view){.store = s, .down = s->down, .loss = s->loss};
    s->down = false;
    s->loss = 0;
    if (store_open(s->url, STORE_READ, &v->handle, &e))
        broken("%s", e.msg);
    if (catalog_open(&v->catalog, v->handle, sim_codec, &e) == 0)
        return true;
    NEED(e.code == ERR_NOTFOUND, "%s can't be listed: %s", s->url, e.msg);
    return false;
}

static void view_close(struct view *v)
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
    NEED(point->serial != 0, "txid %" PRIu64 " of %s is a state that never was", txid, v->store->url);
    NEED(truth_equal(&truths[point->serial], bytes, plan.record.pages, plan.page_size),
         "P4: txid %" PRIu64 " of %s restores wrongly", txid, v->store->url);
    world_figures.restores++;
    map_release(&map);
    plan_release(&plan);
    close(fd);
}

/* What is not promised any more may be gone. If it is there, it is right. */
static void compare_if_there(struct view *v, uint64_t txid)
{
    struct plan plan = {0};
    struct err e;
    if (!published_of(v->store)->points[txid].is || plan_make(&v->catalog, txid, &plan, &e))
        return;
    plan_release(&plan);
    restore_and_compare(v, txid);
}

static void check_store(struct sim_store *s, unsigned percent)
{
    struct published *p = published_of(s);
    struct view v;
    if (p->head == 0)
        return;
    bool there = view_open(&v, s);
    for (uint64_t t = 1; there && t <= p->head; t++) {
        if (promised(p, t) && (t == p->head || chance(percent)))
            restore_and_compare(&v, t);
        else if (t < p->point_cap && chance(percent))
            compare_if_there(&v, t);
    }
    view_close(&v);
}

/* Any point of a store: as it is promised, or as it happens to be there. */
static void check_any(struct sim_store *s)
{
    struct published *p = published_of(s);
    struct view v;
    if (p->head == 0)
        return;
    uint64_t t = 1 + dice_below(&luck, (uint32_t)p->head);
    if (view_open(&v, s)) {
        if (promised(p, t))
            restore_and_compare(&v, t);
        else
            compare_if_there(&v, t);
    }
    view_close(&v);
}

/* ---- what must be true of a daemon: durable is what the replica has; what it has not is newer in the map than its head */

static void check_lane(const struct local *local, const struct lane *l, struct sim_store *s)
{
    struct published *p = published_of(s);
    struct view v;
    struct err e;
    if (lane_is_away(l))
        return;
    const struct destination *d = &l->home->d;
    uint64_t h = d->entry.durable_txid, captured = state_txid(&local->state);
    if (d->state != DESTINATION_ATTACHED || h == 0)
        return;
    NEED(h <= captured, "P2: durable at %" PRIu64 " in %s, captured %" PRIu64, h, s->url, captured);
    NEED(h <= p->head && p->points[h].is, "P2: txid %" PRIu64 " is durable in %s, which does not have it", h, s->url);
    NEED(p->points[h].checksum == d->entry.head_checksum, "P2: txid %" PRIu64 " in %s is not what we hold for durable",
         h, s->url);
    const struct map *map = &local->state.map;
    if (local->at < LOCAL_FOLLOWING || !promised(p, h) || destination_starts_anew(d, map->page_size))
        return;
    if (view_open(&v, s)) {
        struct plan plan = {0};
        struct map theirs = {.fd = -1};
        if (plan_make(&v.catalog, h, &plan, &e) || plan_map(&v.catalog, &plan, &theirs, &e))
            broken("the map of txid %" PRIu64 " of %s: %s", h, s->url, e.msg);
        for (uint32_t pgno = 1; pgno <= map->pages; pgno++) {
            struct map_entry a = map_get(map, pgno), b = map_get(&theirs, pgno);
            NEED(a.txid > h || (a.txid == b.txid && a.hash == b.hash),
                 "page %u would never reach %s: txid %" PRIu64 " here, %" PRIu64 " there, head %" PRIu64, pgno, s->url,
                 a.txid, b.txid, h);
        }
        map_release(&theirs);
        plan_release(&plan);
    }
    view_close(&v);
}

/* A daemon may give a replica up only if somebody else has written to it. */
static void check_conflict(const struct host *h, const struct lane *l, const struct published *p)
{
    bool foreign = false;
    if (l->seen.state != DESTINATION_CONFLICT || h->damaged)
        return;
    struct uid writer = state_writer(&h->process.local->state);
    for (size_t i = 0; i < p->writer_count; i++)
        foreign |= !uid_equal(&p->writers[i], &writer);
    NEED(foreign, "false conflict: only this writer ever wrote there: %s", l->conflict.msg);
}

static void check_host(const struct host *h)
{
    const struct database *db = h->process.db;
    if (!h->alive || !db || !db->state)
        return;
    for (size_t i = 0; i < db->lanes.count; i++) {
        check_lane(h->process.local, &db->lanes.list[i], &stores[i]);
        check_conflict(h, &db->lanes.list[i], &published[i]);
    }
}

/* ---- the state file */

static void read_state(const struct host *h, uint8_t **ret_bytes, size_t *ret_size)
{
    struct stat st;
    struct err e;
    *ret_bytes = NULL;
    *ret_size = 0;
    int fd = open(h->state_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &st) != 0)
        abort();
    *ret_bytes = malloc((size_t)st.st_size + 1);
    *ret_size = (size_t)st.st_size;
    if (!*ret_bytes || io_pread(fd, *ret_bytes, *ret_size, 0, &e))
        abort();
    close(fd);
}

static void write_state(const struct host *h, const uint8_t *bytes, size_t size)
{
    struct err e;
    int fd = open(h->state_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600); /* the same inode */
    if (fd < 0 || ftruncate(fd, (off_t)size) != 0 || io_pwrite(fd, bytes, size, 0, &e))
        abort();
    close(fd);
}

static void sync_state(struct host *h)
{
    free(h->synced);
    read_state(h, &h->synced, &h->synced_size);
}

void world_state_synced(const struct sim_process *p)
{
    sync_state(&hosts[p->host]);
}

/* The journal of a base is never synced: after a power cut it is as it was at some time, cut short, or has holes. */
static struct old_journal {
    uint8_t bytes[4096];
    size_t size;
} old_journals[HOSTS_MAX][STORES];

static void journal_name(const struct host *h, unsigned i, char out[400])
{
    snprintf(out, 400, "%s-base-%u", h->state_path, i);
}

static void remember_journals(const struct host *h)
{
    char path[400];
    for (unsigned i = 0; i < STORES; i++) {
        struct old_journal *j = &old_journals[h - hosts][i];
        journal_name(h, i, path);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        ssize_t n = read(fd, j->bytes, sizeof j->bytes);
        j->size = n > 0 ? (size_t)n : 0;
        close(fd);
    }
}

static void journals_after_power_cut(const struct host *h)
{
    char path[400];
    struct err e;
    for (unsigned i = 0; i < STORES; i++) {
        struct old_journal *j = &old_journals[h - hosts][i];
        journal_name(h, i, path);
        if (chance(20)) {
            unlink(path);
        } else if (chance(40) && j->size > 0) {
            int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
            if (fd < 0 ||
                io_pwrite(fd, j->bytes, chance(50) ? j->size : dice_below(&luck, (uint32_t)j->size + 1), 0, &e))
                abort();
            close(fd);
        }
    }
}

static void copy_journals(const struct host *from, const struct host *to)
{
    char path[400];
    struct err e;
    remember_journals(from);
    for (unsigned i = 0; i < STORES; i++) {
        struct old_journal *j = &old_journals[from - hosts][i];
        journal_name(to, i, path);
        unlink(path);
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0 || io_pwrite(fd, j->bytes, j->size, 0, &e))
            abort();
        close(fd);
    }
}

/* Each block of the disk holds what was synced, or what came later. */
static void state_after_power_cut(struct host *h)
{
    uint8_t *now = NULL;
    size_t size = 0;
    unsigned newer = chance(50) ? 0 : dice_below(&luck, 101);
    read_state(h, &now, &size);
    if (!now || !h->synced) {
        if (now && chance(50))
            unlink(h->state_path);
        free(now);
        return;
    }
    for (size_t at = 0; at < h->synced_size && at < size; at += 4096)
        if (!chance(newer))
            memcpy(now + at, h->synced + at, h->synced_size - at < 4096 ? h->synced_size - at : 4096);
    if (chance(30) && size > h->synced_size)
        size = h->synced_size;
    write_state(h, now, size);
    free(now);
    sync_state(h);
}

static void damage_state(struct host *h)
{
    uint8_t *now = NULL;
    size_t size = 0;
    read_state(h, &now, &size);
    h->lost = h->damaged = true;
    if (size > 72000) {
        size_t at =
            chance(50) ? 69632 + dice_below(&luck, 320) : dice_below(&luck, 600) + 16384u * dice_below(&luck, 4);
        now[at] ^= (uint8_t)(1 + dice_below(&luck, 255));
        write_state(h, now, size);
    }
    free(now);
}

/* ---- daemons */

static unsigned number_of(const struct host *h)
{
    return (unsigned)(h - hosts);
}

static bool start_once;

static void start_daemon(struct host *h, bool take_over)
{
    struct sim_process *p = &h->process;
    int64_t offset = p->clock_offset_ms;
    *p = (struct sim_process){.host = number_of(h),
                              .files_of = &h->db,
                              .state_path = h->state_path,
                              .points_to_live = -1,
                              .clock_offset_ms = offset};
    for (size_t i = 0; i < STORES; i++)
        p->urls[i] = stores[i].url;
    struct options o = options_default();
    o.wal_target = 10;
    o.wal_limit = 30000;
    o.max_pending = 12000;
    o.lock_at = 5;
    o.grace_ms = GRACE_MS;
    o.stop_timeout_ms = 20000;
    if (sim_store_costs) {
        o.put_rate = 400; /* an hour */
        o.put_burst = 2;
    }
    o.fanout = 2 + dice_below(&luck, 2);
    o.base_interval_ms = 120000;
    o.prune_interval_ms = 30000;
    o.keep_all_ms = KEEP_ALL_MS;
    o.keep_levels_ms = KEEP_LEVELS_MS;
    o.keep_hourly = 2;
    o.keep_daily = o.keep_weekly = 0;
    p->config = (struct replicate_config){.db_path = h->path,
                                          .urls = p->urls,
                                          .url_count = STORES,
                                          .options = o,
                                          .once = start_once,
                                          .take_over = take_over ? TAKE_OVER_YES : TAKE_OVER_NO};
    h->alive = sim_process_start(p);
    if (!h->alive)
        return;
    NEED(run_count < sizeof runs / sizeof runs[0], "too many runs for the test");
    runs[run_count++] = (struct run_of){.run = p->db->run, .host = number_of(h)};
    h->may_take_over |= take_over;
}

static void ended(struct host *h, const struct err *e)
{
    h->alive = false;
    bool foreign = h->damaged;
    for (size_t s = 0; s < STORES; s++)
        for (size_t i = 0; i < published[s].writer_count; i++)
            foreign |= !uid_equal(&published[s].writers[i], &h->writer);
    NEED(e->code != ERR_CONFLICT || foreign, "false conflict: only this writer ever wrote: %s", e->msg);
    if (e->code != ERR_NONE)
        trace("      host %u: the daemon ended: %s", number_of(h), e->msg);
}

/* A host stays the writer that it was, whatever is killed or loses power. */
static void note_writer(struct host *h)
{
    const struct database *db = h->process.db;
    if (!db->state)
        return;
    struct uid writer = state_writer(&h->process.local->state);
    bool same = uid_equal(&h->writer, &writer);
    NEED(!h->has_put || h->lost || same, "host %u is another writer than before", number_of(h));
    h->has_put &= same;
    h->lost = false;
    h->writer = writer;
}

static void turns(struct host *h, unsigned n)
{
    struct err e;
    while (n-- > 0 && h->alive) {
        true_ms += dice_below(&luck, 12);
        note_writer(h);
        if (!sim_process_turn(&h->process, &e))
            ended(h, &e);
    }
}

static void kill_daemon(struct host *h, bool at_a_point)
{
    if (!h->alive)
        return;
    world_figures.kills++;
    if (at_a_point) {
        h->process.points_to_live = (int)dice_below(&luck, chance(50) ? 20 : 150);
        turns(h, 12);
    }
    if (h->alive)
        sim_process_kill(&h->process);
    h->alive = false;
}

/* ---- climate: each seed has more of some things and none of others, so that rare things meet each other */

enum deed {
    DEED_COMMIT,
    DEED_ROLL_BACK,
    DEED_BACKFILL,
    DEED_RESET,
    DEED_TORN_HEADER,
    DEED_PAGE_SIZE,
    DEED_REPLACE,
    DEED_DELETE,
    DEEDS
};
enum misfortune {
    MISFORTUNE_KILL,
    MISFORTUNE_CRASH,
    MISFORTUNE_POWER_CUT,
    MISFORTUNE_OUTAGE,
    MISFORTUNE_LOSS,
    MISFORTUNE_CLOCK,
    MISFORTUNE_STORE_CLOCK,
    MISFORTUNE_STATE_LOST,
    MISFORTUNE_STATE_DAMAGED,
    MISFORTUNE_STATE_WRITTEN, /* the system writes it to disk by itself */
    MISFORTUNE_SUSPENDED,
    MISFORTUNE_COPY,
    MISFORTUNE_RESTORE,
    MISFORTUNE_DECOMMISSIONED,
    MISFORTUNES
};
static const unsigned usual_deeds[DEEDS] = {700, 60, 40, 120, 10, 20, 10, 3};
static const unsigned usual_misfortunes[MISFORTUNES] = {30, 8, 10, 8, 8, 6, 4, 2, 5, 8, 2, 2, 4, 3};

static struct climate {
    unsigned deeds[DEEDS], misfortunes[MISFORTUNES];
    unsigned application, misfortune; /* percent of the steps */
    bool stale_prunes;                /* a prune is suspended between its listing and its deletions */
    bool other_policies;              /* each prune has its own */
    bool settle_once;                 /* in the end by a daemon that ends by itself, while faults end */
} climate;

static unsigned pick(const unsigned *weights, unsigned n)
{
    unsigned sum = 0, i = 0;
    for (unsigned k = 0; k < n; k++)
        sum += weights[k];
    unsigned at = dice_below(&luck, sum);
    while (at >= weights[i])
        at -= weights[i++];
    return i;
}

static void draw_climate(void)
{
    static const unsigned factors[] = {0, 1, 1, 2, 2, 3, 12};
    for (unsigned i = 0; i < DEEDS; i++)
        climate.deeds[i] = usual_deeds[i] * (i == DEED_COMMIT ? 1 : factors[dice_below(&luck, 7)]);
    for (unsigned i = 0; i < MISFORTUNES; i++)
        climate.misfortunes[i] = 1 + usual_misfortunes[i] * factors[dice_below(&luck, 7)];
    climate.application = dice_between(&luck, 15, 40);
    climate.misfortune = dice_between(&luck, 3, 18);
    climate.stale_prunes = chance(30);
    climate.other_policies = chance(30);
    climate.settle_once = chance(30);
    sim_store_costs = chance(30);
}

/* ---- steps */

static struct host *new_host(void)
{
    for (unsigned i = 0; i < HOSTS_MAX; i++)
        if (!hosts[i].used) {
            struct host *h = &hosts[i];
            struct err e;
            *h = (struct host){.used = true};
            snprintf(h->path, sizeof h->path, "%s/%u.db", world_folder, i);
            snprintf(h->state_path, sizeof h->state_path, "%s/%u.db-seawall", world_folder, i);
            unlink(h->state_path);
            int fd = open(h->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
            if (fd < 0 || io_pwrite(fd, "x", 1, 0, &e))
                abort();
            close(fd);
            return h;
        }
    return NULL;
}

/* The path exists when the database does: the state file is bound to it. */
static void remove_database(struct host *h)
{
    h->db.files = NULL;
    unlink(h->path);
}

static void make_database(struct host *h, uint32_t page_size)
{
    int fd = open(h->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        abort();
    close(fd);
    sim_database_create(&h->db, number_of(h), page_size);
}

/* The database goes on elsewhere too: copied as it is, with its state file. */
static void copy_host(struct host *from)
{
    struct host *h = from->db.files ? new_host() : NULL;
    uint8_t *state = NULL;
    size_t size = 0;
    if (!h)
        return;
    const struct truth *t = &truths[from->db.serial];
    sim_database_replace(&h->db, number_of(h), t->bytes, t->pages, t->page_size, from->db.serial);
    read_state(from, &state, &size);
    if (state)
        write_state(h, state, size);
    copy_journals(from, h);
    h->lost = true;
    free(state);
}

/* A restore point is restored, on another host or in place, by the real restore, which leaves a state file for going on. */
static void restore_point(struct sim_store *s, struct host *in_place)
{
    struct published *p = published_of(s);
    uint64_t txid = chance(60) ? p->head : 1 + dice_below(&luck, (uint32_t)p->head + 1);
    struct host *h = !promised(p, txid) ? NULL : in_place ? in_place : new_host();
    struct restore_options options = {.url = s->url, .txid = txid, .jobs = 1};
    struct restore_result result;
    struct err e;
    if (!h)
        return;
    options.path = h->path;
    options.flags = RESTORE_FORCE;
    bool down = s->down;
    unsigned loss = s->loss;
    s->down = false;
    s->loss = 0;
    if (restore_run(&options, &result, &e))
        broken("P3: txid %" PRIu64 " of %s can't be restored: %s", txid, s->url, e.msg);
    s->down = down;
    s->loss = loss;
    uint8_t *bytes = calloc(PAGES_MAX, PAGE_BYTES_MAX);
    int fd = open(h->path, O_RDONLY | O_CLOEXEC);
    size_t size = (size_t)result.record.pages * result.page_size;
    if (fd < 0 || !bytes || io_pread(fd, bytes, size, 0, &e))
        abort();
    close(fd);
    size_t serial = truth_find(page_hash(1, bytes, result.page_size));
    NEED(serial != 0, "restored a state that never was");
    sim_database_replace(&h->db, number_of(h), bytes, result.record.pages, result.page_size, serial);
    if (!in_place || txid == p->head) /* in place of an heir it stays one */
        h->heir[s - stores] = txid;
    free(bytes);
    sync_state(h);
}

/* For the scenarios, another retention: objects of earlier beginnings than the newest go, if they are older than the grace period.
 * Never the head. */
static void forget_earlier_beginnings(struct sim_store *s)
{
    struct published *p = published_of(s);
    uint64_t keep_from = 0;
    for (size_t i = 0; i < p->epoch_count; i++) {
        char key[NAME_MAX_BYTES];
        struct name name = {.kind = NAME_LEVEL0, .min = p->epochs[i].min};
        name_format(&name, key);
        const struct sim_object *o = sim_store_get(s, key);
        bool whole = !p->epochs[i].base_only;
        for (size_t k = 0; k < p->base_count; k++)
            whole |= p->bases[k].start >= p->epochs[i].max && true_ms - p->bases[k].born_ms > GRACE_MS;
        if (o && whole && true_ms - o->born_ms > GRACE_MS)
            keep_from = p->epochs[i].min;
    }
    for (size_t i = 0; i < s->count;) {
        struct name name = name_parse(s->objects[i].key);
        if (name.kind == NAME_LEVEL0 && name.min < keep_from && true_ms - s->objects[i].born_ms > GRACE_MS)
            sim_store_delete(s, s->objects[i].key);
        else
            i++;
    }
    for (uint64_t t = 1; t < keep_from; t++)
        point_at(p, t)->retired = true;
}

static struct retention_policy policy(void)
{
    struct retention_policy p = {
        .grace_ms = GRACE_MS, .keep_all_ms = KEEP_ALL_MS, .keep_levels_ms = KEEP_LEVELS_MS, .keep_hourly = 2};
    if (climate.other_policies) {
        p.keep_hourly = dice_below(&luck, 4);
        p.keep_levels_ms = KEEP_ALL_MS * dice_below(&luck, 5) / 2;
    }
    return p;
}

/* A prune on another machine that was suspended between its listing and its deletions. */
static struct pending {
    bool is;
    struct retention_plan plan;
} pending[STORES];

static bool stale_prune(struct sim_store *s)
{
    struct pending *q = &pending[s - stores];
    struct retention_policy p = policy();
    struct retention_figures figures = {0};
    struct store *handle = NULL;
    struct err e;
    if (store_open(s->url, STORE_READ, &handle, &e))
        broken("%s", e.msg);
    struct replica_handle replica = replica_handle_borrow(handle, sim_codec);
    if (!q->is) {
        q->is = retention_decide_now(&replica, &p, &q->plan, &e) == 0;
        trace("  %s: a prune decides", s->url);
    } else {
        (void)!retention_apply(handle, &q->plan, &figures, &e);
        retention_plan_release(&q->plan);
        q->is = false;
        trace("  %s: a prune that decided before: %" PRIu64 " objects deleted", s->url, figures.objects);
    }
    store_close(handle);
    return true;
}

/* `seawall prune` from somewhere, which may be killed at any request. */
static void prune(struct sim_store *s)
{
    if (climate.stale_prunes && chance(50) && stale_prune(s))
        return;
    struct retention_policy p = policy();
    struct retention_plan plan = {0};
    struct retention_figures figures = {0};
    struct store *handle = NULL;
    struct err e;
    if (store_open(s->url, STORE_READ, &handle, &e))
        broken("%s", e.msg);
    struct replica_handle replica = replica_handle_borrow(handle, sim_codec);
    s->requests_left = chance(50) ? (int)dice_below(&luck, 30) : -1;
    if (retention_decide_now(&replica, &p, &plan, &e) == 0)
        (void)!retention_apply(handle, &plan, &figures, &e);
    else
        NEED(e.code != ERR_CORRUPT, "retention finds no way to what it keeps in %s: %s", s->url, e.msg);
    s->requests_left = -1;
    trace("  %s: pruned, %" PRIu64 " objects deleted", s->url, figures.objects);
    retention_plan_release(&plan);
    store_close(handle);
}

static bool watched(const struct host *h)
{
    return h->alive && sim_process_watches(&h->process, h->db.files);
}

/* Everything that the application may do. */
static void application(struct host *h)
{
    struct files *f = h->db.files;
    unsigned n = number_of(h);
    if (!f && (h->alive || chance(50)))
        return;
    if (!f) {
        trace("  host %u: a new database", n);
        make_database(h, chance(70) ? 512 : 1024);
        return;
    }
    if (f->torn) {
        if (chance(50))
            sim_database_recover(&h->db); /* the next opener */
        return;
    }
    switch (pick(climate.deeds, DEEDS)) {
    case DEED_COMMIT:
        sim_database_commit(&h->db);
        world_figures.commits++;
        trace("  host %u: commit %zu, %u frames", n, h->db.serial, f->index.mx_frame);
        break;
    case DEED_ROLL_BACK:
        sim_database_roll_back(&h->db);
        break;
    case DEED_BACKFILL:
        trace("  host %u: the application backfills", n);
        sim_database_backfill(f);
        break;
    case DEED_RESET: /* a checkpoint of its own, or its last connection closes */
        if (watched(h))
            break;
        trace("  host %u: the application resets the log", n);
        sim_database_reset(f, chance(50));
        break;
    case DEED_TORN_HEADER:
        trace("  host %u: a writer dies with a torn header", n);
        sim_database_torn(&h->db);
        world_figures.commits++;
        break;
    case DEED_PAGE_SIZE:
        if (h->alive)
            break;
        trace("  host %u: another page size", n);
        sim_database_rebuild(&h->db, f->page_size == 512 ? 1024 : 512);
        break;
    case DEED_REPLACE: {
        size_t serial = 1 + dice_below(&luck, (uint32_t)truth_count);
        const struct truth *t = &truths[serial];
        trace("  host %u: another database in its place, state %zu", n, serial);
        sim_database_replace(&h->db, n, t->bytes, t->pages, t->page_size, serial);
        break;
    }
    default:
        if (h->alive)
            break;
        trace("  host %u: the database is deleted", n);
        remove_database(h);
        break;
    }
}

/* Application and daemon die at once: the wal-index is made anew from what is in the file. */
static void crash(struct host *h, bool power_cut)
{
    kill_daemon(h, chance(50));
    if (!h->db.files)
        return;
    if (!power_cut) {
        sim_database_recover(&h->db);
        return;
    }
    world_figures.power_cuts++;
    sim_database_power_cut(&h->db);
    state_after_power_cut(h);
    journals_after_power_cut(h);
}

static void misfortune(struct host *h)
{
    struct sim_store *s = &stores[dice_below(&luck, STORES)];
    unsigned n = number_of(h);
    switch (pick(climate.misfortunes, MISFORTUNES)) {
    case MISFORTUNE_KILL:
        trace("  host %u: kill -9", n);
        kill_daemon(h, true);
        break;
    case MISFORTUNE_CRASH:
        trace("  host %u: all processes killed", n);
        crash(h, false);
        break;
    case MISFORTUNE_POWER_CUT:
        trace("  host %u: power cut", n);
        crash(h, true);
        break;
    case MISFORTUNE_OUTAGE:
        trace("  %s: %s", s->url, s->down ? "up again" : "down");
        s->down = !s->down;
        break;
    case MISFORTUNE_LOSS:
        s->loss = dice_below(&luck, 30);
        break;
    case MISFORTUNE_CLOCK:
        trace("  host %u: the wall clock steps", n);
        h->process.clock_offset_ms = ((int64_t)dice_below(&luck, 3) - 1) * 3600000;
        break;
    case MISFORTUNE_STORE_CLOCK:
        trace("  %s: its clock steps", s->url);
        s->clock_offset_ms = ((int64_t)dice_below(&luck, 3) - 1) * 3600000;
        break;
    case MISFORTUNE_STATE_LOST:
        if (h->alive)
            break;
        trace("  host %u: the state file is lost", n);
        unlink(h->state_path);
        free(h->synced);
        h->synced = NULL;
        h->lost = true;
        break;
    case MISFORTUNE_STATE_DAMAGED:
        if (h->alive)
            break;
        trace("  host %u: the state file is damaged", n);
        damage_state(h);
        break;
    case MISFORTUNE_STATE_WRITTEN:
        if (h->alive)
            sync_state(h);
        break;
    case MISFORTUNE_SUSPENDED:
        trace("  host %u: suspended", n);
        h->paused_until = true_ms + dice_below(&luck, chance(50) ? GRACE_MS / 2 : 3 * GRACE_MS);
        break;
    case MISFORTUNE_COPY:
        trace("  a copy of host %u, with its state file", n);
        copy_host(h);
        break;
    case MISFORTUNE_RESTORE:
        if (published_of(s)->head == 0)
            break;
        trace("  a restore of %s %s", s->url, !h->alive && n % 2 == 0 ? "in place" : "elsewhere");
        restore_point(s, !h->alive && n % 2 == 0 ? h : NULL);
        break;
    default:
        if (n == 0)
            break;
        trace("  host %u: decommissioned", n);
        kill_daemon(h, false);
        h->used = false;
        break;
    }
}

static void daemon_step(struct host *h)
{
    if (!h->alive) {
        if (!chance(40))
            return;
        bool take_over = chance(35);
        trace("  host %u: the daemon starts%s", number_of(h), take_over ? ", takes over" : "");
        start_daemon(h, take_over);
    }
    if (h->alive && chance(3)) {
        trace("  host %u: asked to stop", number_of(h));
        database_stop(h->process.db);
    }
    turns(h, dice_between(&luck, 1, 10));
}

static void pass_time(void)
{
    static const int ms[] = {1, 3, 10, 30, 100, 300, 1500, 6000};
    true_ms += ms[dice_below(&luck, 8)];
    for (size_t i = 0; i < STORES; i++)
        sim_store_tick(&stores[i]);
}

static void step(void)
{
    struct host *used[HOSTS_MAX], *h;
    unsigned n = 0, roll = dice_below(&luck, 100);
    for (unsigned i = 0; i < HOSTS_MAX; i++)
        if (hosts[i].used)
            used[n++] = &hosts[i];
    h = used[dice_below(&luck, n)];
    pass_time();
    if (h->paused_until > true_ms)
        return;
    if (roll < climate.application)
        application(h);
    else if (roll < climate.application + climate.misfortune)
        misfortune(h);
    else if (roll < 97)
        daemon_step(h);
    else
        prune(&stores[dice_below(&luck, STORES)]);
    if (chance(5))
        remember_journals(h);
    check_host(h);
    world_figures.steps++;
}

static void create_world(const char *folder, uint32_t page_size)
{
    world_folder = folder;
    true_ms = INT64_C(1700000000000);
    sim_codec = codec_new();
    if (!sim_codec)
        abort();
    make_database(new_host(), page_size);
}

/* Faults end; the first host goes on alone. Its replicas must come to what its application has. */
static void settle(struct host *h)
{
    struct err e = {.code = ERR_NONE};
    luck = dice_of(7);
    sim_calm = true;
    for (unsigned i = 0; i < HOSTS_MAX; i++)
        if (&hosts[i] != h)
            kill_daemon(&hosts[i], false);
    true_ms += LATE_MS + 1;
    for (size_t i = 0; i < STORES; i++) {
        stores[i].down = false;
        stores[i].loss = 0;
        sim_store_tick(&stores[i]);
    }
    h->paused_until = 0;
    kill_daemon(h, false);
    if (!h->db.files)
        make_database(h, 512);
    else if (h->db.files->torn)
        sim_database_recover(&h->db);
    trace("all faults end; host %u goes on alone", number_of(h));
    start_once = climate.settle_once;
    start_daemon(h, true);
    for (unsigned i = 0; i < 6000 && h->alive; i++) {
        for (size_t k = 0; k < STORES; k++)
            stores[k].loss = start_once && i < 100 ? 20 : 0; /* a process that is run once meets the end of an outage */
        if (i == 100)
            database_stop(h->process.db);
        true_ms += 25;
        note_writer(h);
        if (!sim_process_turn(&h->process, &e))
            h->alive = false;
        if (!h->alive && start_once &&
            e.code == ERR_BUSY) { /* somebody held a lock: whoever runs it once runs it again */
            e.code = ERR_NONE;
            start_daemon(h, true);
        }
    }
    NEED(!h->alive, "it neither comes to an end nor fails");
    NEED(e.code == ERR_NONE, "with all faults gone it fails: %s", e.msg);
    for (size_t i = 0; i < STORES; i++) {
        struct published *p = published_of(&stores[i]);
        check_store(&stores[i], 100);
        NEED(promised(p, p->head), "the newest state of %s, txid %" PRIu64 ", can't be restored", stores[i].url,
             p->head);
        NEED(p->points[p->head].serial == h->db.serial, "P2: %s ends with state %zu, the application with %zu",
             stores[i].url, p->points[p->head].serial, h->db.serial);
    }
}

void world_run(const char *folder, uint64_t seed, size_t count, const bool *skip)
{
    luck = dice_of(seed);
    draw_climate();
    create_world(folder, chance(70) ? 512 : 1024);
    for (size_t i = 0; i < count; i++) {
        if (skip && skip[i])
            continue;
        luck = dice_of(seed * 1000003 + i);
        trace("step %zu", i);
        step();
        check_any(&stores[dice_below(&luck, STORES)]);
        if (i % 25 == 24)
            check_store(&stores[dice_below(&luck, STORES)], 10);
    }
    settle(&hosts[0]);
}

/* ---- scenarios */

static void let_run(struct host *h, unsigned n)
{
    for (unsigned i = 0; i < n && h->alive; i++) {
        true_ms += 20;
        turns(h, 1);
    }
}

/* Another host, with the same database, is told to take the replicas over; it goes on in them and ends. */
static struct host *take_over_elsewhere(void)
{
    struct host *b = new_host();
    const struct truth *t = &truths[hosts[0].db.serial];
    NEED(b, "no room for another host");
    sim_database_replace(&b->db, number_of(b), t->bytes, t->pages, t->page_size, hosts[0].db.serial);
    start_daemon(b, true);
    for (unsigned i = 0; i < 4; i++) {
        sim_database_commit(&b->db);
        let_run(b, 60);
    }
    kill_daemon(b, false);
    return b;
}

/* Somebody takes the replicas over, goes on, begins anew, and retention takes what is old: the sleeper's next key is free again. */
static void others_go_on(void)
{
    struct host *b = take_over_elsewhere();
    sim_database_rebuild(&b->db, 1024);
    start_daemon(b, true);
    for (unsigned i = 0; i < 3; i++) {
        let_run(b, 80);
        sim_database_commit(&b->db);
    }
    true_ms += GRACE_MS + 1000;
    let_run(b, 80);
    for (size_t i = 0; i < STORES; i++) {
        NEED(published[i].epoch_count >= 2, "the other writer did not begin anew");
        forget_earlier_beginnings(&stores[i]);
    }
}

static struct host *prepare_sleeper(const char *folder)
{
    luck = dice_of(1);
    sim_calm = true;
    create_world(folder, 512);
    start_daemon(&hosts[0], false);
    sim_database_commit(&hosts[0].db);
    let_run(&hosts[0], 200);
    NEED(published[0].head > 0 && published[1].head > 0, "nothing was shipped");
    return &hosts[0];
}

static void must_be_kept_out(struct host *a, const uint64_t *heads)
{
    let_run(a, 200);
    sim_database_commit(&a->db); /* for the replica that had the last one before */
    let_run(a, 200);
    NEED(!a->alive, "the sleeper goes on");
    for (size_t i = 0; i < STORES; i++) {
        char key[NAME_MAX_BYTES];
        struct name name = {.kind = NAME_LEVEL0, .min = heads[i] + 1};
        name_format(&name, key);
        const struct sim_object *o = sim_store_get(&stores[i], key);
        struct segment s = {0};
        if (o)
            decode(o, &s);
        NEED(!o || !uid_equal(&s.trailer.info.writer, &a->writer), "the sleeper's object stays in the past of %s",
             stores[i].url);
        segment_release(&s);
        check_store(&stores[i], 100);
    }
}

void world_scenario_sleeper(const char *folder)
{
    struct host *a = prepare_sleeper(folder);
    const uint64_t heads[STORES] = {published[0].head, published[1].head};
    others_go_on();
    sim_database_commit(&a->db);
    must_be_kept_out(a, heads);
}

void world_scenario_slow_answer(const char *folder)
{
    struct host *a = prepare_sleeper(folder);
    const uint64_t heads[STORES] = {published[0].head, published[1].head};
    stray_allowed = true;
    stores[0].before_put = others_go_on; /* stopped just before its request leaves */
    sim_database_commit(&a->db);
    must_be_kept_out(a, heads);
}

/* The object landed; before its writer reads the answer the machine is suspended. Somebody else is told to take over, finds that
 * object as the head, and goes on behind it: it is theirs now. */
static void taken_over_behind(void)
{
    take_over_elsewhere();
    true_ms += GRACE_MS / 2 + 1000;
}

void world_scenario_heir(const char *folder)
{
    struct host *a = prepare_sleeper(folder);
    stores[0].after_put = taken_over_behind;
    sim_database_commit(&a->db);
    let_run(a, 200);
    NEED(published[0].writer_count == 2, "nobody took over");
    check_store(&stores[0], 100);
}
