/* daemon/workers.c */
#include "daemon/workers.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/privacy.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STUCK_MS 1000 /* a local job that runs for so long may hang */
#define KINDS 2

struct thread {
    struct pool *pool;
    enum job_kind kind;
    struct codec *codec; /* owned */
    struct job *running; /* NULL: none */
    pthread_t id;
};

/* The jobs of one kind, and the threads that run them. */
struct crew {
    pthread_cond_t work;
    struct job *queue, **queue_tail;
    unsigned limit, count, idle, waiting; /* threads: allowed, started, without a job; jobs in the queue */
    struct thread *thread[WORKERS_MAX];   /* owned */
};

struct pool {
    pthread_mutex_t lock; /* guards everything below, except the event */
    struct crew crews[KINDS];
    struct job *ended, **ended_tail;
    bool stopping;
    int event_fd;
};

struct workers {
    struct pool *pool;
    void (*ended)(void *context);
    void *context;
    atomic_uint privacy;
};

static void *work(void *arg)
{
    struct thread *self = arg;
    struct pool *p = self->pool;
    struct crew *c = &p->crews[self->kind];
    pthread_mutex_lock(&p->lock);
    for (;;) {
        c->idle++;
        while (!c->queue && !p->stopping)
            pthread_cond_wait(&c->work, &p->lock);
        c->idle--;
        struct job *job = c->queue;
        if (!job)
            break;
        c->queue = job->next;
        c->waiting--;
        if (!c->queue)
            c->queue_tail = &c->queue;
        job->next = NULL;
        job->started_ms = clock_mono_ms();
        self->running = job;
        pthread_mutex_unlock(&p->lock);
        privacy_set(atomic_load(&job->of->privacy));
        job->run(job, self->codec);
        pthread_mutex_lock(&p->lock);
        self->running = NULL;
        *p->ended_tail = job;
        p->ended_tail = &job->next;
        uint64_t one = 1;
        ssize_t n = write(p->event_fd, &one, sizeof one);
        (void)n; /* fails only when the counter is full: then it is readable anyway */
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* With the lock held, or before there is another thread. ERR_NOMEM, ERR_IO. */
static int add_thread(struct pool *p, enum job_kind kind, struct err *e)
{
    struct crew *c = &p->crews[kind];
    struct thread *t = calloc(1, sizeof *t);
    if (!t)
        return err_nomem(e, sizeof *t);
    *t = (struct thread){.pool = p, .kind = kind, .codec = codec_new()};
    int rc = t->codec ? pthread_create(&t->id, NULL, work, t) : ENOMEM;
    if (rc != 0) {
        codec_free(t->codec);
        free(t);
        return err_sys(e, rc, "start a thread");
    }
    c->thread[c->count++] = t;
    return 0;
}

int pool_start(const struct pool_size *size, struct pool **ret_pool, struct err *e)
{
    assert(size->local >= 1 && size->local <= WORKERS_MAX && size->of_stores >= 1 && size->of_stores <= WORKERS_MAX);
    struct pool *p = calloc(1, sizeof *p);
    if (!p)
        return err_nomem(e, sizeof *p);
    pthread_mutex_init(&p->lock, NULL);
    for (unsigned k = 0; k < KINDS; k++) {
        pthread_cond_init(&p->crews[k].work, NULL);
        p->crews[k].queue_tail = &p->crews[k].queue;
    }
    p->crews[JOB_LOCAL].limit = size->local;
    p->crews[JOB_OF_STORE].limit = size->of_stores;
    p->ended_tail = &p->ended;
    p->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int rc = p->event_fd >= 0 ? 0 : err_sys(e, errno, "eventfd");
    if (rc || add_thread(p, JOB_LOCAL, e) || add_thread(p, JOB_OF_STORE, e)) {
        pool_stop(p);
        return -1;
    }
    *ret_pool = p;
    return 0;
}

void pool_stop(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    for (unsigned k = 0; k < KINDS; k++)
        pthread_cond_broadcast(&p->crews[k].work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned k = 0; k < KINDS; k++) {
        struct crew *c = &p->crews[k];
        for (unsigned i = 0; i < c->count; i++) {
            pthread_join(c->thread[i]->id, NULL);
            codec_free(c->thread[i]->codec);
            free(c->thread[i]);
        }
        pthread_cond_destroy(&c->work);
    }
    io_close(&p->event_fd);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

int pool_fd(const struct pool *p)
{
    return p->event_fd;
}

void pool_reap(struct pool *p)
{
    uint64_t count;
    ssize_t n = read(p->event_fd, &count, sizeof count);
    (void)n;
    pthread_mutex_lock(&p->lock);
    struct job *job = p->ended;
    p->ended = NULL;
    p->ended_tail = &p->ended;
    pthread_mutex_unlock(&p->lock);
    while (job) {
        struct job *next = job->next;
        struct workers *of = job->of;
        job->done(job); /* may submit it again */
        if (of->ended)
            of->ended(of->context);
        job = next;
    }
}

/* Whether every thread of the crew may hang. With the lock held. */
static bool all_stuck(const struct crew *c, int64_t now_ms)
{
    for (unsigned i = 0; i < c->count; i++) {
        const struct job *job = c->thread[i]->running;
        if (!job || now_ms - job->started_ms < STUCK_MS)
            return false;
    }
    return true;
}

/* If no thread can be had, the job waits for one that is there. */
static void add_thread_if_needed(struct pool *p, enum job_kind kind)
{
    struct crew *c = &p->crews[kind];
    struct err e;
    bool more = c->count < c->limit || (kind == JOB_LOCAL && all_stuck(c, clock_mono_ms()));
    if (c->waiting > c->idle && more && c->count < WORKERS_MAX && add_thread(p, kind, &e))
        c->limit = c->count; /* later tries would fail too, and take time */
}

/* With the lock held. */
static const struct job *stuck_job(const struct pool *p, int64_t limit_ms, int64_t now_ms)
{
    const struct job *late = NULL;
    for (unsigned k = 0; k < KINDS; k++)
        for (unsigned i = 0; i < p->crews[k].count; i++) {
            const struct job *job = p->crews[k].thread[i]->running;
            if (!job || job->deadline_ms == 0)
                continue;
            int64_t beat = (int64_t)atomic_load(&job->beat_ms);
            int64_t most_ms = job->deadline_ms < limit_ms ? job->deadline_ms : limit_ms;
            if (now_ms - (beat > job->started_ms ? beat : job->started_ms) > most_ms)
                late = job;
        }
    return late;
}

const struct job *pool_look(struct pool *p, int64_t now_ms)
{
    pthread_mutex_lock(&p->lock);
    add_thread_if_needed(p, JOB_LOCAL);
    const struct job *late = stuck_job(p, INT64_MAX, now_ms);
    pthread_mutex_unlock(&p->lock);
    return late;
}

const struct job *pool_stuck(struct pool *p, int64_t limit_ms, int64_t now_ms)
{
    pthread_mutex_lock(&p->lock);
    const struct job *late = stuck_job(p, limit_ms, now_ms);
    pthread_mutex_unlock(&p->lock);
    return late;
}

/* ---- the pool as one database sees it */

int workers_open(struct pool *p, void (*ended)(void *context), void *context, struct workers **ret_workers,
                 struct err *e)
{
    struct workers *w = calloc(1, sizeof *w);
    if (!w)
        return err_nomem(e, sizeof *w);
    *w = (struct workers){.pool = p, .ended = ended, .context = context};
    *ret_workers = w;
    return 0;
}

void workers_close(struct workers *w)
{
    free(w);
}

void workers_set_privacy(struct workers *w, mode_t bits)
{
    atomic_store(&w->privacy, bits);
}

void *workers_context(const struct job *job)
{
    return job->of->context;
}

void workers_submit(struct workers *w, struct job *job)
{
    struct pool *p = w->pool;
    struct crew *c = &p->crews[job->kind];
    pthread_mutex_lock(&p->lock);
    job->next = NULL;
    job->of = w;
    job->started_ms = 0;
    *c->queue_tail = job;
    c->queue_tail = &job->next;
    c->waiting++;
    add_thread_if_needed(p, job->kind);
    pthread_cond_signal(&c->work);
    pthread_mutex_unlock(&p->lock);
}
