/* daemon/prune.h - packs objects, and applies retention: a job of each replica, beside its ship jobs.
 *
 * The job needs nothing of the destination. What may be deleted follows from the listing alone (retention/retention.h),
 * and what is put meanwhile only adds to what stays. The job has a store handle of its own, so it can be canceled
 * without harm to shipping.
 *
 * An idle replica is listed ever more rarely: each prune that deletes nothing doubles the interval. Where objects are
 * packed, a prune is also due when enough objects were put for a pack, but not more often than prune_set_store allows. */
#ifndef SEAWALL_DAEMON_PRUNE_H
#define SEAWALL_DAEMON_PRUNE_H

#include "base/complaint.h"
#include "config/options.h"
#include "daemon/workers.h"
#include "retention/retention.h"
#include "retention/timeline.h"
#include "ship/destination.h"
#include "ship/pack.h"

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
    struct timeline timeline;            /* as of the last prune that succeeded */
    bool packs;                          /* objects are packed there (replica/packs.h) */
    uint64_t pack_objects;               /* that have to be put before a prune is due because of them */
    int64_t pack_settle_ms;              /* how old a pack must be; PACK_SETTLE_MS before the store is known */
    int64_t pack_pause_ms;               /* between two prunes at least, whatever was put */
    struct kept *kept;                   /* what was put last, for packs; borrowed; may be NULL */
    struct store_traffic *traffic;       /* gets the requests of each job at its end; borrowed; may be NULL */
    int64_t settle_ms;                   /* the wait for what the last prune left because a pack was too young; or 0 */
    bool busy;                           /* the job runs: what follows is the job's, but for `cancel` */

    atomic_bool cancel;       /* set by the main thread: the job is to end */
    struct uid writer;        /* who we are */
    struct whole_packs whole; /* the packs that were read whole */
    struct pack_refused refused;
    int rc;         /* the outcome */
    struct err err; /* if rc is not 0 */
    struct retention_figures figures;
    struct timeline seen;
    struct pack_figures packed;
    bool left; /* of what a pack has, because it is too young */
};

struct retention_policy prune_policy(const struct options *o);

/* `url` and `shown` must outlive the prune. */
void prune_init(struct prune *p, const char *url, const char *shown, const struct options *o, int64_t now_ms);

/* Whether and how often objects are packed depends on the store. NULL: it is not open. */
void prune_set_store(struct prune *p, const struct store *s);

/* Options have changed. A job that runs goes on with those before. The grace period does not change. */
void prune_change(struct prune *p, const struct options *o);

/* True if it is time for a prune. `objects`: that this run has put so far. */
bool prune_due(const struct prune *p, uint64_t objects, int64_t now_ms);

/* Starts the job. Precondition: it does not run. It packs and deletes nothing if another writer put the newest
 * object: that writer decides what is kept. */
void prune_start(struct prune *p, uint64_t objects, const struct author *author, struct workers *workers,
                 void (*done)(struct job *));

/* Notes how the job ended. Returns true if its error is news. A job that was canceled, or met another prune, is not. */
bool prune_ended(struct prune *p, int64_t now_ms);
struct prune *prune_of_job(struct job *job);

#endif
