/* daemon/sync.h - when is everything that is committed by now durable, in every replica?
 *
 * A commit that returned before sync_begin is in the wal-index then. A local job that *starts* afterwards reads a
 * header that includes the commit. The commit is captured as soon as capture has passed the end of that header, in that
 * job or in a later one. A job that was already running proves nothing. Nor does a look at the header without a job:
 * under load there is always something new.
 *
 * When everything is put, each store is asked whether the newest object is still there (ship/look.h): one request. If
 * something vanished from a folder, or a look at all objects is due for another reason, that look has to end first. */
#ifndef SEAWALL_DAEMON_SYNC_H
#define SEAWALL_DAEMON_SYNC_H

#include "daemon/database.h"

enum sync_what {
    SYNC_COMMITS,
    SYNC_BASE, /* each replica has to get a new base too */
    SYNC_PUT,  /* the stores are not asked: they have acknowledged the commits, which is all that a commit waits for */
    SYNC_ANY,  /* likewise, and one replica is enough */
};

struct sync_wait {
    uint64_t after_run; /* a local job with a higher number has to get through */
    uint64_t asked_run; /* if asked: the newest local job then */
    bool asked;         /* a local job was asked for */
    bool captured;      /* everything is captured: */
    uint64_t txid;      /* this txid has to be durable */
    uint64_t resyncs;   /* comparisons of all pages so far: a new one may give the commits a higher txid */
    enum sync_what what;
    uint64_t asked_stores
        [IDENTITY_REPLICAS_MAX]; /* for each replica the number of the answer of its store that counts; 0: the
                                                     store was not asked yet */
};

enum sync_state {
    SYNC_WAITING,
    SYNC_DURABLE,
    SYNC_CONFLICT, /* another writer has one replica; all others have the commits. With SYNC_ANY: has every replica */
};

/* Begins to wait. A replica that fails is tried again now, unless it was tried within the last second. */
void sync_begin(struct database *db, struct sync_wait *ret_wait, enum sync_what what, int64_t now_ms);

/* To be called at each turn before database_schedule, as long as the state is SYNC_WAITING: it asks for the jobs that
 * have to run. Once the commits are captured, they leave at once, whatever the budget of PUTs says. */
enum sync_state sync_look(struct database *db, struct sync_wait *w, int64_t now_ms);

#endif
