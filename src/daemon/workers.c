/* daemon/workers.c */
#include "daemon/workers.h"

#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct workers {
    pthread_mutex_t lock; /* guards everything below */
    pthread_cond_t work;
    struct job *queue, **queue_tail;
    struct job *ended, **ended_tail;
    struct job *running[WORKERS_MAX];
    bool stopping;
    int event_fd;
    unsigned count;
    struct worker {
        struct workers *pool;
        unsigned index;
        pthread_t thread;
    } worker[WORKERS_MAX];
};

static void *work(void *arg)
{
    struct worker *self = arg;
    struct workers *w = self->pool;
    struct codec *codec = codec_new();
    pthread_mutex_lock(&w->lock);
    while (codec) {
        while (!w->queue && !w->stopping)
            pthread_cond_wait(&w->work, &w->lock);
        struct job *job = w->queue;
        if (!job)
            break;
        w->queue = job->next;
        if (!w->queue)
            w->queue_tail = &w->queue;
        job->next = NULL;
        job->started_ms = clock_mono_ms();
        w->running[self->index] = job;
        pthread_mutex_unlock(&w->lock);
        job->run(job, codec);
        pthread_mutex_lock(&w->lock);
        w->running[self->index] = NULL;
        *w->ended_tail = job;
        w->ended_tail = &job->next;
        uint64_t one = 1;
        ssize_t n = write(w->event_fd, &one, sizeof one);
        (void)n; /* fails only when the counter is full: then it is readable anyway */
    }
    pthread_mutex_unlock(&w->lock);
    codec_free(codec);
    return NULL;
}

int workers_start(unsigned count, struct workers **ret_workers, struct err *e)
{
    struct workers *w = calloc(1, sizeof *w);
    if (!w)
        return err_nomem(e, sizeof *w);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->work, NULL);
    w->queue_tail = &w->queue;
    w->ended_tail = &w->ended;
    w->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (w->event_fd < 0) {
        err_sys(e, errno, "eventfd");
        workers_stop(w);
        return -1;
    }
    for (; w->count < count && w->count < WORKERS_MAX; w->count++) {
        struct worker *self = &w->worker[w->count];
        *self = (struct worker){.pool = w, .index = w->count};
        int rc = pthread_create(&self->thread, NULL, work, self);
        if (rc != 0) {
            err_sys(e, rc, "start a thread");
            workers_stop(w);
            return -1;
        }
    }
    *ret_workers = w;
    return 0;
}

void workers_stop(struct workers *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_broadcast(&w->work);
    pthread_mutex_unlock(&w->lock);
    for (unsigned i = 0; i < w->count; i++)
        pthread_join(w->worker[i].thread, NULL);
    if (w->event_fd >= 0)
        close(w->event_fd);
    pthread_cond_destroy(&w->work);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

void workers_submit(struct workers *w, struct job *job)
{
    pthread_mutex_lock(&w->lock);
    job->next = NULL;
    job->started_ms = 0;
    *w->queue_tail = job;
    w->queue_tail = &job->next;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
}

int workers_fd(const struct workers *w)
{
    return w->event_fd;
}

void workers_reap(struct workers *w)
{
    uint64_t count;
    ssize_t n = read(w->event_fd, &count, sizeof count);
    (void)n;
    pthread_mutex_lock(&w->lock);
    struct job *job = w->ended;
    w->ended = NULL;
    w->ended_tail = &w->ended;
    pthread_mutex_unlock(&w->lock);
    while (job) {
        struct job *next = job->next;
        job->done(job);
        job = next;
    }
}

const struct job *workers_overdue(struct workers *w, int64_t now_ms)
{
    const struct job *late = NULL;
    pthread_mutex_lock(&w->lock);
    for (unsigned i = 0; i < w->count; i++) {
        const struct job *job = w->running[i];
        if (!job || job->deadline_ms == 0)
            continue;
        int64_t beat = (int64_t)atomic_load(&job->beat_ms);
        if (now_ms - (beat > job->started_ms ? beat : job->started_ms) > job->deadline_ms)
            late = job;
    }
    pthread_mutex_unlock(&w->lock);
    return late;
}
