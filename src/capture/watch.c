/* capture/watch.c */
#include "capture/watch.h"

#include "base/io.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- hooks */

static bool holds(int offset, int n, int lock)
{
    return offset <= lock && lock < offset + n;
}

static bool is(int flags, int want)
{
    return (flags & want) == want;
}

#define TAKE_EXCLUSIVE (SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE)
#define DROP_EXCLUSIVE (SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE)
#define TAKE_SHARED (SQLITE_SHM_LOCK | SQLITE_SHM_SHARED)
#define DROP_SHARED (SQLITE_SHM_UNLOCK | SQLITE_SHM_SHARED)

static bool take_kept_lock(struct watch *w)
{
    w->kept = seawall_shm_lock(w->checkpointer.file, LOCK_CHECKPOINT, 1, TAKE_EXCLUSIVE) == SQLITE_OK;
    return w->kept;
}

static void drop_kept_lock(struct watch *w)
{
    if (w->kept)
        seawall_shm_lock(w->checkpointer.file, LOCK_CHECKPOINT, 1, DROP_EXCLUSIVE);
    w->kept = false;
}

/* A connection that recovers the wal-index asks for CKPT and RECOVER in one range: the kept lock must be free then.
 * (Exception: the checkpointer inside a checkpoint asks for RECOVER alone, because it believes that it holds CKPT. It
 * does: the kept lock.) */
static void make_way_for_recovery(struct watch *w, int offset, int n, int flags)
{
    if (is(flags, TAKE_EXCLUSIVE) && holds(offset, n, LOCK_CHECKPOINT) && holds(offset, n, LOCK_RECOVER))
        drop_kept_lock(w);
}

static void retake_after_recovery(struct watch *w, int offset, int n, int flags)
{
    if (w->keep && !w->kept && is(flags, DROP_EXCLUSIVE) && holds(offset, n, LOCK_RECOVER))
        take_kept_lock(w); /* if another process was faster, the next watch_keep_lock tries again */
}

static uint32_t read_mark(const struct watch_connection *c, int slot)
{
    const volatile uint8_t *index = seawall_wal_index(c->file);
    const volatile uint32_t *marks = (const volatile void *)(index + WAL_INDEX_READ_MARKS);
    return index ? marks[slot] : WAL_READ_MARK_NOT_USED;
}

/* A checkpoint of another process reads the mark of a slot, and if the mark is old it waits for the slot, whatever the
 * mark is later. So a reader of ours gives a new mark only to a slot that is not used, as long as there is one: for
 * that slot no checkpoint can wait. */
static bool may_be_waited_for(const struct watch_connection *c, int slot)
{
    if (read_mark(c, slot) == WAL_READ_MARK_NOT_USED)
        return false;
    for (int other = 1; other < READ_SLOTS; other++)
        if (read_mark(c, other) == WAL_READ_MARK_NOT_USED)
            return true;
    return false;
}

static int reader_before(void *context, int offset, int n, int flags)
{
    struct watch_connection *c = context;
    if (offset == LOCK_READ && n == 1 && is(flags, TAKE_SHARED))
        return SQLITE_BUSY; /* slot 0: SQLite then takes another one */
    if (c->lock_dropped && offset == LOCK_READ + c->slot && n == 1 && is(flags, DROP_SHARED)) {
        c->lock_dropped = false;
        c->slot = -1;
        return SQLITE_OK;
    }
    if (is(flags, TAKE_EXCLUSIVE) && offset > LOCK_READ && n == 1 && !c->recovering &&
        may_be_waited_for(c, offset - LOCK_READ))
        return SQLITE_BUSY; /* SQLite then takes another one */
    make_way_for_recovery(c->watch, offset, n, flags);
    return SEAWALL_FORWARD;
}

static void reader_after(void *context, int offset, int n, int flags, int rc)
{
    struct watch_connection *c = context;
    if (rc == SQLITE_OK && offset > LOCK_READ && n == 1 && is(flags, TAKE_SHARED))
        c->slot = offset - LOCK_READ;
    if (offset > LOCK_READ && n == 1 && is(flags, DROP_SHARED))
        c->slot = -1;
    if (holds(offset, n, LOCK_RECOVER) && (flags & SQLITE_SHM_EXCLUSIVE))
        c->recovering = rc == SQLITE_OK && is(flags, TAKE_EXCLUSIVE);
    retake_after_recovery(c->watch, offset, n, flags);
}

