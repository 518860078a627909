/* capture/watch.h - one SQLite database seen from beside: three connections through the shim, and the locks they hold.
 *
 * Two readers take turns in holding the watch, a read transaction in a slot >= 1. While one of them holds it, nobody can reset the
 * WAL, so everything after its snapshot stays readable. The new watch always begins before the old one ends. The third connection
 * checkpoints; it may keep WAL_CKPT_LOCK between its checkpoints.
 *
 * Rules, all enforced in xShmLock:
 *   - a reader of ours is refused read slot 0: a slot-0 reader does not stop a writer from resetting the WAL;
 *   - while the checkpoint lock is kept, SQLite's own requests for it on the checkpoint connection are answered OK and do nothing;
 *   - before any connection of ours recovers the wal-index the kept lock is given back, and taken again after it.
 *
 * A database in a rollback-journal mode has no log that could be followed. It can only be held still: a read transaction keeps
 * writers from committing, so it is short, and what is needed of the pages is copied meanwhile (frozen.h). */
#ifndef SEAWALL_CAPTURE_WATCH_H
#define SEAWALL_CAPTURE_WATCH_H

#include "base/path.h"
#include "seawall/vfs.h"
#include "wal/header.h"

#include <stdbool.h>
#include <sys/types.h>

/* Offsets of the locks in the wal-index. Source: SQLite wal.c, "WAL_WRITE_LOCK" and following. */
enum { LOCK_WRITE = 0, LOCK_CHECKPOINT = 1, LOCK_RECOVER = 2, LOCK_READ = 3 /* + slot, 0 to 4 */ };
#define READ_SLOTS 5

struct watch;

struct watch_connection {
    struct watch *watch;
    sqlite3 *db;
    seawall_file *file;
    sqlite3_stmt *begin, *read, *commit;
    int slot; /* read slot it holds; -1: none */
    bool
        lock_dropped; /* SQLite believes that it holds the slot's lock, but it was dropped: only under WAL_WRITE_LOCK */
};

/* What happens inside a TRUNCATE checkpoint, on behalf of checkpoint.c. All are called with WAL_WRITE_LOCK held. */
struct watch_truncate_hooks {
    /* WRITE was taken: nobody can commit. Returns an SQLite code: OK goes on, BUSY gives up. */
    int (*write_taken)(void *context);
    /* READ(1..4) is asked for, the last call before the reset. Returns SQLITE_OK if it has taken the lock, and the watch has let
     * go; otherwise SQLITE_BUSY, and the watch is as it was. */
    int (*take_reset_lock)(void *context);
    /* READ(1..4) was given back: the WAL is reset (or, after an error, not). */
    void (*after_reset)(void *context);
    /* WRITE is about to be given back. */
    void (*write_ends)(void *context);
    /* The WAL file is about to be truncated. SEAWALL_FORWARD does it, SQLITE_OK skips it. */
    int (*before_truncate)(void *context);
    void *context;
};

/* A file that can be told from another one under the same path. */
struct file_stamp {
    dev_t device;
    ino_t inode;
    off_t size;
    int64_t mtime_ns;
};

struct watch {
    char path[PATH_TEXT_MAX];
    struct watch_connection reader[2], checkpointer;
    int active;                                  /* index of the reader that holds the watch; -1: none does */
    bool unbroken;                               /* a watch was held without a break since this was last set to true */
    bool keep;                                   /* WAL_CKPT_LOCK is to be kept */
    bool kept;                                   /* it is held just now; false with keep while one of us recovers */
    const struct watch_truncate_hooks *truncate; /* set only inside a TRUNCATE checkpoint */
    struct file_stamp db_file, wal_file, shm_file;
    bool
        rollback; /* in a rollback-journal mode: no watch is held, the header says that there is no log, and the stamp of the
                      database file is none, so that it never counts as left by us */
    int frozen_fd; /* what pages are read from in place of the database file; -1: from the file. Borrowed */
};

enum watch_wal_mode {
    WATCH_REQUIRE_WAL,
    WATCH_SET_WAL,
    WATCH_AS_IT_IS, /* a rollback-journal mode stays: `rollback` says so */
};

/* Opens the database and begins the watch. Switches it to WAL first if it is not and `mode` allows that; *ret_switched says so.
 * ERR_CONFIG: no database, or not in WAL mode and not allowed to switch. ERR_BUSY: locked; worth another try. ERR_NOTFOUND: there
 * is none, or (WATCH_AS_IT_IS) it is empty. */
int watch_open(struct watch *w, const char *path, enum watch_wal_mode mode, bool *ret_switched,
               struct err *e) MUST_CHECK;

/* Lets go of everything. Never checkpoints, never unlinks. */
void watch_close(struct watch *w);
static inline bool watch_is_open(const struct watch *w)
{
    return w->checkpointer.db != NULL;
}

/* The wal-index header. False: torn, being written, or not there. A few loads, no system call. */
bool watch_header(const struct watch *w, struct wal_index_header *ret_header);
uint32_t watch_backfilled(const struct watch *w); /* frames known to be in the database file */

/* The other reader begins at the newest commit; then the one before ends. ERR_BUSY: the watch is as it was. */
int watch_hand_over(struct watch *w, struct err *e) MUST_CHECK;

/* The two halves of it, for the middle of a TRUNCATE checkpoint. */
int watch_begin_other(struct watch *w, struct err *e) MUST_CHECK;
void watch_end_old(struct watch *w); /* the reader that is not active */
void watch_let_go(struct watch *w);  /* the active one ends; active becomes -1 */

/* The active watch drops its lock and takes it again behind SQLite's back, three orders of magnitude faster than by ending a
 * transaction. Only while we hold WAL_WRITE_LOCK, without which nobody can reset the log. */
void watch_drop_lock(struct watch *w);
bool watch_retake_lock(struct watch *w); /* false: somebody is changing the mark of the slot just now */

/* `rollback`: nobody can commit from here until watch_go_on. A hot journal is rolled back first, by SQLite. ERR_BUSY: locked; worth
 * another try. ERR_GONE: it is in WAL mode now, or another file is under the path; open it anew. */
int watch_hold_still(struct watch *w, struct err *e) MUST_CHECK;
void watch_go_on(struct watch *w);

/* Keeps or gives back WAL_CKPT_LOCK. Keeping may fail because somebody checkpoints: false, try again later. */
bool watch_keep_lock(struct watch *w);
void watch_give_lock_back(struct watch *w);

/* Reads of the files through SQLite's own handles. */
int watch_read_wal(const struct watch *w, void *out, size_t n, uint64_t offset, struct err *e) MUST_CHECK;
int watch_read_db(const struct watch *w, void *out, size_t n, uint64_t offset,
                  struct err *e) MUST_CHECK; /* beyond the end: zeros */
int watch_db_size(const struct watch *w, uint64_t *ret_size, struct err *e) MUST_CHECK;
int watch_sync_db(const struct watch *w, struct err *e) MUST_CHECK;

/* True if the paths still lead to the files that are open. */
bool watch_files_are_ours(const struct watch *w);
/* Size and time of the database file as they are now: remembered, to be compared with later. */
void watch_stamp_db(struct watch *w);
bool watch_db_untouched(const struct watch *w); /* same as when it was stamped */

#endif
