/* cli/each.c */
#include "cli/each.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define LOOK_MS 100

void each_begin_output(struct each *a)
{
    pthread_mutex_lock(&a->lock);
    progress_clear(&a->progress);
}

void each_end_output(struct each *a)
{
    pthread_mutex_unlock(&a->lock);
}

static bool is_canceled(const struct each *a)
{
    return a->cancel && atomic_load(a->cancel);
}

/* False: no database is left. */
static bool take(struct each *a, size_t *ret_index)
{
    pthread_mutex_lock(&a->lock);
    bool more = a->next < a->count && !is_canceled(a);
    if (more)
        *ret_index = a->next++;
    pthread_mutex_unlock(&a->lock);
    return more;
}

static void end(struct each *a, size_t index, enum each_answer answer)
{
    pthread_mutex_lock(&a->lock);
    a->again[index] = answer == EACH_AGAIN;
    a->again_count += answer == EACH_AGAIN;
    a->ended += answer == EACH_DONE;
    pthread_mutex_unlock(&a->lock);
}

static void work(struct each *a)
{
    size_t index = 0;
    while (take(a, &index))
        end(a, index, a->run(a->context, index, false));
}

static void *thread(void *arg)
{
    struct each *a = arg;
    work(a);
    pthread_mutex_lock(&a->lock);
    a->running--;
    pthread_cond_signal(&a->changed);
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* Returns when all threads have ended. The caller holds the lock. */
static void wait_for_threads(struct each *a)
{
    while (a->running > 0) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += LOOK_MS * 1000000L;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        pthread_cond_timedwait(&a->changed, &a->lock, &until);
        progress_report(&a->progress, a->ended, a->count);
    }
}

static void work_in_threads(struct each *a)
{
    pthread_t threads[EACH_MAX];
    size_t want = a->at_once < a->count ? a->at_once : a->count, started = 0;
    pthread_mutex_lock(&a->lock);
    while (started < want && pthread_create(&threads[started], NULL, thread, a) == 0) {
        started++;
        a->running++;
    }
    wait_for_threads(a);
    pthread_mutex_unlock(&a->lock);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if (started == 0)
        work(a);
}

/* Those that had too little memory beside the others. */
static void work_alone(struct each *a)
{
    for (size_t i = 0; i < a->count && a->again_count > 0 && !is_canceled(a); i++) {
        if (!a->again[i])
            continue;
        enum each_answer answer = a->run(a->context, i, true);
        assert(answer == EACH_DONE);
        a->again_count--;
        a->ended += answer == EACH_DONE;
        progress_report(&a->progress, a->ended, a->count);
    }
}

int each_run(struct each *a, const char *unit, const char *what, struct err *e)
{
    assert(a->at_once >= 1 && a->at_once <= EACH_MAX);
    a->again = calloc(a->count + 1, sizeof *a->again);
    if (!a->again)
        return err_nomem(e, a->count + 1);
    a->next = a->ended = a->running = a->again_count = 0;
    progress_begin(&a->progress, progress_place_of_stderr(), unit, what);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->changed, NULL);
    work_in_threads(a);
    work_alone(a);
    progress_end(&a->progress);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    free(a->again);
    return 0;
}
