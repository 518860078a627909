/* verify/check.c */
#include "verify/check.h"

#include "base/hash.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS_LOCAL 4
#define THREADS_REMOTE 16

const char hint_damaged[] =
    "put it back from a copy of the replica, or from an older version if the bucket keeps them; if there is none, let "
    "'seawall replicate' begin a second replica in an empty place now, and keep this one for the rest";
const char hint_mixed[] =
    "the objects of two replicas are mixed: give each database a place of its own, and move the others' objects there";

static void note(struct check *c, const char *key, const char *hint, const char *fmt, va_list args)
{
    struct verify_result *r = &c->result;
    pthread_mutex_lock(&c->lock);
    r->problem_total++;
    if (r->problem_count == r->problem_cap && r->problem_cap < VERIFY_PROBLEMS_MAX) {
        size_t cap = r->problem_cap ? 2 * r->problem_cap : 16;
        cap = cap < VERIFY_PROBLEMS_MAX ? cap : VERIFY_PROBLEMS_MAX;
        void *grown = realloc(r->problems, cap * sizeof *r->problems);
        if (grown) { /* otherwise it is counted */
            r->problems = grown;
            r->problem_cap = cap;
        }
    }
    if (r->problem_count < r->problem_cap) {
        struct verify_problem *p = &r->problems[r->problem_count++];
        snprintf(p->object, sizeof p->object, "%s", key);
        vsnprintf(p->text, sizeof p->text, fmt, args);
        p->hint = hint;
    }
    pthread_mutex_unlock(&c->lock);
}

void check_problem(struct check *c, const char *key, const char *hint, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    note(c, key, hint, fmt, args);
    va_end(args);
}

void check_problem_of(struct check *c, const struct name *name, const char *hint, const char *fmt, ...)
{
    char key[NAME_MAX_BYTES];
    va_list args;
    name_format(name, key);
    va_start(args, fmt);
    note(c, key, hint, fmt, args);
    va_end(args);
}

int check_canceled(const struct check *c, struct err *e)
{
    if (c->options->cancel && atomic_load(c->options->cancel))
        return err_set(e, ERR_CANCELED, 0, "interrupted");
    return 0;
}

static int stop_listing(void *context, const struct store_entry *entry)
{
    const char *key = ((const char **)context)[0];
    if (strcmp(entry->key, key) == 0)
        ((const char **)context)[1] = key;
    return 1;
}

void check_void(struct check *c)
{
    pthread_mutex_lock(&c->lock);
    c->changed = true;
    pthread_mutex_unlock(&c->lock);
}

/* An object of the catalog is missing if it is still listed; one that is named, if what names it is still there. Otherwise
 * retention has taken it, at whatever look: what hangs on it can't be judged without a listing that does not have it. */
static int note_missing(struct check *c, const struct item *it, const char *key, struct err *e)
{
    char owner[NAME_MAX_BYTES] = "";
    if (it->owner)
        name_format(&it->owner->name, owner);
    const char *found[2] = {it->owner ? owner : key, NULL};
    if (store_list(c->store, found[0], "", stop_listing, found, e))
        return -1;
    if (!found[1])
        check_void(c);
    else if (it->owner)
        check_problem(c, key, hint_damaged, "is missing: '%s' names it", owner);
    else
        check_problem(c, key, hint_damaged, "is listed, but is not there when it is read");
    return 0;
}

int check_failed(struct check *c, const struct item *it, struct err *e)
{
    char key[NAME_MAX_BYTES], front[NAME_MAX_BYTES + 16];
    name_format(&it->name, key);
    if (e->code == ERR_NOTFOUND || e->code == ERR_GONE)
        return note_missing(c, it, key, e);
    bool damaged = e->code == ERR_CORRUPT || e->code == ERR_LIMIT || (e->code == ERR_IO && e->sys == EIO);
    if (!damaged)
        return -1;
    size_t n = (size_t)snprintf(front, sizeof front, "object '%s': ", key);
    check_problem(c, key, hint_damaged, "%s", strncmp(e->msg, front, n) == 0 ? e->msg + n : e->msg);
    return 0;
}

/* ---- threads */

struct crew {
    struct check *check;
    work_fn *fn;
    void *context;
    size_t count, next; /* next, failed, error: guarded by the lock of the check */
    bool failed;
    struct err error;
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

static bool next_index(struct crew *crew, size_t *ret_index)
{
    pthread_mutex_lock(&crew->check->lock);
    bool more = !crew->failed && !crew->check->changed && crew->next < crew->count;
    if (more)
        *ret_index = crew->next++;
    pthread_mutex_unlock(&crew->check->lock);
    return more;
}

static void *crew_thread(void *arg)
{
    struct crew *crew = arg;
    struct worker *w = worker_new(crew->context);
    struct err e;
    size_t index = 0;
    int rc = w ? 0 : err_nomem(&e, sizeof *w);
    while (rc == 0 && w && next_index(crew, &index)) {
        rc = check_canceled(crew->check, &e);
        if (rc == 0)
            rc = crew->fn(crew->check, w, index, &e);
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

int check_each(struct check *c, size_t count, work_fn *fn, void *context, struct err *e)
{
    struct crew crew = {.check = c, .fn = fn, .context = context, .count = count};
    pthread_t threads[THREADS_REMOTE];
    size_t want = c->store->slow ? THREADS_REMOTE : THREADS_LOCAL, started = 0;
    if (want > count)
        want = count;
    while (started + 1 < want && pthread_create(&threads[started], NULL, crew_thread, &crew) == 0)
        started++;
    if (count > 0)
        crew_thread(&crew); /* the calling thread works too: one is always there */
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if (crew.failed)
        *e = crew.error;
    return crew.failed ? -1 : 0;
}
