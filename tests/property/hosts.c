/* property/hosts.c - the life of a host: its files, its daemon, its faults; and the checks of its daemon. */
#include "hosts.h"

#include "published.h"
#include "world.h"

#include "base/io.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct host hosts[HOSTS_MAX];
bool hosts_start_once;
bool hosts_put_freely;
static const char *hosts_folder;
static struct run_of runs[1000];
static size_t run_count;

/* ---- runs and their hosts */

static const struct run_of *find_run(const struct uid *run)
{
    for (size_t i = run_count; i > 0; i--)
        if (uid_equal(&runs[i - 1].run, run))
            return &runs[i - 1];
    return NULL;
}

/* A daemon that starts over has a new run. */
static void note_run(const struct host *h)
{
    const struct uid *run = &h->process.db->run;
    if (find_run(run))
        return;
    NEED(run_count < sizeof runs / sizeof runs[0], "too many runs for the test");
    runs[run_count++] = (struct run_of){.run = *run, .host = host_number(h)};
}

const struct run_of *host_run_of(const struct uid *run)
{
    for (size_t i = 0; i < HOSTS_MAX; i++)
        if (hosts[i].alive)
            note_run(&hosts[i]);
    return find_run(run);
}

unsigned host_number(const struct host *h)
{
    return (unsigned)(h - hosts);
}

/* ---- the files of a host */

