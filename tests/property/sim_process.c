/* property/sim_process.c - daemons: runs the real code turn by turn, and replaces its threads, SQLite handles and
 * clocks. */
#include "sim.h"

#include "sim_child.h"

#include "base/clock.h"
#include "base/io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

int64_t true_ms;
struct dice luck;
struct sim_process *running;
struct codec *sim_codec;
bool sim_calm;
#define SLEEP_MS_MAX 60000

/* ---- death */

static _Noreturn void die(struct sim_process *p)
{
    p->dead = true;
    longjmp(p->death, 1);
}

void sim_point(void)
{
    if (running && running->points_to_live >= 0 && running->points_to_live-- == 0)
        die(running);
}

/* Does what the kernel does: closes descriptors, which releases the lock on the state file. Memory is freed at the end
 * of the run. */
void sim_process_kill(struct sim_process *p)
{
    if (p->state && p->state->fd >= 0) {
        flock(p->state->fd, LOCK_UN); /* the mapping stays, and would keep the lock */
        close(p->state->fd);
    }
    p->state = NULL;
    p->db = NULL;
    p->job_count = 0;
    p->dead = true;
}

/* ---- in place of workers.c */

struct workers {
    struct sim_process *process;
};

void workers_submit(struct workers *w, struct job *job)
{
    struct sim_process *p = w->process;
    NEED(p->job_count < sizeof p->jobs / sizeof p->jobs[0], "too many jobs at a time");
    p->jobs[p->job_count++] = (struct sim_job){.job = job};
}

int workers_of_store(struct workers *w, const char *store, struct workers **ret_workers, struct err *e)
{
    *ret_workers = malloc(sizeof **ret_workers);
    if (!*ret_workers)
        return err_nomem(e, strlen(store));
    **ret_workers = *w;
    return 0;
}

void workers_close(struct workers *w)
{
    free(w);
}

void workers_wake(const struct workers *w)
{
    (void)w; /* each database has its turn anyway */
}

void workers_set_privacy(struct workers *w, mode_t bits)
{
    (void)w;
    (void)bits;
}

/* ---- in place of connection.c, watch.c, still.c and strangers.c: a handle of the files that were opened */

static struct files *open_files(const struct watch *w)
{
    return (struct files *)(void *)w->reader[0].file;
}

static struct file_stamp stamp_of(const struct files *f)
{
    return (struct file_stamp){.inode = f->inode,
                               .size = (off_t)f->file_pages * f->page_size,
                               .mtime_ns = f->mtime_ns,
                               .ctime_ns = f->ctime_ns};
}

int watch_open(struct watch *w, const char *path, enum watch_wal_mode mode, bool *ret_switched, struct err *e)
{
    struct files *f = running->files_of->files;
    (void)mode;
    sim_point();
    *w = (struct watch){.active = -1, .frozen_fd = -1};
    if (!f)
        return err_set(e, ERR_NOTFOUND, 0, "there is no database");
    if (chance(3))
        return err_set(e, ERR_BUSY, 0, "the database is locked");
    if (f->torn)
        sim_database_recover(running->files_of); /* as the first reader does */
    snprintf(w->path, sizeof w->path, "%s", path);
    w->reader[0].file = (seawall_file *)(void *)f;
    w->checkpointer.db = (sqlite3 *)(void *)f;
    w->active = 0;
    w->db_file = stamp_of(f);
    *ret_switched = false;
    return 0;
}

void strangers_open(struct strangers *s, const struct watch *w)
{
    (void)w;
    *s = STRANGERS_NONE;
}

void strangers_close(struct strangers *s)
{
    *s = STRANGERS_NONE;
}

bool strangers_suspect(struct strangers *s, int64_t now_ns)
{
    (void)s;
    (void)now_ns;
    return false;
}

bool strangers_have_lock(const struct strangers *s)
{
    (void)s;
    return false;
}

int strangers_look_again(const char *path, struct err *e)
{
    return err_set(e, ERR_BUSY, 0, "database '%s': a process waited", path);
}

/* An application can close the database and open it again at any moment. */
bool strangers_any(const struct strangers *s)
{
    (void)s;
    return chance(50);
}

