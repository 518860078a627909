/* restore/apply.c - the threads: pass 2 runs in several, the other passes in the thread of the caller. */
#include "restore/apply.h"

#include "base/clock.h"
#include "restore/passes.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PROGRESS_MS 100
#define JOBS_FAST 4  /* threads, if the caller does not say how many */
#define JOBS_SLOW 12 /* from a slow store: they wait more than they compute */
#define JOBS_MAX 64

struct apply {
    struct passes passes;
    const struct apply_options *options;
    atomic_uint_fast64_t fetched;
    atomic_uint_fast64_t done; /* bytes of sources that pass 2 is done with */

    pthread_mutex_t lock; /* guards the fields below */
    pthread_cond_t changed;
    size_t next_source; /* for the next thread that asks */
    unsigned running;   /* threads */
    bool failed;
    struct err error; /* of the thread that failed first */
    bool *later;      /* owned; of each source: it waits for memory until the threads have ended */
};

static void report(const struct apply *a)
{
    if (a->options->progress)
        a->options->progress(a->options->context, atomic_load(&a->done), a->passes.total);
}

/* ---- pass 2, in threads */

/* False: there is no source left, or another thread has failed. */
static bool take_source(struct apply *a, size_t *ret_source)
{
    size_t count = a->passes.from.plan->source_count;
    pthread_mutex_lock(&a->lock);
    while (a->next_source < count && a->passes.skipped[a->next_source])
        a->next_source++;
    bool more = !a->failed && a->next_source < count;
    if (more)
        *ret_source = a->next_source++;
    pthread_mutex_unlock(&a->lock);
    return more;
}

static void end_thread(struct apply *a, int rc, const struct err *e)
{
    pthread_mutex_lock(&a->lock);
    if (rc && !a->failed) {
        a->failed = true;
        a->error = *e;
    }
    a->running--;
    pthread_cond_signal(&a->changed);
    pthread_mutex_unlock(&a->lock);
}

/* Notes a source whose index does not fit into the budget while other threads hold theirs. */
static void put_off(struct apply *a, size_t source)
{
    pthread_mutex_lock(&a->lock);
    a->later[source] = true;
    pthread_mutex_unlock(&a->lock);
}

/* Writes the images of the sources that were put off, one source after the other. */
static int write_later(struct apply *a, struct err *e)
{
    struct source_reader *r = NULL;
    int rc = passes_image_reader(&a->passes, &r, e);
    for (size_t i = 0; rc == 0 && r && i < a->passes.from.plan->source_count; i++) {
        if (!a->later[i])
            continue;
        rc = passes_write_images(&a->passes, r, i, e);
        atomic_fetch_add(&a->done, a->passes.from.plan->sources[i].size);
        report(a);
    }
    source_reader_free(r);
    return rc;
}

static void *image_thread(void *arg)
{
    struct apply *a = arg;
    struct source_reader *r = NULL;
    struct err e;
    size_t source = 0;
    int rc = passes_image_reader(&a->passes, &r, &e);
    while (rc == 0 && r && take_source(a, &source)) {
        rc = passes_write_images(&a->passes, r, source, &e);
        if (rc != 0 && e.code == ERR_CLAIM) {
            put_off(a, source);
            rc = 0;
            continue;
        }
        /* Only a hint: the disk writes while we inflate, so that the fsync has less to do. */
        sync_file_range(a->passes.fd, 0, 0, SYNC_FILE_RANGE_WRITE);
        atomic_fetch_add(&a->done, a->passes.from.plan->sources[source].size);
    }
    source_reader_free(r);
    end_thread(a, rc, &e);
    return NULL;
}

static unsigned threads_wanted(const struct apply *a)
{
    unsigned want = a->options->jobs;
    if (want == 0)
        want = a->passes.from.store->slow ? JOBS_SLOW : JOBS_FAST;
    if (want > JOBS_MAX)
        want = JOBS_MAX;
    size_t sources = a->passes.from.plan->source_count;
    return want > sources ? (unsigned)sources : want;
}

