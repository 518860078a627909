/* daemon/guard.h - before a database appears: a job asks its replicas whether they have a history (ship/newcomer.h). */
#ifndef SEAWALL_DAEMON_GUARD_H
#define SEAWALL_DAEMON_GUARD_H

#include "daemon/replication.h"
#include "daemon/workers.h"

struct guard {
    struct job job;
    const struct replicate_config *config; /* borrowed */
    bool answered;                         /* no replica has a history */
    bool waits;                            /* the log says that a replica can't be asked */
    int64_t again_at_ms;                   /* then: when it is asked again. Monotonic */
    bool busy;                             /* the job runs: what follows is the job's, but for `cancel` */

    atomic_bool cancel; /* set by the main thread: the job is to end */
    int rc;             /* the outcome */
    struct err err;     /* if rc is not 0 */
};

/* Starts the job, unless it runs, has the answer, or waits. `done` is called when it has ended. */
void guard_ask(struct guard *g, const struct replicate_config *config, struct workers *workers,
               void (*done)(struct job *), int64_t now_ms);
struct guard *guard_of_job(struct job *job);

/* Notes how the job ended. Returns true if its error ends the daemon. */
bool guard_ended(struct guard *g, int64_t now_ms);

#endif