/* Here a checkpoint of an application waits for nobody. */
bool strangers_keep_writers_out(const struct strangers *s)
{
    (void)s;
    return chance(50);
}

bool strangers_may_write(const struct strangers *s)
{
    (void)s;
    return false;
}

int strangers_look(struct strangers *s, const struct watch *w, struct err *e)
{
    (void)s;
    (void)w;
    (void)e;
    return 0;
}

void watch_close(struct watch *w)
{
    w->reader[0].file = NULL;
    w->checkpointer.db = NULL;
    w->active = -1;
    w->unbroken = w->keep = w->kept = w->guarded = false;
}

bool watch_header(const struct watch *w, struct wal_index_header *ret_header)
{
    const struct files *f = open_files(w);
    if (!f || f->torn)
        return false;
    *ret_header = f->index;
    return true;
}

uint32_t watch_backfilled(const struct watch *w)
{
    return open_files(w)->backfilled;
}

/* Here applications copy frames back whatever the watch sees. */
bool watch_sees_beyond(const struct watch *w, uint32_t frame)
{
    (void)w;
    (void)frame;
    return false;
}

int watch_begin_other(struct watch *w, struct err *e)
{
    sim_point();
    if (w->guarded && w->active < 0 && !sim_calm && chance(20) && open_files(w) == running->files_of->files)
        (void)sim_database_checkpoint_guarded(running->files_of); /* a checkpoint that began when the guard was held */
    if (chance(2))
        return err_set(e, ERR_BUSY, 0, "locked");
    if (open_files(w)->torn && open_files(w) == running->files_of->files)
        sim_database_recover(running->files_of);
    w->active = 0;
    w->begun_change = open_files(w)->index.change;
    return 0;
}

int watch_hand_over(struct watch *w, struct err *e)
{
    return watch_begin_other(w, e);
}

void watch_let_go(struct watch *w)
{
    w->active = -1;
}

bool watch_take_guard(struct watch *w)
{
    return w->guarded = !chance(10); /* otherwise a reader has slot 0 */
}

void watch_drop_guard(struct watch *w)
{
    w->guarded = false;
}

/* Databases are in WAL mode here. */
int watch_hold_still(struct watch *w, struct err *e)
{
    (void)w;
    return err_set(e, ERR_GONE, 0, "in WAL mode");
}

void watch_go_on(struct watch *w)
{
    (void)w;
}

bool watch_keep_lock(struct watch *w)
{
    w->keep = true;
    return w->kept = !chance(5);
}

void watch_give_lock_back(struct watch *w)
{
    w->keep = w->kept = false;
}

int watch_read_wal(const struct watch *w, void *out, size_t n, uint64_t offset, struct err *e)
{
    struct files *f = open_files(w);
    sim_point();
    if (f == running->files_of->files && !f->torn && !sim_calm &&
        chance(2)) /* while the daemon reads, the application writes behind the end */
        sim_database_commit(running->files_of);
    if (offset + n > f->wal_len)
        return err_set(e, ERR_CORRUPT, 0, "the WAL ends before %llu", (unsigned long long)(offset + n));
    if (!sim_calm && chance(1))
        return err_set(e, ERR_IO, 5, "disk I/O error");
    memcpy(out, f->wal + offset, n);
    return 0;
}

int watch_read_db(const struct watch *w, void *out, size_t n, uint64_t offset, struct err *e)
{
    const struct files *f = open_files(w);
    size_t size = (size_t)f->file_pages * f->page_size;
    sim_point();
    if (!sim_calm && chance(1))
        return err_set(e, ERR_IO, 5, "disk I/O error");
    memset(out, 0, n);
    if (offset < size)
        memcpy(out, f->file + offset, n < size - offset ? n : size - offset);
    return 0;
}

int watch_db_size(const struct watch *w, uint64_t *ret_size, struct err *e)
{
    (void)e;
    *ret_size = (uint64_t)open_files(w)->file_pages * open_files(w)->page_size;
    return 0;
}

bool sim_process_watches(const struct sim_process *p, const struct files *f)
{
    return p->db && p->db->state && open_files(&p->local->watch) == f;
}

