/* capture/checkpoint.c */
#include "capture/checkpoint.h"

#include "base/clock.h"
#include "base/invariant.h"
#include "capture/connection.h"

#include <assert.h>
#include <sched.h>
#include <string.h>

#define UNDER_LOCK_FRAMES_MAX 8000 /* frames captured under the write lock: some tens of milliseconds */
#define PASSES_MAX 8
#define REMAINING_FRAMES 300 /* frames left to TRUNCATE, under the write lock: a few milliseconds */
#define ALONE_TRIES 4
#define ALONE_WAIT_NS (1 * INT64_C(1000000))  /* how long to wait for a moment without a transaction */
#define QUICK_PASS_NS (50 * INT64_C(1000000)) /* a disk that syncs so fast may sync while others wait */
#define WRITE_WAIT_MS 100                     /* how long to wait for a gap between two commits; blocks nobody */
#define RETAKE_NS (20 * INT64_C(1000000))
#define REST_READER_WAIT_MS 5
#define CUT_AT_ONCE_BYTES (4 << 20)
#define CUT_STEP_BYTES (4 << 20)
#define HEADER_TRIES 50 /* 20 us apart; a writer needs nanoseconds between the two copies */

bool checkpoint_read_header(const struct watch *w, struct wal_index_header *ret_header)
{
    for (int i = 0; i < HEADER_TRIES; i++) {
        if (watch_header(w, ret_header))
            return true;
        clock_sleep_us(20);
    }
    return false;
}

void checkpoint_stamp(struct checkpoint *k)
{
    struct wal_index_header header = {0};
    k->stamped_torn = !watch_header(k->watch, &header);
    k->stamped_change = header.change - k->capture->commits;
    memcpy(k->stamped_salt, header.salt, WAL_SALT_BYTES);
    k->stamped_backfill = watch_backfilled(k->watch);
    watch_stamp_db(k->watch);
}

/* Was the wal-index recovered since the stamp, or the WAL reset? A recovery sets nBackfill and the change counter to 0.
 * A reset has other salts. */
static bool recovered(const struct checkpoint *k)
{
    struct wal_index_header header;
    if (k->stamped_torn || !watch_header(k->watch, &header) ||
        memcmp(header.salt, k->stamped_salt, WAL_SALT_BYTES) != 0)
        return true;
    return (int32_t)(header.change - k->capture->commits - k->stamped_change) < 0;
}

/* Only checkpoints change the database file, and each of them moves nBackfill, or sets it to 0 at a reset. So a
 * changed file is ours if nBackfill changed. After a recovery or a reset nBackfill proves nothing until the next
 * stamp. */
bool checkpoint_files_ours(const struct checkpoint *k)
{
    if (!watch_files_are_ours(k->watch))
        return false;
    return k->watch->rollback || watch_db_untouched(k->watch) || watch_backfilled(k->watch) != k->stamped_backfill ||
           recovered(k);
}

/* ---- inside TRUNCATE */

struct truncation {
    struct checkpoint *checkpoint;
    enum checkpoint_kind kind;
    int64_t deadline_ns; /* the busy handler gives up then */

    int64_t write_taken_ns;
    bool write_held, slot0_held, give_up, reset;
    bool cut;    /* truncate the file in steps after the write lock was given back */
    bool failed; /* the capture failed; `error` says why */
    struct err error;
};

static uint64_t wal_bytes(const struct checkpoint *k, uint32_t frames)
{
    return (uint64_t)frames * (k->capture->state->map.page_size + WAL_FRAME_HEADER_BYTES);
}

static int64_t reader_wait_ns(const struct checkpoint *k, enum checkpoint_kind kind, uint32_t frames)
{
    int64_t ms = 0;
    if (kind == CHECKPOINT_REST)
        ms = REST_READER_WAIT_MS;
    if (frames >= 2 * (uint64_t)k->wal_target)
        ms = 5;
    if (frames >= 4 * (uint64_t)k->wal_target)
        ms = 20;
    if (frames >= 8 * (uint64_t)k->wal_target || wal_bytes(k, frames) > k->wal_limit / 2)
        ms = 50;
    return ms * 1000000;
}