/* SQLite's requests inside a TRUNCATE checkpoint. */
static int truncate_before(struct watch *w, int offset, int n, int flags)
{
    const struct watch_truncate_hooks *t = w->truncate;
    if (offset == LOCK_WRITE && n == 1 && is(flags, TAKE_EXCLUSIVE)) {
        int rc = seawall_shm_lock(w->checkpointer.file, offset, n, flags);
        if (rc == SQLITE_OK)
            rc = t->write_taken(t->context);
        else
            return rc;
        if (rc != SQLITE_OK) {
            t->write_ends(t->context);
            seawall_shm_lock(w->checkpointer.file, offset, n, DROP_EXCLUSIVE);
        }
        return rc;
    }
    if (offset == LOCK_WRITE && n == 1 && is(flags, DROP_EXCLUSIVE))
        t->write_ends(t->context);
    if (offset == LOCK_READ + 1 && n == READ_SLOTS - 1 && is(flags, TAKE_EXCLUSIVE))
        return t->take_reset_lock(t->context);
    return SEAWALL_FORWARD;
}

static int checkpointer_before(void *context, int offset, int n, int flags)
{
    struct watch *w = ((struct watch_connection *)context)->watch;
    if (offset == LOCK_CHECKPOINT && n == 1 && w->kept)
        return SQLITE_OK; /* the kept lock: it is held already, and stays held */
    if ((offset == LOCK_READ && n == 1 && w->guarded) || (offset >= LOCK_READ && w->shut_out))
        return SQLITE_OK; /* the same */
    make_way_for_recovery(w, offset, n, flags);
    return w->truncate ? truncate_before(w, offset, n, flags) : SEAWALL_FORWARD;
}

static void checkpointer_after(void *context, int offset, int n, int flags, int rc)
{
    struct watch *w = ((struct watch_connection *)context)->watch;
    const struct watch_truncate_hooks *t = w->truncate;
    retake_after_recovery(w, offset, n, flags);
    (void)rc;
    if (t && offset == LOCK_READ + 1 && n == READ_SLOTS - 1 && is(flags, DROP_EXCLUSIVE))
        t->after_reset(t->context);
}

static int checkpointer_before_truncate(void *context, sqlite3_int64 size)
{
    struct watch *w = ((struct watch_connection *)context)->watch;
    return w->truncate && size == 0 ? w->truncate->before_truncate(w->truncate->context) : SEAWALL_FORWARD;
}

static const seawall_hooks reader_hooks = {.before_shm_lock = reader_before, .after_shm_lock = reader_after};
static const seawall_hooks checkpointer_hooks = {.before_shm_lock = checkpointer_before,
                                                 .after_shm_lock = checkpointer_after,
                                                 .before_wal_truncate = checkpointer_before_truncate};

/* ---- files */

/* False: errno says why. */
static bool stamp(const char *path, const char *suffix, struct file_stamp *ret_stamp)
{
    char full[PATH_TEXT_MAX + 8];
    struct stat st;
    snprintf(full, sizeof full, "%s%s", path, suffix);
    if (stat(full, &st) != 0)
        return false;
    *ret_stamp = file_stamp_of(&st);
    return true;
}

static bool same_file(const struct file_stamp *a, const char *path, const char *suffix)
{
    struct file_stamp now;
    if (!stamp(path, suffix, &now))
        return io_is_passing(errno);
    return now.device == a->device && now.inode == a->inode;
}

bool watch_files_are_ours(const struct watch *w)
{
    if (w->rollback)
        return same_file(&w->db_file, w->path, "");
    return same_file(&w->db_file, w->path, "") && same_file(&w->wal_file, w->path, "-wal") &&
           same_file(&w->shm_file, w->path, "-shm");
}

void watch_stamp_db(struct watch *w)
{
    struct file_stamp now;
    if (w->rollback)
        return;
    if (stamp(w->path, "", &now) && now.device == w->db_file.device && now.inode == w->db_file.inode)
        w->db_file = now;
}

bool watch_look_at_db(const struct watch *w, struct file_stamp *ret_stamp)
{
    return stamp(w->path, "", ret_stamp);
}