bool sim_process_guards(const struct sim_process *p, const struct files *f)
{
    return sim_process_watches(p, f) && p->local->watch.guarded;
}

/* ---- in place of checkpoint.c: the same steps, without locks */

void checkpoint_stamp(struct checkpoint *k)
{
    const struct files *f = open_files(k->watch);
    k->stamped_backfill = f->backfilled;
    memcpy(k->stamped_salt, f->index.salt, WAL_SALT_BYTES);
    if (running->files_of->files == f)
        k->watch->db_file = stamp_of(f);
}

bool watch_look_at_db(const struct watch *w, struct file_stamp *ret_stamp)
{
    (void)w;
    if (!running->files_of->files)
        return false;
    *ret_stamp = stamp_of(running->files_of->files);
    return true;
}

int watch_sync_db(const struct watch *w, struct err *e)
{
    (void)w;
    (void)e;
    sim_point();
    return 0;
}

bool watch_db_untouched(const struct watch *w)
{
    const struct file_stamp now = stamp_of(open_files(w));
    return w->db_file.size == now.size && w->db_file.mtime_ns == now.mtime_ns;
}

bool checkpoint_files_ours(const struct checkpoint *k)
{
    const struct files *f = open_files(k->watch);
    bool untouched = watch_db_untouched(k->watch);
    bool reset = memcmp(f->index.salt, k->stamped_salt, WAL_SALT_BYTES) != 0;
    return running->files_of->files == f && (untouched || reset || f->backfilled != k->stamped_backfill);
}

bool checkpoint_read_header(const struct watch *w, struct wal_index_header *ret_header)
{
    return watch_header(w, ret_header);
}

static int capture_all(struct checkpoint *k, struct err *e)
{
    struct wal_index_header header;
    if (!watch_header(k->watch, &header))
        return err_set(e, ERR_BUSY, 0, "torn");
    return k->capture_up_to(k->context, &header, e);
}

static int run_checkpoint(struct checkpoint *k, enum checkpoint_kind kind, enum checkpoint_end *ret_end, struct err *e)
{
    struct files *f = open_files(k->watch);
    struct wal_index_header header;
    if (capture_all(k, e))
        return -1;
    if (chance(50))
        sim_database_backfill(f); /* PASSIVE */
    sim_point();
    if (!sim_calm && chance(20) && running->files_of->files == f)
        sim_database_commit(running->files_of); /* the application does not wait for the daemon */
    if (chance(15))
        return 0;          /* a reader still uses frames */
    if (capture_all(k, e)) /* under the write lock */
        return -1;
    if (!watch_header(k->watch, &header) || !capture_is_current(k->capture, &header))
        return 0;
    sim_database_reset(f, kind == CHECKPOINT_REST ? chance(90) : chance(10));
    sim_point();
    capture_note_reset(k->capture, &f->index);
    *ret_end = CHECKPOINT_RESET;
    if (chance(80)) { /* no application has a transaction */
        k->watch->guarded = true;
        k->watch->active = -1;
        return 0;
    }
    k->watch->guarded = false;
    k->watch->active = 0;
    if (!sim_calm && chance(4)) { /* the new watch could not begin before the write lock was dropped */
        k->watch->unbroken = false;
        k->capture->proven = false;
        if (chance(50) && running->files_of->files == f) {
            sim_database_commit(running->files_of);
            sim_database_reset(f, false);
        }
    }
    return 0;
}

int checkpoint_run(struct checkpoint *k, enum checkpoint_kind kind, enum checkpoint_end *ret_end, struct err *e)
{
    *ret_end = CHECKPOINT_BUSY;
    if (!checkpoint_files_ours(k)) {
        *ret_end = CHECKPOINT_MOVED;
        return 0;
    }
    int rc = run_checkpoint(k, kind, ret_end, e);
    if (rc != 0 && e->code == ERR_BUSY)
        rc = 0;
    checkpoint_stamp(k);
    sim_point();
    if (k->capture->proven)
        capture_commit_state(k->capture);
    return rc;
}

/* ---- clocks, random numbers, and points at which the process may die */

