/* daemon/sync.h - when is everything that is committed by now durable, in every replica?
 *
 * A commit that returned before sync_begin stands in the wal-index then. So it is captured once the end of the header is passed
 * that a run of the local job read which *started* afterwards, be it by that run or by a later one. A run that was under way is no
 * proof, nor is a look without a job: under load there is always something new. */
#ifndef SEAWALL_DAEMON_SYNC_H
#define SEAWALL_DAEMON_SYNC_H

#include "daemon/database.h"

struct sync_wait {
    uint64_t after_run; /* a later one has to get through */
    uint64_t asked_run; /* the last that had been started when one more was asked for */
    bool asked, captured;
    bool base;        /* a new base of each replica has to be complete too */
    uint64_t txid;    /* once it is captured: to be durable */
    uint64_t resyncs; /* so far; a comparison of all pages numbers anew */
};

enum sync_state {
    SYNC_WAITING,
    SYNC_DURABLE,
    SYNC_CONFLICT, /* the others have it; one replica is another writer's */
};

/* What fails is tried again now, if it was not tried just before. */
enum sync_what { SYNC_COMMITS, SYNC_BASE };
void sync_begin(struct database *db, struct sync_wait *ret_wait, enum sync_what what, int64_t now_ms);

/* To be called before each database_schedule while somebody waits: it asks for what has to run. From the moment of capture on
 * what is waited for leaves at once, past the budget of puts. */
enum sync_state sync_look(struct database *db, struct sync_wait *w, int64_t now_ms);

#endif
