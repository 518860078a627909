/* daemon/workers.h - threads that run jobs and hand them back to the main thread.
 *
 * A job runs once: run() on a thread, then done() on the thread that calls pool_reap. In between the job owns what it
 * was handed.
 *
 * All databases share one pool. A local job reads a database: it never waits for a thread that a store holds up, since
 * local jobs and jobs of stores have threads of their own; nor does one store take all of those. A thread is started
 * when a job finds none idle. */
#ifndef SEAWALL_DAEMON_WORKERS_H
#define SEAWALL_DAEMON_WORKERS_H

#include "base/err.h"
#include "format/codec.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define WORKERS_MAX 64 /* threads of one kind */

struct workers;

enum job_kind {
    JOB_OF_STORE, /* may wait for a store */
    JOB_LOCAL,
};

struct job {
    void (*run)(struct job *job, struct codec *codec); /* codec: the thread's */
    void (*done)(struct job *job);
    enum job_kind kind;
    int64_t deadline_ms;  /* how long it may go without progress; 0: for ever. Set by the submitter */
    int64_t started_ms;   /* monotonic; 0: not started yet. For pool_look */
    atomic_llong beat_ms; /* monotonic; the last progress that run() reported, if it reports any */
    struct job *next;     /* of the pool */
    uint64_t number;      /* of the pool: jobs are started in the order in which they were submitted */
    struct workers *of;   /* of the pool: through which it was submitted */
};

/* ---- the pool */

struct pool;

/* At most so many threads, from 1 to WORKERS_MAX. While all threads for local jobs have been busy for more than a
 * second, a local job gets one more, up to WORKERS_MAX. */
struct pool_size {
    unsigned local, of_stores;
};

/* Starts one thread of each kind. ERR_IO, ERR_NOMEM. */
int pool_start(const struct pool_size *size, struct pool **ret_pool, struct err *e) MUST_CHECK;
/* Waits for the jobs that run, and frees the pool. NULL is fine. */
void pool_stop(struct pool *p);

int pool_fd(const struct pool *p); /* readable when a job has ended */
void pool_reap(struct pool *p);    /* for each job that has ended: done(), then ended() of its workers */

/* To be called at each turn of the loop: local jobs that wait behind jobs that may hang get a thread. Returns a running
 * job that made no progress for longer than its deadline; NULL: none. */
const struct job *pool_look(struct pool *p, int64_t now_ms);

/* A running job that made no progress for longer than its deadline, or than limit_ms if that is less; NULL: none. A job
 * without a deadline is never one. */
const struct job *pool_stuck(struct pool *p, int64_t limit_ms, int64_t now_ms);

/* ---- the pool as one database sees it */

/* `ended`: called on the main thread behind done() of each of its jobs. ERR_NOMEM. */
int workers_open(struct pool *p, void (*ended)(void *context), void *context, struct workers **ret_workers,
                 struct err *e) MUST_CHECK;

/* Workers of the same database for the jobs of one store, whatever its databases are. If there are several stores, the
 * jobs of one have at most half of the threads that the jobs of the others leave: so a store that hangs delays no other.
 * `store`: a text that is the same for all replicas there. `w` must outlive *ret_workers. ERR_NOMEM. */
int workers_of_store(struct workers *w, const char *store, struct workers **ret_workers, struct err *e) MUST_CHECK;
void workers_close(struct workers *w); /* no job of it may be under way. NULL is fine */

/* What jobs make that are submitted from now on is this private (base/privacy.h). 0 at first. */
void workers_set_privacy(struct workers *w, mode_t bits);

/* Hands over a job. It must stay where it is until its done() was called. */
void workers_submit(struct workers *w, struct job *job);

/* The database has to have a turn soon: `ended` is called, as after a job. Main thread only. */
void workers_wake(const struct workers *w);

/* The context of the workers through which a job was submitted. */
void *workers_context(const struct job *job);

#endif