int64_t __wrap_clock_wall_ms(void);
int64_t __wrap_clock_mono_ns(void);
int64_t __wrap_clock_boot_ms(void);
uint64_t __wrap_clock_boot_id(void);
void __wrap_clock_sleep_us(int64_t us);
int __wrap_random_bytes(void *out, size_t n, struct err *e);
int64_t __wrap_clock_wall_ms(void)
{
    return true_ms + (running ? running->clock_offset_ms : 0);
}
int64_t __wrap_clock_mono_ns(void)
{
    return true_ms * 1000000;
}
int64_t __wrap_clock_boot_ms(void)
{
    return true_ms;
}
uint64_t __wrap_clock_boot_id(void)
{
    return 1 + (running ? running->boots : 0);
}
void __wrap_clock_sleep_us(int64_t us)
{
    if (child_is_one())
        child_sleep_ms(us / 1000 + 1);
}
int __wrap_random_bytes(void *out, size_t n, struct err *e)
{
    (void)e;
    dice_fill(&luck, out, n);
    return 0;
}

void __real_map_set(struct map *m, uint32_t pgno, struct map_entry entry);
void __wrap_map_set(struct map *m, uint32_t pgno, struct map_entry entry);
void __wrap_map_set(struct map *m, uint32_t pgno, struct map_entry entry)
{
    if (running && m->fd >= 0 && running->points_to_live == 0) { /* dies between the two halves of an entry */
        if (dice_below(&luck, 2))
            m->entries[pgno - 1].hash = entry.hash;
        else
            m->entries[pgno - 1].txid = entry.txid;
    }
    if (m->fd >= 0)
        sim_point();
    __real_map_set(m, pgno, entry);
}

int __real_state_open(struct state *s, const char *db_path, enum state_found *ret_found, struct err *e);
int __wrap_state_open(struct state *s, const char *db_path, enum state_found *ret_found, struct err *e);
int __wrap_state_open(struct state *s, const char *db_path, enum state_found *ret_found, struct err *e)
{
    if (running)
        running->state = s;
    return __real_state_open(s, db_path, ret_found, e);
}

void __real_state_commit(struct state *s, const struct state_position *position);
void __wrap_state_commit(struct state *s, const struct state_position *position);
void __wrap_state_commit(struct state *s, const struct state_position *position)
{
    sim_point();
    __real_state_commit(s, position);
    sim_point();
}

void __real_state_set_replica(struct state *s, uint32_t index, const struct identity_replica *replica);
void __wrap_state_set_replica(struct state *s, uint32_t index, const struct identity_replica *replica);
void __wrap_state_set_replica(struct state *s, uint32_t index, const struct identity_replica *replica)
{
    sim_point();
    __real_state_set_replica(s, index, replica);
    sim_point();
}

void __real_state_note_put(struct state *s, const struct uid *run, uint32_t replica);
void __wrap_state_note_put(struct state *s, const struct uid *run, uint32_t replica);
void __wrap_state_note_put(struct state *s, const struct uid *run, uint32_t replica)
{
    sim_point();
    __real_state_note_put(s, run, replica);
    sim_point();
}

int __real_state_sync(struct state *s, struct err *e);
int __wrap_state_sync(struct state *s, struct err *e);
int __wrap_state_sync(struct state *s, struct err *e)
{
    sim_point();
    if (running && !sim_calm && chance(3))
        return err_set(e, ERR_IO, 5, "fsync: I/O error");
    int rc = __real_state_sync(s, e);
    if (running)
        world_state_synced(running);
    sim_point();
    return rc;
}

/* Sometimes the disk is full when the map must grow. */
int __real_posix_fallocate(int fd, off_t offset, off_t n);
int __wrap_posix_fallocate(int fd, off_t offset, off_t n);
int __wrap_posix_fallocate(int fd, off_t offset, off_t n)
{
    if (running && !sim_calm && offset > 0 && chance(3))
        return ENOSPC;
    return __real_posix_fallocate(fd, offset, n);
}

/* A mapping keeps the lock on its file. A process that the test forks must not have it. */
void *__real_mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    void *mapped = __real_mmap(at, n, protection, flags, fd, offset);
    if (mapped != MAP_FAILED && fd >= 0)
        madvise(mapped, n, MADV_DONTFORK);
    return mapped;
}

