/* capture/watch.h - the watch of one database, a read transaction that keeps its WAL readable; and the checkpoint
 * lock.
 *
 * The watch is a read transaction in a WAL read slot >= 1. While it is held nobody can reset the WAL. So
 * everything after its snapshot stays readable. Two connections, the readers, take turns in holding it: the new
 * watch begins before the old one ends. The third connection, the checkpointer, checkpoints. It may keep
 * WAL_CKPT_LOCK between its checkpoints.
 *
 * The guard is another way to keep the WAL: read slot 0, held exclusively by the checkpointer. While it is held nobody
 * can copy frames back, because that needs slot 0. No transaction can begin in slot 0, and a writer resets the WAL only
 * from there. So a WAL with frames that are not copied back stays as it is. What remains possible is a checkpoint by
 * another process that resets a WAL whose frames are all copied back. If those were captured before, nothing is lost.
 * The guard holds none of the slots 1 to 4, which that checkpoint waits for. So it is what is held between two runs
 * of the job whenever everything is captured and copied back.
 *
 * Rules, all enforced in xShmLock:
 *   - A reader never gets read slot 0. A transaction in slot 0 does not stop a writer from resetting the WAL.
 *   - A reader gives a new mark only to a slot that is not used, if there is one: see watch.c.
 *   - While the guard is held, the checkpointer's own requests for slot 0 do nothing and return OK. The same for slots
 *     1 to 4 while others are shut out.
 *   - While the checkpoint lock is kept, the checkpointer's own requests to take or drop that lock do nothing and
 *     return OK.
 *   - Before any of the three connections recovers the wal-index, the kept lock is given back. After the recovery
 *     it is taken again.
 *
 * A database in a rollback-journal mode has no WAL, so there is no watch and no checkpoint lock. See still.h.
 *
 * All functions belong to the local job. Exception: watch_header and watch_is_open, between two runs of the job. */
#ifndef SEAWALL_CAPTURE_WATCH_H
#define SEAWALL_CAPTURE_WATCH_H

#include "base/path.h"
#include "capture/connection.h"
#include "wal/header.h"

#include <sys/stat.h>

/* Offsets of the locks in the wal-index. Source: SQLite wal.c, "WAL_WRITE_LOCK" and following. */
enum { LOCK_WRITE = 0, LOCK_CHECKPOINT = 1, LOCK_RECOVER = 2, LOCK_READ = 3 /* + slot, 0 to 4 */ };
#define READ_SLOTS 5

/* What checkpoint.c does at certain moments of a TRUNCATE checkpoint. The write lock, WAL_WRITE_LOCK, is held in all
 * of them. */
struct watch_truncate_hooks {
    /* The write lock was taken: nobody can commit. Returns SQLITE_OK to go on, SQLITE_BUSY to give up. */
    int (*write_taken)(void *context);
    /* SQLite asks for READ(1..4). That is its last request before it resets the WAL. Returns SQLITE_OK: the hook took
     * these locks and ended the watch. Returns SQLITE_BUSY: it did neither, and SQLite does not reset the WAL. */
    int (*take_reset_lock)(void *context);
    /* READ(1..4) was given back. The WAL is reset, or an error prevented that. */
    void (*after_reset)(void *context);
    /* The write lock is about to be given back. */
    void (*write_ends)(void *context);
    /* The WAL file is about to be truncated. Returns SEAWALL_FORWARD to truncate it, SQLITE_OK to skip that. */
    int (*before_truncate)(void *context);
    void *context;
};

/* Tells a file from another file at the same path, and shows a change of the file. */
struct file_stamp {
    dev_t device;
    ino_t inode;
    off_t size; /* bytes */
    int64_t mtime_ns, ctime_ns;
};

static inline struct file_stamp file_stamp_of(const struct stat *st)
{
    return (struct file_stamp){.device = st->st_dev,
                               .inode = st->st_ino,
                               .size = st->st_size,
                               .mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
                               .ctime_ns = (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec};
}

static inline bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size && a->mtime_ns == b->mtime_ns &&
           a->ctime_ns == b->ctime_ns;
}

struct watch {
    char path[PATH_TEXT_MAX]; /* of the database file */
    struct watch_connection reader[2], checkpointer;
    int active;            /* index of the reader that holds the watch; -1: none */
    bool unbroken;         /* the watch or the guard was held without a break since this was last set to true */
    bool guarded;          /* the guard is held */
    bool shut_out;         /* with the guard: slots 1 to 4 are held exclusively too, so no transaction can begin */
    uint32_t begun_change; /* `change` of the header when the active reader began */
    bool keep;             /* WAL_CKPT_LOCK should be held between checkpoints */
    bool kept; /* WAL_CKPT_LOCK is held now. May be false while `keep` is true: during a recovery, or another has it */
    const struct watch_truncate_hooks *truncate; /* borrowed; NULL except inside a TRUNCATE checkpoint */
    struct file_stamp db_file;                   /* as watch_stamp_db found it. `rollback`: size and time are 0 */
    struct file_stamp wal_file, shm_file;        /* as they were when they were opened */
    bool rollback; /* in a rollback-journal mode: there is no watch, and the header reports an empty WAL */
    int frozen_fd; /* copy that pages are read from in place of the database file; borrowed; -1: the database file */
};

