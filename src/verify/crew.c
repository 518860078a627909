/* verify/crew.c */
#include "verify/crew.h"

#include "base/array.h"
#include "base/hash.h"

#include <assert.h>
#include <stdlib.h>

#define THREADS_LOCAL 4
#define THREADS_REMOTE 16
#define BUFFER_KEPT_MAX (2u << 20)

struct crew {
    struct check *check;
    crew_fn *fn;
    void *context;
    size_t count;
    size_t next; /* the next index; this and what follows is guarded by check->lock */
    bool failed;
    struct err error; /* if failed: the first one */
    size_t *later;    /* owned; indexes that needed more memory than the other threads had left in the budget */
    size_t later_count, later_cap;
};

static void worker_free(struct worker *w)
{
    if (!w)
        return;
    codec_free(w->codec);
    digest_stream_free(w->digest);
    buf_release(&w->tail);
    buf_release(&w->stored);
    free(w);
}

static struct worker *worker_new(void *context)
{
    struct worker *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->codec = codec_new();
    w->digest = digest_stream_new();
    w->tail = BUF_INIT(SEGMENT_BYTES_MAX);
    w->stored = BUF_INIT(SEGMENT_BYTES_MAX);
    w->context = context;
    if (w->codec && w->digest)
        return w;
    worker_free(w);
    return NULL;
}

/* Frees a large buffer, so that no thread keeps one after a large object. */
static void shrink(struct buf *b)
{
    if (b->cap > BUFFER_KEPT_MAX)
        buf_release(b);
}

static bool next_index(struct crew *crew, size_t *ret_index)
{
    pthread_mutex_lock(&crew->check->lock);
    bool more = !crew->failed && !crew->check->changed && crew->next < crew->count;
    if (more)
        *ret_index = crew->next++;
    pthread_mutex_unlock(&crew->check->lock);
    return more;
}

static int put_off(struct crew *crew, size_t index, struct err *e)
{
    pthread_mutex_lock(&crew->check->lock);
    int rc = array_reserve(&crew->later, &crew->later_cap, crew->later_count + 1, sizeof *crew->later, e);
    if (rc == 0)
        crew->later[crew->later_count++] = index;
    pthread_mutex_unlock(&crew->check->lock);
    return rc;
}

static int work_on(struct crew *crew, struct worker *w, size_t index, struct err *e)
{
    if (check_canceled(crew->check, e))
        return -1;
    int rc = crew->fn(crew->check, w, index, e);
    shrink(&w->tail);
    shrink(&w->stored);
    return rc;
}

static void *crew_thread(void *arg)
{
    struct crew *crew = arg;
    struct worker *w = worker_new(crew->context);
    struct err e;
    size_t index = 0;
    int rc = w ? 0 : err_nomem(&e, sizeof *w);
    while (rc == 0 && w && next_index(crew, &index)) {
        rc = work_on(crew, w, index, &e);
        if (rc != 0 && e.code == ERR_CLAIM)
            rc = put_off(crew, index, &e);
    }
    worker_free(w);
    pthread_mutex_lock(&crew->check->lock);
    if (rc && !crew->failed) {
        crew->failed = true;
        crew->error = e;
    }
    pthread_mutex_unlock(&crew->check->lock);
    return NULL;
}

/* Works on the indexes that were put off, in this thread alone. */
static int do_later(struct crew *crew, struct err *e)
{
    struct worker *w = worker_new(crew->context);
    int rc = w ? 0 : err_nomem(e, sizeof *w);
    for (size_t i = 0; rc == 0 && w && i < crew->later_count && !crew->check->changed; i++)
        rc = work_on(crew, w, crew->later[i], e);
    worker_free(w);
    return rc;
}

int crew_each(struct check *c, size_t count, crew_fn *fn, void *context, struct err *e)
{
    struct crew crew = {.check = c, .fn = fn, .context = context, .count = count};
    pthread_t threads[THREADS_REMOTE];
    assert(fn);
    size_t want = c->store->slow ? THREADS_REMOTE : THREADS_LOCAL, started = 0;
    if (want > count)
        want = count;
    while (started + 1 < want && pthread_create(&threads[started], NULL, crew_thread, &crew) == 0)
        started++;
    if (count > 0)
        crew_thread(&crew); /* the calling thread works too, so there is always one */
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    int rc = crew.failed ? -1 : 0;
    if (crew.failed)
        *e = crew.error;
    else if (crew.later_count > 0)
        rc = do_later(&crew, e);
    free(crew.later);
    return rc;
}
