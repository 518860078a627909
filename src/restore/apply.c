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
#define SMALL_BYTES (1u << 20)   /* of sources */
#define SCATTERED_SHARE 64       /* if a greater share of the pages is scattered, the page cache joins them */
#define DIRECT_BYTES (64u << 20) /* of the database; smaller ones stay in the page cache */

struct apply {
    struct passes passes;
    struct output output;      /* while pass 2 runs */
    const struct round *round; /* that the threads write */
    const struct apply_options *options;
    atomic_uint_fast64_t fetched;
    atomic_uint_fast64_t done; /* bytes of sources that pass 2 is done with */

    pthread_mutex_t lock; /* guards the fields below */
    pthread_cond_t changed;
    size_t next_source; /* of the round, for the next thread that asks */
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
    while (a->next_source < count && !passes_has_images(a->round, a->next_source))
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

/* What a thread of pass 2 writes with. */
struct image_writer {
    struct source_reader *reader; /* owned */
    struct output_piece piece;
};

static int begin_writer(struct apply *a, struct image_writer *w, struct err *e)
{
    *w = (struct image_writer){0};
    return passes_image_reader(a->round, &w->reader, e) || output_piece_init(&w->piece, &a->output, e) ? -1 : 0;
}

static void end_writer(struct image_writer *w)
{
    source_reader_free(w->reader);
    output_piece_free(&w->piece);
}

/* Counts a source, in the last round that reads it. */
static void count_done(struct apply *a, size_t source)
{
    const struct plan_source *s = &a->passes.from.plan->sources[source];
    const uint32_t pages = a->passes.from.plan->record.pages;
    uint32_t last = s->last_page == 0 || s->last_page > pages ? pages : s->last_page;
    if (last <= a->round->last_page)
        atomic_fetch_add(&a->done, s->size);
}

/* Writes the pages of the sources that were put off, one source after the other, and those that have no image. */
static int write_later(struct apply *a, struct err *e)
{
    struct image_writer w;
    int rc = begin_writer(a, &w, e);
    for (size_t i = 0; rc == 0 && i < a->passes.from.plan->source_count; i++) {
        if (!a->later[i])
            continue;
        a->later[i] = false;
        rc = passes_write_images(a->round, w.reader, &w.piece, i, e);
        count_done(a, i);
        report(a);
    }
    if (rc == 0)
        rc = passes_write_rest(a->round, &w.piece, e);
    if (rc == 0)
        rc = output_flush(&w.piece, e);
    end_writer(&w);
    return rc;
}

/* A few pages are written sooner than a thread is started. A slow store makes us wait, and that is shown. */
static bool is_small(const struct apply *a)
{
    return a->passes.total <= SMALL_BYTES && !a->passes.from.store->slow;
}

static void write_images(struct apply *a)
{
    struct image_writer w;
    struct err e;
    size_t source = 0;
    int rc = begin_writer(a, &w, &e);
    while (rc == 0 && take_source(a, &source)) {
        rc = passes_write_images(a->round, w.reader, &w.piece, source, &e);
        if (rc != 0 && e.code == ERR_CLAIM) {
            put_off(a, source);
            rc = 0;
            continue;
        }
        count_done(a, source);
    }
    if (rc == 0)
        rc = output_flush(&w.piece, &e);
    end_writer(&w);
    end_thread(a, rc, &e);
}

static void *image_thread(void *arg)
{
    write_images(arg);
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

/* The threads of a round. */
struct crew {
    pthread_t threads[JOBS_MAX];
    unsigned started;
};

static int start_threads(struct apply *a, struct crew *crew, struct err *e)
{
    const unsigned want = threads_wanted(a);
    crew->started = 0;
    a->next_source = 0;
    if (want > 0 && is_small(a)) {
        a->running = 1;
        write_images(a);
        return 0;
    }
    pthread_mutex_lock(&a->lock);
    while (crew->started < want && pthread_create(&crew->threads[crew->started], NULL, image_thread, a) == 0) {
        crew->started++;
        a->running++;
    }
    pthread_mutex_unlock(&a->lock);
    return want > 0 && crew->started == 0 ? err_set(e, ERR_NOMEM, EAGAIN, "can't start a thread") : 0;
}

/* Returns when all threads have ended. The error is that of the thread that failed first. */
static int join_threads(struct apply *a, struct crew *crew, struct err *e)
{
    pthread_mutex_lock(&a->lock);
    wait_for_threads(a);
    pthread_mutex_unlock(&a->lock);
    for (unsigned i = 0; i < crew->started; i++)
        pthread_join(crew->threads[i], NULL);
    if (a->failed)
        *e = a->error;
    return a->failed ? -1 : 0;
}

/* Makes the threads end soon. */
static void stop_threads(struct apply *a, const struct err *e)
{
    pthread_mutex_lock(&a->lock);
    if (!a->failed)
        a->error = *e;
    a->failed = true;
    pthread_mutex_unlock(&a->lock);
}

/* Writes one round. Meanwhile this thread reads the patches of `next`; NULL: this is the last round. */
static int write_round(struct apply *a, struct source_reader *r, struct round *next, struct err *e)
{
    struct crew crew;
    struct err other = {0};
    if (start_threads(a, &crew, e))
        return -1;
    int rc = next ? passes_hold_patches(&a->passes, r, next, &other) : 0;
    const bool again = rc != 0 && other.code == ERR_CLAIM;
    if (rc != 0 && !again)
        stop_threads(a, &other);
    if (join_threads(a, &crew, e) || write_later(a, e))
        return -1;
    return again ? passes_hold_patches(&a->passes, r, next, e) : 0;
}

static int write_rounds(struct apply *a, struct err *e)
{
    const size_t count = a->passes.round_count;
    struct round rounds[2] = {0};
    struct source_reader *r = NULL;
    int rc = passes_held_reader(&a->passes, &r, e);
    if (rc == 0)
        rc = passes_begin_round(&a->passes, 0, &rounds[0], e) || passes_hold_patches(&a->passes, r, &rounds[0], e) ? -1
                                                                                                                   : 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct round *next = i + 1 < count ? &rounds[(i + 1) % 2] : NULL;
        a->round = &rounds[i % 2];
        if (next)
            rc = passes_begin_round(&a->passes, i + 1, next, e);
        if (rc == 0)
            rc = write_round(a, r, next, e);
        passes_end_round(&rounds[i % 2]);
    }
    source_reader_free(r);
    a->round = NULL;
    passes_end_round(&rounds[0]);
    passes_end_round(&rounds[1]);
    return rc;
}

/* Small databases stay in the page cache: what it takes to write them is not seen, and a first read of each page from
 * the disk would be. So do pages that are read again. Scattered pages make small writes, which the page cache joins. */
static enum output_way way_to_write(const struct apply *a)
{
    const struct plan *plan = a->passes.from.plan;
    bool scattered = a->passes.patches_late || a->passes.scattered > plan->record.pages / SCATTERED_SHARE;
    bool direct = (uint64_t)plan->record.pages * plan->page_size >= DIRECT_BYTES && plan->page_size >= OUTPUT_ALIGN &&
                  !scattered && !a->options->read_soon;
    return direct ? OUTPUT_DIRECT : OUTPUT_CACHED;
}

/* Pages of zeros are not written. */
static bool has_holes(const struct apply *a)
{
    const struct map *map = a->passes.wanted.map;
    for (uint32_t pgno = 1; pgno <= map->pages; pgno++)
        if (map_get(map, pgno).hash == 0 && pgno != lock_byte_page(map->page_size))
            return true;
    return false;
}

static int write_all_images(struct apply *a, struct err *e)
{
    const struct plan *plan = a->passes.from.plan;
    const uint64_t bytes = has_holes(a) ? 0 : (uint64_t)plan->record.pages * plan->page_size;
    output_begin(&a->output, a->passes.fd, a->passes.path, bytes, way_to_write(a));
    int rc = write_rounds(a, e);
    output_end(&a->output);
    return rc;
}

/* ---- pass 3 */

static int apply_late_patches(struct apply *a, struct err *e)
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
    if (passes_choose(&a->passes, e) || write_all_images(a, e) || (a->passes.patches_late && apply_late_patches(a, e)))
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
                               .fd = options->fd,
                               .path = options->path};
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
