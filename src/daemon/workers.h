/* daemon/workers.h - a pool of threads that run jobs and hand them back to the main thread.
 *
 * A job runs once: run() on a worker, then done() on the thread that calls workers_reap. In between the job owns what it was
 * handed. */
#ifndef SEAWALL_DAEMON_WORKERS_H
#define SEAWALL_DAEMON_WORKERS_H

#include "base/err.h"
#include "format/codec.h"

#include <stdatomic.h>
#include <stdint.h>

#define WORKERS_MAX 64

struct job {
    void (*run)(struct job *job, struct codec *codec); /* codec: the worker's */
    void (*done)(struct job *job);
    int64_t deadline_ms;  /* how long it may go without progress; 0: for ever. Set by the submitter */
    int64_t started_ms;   /* monotonic; 0: not started yet. For workers_overdue */
    atomic_llong beat_ms; /* monotonic; the last progress that run() reported, if it reports any */
    struct job *next;     /* of the pool */
};

struct workers;

/* Starts `count` threads, at most WORKERS_MAX. ERR_IO, ERR_NOMEM. */
int workers_start(unsigned count, struct workers **ret_workers, struct err *e) MUST_CHECK;
/* Waits for the jobs that run, and frees the pool. NULL is fine. */
void workers_stop(struct workers *w);

/* Hands over a job. It must stay where it is until its done() was called. */
void workers_submit(struct workers *w, struct job *job);
int workers_fd(const struct workers *w); /* readable when a job has ended */
void workers_reap(struct workers *w);    /* calls done() of each job that has ended */

/* A running job that made no progress for longer than its deadline; NULL: none. */
const struct job *workers_overdue(struct workers *w, int64_t now_ms);

#endif
