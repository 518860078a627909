/* restore/restore.h - `seawall restore`: plan, fetch, apply, prove, put in place. With RESTORE_DELTA a database that is there gets
 * only the pages that differ (delta.h). Taking it back is for undo.h. */
#ifndef SEAWALL_RESTORE_RESTORE_H
#define SEAWALL_RESTORE_RESTORE_H

#include "replica/points.h"
#include "restore/delta.h"

#include <stdatomic.h>
#include <stdbool.h>

enum restore_flags {
    RESTORE_FORCE = 1,           /* replace what is at the target */
    RESTORE_INTEGRITY_CHECK = 2, /* PRAGMA integrity_check on the new database before it takes its place */
    RESTORE_DRY_RUN = 4,         /* plan only */
    RESTORE_BY_TIME = 8,
    RESTORE_IF_NO_DB = 16,   /* a database at the target is no error, and the end of it */
    RESTORE_IF_REPLICA = 32, /* a place without a replica is no error */
    RESTORE_DELTA = 64,      /* rewrite in the database that is there only what differs */
    RESTORE_NO_UNDO = 128,   /* of what is replaced nothing is kept */
};

struct restore_options {
    const char *url;
    const char *path; /* NULL with RESTORE_DRY_RUN */
    uint64_t txid;    /* or POINT_NEWEST */
    int64_t time_ms;  /* with RESTORE_BY_TIME, instead of txid: the newest restore point not after it */
    unsigned flags;
    unsigned jobs; /* threads; 0: by the kind of store */
    const atomic_bool *cancel;
    void (*retrying)(const struct err *e); /* the store takes more than two tries; may be NULL */
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
};

enum restore_outcome {
    RESTORE_DONE,          /* restored; with RESTORE_DRY_RUN: would be */
    RESTORE_NOTHING_TO_DO, /* RESTORE_IF_NO_DB: the database is there already; the store was not asked */
    RESTORE_NO_REPLICA,    /* RESTORE_IF_REPLICA: the store was asked, and has no object of a replica at this place */
};

struct restore_result {
    enum restore_outcome outcome;
    char no_replica[ERR_MSG_MAX]; /* RESTORE_NO_REPLICA: what the store said; the rest is for RESTORE_DONE */
    struct commit_record record;
    uint32_t page_size;
    uint64_t newest_txid; /* of the replica, restorable or not */
    size_t objects;
    uint64_t bytes;               /* of these objects */
    bool undo;                    /* what was there is kept */
    bool delta;                   /* RESTORE_DELTA, and it was done so; otherwise see not_delta */
    char not_delta[ERR_MSG_MAX];  /* why it was not; "" without RESTORE_DELTA */
    struct delta_result in_place; /* delta */
};

int restore_run(const struct restore_options *options, struct restore_result *ret_result, struct err *e) MUST_CHECK;

#endif
