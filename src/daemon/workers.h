/* daemon/workers.h - a pool of threads that run jobs, and hand them back to the scheduler's thread.
 *
 * A job runs once: run() on a worker, then done() on the thread that calls workers_reap. It owns what it was handed in between. */
#ifndef SEAWALL_DAEMON_WORKERS_H
#define SEAWALL_DAEMON_WORKERS_H

#include "base/err.h"
#include "format/codec.h"

#include <stdatomic.h>
#include <stdint.h>

#define WORKERS_MAX 64

struct job {
    void (*run)(struct job *job, struct codec *codec); /* codec: of the worker */
    void (*done)(struct job *job);
    int64_t deadline_ms;  /* it may run so long; 0: no limit. Set by the submitter */
    int64_t started_ms;   /* monotonic; 0: not yet. For the watchdog */
    atomic_llong beat_ms; /* monotonic; last sign of progress that the job gave, if it gives any */
    struct job *next;
};

struct workers;

int workers_start(unsigned count, struct workers **ret_workers, struct err *e) MUST_CHECK;
void workers_stop(struct workers *w); /* waits for running jobs; NULL is fine */

void workers_submit(struct workers *w, struct job *job);
int workers_fd(const struct workers *w); /* readable when a job has ended */
void workers_reap(struct workers *w);    /* calls done() for each that has */

/* A running job that is over its deadline, or NULL. */
const struct job *workers_overdue(struct workers *w, int64_t now_ms);

#endif
