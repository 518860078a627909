/* capture/checkpoint.h - checkpointing on the application's behalf, out of its commit path (and never at the price of a lost
 * frame).
 *
 *   1. keep WAL_CKPT_LOCK; check that the files are the ones that were opened, and that nobody else wrote the database file
 *   2. hand the watch over to the newest commit, capture up to it, PASSIVE: the bulk of the copying and of the fsyncs, no write
 * lock held; again while much remains
 *   3. TRUNCATE: with WAL_WRITE_LOCK held capture the last frames, hand the watch over, let SQLite copy the rest. Just before it
 * resets the log: the header must be exactly what was captured, no reader may be left in slot 0; only then the watch lets go.
 * Before the write lock is dropped the new watch begins.
 *
 * Under load the file is not truncated: that leaves the log as a writer's own restart leaves it. At rest it is, and the lock is
 * given back.
 *
 * A long file is not cut at once, which would hold the write lock for as long as the file system needs to free it (0.7 ms a MiB was
 * measured), but in steps, the lock dropped between them. A crash half-way must not leave the beginning of an old generation to be
 * recovered, older pages over newer ones: so the WAL header is zeroed and synced first. */
#ifndef SEAWALL_CAPTURE_CHECKPOINT_H
#define SEAWALL_CAPTURE_CHECKPOINT_H

#include "capture/capture.h"

enum checkpoint_kind {
    CHECKPOINT_LOAD, /* the log is long, the application goes on */
    CHECKPOINT_REST, /* the application pauses: complete the database file, truncate the log */
};

enum checkpoint_end {
    CHECKPOINT_RESET, /* everything is in the database file, the log starts anew */
    CHECKPOINT_BUSY,  /* readers or a writer were in the way: later */
    CHECKPOINT_MOVED, /* somebody replaced or overwrote the files: let go, open anew, resync */
};

struct checkpoint_stats {
    uint64_t passes, resets, truncations, busy;
    int64_t longest_write_hold_ns;
};

struct checkpoint {
    struct watch *watch;     /* borrowed */
    struct capture *capture; /* borrowed */
    uint32_t wal_target;     /* frames: readers are waited for only beyond a multiple of it */
    uint64_t wal_limit;      /* bytes: a longer file is truncated even under load */
    /* Captures everything up to the header; the versions go where the caller wants them. Non-zero: give up. */
    int (*capture_up_to)(void *context, const struct wal_index_header *header, struct err *e);
    void *context;
    struct checkpoint_stats stats;
    uint32_t stamped_backfill; /* of the database file when it was stamped */
    uint32_t stamped_change;   /* of the wal-index, less the commits that were captured */
    bool stamped_torn;         /* that could not be read */
};

int checkpoint_run(struct checkpoint *k, enum checkpoint_kind kind, enum checkpoint_end *ret_end,
                   struct err *e) MUST_CHECK;

/* Remembers size and time of the database file as left by us; checkpoint_files_ours compares. */
void checkpoint_stamp(struct checkpoint *k);
bool checkpoint_files_ours(const struct checkpoint *k);

/* A consistent header; a writer that is just writing it is waited for. False: torn for longer than that. */
bool checkpoint_read_header(const struct watch *w, struct wal_index_header *ret_header);

#endif