struct host *host_new(void)
{
    for (unsigned i = 0; i < HOSTS_MAX; i++)
        if (!hosts[i].used) {
            struct host *h = &hosts[i];
            struct err e;
            *h = (struct host){.used = true};
            snprintf(h->path, sizeof h->path, "%s/%u.db", hosts_folder, i);
            snprintf(h->state_path, sizeof h->state_path, "%s/%u.db-seawall", hosts_folder, i);
            unlink(h->state_path);
            int fd = open(h->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
            if (fd < 0 || io_pwrite(fd, "x", 1, 0, &e))
                abort();
            close(fd);
            return h;
        }
    return NULL;
}

/* Removes the file at the path too: the state file is bound to its inode. */
void host_remove_database(struct host *h)
{
    h->db.files = NULL;
    unlink(h->path);
}

void host_make_database(struct host *h, uint32_t page_size)
{
    int fd = open(h->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        abort();
    close(fd);
    sim_database_create(&h->db, host_number(h), page_size);
}

void hosts_create(const char *folder, uint32_t page_size)
{
    hosts_folder = folder;
    true_ms = INT64_C(1700000000000);
    sim_codec = codec_new();
    if (!sim_codec)
        abort();
    host_make_database(host_new(), page_size);
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
    int fd = open(h->state_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600); /* keeps the inode */
    if (fd < 0 || ftruncate(fd, (off_t)size) != 0 || io_pwrite(fd, bytes, size, 0, &e))
        abort();
    close(fd);
}

void host_sync_state(struct host *h)
{
    free(h->synced);
    read_state(h, &h->synced, &h->synced_size);
}

void world_state_synced(const struct sim_process *p)
{
    host_sync_state(&hosts[p->host]);
}

/* Journals of bases as they were earlier. The program never syncs them: after a power cut a journal can be older or
 * shorter. */
static struct old_journal {
    uint8_t bytes[4096];
    size_t size;
} old_journals[HOSTS_MAX][STORES];

static void journal_name(const struct host *h, unsigned i, char out[400])
{
    snprintf(out, 400, "%s-base-%u", h->state_path, i);
}

void host_remember_journals(const struct host *h)
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

void host_journals_after_power_cut(const struct host *h)
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
    host_remember_journals(from);
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

/* Each block of the state file is as it was synced, or as it was written later. */
void host_state_after_power_cut(struct host *h)
{
    uint8_t *now = NULL;
    size_t size = 0;
    unsigned newer = chance(50) ? 0 : dice_below(&luck, 101);
    read_state(h, &now, &size);
    if (!now || !h->synced) {
        if (now && chance(50)) {
            unlink(h->state_path);
            h->lost = true;
        }
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
    host_sync_state(h);
}

void host_damage_state(struct host *h)
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

/* Copies the host. Both databases get further commits. */
void host_copy(struct host *from)
{
    struct host *h = from->db.files ? host_new() : NULL;
    uint8_t *state = NULL;
    size_t size = 0;
    if (!h)
        return;
    const struct truth *t = &truths[from->db.serial];
    sim_database_replace(&h->db, host_number(h), t->bytes, t->pages, t->page_size, from->db.serial);
    read_state(from, &state, &size);
    if (state)
        write_state(h, state, size);
    copy_journals(from, h);
    h->lost = true;
    free(state);
}

int64_t world_clock_ms(unsigned host)
{
    return true_ms + hosts[host].process.clock_offset_ms;
}

/* ---- daemons */

void host_start(struct host *h, bool take_over)
{
    struct sim_process *p = &h->process;
    const int64_t offset = p->clock_offset_ms;
    const uint64_t boots = p->boots;
    *p = (struct sim_process){.host = host_number(h),
                              .files_of = &h->db,
                              .state_path = h->state_path,
                              .points_to_live = -1,
                              .clock_offset_ms = offset,
                              .boots = boots};
    for (size_t i = 0; i < STORES; i++)
        p->urls[i] = stores[i].url;
    struct options o = options_default();
    o.wal_target = 10;
    o.wal_limit = 30000;
    o.max_pending = 12000;
    o.lock_at = 5;
    o.grace_ms = GRACE_MS;
    o.stop_timeout_ms = 20000;
    if (!hosts_put_freely) {
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
                                          .once = hosts_start_once,
                                          .take_over = take_over ? TAKE_OVER_YES : TAKE_OVER_NO};
    h->alive = sim_process_start(p);
    if (!h->alive)
        return;
    note_run(h);
    h->may_take_over |= take_over;
}

/* Without its state file a database of one page looks like a new one, which must not begin over a history. */
static bool looks_new(const struct host *h, const char *message)
{
    return h->lost && strstr(message, "the database is new") != NULL;
}

static void host_ended(struct host *h, const struct err *e)
{
    h->alive = false;
    bool foreign = h->damaged || looks_new(h, e->msg);
    for (size_t s = 0; s < STORES; s++)
        for (size_t i = 0; i < published[s].writer_count; i++)
            foreign |= !uid_equal(&published[s].writers[i], &h->writer);
    NEED(e->code != ERR_CONFLICT || foreign, "false conflict: only this writer ever wrote: %s", e->msg);
    if (e->code != ERR_NONE)
        trace("      host %u: the daemon ended: %s", host_number(h), e->msg);
}

/* Checks that a host is the same writer after kills and power cuts. */
void host_note_writer(struct host *h)
{
    const struct database *db = h->process.db;
    if (!db->state)
        return;
    struct uid writer = state_writer(&h->process.local->state);
    bool same = uid_equal(&h->writer, &writer);
    NEED(!h->has_put || h->lost || same, "host %u is another writer than before", host_number(h));
    h->has_put &= same;
    h->lost &= !state_is_at_its_path(&h->process.local->state); /* the daemon has not noticed yet */
    h->writer = writer;
}

void host_turns(struct host *h, unsigned n)
{
    struct err e;
    while (n-- > 0 && h->alive) {
        true_ms += dice_below(&luck, 12);
        host_note_writer(h);
        if (!sim_process_turn(&h->process, &e))
            host_ended(h, &e);
        else if (h->alive)
            note_run(h);
    }
}

void world_slept(void)
{
    world_figures.sleeps++;
}

void host_kill(struct host *h, bool at_a_point)
{
    if (!h->alive)
        return;
    world_figures.kills++;
    if (at_a_point) {
        h->process.points_to_live = (int)dice_below(&luck, chance(50) ? 20 : 150);
        host_turns(h, 12);
    }
    if (h->alive)
        sim_process_kill(&h->process);
    h->alive = false;
}

/* ---- checks of a daemon: the replica has what counts as durable, and the map shows what the replica lacks */

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
    if (d->from_empty && d->entry.base_owed > 0)
        return; /* nothing counts as durable before the new history is put */
    NEED(h <= p->head && p->points[h].is, "P2: txid %" PRIu64 " is durable in %s, which does not have it", h, s->url);
    NEED(p->points[h].checksum == d->entry.head_checksum,
         "P2: txid %" PRIu64 " in %s is not the state that counts as durable", h, s->url);
    const struct map *map = &local->state.map;
    if (local->at < LOCAL_FOLLOWING || !published_promises(p, h) || destination_starts_anew(d, map->page_size))
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

/* Checks that a daemon reports a conflict only if another writer has put objects. */
static void check_conflict(const struct host *h, const struct lane *l, const struct published *p)
{
    bool foreign = false;
    if (l->seen.state != DESTINATION_CONFLICT || h->damaged || looks_new(h, l->conflict.msg))
        return;
    struct uid writer = state_writer(&h->process.local->state);
    for (size_t i = 0; i < p->writer_count; i++)
        foreign |= !uid_equal(&p->writers[i], &writer);
    NEED(foreign, "false conflict: only this writer ever wrote there: %s", l->conflict.msg);
}

void host_check(const struct host *h)
{
    const struct database *db = h->process.db;
    if (!h->alive || !db || !db->state)
        return;
    for (size_t i = 0; i < db->lanes.count; i++) {
        check_lane(h->process.local, &db->lanes.list[i], &stores[i]);
        check_conflict(h, &db->lanes.list[i], &published[i]);
    }
}
