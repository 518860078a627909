/* daemon/look.h - looks whether everything that a restore needs is still in a replica: a job of each replica, beside
 * its ship jobs.
 *
 * When a look is due:
 *   - LOOK_FIRST_MS after the start, since objects may have gone while no daemon ran;
 *   - LOOK_INTERVAL_MS after the last look, if something was put since: an idle replica costs nothing;
 *   - when there is a reason: a base is complete, retention deleted objects or missed one, something vanished from a
 *     folder.
 *
 * A look that misses something is repeated after look_confirm_ms. That time doubles with each loss that came back after
 * it was healed. If the second look misses something too, the loss is believed, and the lane heals it
 * (ship/destination.h, "Loss"). A look that fails proves nothing, and is tried again. */
#ifndef SEAWALL_DAEMON_LOOK_H
#define SEAWALL_DAEMON_LOOK_H

#include "daemon/workers.h"
#include "ship/look.h"

struct look {
    struct job job;
    void *owner;                   /* the lane; not looked at here */
    const char *url;               /* of the replica, as given; borrowed */
    struct store_traffic *traffic; /* gets the requests of each job at its end; borrowed; may be NULL */
    int64_t due_ms;                /* monotonic; of the look that was asked for; INT64_MAX: none was */
    int64_t ended_ms;              /* monotonic; end of the last look that succeeded; before that: the start */
    uint64_t objects;              /* objects that had been put when that look began */
    unsigned missed;               /* looks in a row that missed something */
    unsigned failures;             /* looks in a row that failed */
    unsigned losses;               /* losses that were believed since a look found everything */
    bool busy;                     /* the job runs, and owns the fields below, except `cancel` */

    atomic_bool cancel; /* set by the main thread: the job must end */
    uint64_t txid;      /* durable when the job began */
    uint64_t put;       /* objects that had been put when the job began */
    int rc;             /* the outcome */
    struct err err;     /* if rc is not 0 */
    struct presence found;
};

/* `url` and `owner` must outlive the look. */
void look_init(struct look *k, const char *url, void *owner, int64_t now_ms);

/* Asks for a look at `at_ms`, or before. */
void look_ask(struct look *k, int64_t at_ms);

/* True if it is time for a look. `objects`: how many this run has put so far. */
bool look_due(const struct look *k, uint64_t objects, int64_t now_ms);

/* Whether a look runs, or is due within a second: something may have vanished. Before somebody is told
 * that everything is durable, it has to end. */
bool look_is_near(const struct look *k, int64_t now_ms);

/* Starts the job. Before: it does not run, and `txid` is durable. */
void look_start(struct look *k, uint64_t txid, uint64_t objects, struct workers *workers, void (*done)(struct job *));

/* What a look that has ended says. */
enum look_end {
    LOOK_WHOLE,   /* everything is there */
    LOOK_AGAIN,   /* it failed, or it missed something for the first time: there will be another one */
    LOOK_MISSING, /* the loss is certain: look->found says what is missing */
};
enum look_end look_ended(struct look *k, int64_t confirm_ms, int64_t now_ms);

/* Takes a LOOK_MISSING back. A look is due at once; it says LOOK_MISSING again, or LOOK_WHOLE. */
void look_doubt(struct look *k, int64_t now_ms);
struct look *look_of_job(struct job *job);

#endif