/* ---- the life of a daemon */

static void no_alarm(void *context, const char *wal_path)
{
    (void)context;
    (void)wal_path;
}

static void no_news_of_files(void *context, const char *path, const char *wal_path)
{
    (void)context;
    (void)path;
    (void)wal_path;
}

/* Calls `what` as code of the process. False: it returned false, or the process died in it. */
static bool inside(struct sim_process *p, bool (*what)(struct sim_process *p))
{
    struct sim_process *outer = running;
    if (setjmp(p->death)) {
        running = outer;
        sim_process_kill(p);
        return false;
    }
    running = p;
    bool rc = what(p);
    running = outer;
    return rc;
}

static void open_database(struct sim_process *p, struct workers *w)
{
    struct err e;
    if (database_init(p->db, &p->config, &p->commons, w, &e))
        broken("a daemon does not start: %s", e.msg);
    p->db->doubted = !sim_calm && chance(5);
    p->local = &p->db->home->local;
    p->db->alarm = (struct alarm){.commit = no_alarm, .opened = no_news_of_files, .path = no_news_of_files};
}

/* As daemon/sleep.c has it, without the looks and the verification. */
static bool may_sleep(const struct sim_process *p)
{
    const struct database *db = p->db;
    bool durable = true;
    for (size_t i = 0; i < db->lanes.count; i++)
        durable &= lane_restorable_txid(&db->lanes.list[i]) == db->lanes.captured.txid;
    return p->job_count == 0 && db->state && db->home && db->rested && db->stamped && db->figures.at == LOCAL_RESTING &&
           db->lanes.captured.proven && !db->signs.news && !db->signs.suspect && !db->signs.touched && !db->failed &&
           !db->stopping && !db->lost && durable && lanes_all_durable(&db->lanes);
}

/* Closes everything. Until the time comes at which it is opened again, anything may happen to the files. */
static void sleep_for_a_while(struct sim_process *p)
{
    struct workers *w = p->db->workers;
    database_release(p->db);
    p->state = NULL; /* was closed and freed */
    open_database(p, w);
    p->db->known = true;
    p->db->pace.open_at_ms = clock_mono_ms() + dice_below(&luck, SLEEP_MS_MAX);
    world_slept();
}

static bool start(struct sim_process *p)
{
    struct workers *w = calloc(1, sizeof *w);
    struct err e;
    p->db = calloc(1, sizeof *p->db);
    if (!w || !p->db)
        abort();
    w->process = p;
    p->job_count = 0;
    if (outages_open(&p->commons.outages, &e))
        abort();
    open_database(p, w);
    return true;
}

bool sim_process_start(struct sim_process *p)
{
    p->dead = false;
    p->state = NULL;
    return inside(p, start);
}

static void go_on(struct sim_process *p)
{
    if (p->job_count == 0)
        return;
    size_t i = dice_below(&luck, (uint32_t)p->job_count);
    struct sim_job *j = &p->jobs[i];
    if (!j->ran) {
        j->ran = true;
        j->job->started_ms = clock_mono_ms();
        j->job->run(j->job, sim_codec);
        if (chance(30))
            return; /* its end is noticed later */
    }
    struct job *job = p->jobs[i].job;
    p->jobs[i] = p->jobs[--p->job_count];
    job->done(job);
}

static bool turn(struct sim_process *p)
{
    if (chance(40))
        database_woken(p->db);
    if (chance(10))
        database_touched(p->db);
    outages_turn(p->commons.outages, clock_mono_ms());
    if (!sim_calm && may_sleep(p) && chance(20))
        sleep_for_a_while(p);
    database_schedule(p->db);
    go_on(p);
    return !database_finished(p->db);
}

bool sim_process_turn(struct sim_process *p, struct err *ret_error)
{
    ret_error->code = ERR_NONE;
    if (inside(p, turn))
        return true;
    if (p->dead)
        return false;
    if (p->db->failed)
        *ret_error = p->db->error;
    if (!p->db->hung) { /* otherwise jobs run until the process ends */
        database_release(p->db);
        outages_close(p->commons.outages);
        p->state = NULL; /* was closed and freed */
    }
    sim_process_kill(p);
    return false;
}