/* SQLite's busy handler: should it try a lock once more? */
static int keep_waiting(void *context, int count)
{
    struct truncation *t = context;
    (void)count;
    if (t->give_up || clock_mono_ns() >= t->deadline_ns)
        return 0;
    if (t->write_held)
        sched_yield(); /* for a few ms; a sleep would miss the gaps of us that back-to-back readers leave */
    else
        clock_sleep_us(100);
    return 1;
}

/* Does an application's reader hold a slot from `first` on? Our own watch does not count. */
static bool foreign_readers(const struct watch *w, int first)
{
    if (w->guarded && first == 0)
        first = 1;
    int own = w->active >= 0 ? w->reader[w->active].slot : -1;
    for (int slot = first; slot < READ_SLOTS; slot++) {
        if (slot == own)
            continue;
        seawall_file *file = w->checkpointer.file;
        if (seawall_shm_lock(file, LOCK_READ + slot, 1, SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE) != SQLITE_OK)
            return true;
        seawall_shm_lock(file, LOCK_READ + slot, 1, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
    }
    return false;
}

static int capture_failed(struct truncation *t)
{
    t->failed = true;
    t->give_up = true;
    return SQLITE_BUSY;
}

/* Nobody can commit now, so the commit in the header is the last one. */
static int write_taken(void *context)
{
    struct truncation *t = context;
    struct checkpoint *k = t->checkpoint;
    struct wal_index_header header;
    assert(!t->write_held && k->watch->active >= 0);
    t->write_held = true;
    t->write_taken_ns = clock_mono_ns();
    if (!watch_header(k->watch, &header)) { /* a process died while writing it: its recovery needs the locks we hold */
        t->give_up = true;
        return SQLITE_BUSY;
    }
    bool far_behind =
        header.mx_frame > k->capture->pos.frame && header.mx_frame - k->capture->pos.frame > UNDER_LOCK_FRAMES_MAX;
    if (far_behind && wal_bytes(k, header.mx_frame) < k->wal_limit) { /* capture does not keep up: a slow machine */
        t->give_up = true;
        return SQLITE_BUSY;
    }
    if (k->capture_up_to(k->context, &header, &t->error) || watch_begin_other(k->watch, &t->error))
        return capture_failed(t);
    watch_end_old(k->watch);
    t->deadline_ns = clock_mono_ns() + reader_wait_ns(k, t->kind, header.mx_frame);
    while (foreign_readers(k->watch, 1))
        if (!keep_waiting(t, 0)) {
            t->give_up = true;
            return SQLITE_BUSY;
        }
    return SQLITE_OK;
}

static void drop_slot0(struct truncation *t)
{
    if (t->slot0_held)
        seawall_shm_lock(t->checkpoint->watch->checkpointer.file, LOCK_READ, 1,
                         SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
    t->slot0_held = false;
}

/* Begins a new watch. If that fails, others can reset the WAL unseen: nothing is proven any more. */
static void watch_again(struct truncation *t)
{
    struct watch *w = t->checkpoint->watch;
    struct err e;
    if (w->active < 0 && watch_begin_other(w, &e)) {
        w->unbroken = false;
        t->checkpoint->capture->proven = false;
    }
}

/* Takes READ(1..4) exclusively. Our own watch holds one of these locks, so it drops it for that moment. Back-to-back
 * readers leave gaps of microseconds, which a transaction that ends and begins would miss. Nobody can reset the WAL
 * meanwhile, because we hold the write lock. */
static bool take_all_slots(struct watch *w)
{
    watch_drop_lock(w);
    if (seawall_shm_lock(w->checkpointer.file, LOCK_READ + 1, READ_SLOTS - 1, SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE) ==
        SQLITE_OK)
        return true;
    int64_t deadline = clock_mono_ns() + RETAKE_NS;
    while (!watch_retake_lock(w)) { /* a reader holds the slot for the moment in which it sets the mark */
        if (clock_mono_ns() > deadline) {
            watch_let_go(
                w); /* that reader was stopped just then: the watch takes another slot before the write lock ends */
            break;
        }
        sched_yield();
    }
    return false;
}

static int take_reset_lock(void *context)
{
    struct truncation *t = context;
    struct checkpoint *k = t->checkpoint;
    struct watch *w = k->watch;
    struct wal_index_header header;
    assert(t->write_held && w->active >= 0);
    t->give_up = true; /* SQLite must not ask again */
    /* Since the capture SQLite may have recovered the header, and with it a commit. */
    if (!watch_header(w, &header) || !capture_is_current(k->capture, &header))
        return SQLITE_BUSY;
    do {
        /* A reader in slot 0 that writes later would get SQLITE_BUSY_SNAPSHOT. While we hold slot 0, new readers use
         * the other slots. */
        if (!t->slot0_held)
            t->slot0_held = seawall_shm_lock(w->checkpointer.file, LOCK_READ, 1,
                                             SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE) == SQLITE_OK;
        if (t->slot0_held && take_all_slots(w)) {
            watch_let_go(w);
            return SQLITE_OK;
        }
        sched_yield();
    } while (w->active >= 0 && clock_mono_ns() < t->deadline_ns);
    drop_slot0(t);
    return SQLITE_BUSY;
}

static void after_reset(void *context)
{
    struct truncation *t = context;
    struct wal_index_header header;
    if (watch_header(t->checkpoint->watch, &header) && header.mx_frame == 0) {
        t->reset = true;
        capture_note_reset(t->checkpoint->capture, &header);
    }
    drop_slot0(t);
    watch_again(t);
}

static void note_hold(struct checkpoint_stats *stats, int64_t since_ns)
{
    int64_t held = clock_mono_ns() - since_ns;
    if (held > stats->longest_write_hold_ns)
        stats->longest_write_hold_ns = held;
}

static void write_ends(void *context)
{
    struct truncation *t = context;
    struct checkpoint_stats *stats = &t->checkpoint->stats;
    if (!t->write_held)
        return;
    watch_again(t);
    t->write_held = false;
    note_hold(stats, t->write_taken_ns);
}

static int before_truncate(void *context)
{
    struct truncation *t = context;
    sqlite3_int64 size = 0;
    struct checkpoint *k = t->checkpoint;
    int rc = seawall_wal_size(k->watch->checkpointer.file, &size);
    t->cut = t->kind == CHECKPOINT_REST || (rc == SQLITE_OK && (uint64_t)size > k->wal_limit);
    if (!t->cut || (rc == SQLITE_OK && size > CUT_AT_ONCE_BYTES))
        return SQLITE_OK;
    k->stats.truncations++;
    t->cut = false;
    return SEAWALL_FORWARD;
}

/* ---- alone */

/* Takes the guard if nothing is copied back beyond what was captured, and lets the watch go. */
static bool take_guard(const struct checkpoint *k)
{
    struct watch *w = k->watch;
    struct wal_index_header header;
    if (w->guarded)
        return true;
    if (!k->capture->proven || !watch_take_guard(w))
        return false;
    if (watch_header(w, &header) && memcmp(header.salt, k->capture->pos.salt, WAL_SALT_BYTES) == 0 &&
        watch_backfilled(w) <= k->capture->pos.frame) {
        watch_let_go(w);
        return true;
    }
    watch_drop_guard(w);
    return false;
}

/* Shuts others out. False: they are there. */
static bool shut_out(struct watch *w, int64_t wait_ns)
{
    int64_t deadline = clock_mono_ns() + wait_ns;
    while (!watch_shut_out(w)) {
        if (clock_mono_ns() >= deadline)
            return false;
        sched_yield(); /* back-to-back transactions leave gaps of microseconds */
    }
    return true;
}

static int alone_write_taken(void *context)
{
    struct truncation *t = context;
    struct wal_index_header header;
    t->write_held = true;
    return watch_header(t->checkpoint->watch, &header) && capture_is_current(t->checkpoint->capture, &header)
               ? SQLITE_OK
               : SQLITE_BUSY; /* a process died: its commit is not captured */
}

static void alone_write_ends(void *context)
{
    ((struct truncation *)context)->write_held = false;
}

/* TRUNCATE, while others are shut out: no lock is refused, and SQLite finds nothing to copy or little. */
static int truncate_alone(struct checkpoint *k, struct truncation *t, struct err *e)
{
    const struct watch_truncate_hooks hooks = {.write_taken = alone_write_taken,
                                               .write_ends = alone_write_ends,
                                               .before_truncate = before_truncate,
                                               .context = t};
    struct wal_index_header header;
    k->watch->truncate = &hooks;
    int rc = sqlite3_wal_checkpoint_v2(k->watch->checkpointer.db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    k->watch->truncate = NULL;
    t->reset = watch_header(k->watch, &header) && header.mx_frame == 0;
    if (t->reset) /* whatever rc is */
        capture_note_reset(k->capture, &header);
    if (t->reset || (rc & 0xff) == SQLITE_BUSY || rc == SQLITE_OK)
        return 0;
    return err_set(e, ERR_SQLITE, rc, "checkpoint: %s", watch_sqlite_text(rc));
}

/* Captures what came since the last pass. *ret_ready: the WAL may be reset now, without a long wait for others. */
static int capture_rest(struct checkpoint *k, bool last_try, bool *ret_ready, struct err *e)
{
    struct wal_index_header header;
    *ret_ready = false;
    if (!watch_header(k->watch, &header)) /* a process died while writing it: its recovery needs the locks we hold */
        return 0;
    uint32_t done = watch_backfilled(k->watch), left = header.mx_frame > done ? header.mx_frame - done : 0;
    *ret_ready = left == 0 || (last_try && left <= REMAINING_FRAMES && k->pass_ns <= QUICK_PASS_NS);
    if (!*ret_ready || capture_is_current(k->capture, &header))
        return 0;
    return k->capture_up_to(k->context, &header, e);
}

static void note_hold(struct checkpoint_stats *stats, int64_t since_ns);

/* Step 3 of the header, once. *ret_reset: the WAL was reset. *ret_others: others were there all the time. */
static int reset_alone(struct checkpoint *k, struct truncation *t, bool last_try, bool *ret_others, struct err *e)
{
    bool ready = false;
    *ret_others = !take_guard(k) || !shut_out(k->watch, ALONE_WAIT_NS);
    if (*ret_others)
        return 0;
    int64_t since = clock_mono_ns();
    int rc = capture_rest(k, last_try, &ready, e);
    if (rc == 0 && ready)
        rc = truncate_alone(k, t, e);
    watch_let_in(k->watch);
    note_hold(&k->stats, since);
    return rc;
}

/* ---- a long file is truncated in steps */

/* Truncates one step, under the write lock. *ret_more: the file is still not empty. If a writer has begun to use the
 * WAL, nothing is truncated any more. */
static int cut_step(struct checkpoint *k, bool first, bool *ret_more)
{
    static const uint8_t no_header[WAL_HEADER_BYTES];
    seawall_file *file = k->watch->checkpointer.file;
    struct wal_index_header header;
    sqlite3_int64 size = 0;
    *ret_more = false;
    if (k->watch->guarded && !shut_out(k->watch, ALONE_WAIT_NS))
        return SQLITE_BUSY;
    int64_t since = clock_mono_ns();
    int rc = seawall_shm_lock(file, LOCK_WRITE, 1, SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE);
    if (rc != SQLITE_OK) {
        watch_let_in(k->watch);
        return rc;
    }
    bool empty = watch_header(k->watch, &header) && header.mx_frame == 0 && capture_is_current(k->capture, &header);
    rc = seawall_wal_size(file, &size);
    if (rc == SQLITE_OK && empty && size > 0) {
        sqlite3_int64 left = size > CUT_STEP_BYTES ? size - CUT_STEP_BYTES : 0;
        if (first)
            rc = seawall_wal_write(file, no_header, sizeof no_header, 0);
        if (first && rc == SQLITE_OK)
            rc = seawall_wal_sync(file, SQLITE_SYNC_NORMAL);
        if (rc == SQLITE_OK)
            rc = seawall_wal_truncate(file, left);
        *ret_more = rc == SQLITE_OK && left > 0;
    }
    seawall_shm_lock(file, LOCK_WRITE, 1, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
    watch_let_in(k->watch);
    note_hold(&k->stats, since);
    return rc;
}

static int cut_log(struct checkpoint *k, struct err *e)
{
    bool more = true;
    for (bool first = true; more; first = false) {
        int rc = cut_step(k, first, &more);
        if ((rc & 0xff) == SQLITE_BUSY)
            return 0; /* a writer came: the next checkpoint at rest truncates the file */
        if (rc != SQLITE_OK)
            return err_set(e, ERR_SQLITE, rc, "truncate the WAL: %s", watch_sqlite_text(rc));
    }
    k->stats.truncations++;
    return 0;
}

static int truncate_log(struct checkpoint *k, enum checkpoint_kind kind, enum checkpoint_end *ret_end, struct err *e)
{
    struct truncation t = {
        .checkpoint = k, .kind = kind, .deadline_ns = clock_mono_ns() + (int64_t)WRITE_WAIT_MS * 1000000};
    const struct watch_truncate_hooks hooks = {.write_taken = write_taken,
                                               .take_reset_lock = take_reset_lock,
                                               .after_reset = after_reset,
                                               .write_ends = write_ends,
                                               .before_truncate = before_truncate,
                                               .context = &t};
    sqlite3 *db = k->watch->checkpointer.db;
    sqlite3_busy_handler(db, keep_waiting, &t);
    k->watch->truncate = &hooks;
    int rc = sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    k->watch->truncate = NULL;
    sqlite3_busy_handler(db, NULL, NULL);
    if (t.failed) {
        *e = t.error;
        return -1;
    }
    if (t.reset) { /* whatever rc is */
        k->stats.resets++;
        *ret_end = CHECKPOINT_RESET;
        return t.cut ? cut_log(k, e) : 0;
    }
    if ((rc & 0xff) == SQLITE_BUSY || rc == SQLITE_OK) {
        k->stats.busy++;
        *ret_end = CHECKPOINT_BUSY;
        return 0;
    }
    return err_set(e, ERR_SQLITE, rc, "checkpoint: %s", watch_sqlite_text(rc));
}

/* ---- the checkpoint */

/* Moves the watch to the newest commit and captures up to it. */
static int follow(struct checkpoint *k, struct wal_index_header *ret_header, struct err *e)
{
    if (watch_begin_other(k->watch, e))
        return -1;
    int rc = checkpoint_read_header(k->watch, ret_header) ? 0 : err_set(e, ERR_BUSY, 0, "the wal-index header is torn");
    if (rc == 0)
        rc = k->capture_up_to(k->context, ret_header, e);
    watch_end_old(k->watch);
    return rc;
}

static uint32_t remaining(const struct checkpoint *k)
{
    struct wal_index_header header;
    if (!watch_header(k->watch, &header))
        return UINT32_MAX;
    uint32_t done = watch_backfilled(k->watch);
    return header.mx_frame > done ? header.mx_frame - done : 0;
}

/* Step 2 of the header. ERR_BUSY: another process checkpoints or recovers. */
static int copy_in_passes(struct checkpoint *k, enum checkpoint_kind kind, struct err *e)
{
    uint32_t enough = kind == CHECKPOINT_LOAD ? REMAINING_FRAMES : 0, before = UINT32_MAX;
    for (int i = 0; i < PASSES_MAX; i++) {
        struct wal_index_header header;
        if (follow(k, &header, e))
            return -1;
        int64_t began = clock_mono_ns();
        int rc = sqlite3_wal_checkpoint_v2(k->watch->checkpointer.db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        k->pass_ns = clock_mono_ns() - began;
        k->stats.passes++;
        if ((rc & 0xff) == SQLITE_BUSY)
            return err_set(e, ERR_BUSY, rc, "checkpoint: %s", watch_sqlite_text(rc));
        if (rc != SQLITE_OK)
            return err_set(e, ERR_SQLITE, rc, "checkpoint: %s", watch_sqlite_text(rc));
        /* While a writer goes on, PASSIVE copies frames but does not sync the database file. Sync it here, without a
         * lock. */
        if (kind == CHECKPOINT_LOAD && watch_sync_db(k->watch, e))
            return -1;
        uint32_t left = remaining(k);
        if (left <= enough ||
            (i >= 2 && left > before - before / 4)) /* few remain, or the writer is as fast as we are */
            break;
        if (wal_bytes(k, header.mx_frame) > k->wal_limit / 3) /* the rest under the write lock: the writer waits */
            break;
        before = left;
    }
    return 0;
}

/* The guard is held and no watch: the watch begins again. */
static int watch_instead_of_guard(struct checkpoint *k, struct err *e)
{
    if (!k->watch->guarded)
        return 0;
    if (k->watch->active < 0 && watch_begin_other(k->watch, e))
        return -1; /* the guard stays */
    watch_drop_guard(k->watch);
    return 0;
}

/* Steps 2 and 3 of the header. *ret_end stays as it is if the WAL was not reset. */
static int copy_and_reset(struct checkpoint *k, enum checkpoint_kind kind, enum checkpoint_end *ret_end, struct err *e)
{
    for (int i = 1; i <= ALONE_TRIES; i++) {
        struct truncation t = {.checkpoint = k, .kind = kind, .give_up = true};
        bool others = false;
        if (!k->watch->guarded && copy_in_passes(k, kind, e))
            return -1;
        if (reset_alone(k, &t, i == ALONE_TRIES, &others, e))
            return -1;
        if (t.reset) {
            k->stats.resets++;
            *ret_end = CHECKPOINT_RESET;
            return t.cut ? cut_log(k, e) : 0;
        }
        if (watch_instead_of_guard(k, e))
            return -1;
        if (others)
            return 0;
    }
    return 0;
}

/* May applications be kept from committing, because the WAL is long? */
static bool must_reset(const struct checkpoint *k, enum checkpoint_kind kind)
{
    struct wal_index_header header;
    return kind == CHECKPOINT_LOAD && watch_header(k->watch, &header) && reader_wait_ns(k, kind, header.mx_frame) > 0;
}

int checkpoint_run(struct checkpoint *k, enum checkpoint_kind kind, enum checkpoint_end *ret_end, struct err *e)
{
    *ret_end = CHECKPOINT_BUSY;
    assert(watch_is_open(k->watch) && !k->watch->rollback && !k->watch->truncate);
    bool kept_before = k->watch->keep;
    if (!watch_keep_lock(k->watch)) {
        k->stats.busy++;
        return 0;
    }
    if (!checkpoint_files_ours(k)) {
        *ret_end = CHECKPOINT_MOVED;
        return 0;
    }
    int rc = copy_and_reset(k, kind, ret_end, e);
    if (rc == 0 && *ret_end != CHECKPOINT_RESET && k->watch->active >= 0 && must_reset(k, kind))
        rc = truncate_log(k, kind, ret_end, e);
    else if (rc == 0 && *ret_end != CHECKPOINT_RESET)
        k->stats.busy++;
    if (rc != 0 && e->code == ERR_BUSY) {
        k->stats.busy++;
        rc = 0;
    }
    checkpoint_stamp(k);
    if (k->capture->proven) /* otherwise the map may be half changed */
        capture_commit_state(k->capture);
    INVARIANT(k->watch->active >= 0 || k->watch->guarded || !k->capture->proven, "nothing keeps the WAL");
    if (!kept_before || *ret_end == CHECKPOINT_RESET) /* a short WAL needs no kept lock */
        watch_give_lock_back(k->watch);
    return rc;
}
