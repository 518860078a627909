/* daemon/prune.h - retention, applied by the daemon: a job of each replica, beside its ship jobs.
 *
 * The job needs nothing of the destination. What may be deleted follows from the listing alone (retention/retention.h),
 * and what is put meanwhile only adds to what stays. The job has a store handle of its own, so it can be canceled
 * without harm to shipping.
 *
 * An idle replica is listed ever more rarely: each prune that deletes nothing doubles the interval. */
#ifndef SEAWALL_DAEMON_PRUNE_H
#define SEAWALL_DAEMON_PRUNE_H

#include "base/complaint.h"
#include "config/options.h"
#include "daemon/workers.h"
#include "retention/retention.h"

struct prune {
    struct job job;
    const char *url, *shown; /* of the replica, as given and as shown; borrowed */
    struct retention_policy policy;
    struct retention_policy next_policy; /* from the next job on */
    uint64_t interval_ms;                /* OPTION_NEVER: never */
    int64_t ended_ms;                    /* monotonic: when the last prune ended */
    int64_t wait_ms;                     /* from then to the next one, if nothing is put */
    uint64_t objects;                    /* that had been put when the last prune began */
    struct complaint complaint;          /* why retention does not work, as the log said it */
    bool busy;                           /* the job runs: what follows is the job's, but for `cancel` */

    atomic_bool cancel; /* set by the main thread: the job is to end */
    struct uid writer;  /* who we are */
    int rc;             /* the outcome */
    struct err err;     /* if rc is not 0 */
    struct retention_figures figures;
};

struct retention_policy prune_policy(const struct options *o);

/* `url` and `shown` must outlive the prune. */
void prune_init(struct prune *p, const char *url, const char *shown, const struct options *o, int64_t now_ms);

/* Options have changed. A job that runs goes on with those before. The grace period does not change. */
void prune_change(struct prune *p, const struct options *o);

/* True if it is time for a prune. `objects`: that this run has put so far. */
bool prune_due(const struct prune *p, uint64_t objects, int64_t now_ms);

/* Starts the job. Precondition: it does not run. It deletes nothing if another `writer` put the newest object: that
 * writer decides what is kept. */
void prune_start(struct prune *p, uint64_t objects, const struct uid *writer, struct workers *workers,
                 void (*done)(struct job *));

/* Notes how the job ended. Returns true if its error is news. A job that was canceled, or met another prune, is not. */
bool prune_ended(struct prune *p, int64_t now_ms);
struct prune *prune_of_job(struct job *job);

#endif
