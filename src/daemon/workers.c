/* daemon/workers.c */
#include "daemon/workers.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/privacy.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
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

/* Jobs that wait for one store, or for none. */
struct line {
    char *store; /* owned; NULL: for none */
    struct job *queue, **queue_tail;
    unsigned waiting, running; /* jobs */
    unsigned users;            /* workers_of_store that are open */
    struct line *next;
};

/* The jobs of one kind, and the threads that run them. */
struct crew {
    pthread_cond_t work;
    struct line common;                   /* jobs that depend on no store in particular */
    struct line *lines;                   /* owned; of the stores */
    unsigned limit, count, idle, waiting; /* threads: allowed, started, without a job; jobs in all lines */
    uint64_t submitted;                   /* jobs so far */
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
    struct workers *parent; /* borrowed; of workers_of_store */
    struct line *line;      /* of a store; NULL: none */
    void (*ended)(void *context);
    void *context;
    atomic_uint privacy;
};

static struct line line_of(char *store)
{
    return (struct line){.store = store};
}

/* How many threads the jobs of one store may have at once: half of those that the others leave. So if a store hangs,
 * and then another, there is still one for the next. */
static unsigned share_of(const struct crew *c, const struct line *line)
{
    unsigned others = c->common.running;
    bool alone = c->common.waiting + c->common.running == 0;
    for (const struct line *l = c->lines; l; l = l->next) {
        others += l == line ? 0 : l->running;
        alone &= l == line || (l->users == 0 && l->running + l->waiting == 0);
    }
    if (line == &c->common) /* a crew can be larger than its limit */
        return WORKERS_MAX;
    if (alone)
        return c->limit;
    const unsigned left = c->limit > others ? c->limit - others : 0;
    return left > 2 ? left / 2 : 1;
}

static void prefer(struct crew *c, struct line *line, bool all, struct line **best)
{
    const struct job *first = line->queue;
    if (first && (!*best || first->number < (*best)->queue->number) && (all || line->running < share_of(c, line)))
        *best = line;
}

/* The line whose first job is the next one; NULL: no job may start. `all`: whatever the shares are. */
static struct line *next_line(struct crew *c, bool all)
{
    struct line *best = NULL;
    prefer(c, &c->common, all, &best);
    for (struct line *l = c->lines; l; l = l->next)
        prefer(c, l, all, &best);
    return best;
}

static struct job *take_job(struct crew *c, struct line *line)
{
    struct job *job = line->queue;
    line->queue = job->next;
    if (!line->queue)
        line->queue_tail = NULL;
    line->waiting--;
    line->running++;
    c->waiting--;
    job->next = NULL;
    return job;
}

/* Forgets the stores that nobody uses any more. */
static void drop_lines(struct crew *c)
{
    for (struct line **at = &c->lines; *at;) {
        struct line *l = *at;
        if (l->users > 0 || l->waiting + l->running > 0) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        free(l->store);
        free(l);
    }
}

static void *work(void *arg)
{
    struct thread *self = arg;
    struct pool *p = self->pool;
    struct crew *c = &p->crews[self->kind];
    pthread_mutex_lock(&p->lock);
    for (;;) {
        struct line *line = NULL;
        c->idle++;
        while (!(line = next_line(c, p->stopping)) && !p->stopping)
            pthread_cond_wait(&c->work, &p->lock);
        c->idle--;
        if (!line)
            break;
        struct job *job = take_job(c, line);
        job->started_ms = clock_mono_ms();
        self->running = job;
        pthread_mutex_unlock(&p->lock);
        privacy_set(atomic_load(job->of->parent ? &job->of->parent->privacy : &job->of->privacy));
        job->run(job, self->codec);
        pthread_mutex_lock(&p->lock);
        self->running = NULL;
        line->running--;
        if (c->waiting > 0) /* there may be room for several by now */
            pthread_cond_broadcast(&c->work);
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
        p->crews[k].common = line_of(NULL);
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
        for (struct line *l = c->lines; l; l = l->next)
            l->users = 0;
        drop_lines(c);
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
    const struct line *next = c->waiting > c->idle ? next_line(c, false) : NULL;
    bool more = c->count < c->limit || (kind == JOB_LOCAL && all_stuck(c, clock_mono_ms())) ||
                (next && next != &c->common && next->running == 0); /* a store without any thread gets one */
    if (next && more && c->count < WORKERS_MAX && add_thread(p, kind, &e))
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

static struct line *find_line(struct crew *c, const char *store)
{
    for (struct line *l = c->lines; l; l = l->next)
        if (strcmp(l->store, store) == 0)
            return l;
    struct line *l = calloc(1, sizeof *l);
    char *copy = l ? strdup(store) : NULL;
    if (!copy) {
        free(l);
        return NULL;
    }
    *l = line_of(copy);
    l->next = c->lines;
    c->lines = l;
    return l;
}

int workers_of_store(struct workers *w, const char *store, struct workers **ret_workers, struct err *e)
{
    struct pool *p = w->pool;
    if (workers_open(p, w->ended, w->context, ret_workers, e))
        return -1;
    pthread_mutex_lock(&p->lock);
    struct line *line = find_line(&p->crews[JOB_OF_STORE], store);
    if (line)
        line->users++;
    pthread_mutex_unlock(&p->lock);
    (*ret_workers)->parent = w;
    (*ret_workers)->line = line;
    if (line)
        return 0;
    workers_close(*ret_workers);
    *ret_workers = NULL;
    return err_nomem(e, sizeof *line);
}

void workers_close(struct workers *w)
{
    if (w && w->line) {
        pthread_mutex_lock(&w->pool->lock);
        w->line->users--;
        drop_lines(&w->pool->crews[JOB_OF_STORE]);
        pthread_mutex_unlock(&w->pool->lock);
    }
    free(w);
}

void workers_set_privacy(struct workers *w, mode_t bits)
{
    atomic_store(&w->privacy, bits);
}

void workers_wake(const struct workers *w)
{
    if (w->ended)
        w->ended(w->context);
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
    job->number = ++c->submitted;
    struct line *line = job->kind == JOB_OF_STORE && w->line ? w->line : &c->common;
    *(line->queue_tail ? line->queue_tail : &line->queue) = job;
    line->queue_tail = &job->next;
    line->waiting++;
    c->waiting++;
    add_thread_if_needed(p, job->kind);
    pthread_cond_signal(&c->work);
    pthread_mutex_unlock(&p->lock);
}
