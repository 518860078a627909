/* daemon/prune.h - retention, applied by the daemon: one job of a replica, beside those that ship.
 *
 * It needs nothing of the destination: what may go follows from the listing alone (retention/retention.h), and what is put
 * meanwhile only adds to what stays. It has a handle of the store for itself, so that it can be told to end without harm to what is
 * shipped.
 *
 * A replica that nothing is put to costs ever fewer listings: what is found to have nothing to delete is looked at again after
 * twice the time. */
#ifndef SEAWALL_DAEMON_PRUNE_H
#define SEAWALL_DAEMON_PRUNE_H

#include "base/complaint.h"
#include "config/options.h"
#include "daemon/workers.h"
#include "retention/retention.h"

struct prune {
    struct job job;
    const char *url, *shown; /* as it was given, and without secrets; borrowed */
    struct retention_policy policy;
    uint64_t interval_ms; /* UINT64_MAX: never */
    int64_t ended_ms;     /* monotonic: when it ran last */
    int64_t wait_ms;      /* from then to the next one, if nothing is put */
    uint64_t objects;     /* that had been put when it began */
    atomic_bool cancel;   /* the job is to end */
    bool busy;
    struct uid writer;          /* who we are */
    struct complaint complaint; /* why retention does not work, as the log said it; the main thread's */

    int rc; /* of the last one */
    struct err err;
    struct retention_figures figures;
};

struct retention_policy prune_policy(const struct options *o);
void prune_init(struct prune *p, const char *url, const char *shown, const struct options *o, int64_t now_ms);

/* Is it time? `objects`: put by this run so far. */
bool prune_due(const struct prune *p, uint64_t objects, int64_t now_ms);
/* Deletes nothing if another `writer` put the newest object: what that one keeps is its business. */
void prune_start(struct prune *p, uint64_t objects, const struct uid *writer, struct workers *workers,
                 void (*done)(struct job *));
/* Takes note of how the last one went. True: its error is news. One that was told to end, or met another that deletes, is none. */
bool prune_ended(struct prune *p, int64_t now_ms);
struct prune *prune_of_job(struct job *job);

#endif