enum watch_wal_mode {
    WATCH_REQUIRE_WAL,
    WATCH_SET_WAL,
    WATCH_AS_IT_IS, /* accept a rollback-journal mode; `rollback` reports it */
};

/* Opens the database at `path` and begins the watch. With WATCH_SET_WAL a database that is not in WAL mode is
 * switched to it; *ret_switched says whether that happened. On error nothing stays open. ERR_CONFIG: not a database,
 * no permission to write, or not in WAL mode and not allowed to switch. ERR_BUSY: locked, or empty; try again later.
 * ERR_NOTFOUND: there is no file at `path`; with WATCH_AS_IT_IS also: it is empty. ERR_IO: the -wal or the -shm is there
 * and can't be looked at, or may not be written. ERR_SQLITE. */
int watch_open(struct watch *w, const char *path, enum watch_wal_mode mode, bool *ret_switched,
               struct err *e) MUST_CHECK;

/* Ends the watch, gives the checkpoint lock back and closes the connections. Never checkpoints, never unlinks a file.
 * A watch that is not open is fine. */
void watch_close(struct watch *w);
static inline bool watch_is_open(const struct watch *w)
{
    return w->checkpointer.db != NULL;
}

/* Reads the wal-index header: a few loads, no system call. False: a process is writing it, it is torn, or there is no
 * wal-index. */
bool watch_header(const struct watch *w, struct wal_index_header *ret_header);

/* How many frames are known to be in the database file already: nBackfill. */
uint32_t watch_backfilled(const struct watch *w);

/* Can a checkpoint of another process copy back frames behind `frame`, as far as the watch is what keeps it from that?
 * Then the database file can become newer than a map that was made up to that frame. `frame` is of the generation that
 * the watch reads. False also while nobody holds the watch. */
bool watch_sees_beyond(const struct watch *w, uint32_t frame);

/* Moves the watch to the newest commit: the other reader begins, then the one before ends. Before: the watch is open,
 * and not `rollback`. ERR_BUSY, ERR_SQLITE: the watch is as it was. */
int watch_hand_over(struct watch *w, struct err *e) MUST_CHECK;

/* The two halves of watch_hand_over. */
int watch_begin_other(struct watch *w, struct err *e) MUST_CHECK;
void watch_end_old(struct watch *w); /* ends the reader that is not active */

/* Ends both readers. `active` becomes -1. */
void watch_let_go(struct watch *w);

/* Takes the guard; the watch stays as it is. False: an application reads in slot 0, or another process checkpoints. The
 * guard protects what was captured only if no frame beyond that is copied back: look after the call, and only then let
 * the watch go. Before: not guarded. */
bool watch_take_guard(struct watch *w);
/* Before: another way of keeping the WAL is held, or nothing has to be kept. Fine without a guard. */
void watch_drop_guard(struct watch *w);

/* Takes slots 1 to 4 exclusively. From then on no application is inside a transaction. One that begins waits in SQLite,
 * which tries again by itself and calls no busy handler: so it gets no error, whatever its busy timeout. False: a
 * transaction is open. Before: guarded, no reader of ours is active, others are not shut out. */
bool watch_shut_out(struct watch *w);
void watch_let_in(struct watch *w); /* gives slots 1 to 4 back; fine if others are not shut out */

/* The active reader drops the lock of its slot, and takes it again, without SQLite's knowledge. That is a thousand
 * times faster than ending and beginning a transaction. Before: a reader is active, and we hold the write lock.
 * Without the write lock a writer could reset the WAL in between. */
void watch_drop_lock(struct watch *w);
bool watch_retake_lock(struct watch *w); /* false: another process is changing the mark of the slot; try again */

/* Takes WAL_CKPT_LOCK and keeps it. False: another process checkpoints; the lock is not held, and the next call tries
 * again. */
bool watch_keep_lock(struct watch *w);
void watch_give_lock_back(struct watch *w);

/* Reads n bytes at `offset`, through SQLite's own handles. Before: the watch is open. watch_read_wal: ERR_CORRUPT,
 * the WAL ends before that. watch_read_db: bytes beyond the end of the database file are zeros. ERR_BUSY, ERR_SQLITE;
 * of a frozen copy ERR_IO, and ERR_CORRUPT beyond its end. */
int watch_read_wal(const struct watch *w, void *out, size_t n, uint64_t offset, struct err *e) MUST_CHECK;
int watch_read_db(const struct watch *w, void *out, size_t n, uint64_t offset, struct err *e) MUST_CHECK;
int watch_db_size(const struct watch *w, uint64_t *ret_size, struct err *e) MUST_CHECK; /* bytes */
int watch_sync_db(const struct watch *w, struct err *e) MUST_CHECK;

/* Do the paths still lead to the files that are open? */
bool watch_files_are_ours(const struct watch *w);

/* How the database file looks now. False: there is none at the path. */
bool watch_look_at_db(const struct watch *w, struct file_stamp *ret_stamp);

/* Remembers size and time of the database file as they are now. Not in a rollback-journal mode. */
void watch_stamp_db(struct watch *w);
bool watch_db_untouched(const struct watch *w); /* size and time are as remembered */

#endif
