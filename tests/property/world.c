/* property/world.c - random steps, and the checks after each. */
#include "world.h"

#include "copies.h"
#include "hosts.h"
#include "published.h"
#include "readers.h"

#include "base/claim.h"
#include "base/io.h"
#include "base/page.h"
#include "restore/restore.h"
#include "retention/retention.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum { GUESTS_READ = 20, GUESTS_FOLLOW = 20 }; /* percent of the steps */

struct world_figures world_figures;

/* ---- climate: each seed has more of some events and none of others, so that rare events come together */

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
    MISFORTUNE_STATE_WRITTEN, /* the kernel writes the state file to disk without a sync */
    MISFORTUNE_SUSPENDED,
    MISFORTUNE_COPY,
    MISFORTUNE_RESTORE,
    MISFORTUNE_DECOMMISSIONED,
    MISFORTUNE_LOSS_OF_OBJECTS,
    MISFORTUNES
};
static const unsigned usual_deeds[DEEDS] = {700, 60, 40, 120, 10, 20, 10, 3};
static const unsigned usual_misfortunes[MISFORTUNES] = {30, 8, 10, 8, 8, 6, 4, 2, 5, 8, 2, 2, 4, 3, 0};

static struct climate {
    unsigned deeds[DEEDS], misfortunes[MISFORTUNES];
    unsigned application, misfortune; /* percent of the steps */
    bool stale_prunes;                /* prunes are suspended between their listing and their deletions */
    bool other_policies;              /* each prune has a policy of its own */
    bool losses;                      /* stores lose objects */
    bool touched;     /* the times of files are set; clocks are right, because nothing else tells the age */
    bool settle_once; /* at the end, daemons run with --once */
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

static void draw_climate(uint64_t seed)
{
    static const unsigned factors[] = {0, 1, 1, 2, 2, 3, 12};
    for (unsigned i = 0; i < DEEDS; i++)
        climate.deeds[i] = usual_deeds[i] * (i == DEED_COMMIT ? 1 : factors[dice_below(&luck, 7)]);
    for (unsigned i = 0; i < MISFORTUNE_LOSS_OF_OBJECTS; i++)
        climate.misfortunes[i] = 1 + usual_misfortunes[i] * factors[dice_below(&luck, 7)];
    climate.application = dice_between(&luck, 15, 40);
    climate.misfortune = dice_between(&luck, 3, 18);
    climate.stale_prunes = chance(30);
    climate.other_policies = chance(30);
    climate.settle_once = chance(30);
    const unsigned costs = dice_below(&luck, 100);
    stores[0].costs = costs < 25;
    stores[1].costs = costs >= 15 && costs < 40;
    climate.losses = chance(25);
    climate.misfortunes[MISFORTUNE_LOSS_OF_OBJECTS] = climate.losses ? 60 : 0;
    climate.touched = seed % 8 == 7 && !climate.losses;
    if (climate.touched)
        climate.misfortunes[MISFORTUNE_CLOCK] = climate.misfortunes[MISFORTUNE_STORE_CLOCK] = 0;
    climate.settle_once &= !climate.losses; /* a daemon with --once looks for losses only once */
}

/* ---- steps */

/* Restores a point with the program's restore, on another host or in place. It leaves a state file to continue with. */
static struct host *restore_to(struct sim_store *s, struct host *in_place, uint64_t txid)
{
    struct published *p = published_of(s);
    struct host *h = !published_promises(p, txid) ? NULL : in_place ? in_place : host_new();
    struct restore_options options = {.url = s->url, .txid = txid, .jobs = 1};
    struct restore_result result;
    struct err e;
    if (!h)
        return NULL;
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
    NEED(serial != 0, "restored a state that no commit made");
    sim_database_replace(&h->db, host_number(h), bytes, result.record.pages, result.page_size, serial);
    if (!in_place || txid == p->head) /* a host that may continue there keeps that right */
        h->heir[s - stores] = txid;
    free(bytes);
    host_sync_state(h);
    return h;
}

static void restore_point(struct sim_store *s, struct host *in_place)
{
    const uint64_t head = published_of(s)->head;
    restore_to(s, in_place, chance(60) ? head : 1 + dice_below(&luck, (uint32_t)head + 1));
}

struct host *world_restore(struct sim_store *s)
{
    return restore_to(s, NULL, published_of(s)->head);
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

/* `requests`: it is killed after so many; negative: never. */
static void prune_until(struct sim_store *s, const struct retention_policy *p, int requests)
{
    struct retention_plan plan = {0};
    struct retention_figures figures = {0};
    struct store *handle = NULL;
    struct err e;
    if (store_open(s->url, STORE_READ, &handle, &e))
        broken("%s", e.msg);
    struct replica_handle replica = replica_handle_borrow(handle, sim_codec);
    s->requests_left = requests;
    if (retention_decide_now(&replica, p, &plan, &e) == 0)
        (void)!retention_apply(handle, &plan, &figures, &e);
    else
        NEED(e.code != ERR_CORRUPT || published_of(s)->loses > 0, "retention finds no way to what it keeps in %s: %s",
             s->url, e.msg);
    s->requests_left = -1;
    trace("  %s: pruned, %" PRIu64 " objects deleted", s->url, figures.objects);
    retention_plan_release(&plan);
    store_close(handle);
}

void world_prune(struct sim_store *s)
{
    const struct retention_policy p = policy();
    prune_until(s, &p, -1);
}

/* `seawall prune` on another machine, which may be killed at any request. */
static void prune(struct sim_store *s)
{
    if (climate.stale_prunes && chance(50) && stale_prune(s))
        return;
    const struct retention_policy p = policy();
    prune_until(s, &p, chance(50) ? (int)dice_below(&luck, 30) : -1);
}

static bool watched(const struct host *h)
{
    return h->alive && sim_process_watches(&h->process, h->db.files);
}

static bool guarded(const struct host *h)
{
    return h->alive && sim_process_guards(&h->process, h->db.files);
}

/* The application checkpoints beside a daemon that holds the guard: it can reset the WAL only if all frames are copied
 * back. */
static void reset_guarded(struct host *h)
{
    trace("  host %u: the application resets the log, the daemon gave way", host_number(h));
    for (unsigned n = dice_between(&luck, 1, 4); n > 0 && sim_database_checkpoint_guarded(&h->db); n--) {
        world_figures.guarded_resets++;
        if (chance(30))
            sim_database_recover(&h->db);
        if (chance(30)) {
            sim_database_commit(&h->db);
            world_figures.commits++;
        }
    }
}

/* One random step of the application. */
static void application(struct host *h)
{
    struct files *f = h->db.files;
    unsigned n = host_number(h);
    if (!f && (h->alive || chance(50)))
        return;
    if (!f) {
        trace("  host %u: a new database", n);
        host_make_database(h, chance(70) ? 512 : 1024);
        return;
    }
    if (f->torn) {
        if (chance(50))
            sim_database_recover(&h->db); /* as the next process that opens it does */
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
        if (guarded(h))
            break;
        trace("  host %u: the application backfills", n);
        sim_database_backfill(f);
        break;
    case DEED_RESET: /* a checkpoint of its own, or its last connection closes */
        if (guarded(h))
            reset_guarded(h);
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
        host_remove_database(h);
        break;
    }
}

/* Application and daemon die at the same moment: the wal-index is made again from the WAL. */
static void crash(struct host *h, bool power_cut)
{
    host_kill(h, chance(50));
    if (!h->db.files)
        return;
    if (!power_cut) {
        sim_database_recover(&h->db);
        return;
    }
    world_figures.power_cuts++;
    h->process.boots++;
    sim_database_power_cut(&h->db);
    host_state_after_power_cut(h);
    host_journals_after_power_cut(h);
}

/* Whether the store may lose objects. After a loss nothing shows which writer put what. So only the first host may have
 * put objects, and it must know all of them. */
static bool may_lose(const struct sim_store *s)
{
    const struct host *h = &hosts[0];
    const struct published *p = &published[s - stores];
    const struct sighting *seen = h->alive ? &h->process.db->lanes.list[s - stores].seen : NULL;
    if (!seen || seen->state != DESTINATION_ATTACHED || seen->durable != p->head)
        return false;
    if (!climate.losses || p->head == 0 || h->lost || h->damaged || !h->has_put || p->writer_count != 1 ||
        !uid_equal(&p->writers[0], &h->writer))
        return false;
    for (unsigned i = 1; i < HOSTS_MAX; i++)
        if (hosts[i].used && hosts[i].alive)
            return false;
    return true;
}

/* Whether a misfortune must wait until the first host has noticed a loss: those that bring in another writer, and those
 * that take the state file. */
static bool must_wait(unsigned misfortune)
{
    return published_any_ails() && (misfortune == MISFORTUNE_POWER_CUT || misfortune == MISFORTUNE_STATE_LOST ||
                                    misfortune == MISFORTUNE_STATE_DAMAGED || misfortune == MISFORTUNE_RESTORE);
}

static void misfortune(struct host *h)
{
    struct sim_store *s = &stores[dice_below(&luck, STORES)];
    unsigned n = host_number(h);
    unsigned what = pick(climate.misfortunes, MISFORTUNES);
    if (must_wait(what))
        return;
    switch (what) {
    case MISFORTUNE_LOSS_OF_OBJECTS:
        if (may_lose(s))
            published_lose(s);
        break;
    case MISFORTUNE_KILL:
        trace("  host %u: kill -9", n);
        host_kill(h, true);
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
        trace("  host %u: the state file is lost%s", n, h->alive ? " under the daemon" : "");
        unlink(h->state_path);
        free(h->synced);
        h->synced = NULL;
        h->lost = true;
        break;
    case MISFORTUNE_STATE_DAMAGED:
        if (h->alive)
            break;
        trace("  host %u: the state file is damaged", n);
        host_damage_state(h);
        break;
    case MISFORTUNE_STATE_WRITTEN:
        if (h->alive)
            host_sync_state(h);
        break;
    case MISFORTUNE_SUSPENDED:
        trace("  host %u: suspended", n);
        h->paused_until = true_ms + dice_below(&luck, chance(50) ? GRACE_MS / 2 : 3 * GRACE_MS);
        break;
    case MISFORTUNE_COPY:
        trace("  a copy of host %u, with its state file", n);
        host_copy(h);
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
        host_kill(h, false);
        h->used = false;
        break;
    }
}

static void daemon_step(struct host *h)
{
    if (!h->alive) {
        if (!chance(40) || (published_any_ails() && h != &hosts[0]))
            return;
        bool take_over = chance(35);
        trace("  host %u: the daemon starts%s", host_number(h), take_over ? ", takes over" : "");
        host_start(h, take_over);
    }
    if (h->alive && chance(3)) {
        trace("  host %u: asked to stop", host_number(h));
        database_stop(h->process.db);
    }
    host_turns(h, dice_between(&luck, 1, 10));
}

static void pass_time(void)
{
    static const int ms[] = {1, 3, 10, 30, 100, 300, 1500, 6000};
    true_ms += ms[dice_below(&luck, 8)];
    for (size_t i = 0; i < STORES; i++)
        sim_store_tick(&stores[i]);
}

void world_touch(struct sim_store *s, int64_t listed_ms)
{
    trace("  %s: the times of all files are set", s->url);
    for (size_t i = 0; i < s->count; i++)
        s->objects[i].listed_ms = listed_ms;
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
        host_remember_journals(h);
    host_check(h);
    world_figures.steps++;
}

/* Readers, and the follower of a copy, change nothing in the world, and have luck of their own. So the world is the same
 * without them. */
static void guests_step(void)
{
    if (chance(GUESTS_READ))
        readers_step();
    if (chance(GUESTS_FOLLOW))
        copies_step();
}

/* Ends all faults, and lets one host continue alone. Its replicas must reach the newest state of its application. */
static void settle(struct host *h)
{
    struct err e = {.code = ERR_NONE};
    luck = dice_of(7);
    sim_calm = true;
    for (unsigned i = 0; i < HOSTS_MAX; i++)
        if (&hosts[i] != h)
            host_kill(&hosts[i], false);
    true_ms += LATE_MS + 1;
    for (size_t i = 0; i < STORES; i++) {
        stores[i].down = false;
        stores[i].loss = 0;
        sim_store_tick(&stores[i]);
    }
    h->paused_until = 0;
    host_kill(h, false);
    if (!h->db.files)
        host_make_database(h, 512);
    else if (h->db.files->torn)
        sim_database_recover(&h->db);
    trace("all faults end; host %u goes on alone", host_number(h));
    hosts_start_once = climate.settle_once;
    host_start(h, true);
    for (unsigned i = 0; i < 6000 && h->alive; i++) {
        for (size_t k = 0; k < STORES; k++)
            stores[k].loss = hosts_start_once && i < 100 ? 20 : 0; /* --once meets the end of an outage */
        if (i == (climate.losses ? 1000 : 100)) /* the first look comes some seconds after the start */
            database_stop(h->process.db);
        true_ms += 25;
        host_note_writer(h);
        if (!sim_process_turn(&h->process, &e))
            h->alive = false;
        if (!h->alive && hosts_start_once && e.code == ERR_BUSY) { /* another process held a lock: run --once again */
            e.code = ERR_NONE;
            host_start(h, true);
        }
    }
    NEED(!h->alive, "the daemon does not end");
    NEED(e.code == ERR_NONE, "the daemon fails after all faults ended: %s", e.msg);
    for (size_t i = 0; i < STORES; i++) {
        struct published *p = published_of(&stores[i]);
        published_check(&stores[i], 100);
        NEED(published_promises(p, p->head), "the newest state of %s, txid %" PRIu64 ", can't be restored",
             stores[i].url, p->head);
        NEED(p->points[p->head].serial == h->db.serial, "P2: %s ends with state %zu, the application with %zu",
             stores[i].url, p->points[p->head].serial, h->db.serial);
    }
}

/* In every second world so little memory is left that nothing is kept which can be read again. */
static void draw_memory(uint64_t seed)
{
    const size_t limit = (size_t)64 << 20;
    struct err e;
    claim_set_limit(limit);
    if (seed % 2 && claim_take(limit / 2 + 1, &e))
        broken("%s", e.msg);
}

void world_run(const char *folder, uint64_t seed, size_t count, const bool *skip)
{
    luck = dice_of(seed);
    draw_climate(seed);
    draw_memory(seed);
    hosts_create(folder, chance(70) ? 512 : 1024);
    copies_begin(folder, &stores[seed / 2 % STORES]);
    for (size_t i = 0; i < count; i++) {
        if (skip && skip[i])
            continue;
        luck = dice_of(seed * 1000003 + i);
        trace("step %zu", i);
        step();
        const struct dice world = luck;
        luck = dice_of(~(seed * 1000003 + i));
        guests_step();
        luck = world;
        published_check_any(&stores[dice_below(&luck, STORES)]);
        if (climate.touched && i % 60 == 59) /* back, forward, and to now */
            world_touch(&stores[i / 60 % STORES], i % 3600 < 2400 ? 0 : i % 240 == 239 ? true_ms : true_ms + 3600000);
        if (i % 25 == 24)
            published_check(&stores[dice_below(&luck, STORES)], 10);
    }
    settle(&hosts[0]);
    for (size_t i = 0; i < STORES; i++)
        stores[i].loss = 0;
    readers_settle();
    copies_settle();
}