/* Returns when all threads have ended. The caller holds the lock. */
static void wait_for_threads(struct apply *a)
{
    while (a->running > 0) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += PROGRESS_MS * 1000000L;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        pthread_cond_timedwait(&a->changed, &a->lock, &until);
        report(a);
    }
}

static int write_all_images(struct apply *a, struct err *e)
{
    pthread_t threads[JOBS_MAX];
    unsigned started = 0, want = threads_wanted(a);
    pthread_mutex_lock(&a->lock);
    while (started < want && pthread_create(&threads[started], NULL, image_thread, a) == 0) {
        started++;
        a->running++;
    }
    wait_for_threads(a);
    pthread_mutex_unlock(&a->lock);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if (want > 0 && started == 0)
        return err_set(e, ERR_NOMEM, EAGAIN, "can't start a thread");
    if (a->failed)
        *e = a->error;
    return a->failed ? -1 : write_later(a, e);
}

/* ---- pass 3 */

static int apply_all_patches(struct apply *a, struct err *e)
{
    struct source_reader *r = NULL;
    struct open_page *page = malloc(sizeof *page);
    int64_t reported = clock_mono_ms();
    int rc = page ? passes_patch_reader(&a->passes, &r, e) : err_nomem(e, sizeof *page);
    for (size_t i = 0; rc == 0 && r && i < a->passes.from.plan->source_count; i++) {
        if (passes_has_patches(&a->passes, i))
            rc = passes_apply_patches(&a->passes, r, i, page, e);
        if (clock_mono_ms() - reported >= PROGRESS_MS) {
            report(a);
            reported = clock_mono_ms();
        }
    }
    source_reader_free(r);
    free(page);
    return rc;
}

/* ---- all passes */

/* The map begins as that of the caller's pages, or empty. */
static int begin_map(struct apply *a, struct map *map, struct err *e)
{
    const struct plan *plan = a->passes.from.plan;
    struct apply_have *have = a->options->have;
    if (have) {
        *map = have->map;
        have->map = (struct map){.fd = -1};
        return wanted_init_missing(&a->passes.wanted, plan, map, have->known_upto, e);
    }
    map_init_claimed(map, plan->page_size, plan->bytes);
    if (map_resize(map, plan->record.pages, e))
        return err_wrap(e, "txid %" PRIu64, plan->record.txid);
    wanted_init_all(&a->passes.wanted, plan, map);
    return 0;
}

static int run_passes(struct apply *a, struct map *map, struct err *e)
{
    const struct plan *plan = a->passes.from.plan;
    bool mismatch = false;
    if (begin_map(a, map, e) || passes_init(&a->passes, e))
        return -1;
    a->later = calloc(plan->source_count + 1, sizeof *a->later);
    if (!a->later)
        return err_nomem(e, plan->source_count);
    if (ftruncate(a->passes.fd, (off_t)plan->record.pages * plan->page_size) != 0)
        return err_sys(e, errno, "make room for %u pages of %u bytes", plan->record.pages, plan->page_size);
    if (passes_choose(&a->passes, e) || write_all_images(a, e) || apply_all_patches(a, e))
        return -1;
    int rc = passes_verify(&a->passes, &mismatch, e);
    if (mismatch && a->options->have && a->options->misfit)
        *a->options->misfit = true;
    return rc;
}

int apply_plan(struct catalog *c, const struct plan *p, const struct apply_options *options, struct map *ret_map,
               struct err *e)
{
    assert(options->fd >= 0);
    assert(!options->have || options->have->map.pages == p->record.pages);
    struct map map = {.fd = -1};
    struct apply a = {.options = options, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    a.passes = (struct passes){.from = {.store = c->store, .plan = p, .fetched = &a.fetched},
                               .codec = c->codec,
                               .cancel = options->cancel,
                               .fd = options->fd};
    int rc = run_passes(&a, &map, e);
    free(a.later);
    if (options->fetched)
        *options->fetched += atomic_load(&a.fetched);
    passes_release(&a.passes);
    pthread_mutex_destroy(&a.lock);
    pthread_cond_destroy(&a.changed);
    if (rc == 0)
        *ret_map = map;
    else
        map_release(&map);
    return rc;
}
