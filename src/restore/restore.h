/* restore/restore.h - `seawall restore`: plan, fetch, apply, check, put in place. With RESTORE_DELTA, only the pages of
 * an existing database that differ are rewritten (delta.h). undo.h takes a restore back. */
#ifndef SEAWALL_RESTORE_RESTORE_H
#define SEAWALL_RESTORE_RESTORE_H

#include "replica/skipped.h"
#include "restore/delta.h"

#include <stdatomic.h>
#include <stdbool.h>

enum restore_flags {
    RESTORE_FORCE = 1,           /* replace what is at the target */
    RESTORE_INTEGRITY_CHECK = 2, /* PRAGMA integrity_check on the new database before it takes its place */
    RESTORE_DRY_RUN = 4,         /* plan only */
    RESTORE_BY_TIME = 8,         /* options.time_ms counts, not options.txid */
    RESTORE_IF_NO_DB = 16,       /* if the target has a database, do nothing; that is not an error */
    RESTORE_IF_REPLICA = 32,     /* if the place has no replica, do nothing; that is not an error */
    RESTORE_DELTA = 64,          /* rewrite only those pages of an existing database that differ */
    RESTORE_NO_UNDO = 128,       /* keep no undo */
    RESTORE_UNSYNCED = 256,      /* names and state file are not synced: of many databases the caller does that at once,
                                    with io_sync_file_system, before they count. Contents are synced as always */
};

struct restore_result;

struct restore_options {
    const char *url;
    const char *path;                      /* of the target; NULL with RESTORE_DRY_RUN */
    uint64_t txid;                         /* or POINT_NEWEST */
    int64_t time_ms;                       /* RESTORE_BY_TIME: restore the newest restore point that is not after it */
    unsigned flags;                        /* enum restore_flags */
    unsigned mode;                         /* permissions of a database that replaces none; 0: 0600 */
    unsigned jobs;                         /* threads; 0: by the kind of store */
    const atomic_bool *cancel;             /* when it becomes true: ERR_CANCELED. May be NULL */
    void (*retrying)(const struct err *e); /* called when the store needs more than two tries; may be NULL */
    struct store_traffic *traffic;         /* gets the requests at the end; may be NULL */
    void (*progress)(void *context, uint64_t done, uint64_t total); /* bytes; may be NULL */
    void *context;
    /* Called when the restore point is known: record, page_size and newest_txid of the result are set, and nothing has
     * changed yet. Non-zero, with `e` set, ends the restore with this error. May be NULL. A restore that plans again calls it
     * again. */
    int (*planned)(void *context, const struct restore_result *result, struct err *e);
    void *planned_context;
};

enum restore_outcome {
    RESTORE_DONE,          /* restored; with RESTORE_DRY_RUN: it can be restored */
    RESTORE_NOTHING_TO_DO, /* RESTORE_IF_NO_DB: the database is there already; the store was not contacted */
    RESTORE_NO_REPLICA,    /* RESTORE_IF_REPLICA: the store has no object of a replica at this place */
};

struct restore_result {
    enum restore_outcome outcome;
    char no_replica[ERR_MSG_MAX]; /* RESTORE_NO_REPLICA: the error of the store */
    /* The other fields are set with RESTORE_DONE only. */
    struct commit_record record;  /* of the restore point */
    struct skipped skipped;       /* RESTORE_BY_TIME: restore points that wrong clocks hide */
    uint32_t page_size;           /* bytes */
    uint64_t newest_txid;         /* of the replica, even if it is not a restore point */
    size_t objects;               /* in the plan */
    uint64_t bytes;               /* of these objects */
    bool undo;                    /* the database that was there is kept as the undo */
    bool delta;                   /* with RESTORE_DELTA: only differing pages were written */
    char not_delta[ERR_MSG_MAX];  /* with RESTORE_DELTA and not `delta`: why; otherwise "" */
    struct delta_result in_place; /* if `delta` */
};

/* Restores. An error leaves the target as it was, with one exception: if only the state file can't be written or the
 * folder can't be synced, the database is restored, and the message says so. ERR_NOTFOUND: the replica or the restore
 * point does not exist. ERR_EXISTS: the target exists. ERR_BUSY: the target is in use. ERR_CORRUPT: the replica is
 * damaged. ERR_CONTENT: the integrity check found a fault of the database itself. ERR_CLAIM, ERR_CANCELED, ERR_CONFIG,
 * ERR_IO, ERR_NOMEM, ERR_REMOTE, ERR_SQLITE. */
int restore_run(const struct restore_options *options, struct restore_result *ret_result, struct err *e) MUST_CHECK;

#endif