bool watch_db_untouched(const struct watch *w)
{
    struct file_stamp now;
    return watch_look_at_db(w, &now) && now.size == w->db_file.size && now.mtime_ns == w->db_file.mtime_ns;
}

/* ---- open and close */

static int switch_to_wal(struct watch *w, struct err *e)
{
    sqlite3_stmt *statement = NULL;
    sqlite3 *db = w->checkpointer.db;
    int rc = sqlite3_prepare_v2(db, "PRAGMA journal_mode=WAL", -1, &statement, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    const char *mode = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    bool switched = mode && sqlite3_stricmp(mode, "wal") == 0;
    int result = 0;
    if (!mode)
        result = watch_sqlite_error(e, db, rc, "switch the database to WAL mode");
    else if (!switched)
        result = err_set(e, ERR_CONFIG, 0, "the database can't be switched to WAL mode: it stays in mode '%s'", mode);
    sqlite3_finalize(statement);
    return result;
}

/* The database is in a rollback-journal mode, and the caller accepts that. */
static int accept_rollback(struct watch *w, struct err *e)
{
    uint64_t size = 0;
    int rc = watch_db_size(w, &size, e);
    watch_connection_end(&w->reader[0]);
    if (rc)
        return -1;
    if (size == 0) {
        err_set(e, ERR_NOTFOUND, 0, "the database is empty: there is nothing to back up yet");
        return err_hint(e, "a database has no table before its first transaction; if this one should have some, find "
                           "out what emptied it");
    }
    w->rollback = true;
    return 0;
}

/* SQLite maps the wal-index with the first read of a connection, if and only if the database is in WAL mode. */
static int begin_in_wal_mode(struct watch *w, enum watch_wal_mode mode, bool *ret_switched, struct err *e)
{
    struct watch_connection *c = &w->reader[0];
    *ret_switched = false;
    if (mode == WATCH_AS_IT_IS ? watch_connection_begin_patiently(c, e) : watch_connection_begin(c, e))
        return -1;
    if (seawall_wal_index(c->file))
        return 0;
    if (mode == WATCH_AS_IT_IS)
        return accept_rollback(w, e);
    watch_connection_end(c);
    if (mode == WATCH_REQUIRE_WAL) {
        err_set(e, ERR_CONFIG, 0, "the database is not in WAL mode");
        return err_hint(e, "run PRAGMA journal_mode=WAL on it, or let seawall do so with --set-wal=yes");
    }
    if (w->db_file.size == 0) /* an application may be about to create its tables */
        return err_set(e, ERR_BUSY, 0, "the database is empty: waiting for its first transaction");
    if (switch_to_wal(w, e) || watch_connection_begin(c, e))
        return -1;
    *ret_switched = true;
    return seawall_wal_index(c->file) ? 0 : err_set(e, ERR_BUSY, 0, "the database left WAL mode again");
}

/* A connection opens the -wal with its first read. The checkpointer needs it before its first checkpoint. */
static int warm_up(struct watch_connection *c, struct err *e)
{
    if (watch_connection_begin(c, e))
        return -1;
    watch_connection_end(c);
    return 0;
}

/* The rest of watch_open, in WAL mode. */
static int open_log(struct watch *w, struct err *e)
{
    if (warm_up(&w->reader[1], e) ||
        warm_up(&w->checkpointer, e)) /* may read in slot 0, which does no harm: the read ends at once */
        return -1;
    if (!stamp(w->path, "", &w->db_file) || !stamp(w->path, "-wal", &w->wal_file) ||
        !stamp(w->path, "-shm", &w->shm_file))
        return io_is_passing(errno)
                   ? err_sys(e, errno, "stat the files of the database")
                   : err_set(e, ERR_BUSY, 0, "the files of the database were moved while they were opened");
    return 0;
}

int watch_open(struct watch *w, const char *path, enum watch_wal_mode mode, bool *ret_switched, struct err *e)
{
    *w = (struct watch){.active = -1, .frozen_fd = -1};
    if (path_format(w->path, e, "%s", path))
        return -1;
    if (!stamp(path, "", &w->db_file))
        return io_is_passing(errno) ? err_sys(e, errno, "stat '%s'", path)
                                    : err_set(e, ERR_NOTFOUND, 0, "there is no database '%s'", path);
    w->reader[0].watch = w->reader[1].watch = w->checkpointer.watch = w;
    int rc = watch_connection_open(&w->reader[0], path, &reader_hooks, e);
    if (rc == 0)
        rc = watch_connection_open(&w->reader[1], path, &reader_hooks, e);
    if (rc == 0)
        rc = watch_connection_open(&w->checkpointer, path, &checkpointer_hooks, e);
    if (rc == 0)
        rc = begin_in_wal_mode(w, mode, ret_switched, e);
    if (rc == 0 && !w->rollback)
        rc = open_log(w, e);
    if (!w->rollback && (rc == 0 || e->code != ERR_CONFIG) && watch_connection_check_files(path, e))
        rc = -1;
    if (w->rollback)
        w->db_file.size = w->db_file.mtime_ns = 0;
    if (rc) {
        watch_close(w);
        return -1;
    }
    w->active = 0;
    return 0;
}

void watch_close(struct watch *w)
{
    if (w->checkpointer.db) { /* a close with locks held would leave them blocked in this process (unixShmLock) */
        watch_let_in(w);
        watch_drop_guard(w);
        watch_give_lock_back(w);
    }
    watch_connection_end(&w->reader[0]);
    watch_connection_end(&w->reader[1]);
    watch_connection_close(&w->checkpointer);
    watch_connection_close(&w->reader[0]);
    watch_connection_close(&w->reader[1]);
    w->active = -1;
    w->frozen_fd = -1;
    w->unbroken = w->rollback = false;
    w->truncate = NULL;
}

/* ---- header */

static void copy_shared(uint8_t *out, const volatile uint8_t *from, size_t n)
{
    for (size_t i = 0; i < n; i += 4) { /* whole words, as SQLite writes them */
        uint32_t word = *(const volatile uint32_t *)(const volatile void *)(from + i);
        memcpy(out + i, &word, 4);
    }
}

static const volatile uint8_t *wal_index(const struct watch *w)
{
    return w->reader[0].file ? seawall_wal_index(w->reader[0].file) : NULL;
}

bool watch_header(const struct watch *w, struct wal_index_header *ret_header)
{
    const volatile uint8_t *index = wal_index(w);
    uint8_t copy[2][WAL_INDEX_HEADER_BYTES];
    if (w->rollback)
        *ret_header = (struct wal_index_header){.mx_frame = 0};
    if (w->rollback || !index)
        return w->rollback;
    copy_shared(copy[0], index, WAL_INDEX_HEADER_BYTES);
    atomic_thread_fence(memory_order_seq_cst);
    copy_shared(copy[1], index + WAL_INDEX_HEADER_BYTES, WAL_INDEX_HEADER_BYTES);
    return wal_index_header_decode(copy[0], copy[1], ret_header);
}

uint32_t watch_backfilled(const struct watch *w)
{
    const volatile uint8_t *index = wal_index(w);
    return index ? *(const volatile uint32_t *)(const volatile void *)(index + WAL_INDEX_NBACKFILL) : 0;
}

/* ---- the watch */

int watch_begin_other(struct watch *w, struct err *e)
{
    assert(watch_is_open(w) && !w->rollback);
    int other = w->active == 0 ? 1 : 0;
    struct wal_index_header header = {.change = w->begun_change};
    (void)watch_header(w, &header); /* before it begins: the reader is as new as this, or newer */
    if (watch_connection_begin(&w->reader[other], e))
        return -1;
    if (w->reader[other].slot < 1) { /* only if SQLite broke its own protocol */
        watch_connection_end(&w->reader[other]);
        return err_set(e, ERR_BUSY, 0, "the watch got no read slot");
    }
    w->active = other;
    w->begun_change = header.change;
    return 0;
}

void watch_end_old(struct watch *w)
{
    if (w->active >= 0)
        watch_connection_end(&w->reader[1 - w->active]);
}

void watch_let_go(struct watch *w)
{
    watch_connection_end(&w->reader[0]);
    watch_connection_end(&w->reader[1]);
    w->active = -1;
}

/* A checkpoint copies back up to the oldest mark of the slots that are locked. */
bool watch_sees_beyond(const struct watch *w, uint32_t frame)
{
    if (w->active < 0 || w->rollback)
        return false;
    const struct watch_connection *c = &w->reader[w->active];
    return c->slot < 1 || read_mark(c, c->slot) > frame;
}

int watch_hand_over(struct watch *w, struct err *e)
{
    if (watch_begin_other(w, e))
        return -1;
    watch_end_old(w);
    return 0;
}

/* ---- the guard */

bool watch_take_guard(struct watch *w)
{
    assert(watch_is_open(w) && !w->rollback && !w->guarded);
    w->guarded = seawall_shm_lock(w->checkpointer.file, LOCK_READ, 1, TAKE_EXCLUSIVE) == SQLITE_OK;
    return w->guarded;
}

void watch_drop_guard(struct watch *w)
{
    if (w->guarded)
        seawall_shm_lock(w->checkpointer.file, LOCK_READ, 1, DROP_EXCLUSIVE);
    w->guarded = false;
}

bool watch_shut_out(struct watch *w)
{
    assert(w->guarded && w->active < 0 && !w->shut_out);
    w->shut_out = seawall_shm_lock(w->checkpointer.file, LOCK_READ + 1, READ_SLOTS - 1, TAKE_EXCLUSIVE) == SQLITE_OK;
    return w->shut_out;
}

void watch_let_in(struct watch *w)
{
    if (w->shut_out)
        seawall_shm_lock(w->checkpointer.file, LOCK_READ + 1, READ_SLOTS - 1, DROP_EXCLUSIVE);
    w->shut_out = false;
}

/* ---- a dropped lock */

void watch_drop_lock(struct watch *w)
{
    assert(w->active >= 0 && w->truncate);
    struct watch_connection *c = &w->reader[w->active];
    assert(c->slot >= 1 && !c->lock_dropped);
    seawall_shm_lock(c->file, LOCK_READ + c->slot, 1, DROP_SHARED);
    c->lock_dropped = true;
}

bool watch_retake_lock(struct watch *w)
{
    assert(w->active >= 0 && w->truncate);
    struct watch_connection *c = &w->reader[w->active];
    assert(c->slot >= 1 && c->lock_dropped);
    if (seawall_shm_lock(c->file, LOCK_READ + c->slot, 1, TAKE_SHARED) != SQLITE_OK)
        return false;
    c->lock_dropped = false;
    return true;
}

bool watch_keep_lock(struct watch *w)
{
    assert(watch_is_open(w) && !w->rollback);
    w->keep = true;
    return w->kept || take_kept_lock(w);
}

void watch_give_lock_back(struct watch *w)
{
    w->keep = false;
    drop_kept_lock(w);
}

/* ---- reads */

static seawall_file *open_file(const struct watch *w)
{
    assert(watch_is_open(w));
    return w->reader[w->active >= 0 ? w->active : 0].file;
}

int watch_read_wal(const struct watch *w, void *out, size_t n, uint64_t offset, struct err *e)
{
    int rc = seawall_wal_read(open_file(w), out, (int)n, (sqlite3_int64)offset);
    if (rc == SQLITE_IOERR_SHORT_READ)
        return err_set(e, ERR_CORRUPT, rc, "the WAL ends before %llu", (unsigned long long)(offset + n));
    return rc == SQLITE_OK ? 0 : watch_sqlite_error(e, NULL, rc, "read the WAL");
}

int watch_read_db(const struct watch *w, void *out, size_t n, uint64_t offset, struct err *e)
{
    if (w->frozen_fd >= 0)
        return io_pread(w->frozen_fd, out, n, offset, e) ? err_wrap(e, "read the copy of the database") : 0;
    int rc = seawall_db_read(open_file(w), out, (int)n, (sqlite3_int64)offset);
    if (rc == SQLITE_OK || rc == SQLITE_IOERR_SHORT_READ) /* a short read is filled with zeros */
        return 0;
    return watch_sqlite_error(e, NULL, rc, "read the database file");
}

int watch_db_size(const struct watch *w, uint64_t *ret_size, struct err *e)
{
    sqlite3_int64 size = 0;
    int rc = seawall_db_size(open_file(w), &size);
    if (rc != SQLITE_OK)
        return watch_sqlite_error(e, NULL, rc, "size of the database file");
    *ret_size = (uint64_t)size;
    return 0;
}

int watch_sync_db(const struct watch *w, struct err *e)
{
    int rc = seawall_db_sync(w->checkpointer.file, SQLITE_SYNC_NORMAL);
    return rc == SQLITE_OK ? 0 : watch_sqlite_error(e, NULL, rc, "sync the database file");
}
