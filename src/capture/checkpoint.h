/* capture/checkpoint.h - checkpoints the database for the application, outside the application's commits, and never
 * loses a frame.
 *
 *   1. Keep WAL_CKPT_LOCK. Check that the files are the ones that were opened, and that nobody else wrote the
 *      database file.
 *   2. PASSIVE, without the write lock: move the watch to the newest commit, capture up to it, checkpoint. This
 *      copies most frames and does most of the syncs. Repeat while many frames remain.
 *   3. Alone: take the guard and all read locks (watch.h). Then no application is inside a transaction. So TRUNCATE
 *      gets the write lock without a rival: an application that comes meanwhile waits to begin, without an error even
 *      if it has no busy timeout. If frames came since the last pass, another pass follows without the locks. At rest
 *      this is the only way: if an application is there, the checkpoint gives up.
 *   4. A long WAL under load, when transactions never leave a gap: TRUNCATE, with the write lock: capture the last
 *      frames, move the watch, let SQLite copy the rest. Just before SQLite resets the WAL two things are checked: the
 *      header is exactly the one that was captured, and no reader is in slot 0. Only then the watch ends. The new watch
 *      begins before the write lock is given back.
 *
 * After step 3 the guard stays, and no watch is held. After step 4 it is the other way round.
 *
 * Under load the WAL file is not truncated after the reset. That leaves the WAL as a writer leaves it when it
 * restarts the WAL. At rest the file is truncated and the checkpoint lock is given back.
 *
 * A long file is not truncated in one step, because that would hold the write lock while the file system frees the
 * blocks (0.7 ms for each MiB was measured). It is truncated in steps, with the lock free in between. A crash between
 * two steps leaves the beginning of an old WAL generation. SQLite must not recover it: it would put older pages over
 * newer ones. So the WAL header is zeroed and synced first. */
#ifndef SEAWALL_CAPTURE_CHECKPOINT_H
#define SEAWALL_CAPTURE_CHECKPOINT_H

#include "capture/capture.h"

enum checkpoint_kind {
    CHECKPOINT_LOAD, /* the WAL is long, and the application goes on */
    CHECKPOINT_REST, /* the application pauses: complete the database file and truncate the WAL */
};

enum checkpoint_end {
    CHECKPOINT_RESET, /* everything is in the database file, and the WAL was reset */
    CHECKPOINT_BUSY,  /* readers or a writer were in the way: try again later */
    CHECKPOINT_MOVED, /* the files were replaced or overwritten: close the watch, open it again, compare all pages */
};

struct checkpoint_stats {
    uint64_t passes; /* PASSIVE checkpoints */
    uint64_t resets, truncations;
    uint64_t busy; /* checkpoints that ended with CHECKPOINT_BUSY */
    int64_t longest_write_hold_ns;
};

struct checkpoint {
    struct watch *watch;     /* borrowed */
    struct capture *capture; /* borrowed */
    uint32_t wal_target;     /* frames; only a WAL of at least twice as many is worth waiting for readers under load */
    uint64_t wal_limit;      /* bytes; a longer file is truncated even under load */
    /* Captures everything up to `header`. The owner keeps the versions. Returns -1 to make the checkpoint fail. */
    int (*capture_up_to)(void *context, const struct wal_index_header *header, struct err *e);
    void *context;
    struct checkpoint_stats stats;

    /* when the database file was stamped */
    uint32_t stamped_backfill; /* nBackfill */
    uint8_t stamped_salt[WAL_SALT_BYTES];
    uint32_t stamped_change; /* the change counter of the wal-index, less the commits that were captured */
    bool stamped_torn;       /* the header could not be read */
    int64_t pass_ns;         /* how long the last PASSIVE took, with its syncs */
};

/* Runs one checkpoint. Before: the watch is open, in WAL mode, and active or guarded. *ret_end is set also on error.
 * When a lock is busy it returns 0 with CHECKPOINT_BUSY. Errors: those of capture_up_to, ERR_SQLITE. */
int checkpoint_run(struct checkpoint *k, enum checkpoint_kind kind, enum checkpoint_end *ret_end,
                   struct err *e) MUST_CHECK;

/* Remembers size and time of the database file as ours. Before: the watch is open. */
void checkpoint_stamp(struct checkpoint *k);

/* Are the files the ones that were opened, and did nobody but SQLite's checkpoints write the database file since the
 * stamp? */
bool checkpoint_files_ours(const struct checkpoint *k);

/* Reads a consistent wal-index header; waits up to a few ms for a writer that is just writing it. False: it stays
 * torn. */
bool checkpoint_read_header(const struct watch *w, struct wal_index_header *ret_header);

#endif
