/* litestream/feed.c - windows have numbers, in the order in which they are used. Window w is read into slot w % slots.
 * A thread takes the next number when the slot is free; the user waits for its window. */
#include "litestream/feed.h"

#include "base/claim.h"
#include "base/clock.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define JOBS_FAST 2
#define JOBS_SLOW 12 /* of a slow store: they wait more than they compute */
#define PROGRESS_MS 100

struct slot {
    uint8_t *bytes; /* of FEED_WINDOW bytes, or as many as the largest object has */
    size_t n;
    bool ready;
    int rc;
    struct err error;
};

/* Where a window is. */
struct place {
    size_t item;
    uint64_t offset;
};

struct feed {
    struct store *store;
    const struct feed_item *items;
    size_t count;
    struct feed_options options;

    pthread_mutex_t lock; /* guards the fields up to `stop`, and the slots that are not ready */
    pthread_cond_t changed;
    struct place next; /* the window that a thread reads next */
    uint64_t taken;    /* windows that threads have taken */
    uint64_t used;     /* windows that the user has finished */
    bool stop;

    struct slot *slots;
    size_t slot_count, slot_bytes;
    size_t claimed;
    pthread_t threads[FEED_JOBS_MAX];
    unsigned started;

    /* of the user */
    size_t item;      /* the object; count: none. SIZE_MAX: before the first one */
    uint64_t at;      /* bytes of it that were taken */
    size_t in_window; /* bytes of the window `used` that were taken */
    uint64_t done, total;
    int64_t shown_ms;
    uint8_t carry[FEED_TAKE_MAX]; /* bytes of two windows, together */
};

static size_t window_bytes(const struct feed *f, const struct place *p)
{
    const uint64_t left = f->items[p->item].bytes - p->offset;
    return left < FEED_WINDOW ? (size_t)left : FEED_WINDOW;
}

/* Passes over objects without bytes. */
static void skip_empty(const struct feed *f, struct place *p)
{
    while (p->item < f->count && p->offset == f->items[p->item].bytes)
        *p = (struct place){.item = p->item + 1};
}

static void read_window(struct feed *f, const struct place *p, struct slot *s)
{
    const struct feed_item *item = &f->items[p->item];
    s->n = window_bytes(f, p);
    s->rc = store_read(f->store, item->key, p->offset, s->bytes, s->n, &s->error) ? store_listed_is_gone(&s->error) : 0;
}

/* Takes the next window and its slot. The caller holds the lock. */
static struct slot *take_window(struct feed *f, struct place *ret)
{
    struct slot *s = &f->slots[f->taken++ % f->slot_count];
    *ret = f->next;
    f->next.offset += window_bytes(f, ret);
    skip_empty(f, &f->next);
    return s;
}

static void *read_ahead(void *arg)
{
    struct feed *f = arg;
    pthread_mutex_lock(&f->lock);
    while (!f->stop && f->next.item < f->count) {
        if (f->taken - f->used == f->slot_count) {
            pthread_cond_wait(&f->changed, &f->lock);
            continue;
        }
        struct place p;
        struct slot *s = take_window(f, &p);
        pthread_mutex_unlock(&f->lock);
        read_window(f, &p, s);
        pthread_mutex_lock(&f->lock);
        s->ready = true;
        pthread_cond_broadcast(&f->changed);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

static bool is_canceled(const struct feed *f)
{
    return f->options.cancel && atomic_load(f->options.cancel);
}

/* Waits until the window of the user is read, or can't be read. */
static struct slot *wait_for_window(struct feed *f)
{
    struct slot *s = &f->slots[f->used % f->slot_count];
    if (f->started == 0 && !s->ready) {
        struct place p;
        read_window(f, (take_window(f, &p), &p), s);
        s->ready = true;
    }
    pthread_mutex_lock(&f->lock);
    while (!s->ready)
        pthread_cond_wait(&f->changed, &f->lock);
    pthread_mutex_unlock(&f->lock);
    return s;
}

/* The window of the user. NULL: it can't be read. */
static struct slot *current(struct feed *f, struct err *e)
{
    if (is_canceled(f)) {
        err_set(e, ERR_CANCELED, 0, "interrupted");
        return NULL;
    }
    struct slot *s = wait_for_window(f);
    if (s->rc == 0)
        return s;
    *e = s->error;
    return NULL;
}

static void report(struct feed *f)
{
    const int64_t now = clock_mono_ms();
    if (!f->options.progress || now - f->shown_ms < PROGRESS_MS)
        return;
    f->shown_ms = now;
    f->options.progress(f->options.context, f->done, f->total);
}

/* The user has finished its window. */
static void release(struct feed *f, struct slot *s)
{
    pthread_mutex_lock(&f->lock);
    s->ready = false;
    f->used++;
    f->in_window = 0;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    report(f);
}

static void advance(struct feed *f, size_t n)
{
    f->at += n;
    f->in_window += n;
    f->done += n;
}

static int too_short(struct err *e)
{
    return err_set(e, ERR_CORRUPT, 0, "it ends too early");
}

uint64_t feed_left(const struct feed *f)
{
    assert(f->item < f->count);
    return f->items[f->item].bytes - f->at;
}

const uint8_t *feed_some(struct feed *f, size_t most, size_t *ret_n, struct err *e)
{
    assert(feed_left(f) > 0 && most > 0);
    struct slot *s = current(f, e);
    if (s && f->in_window == s->n) { /* it was kept, because its bytes were lent */
        release(f, s);
        s = current(f, e);
    }
    if (!s)
        return NULL;
    const uint8_t *bytes = s->bytes + f->in_window;
    *ret_n = s->n - f->in_window < most ? s->n - f->in_window : most;
    advance(f, *ret_n);
    return bytes;
}

void feed_unread(struct feed *f, size_t n)
{
    assert(n <= f->in_window && n <= f->at);
    f->at -= n;
    f->in_window -= n;
    f->done -= n;
}

const uint8_t *feed_take(struct feed *f, size_t n, struct err *e)
{
    assert(n <= FEED_TAKE_MAX);
    size_t got = 0;
    if (n > feed_left(f)) {
        too_short(e);
        return NULL;
    }
    const uint8_t *bytes = n ? feed_some(f, n, &got, e) : f->carry;
    if (!bytes || got == n)
        return bytes;
    memcpy(f->carry, bytes, got);
    while (got < n) {
        size_t more = 0;
        bytes = feed_some(f, n - got, &more, e);
        if (!bytes)
            return NULL;
        memcpy(f->carry + got, bytes, more);
        got += more;
    }
    return f->carry;
}

/* Passes over what is left of this object, whether or not it can be read. */
static void pass_over(struct feed *f)
{
    while (feed_left(f) > 0) {
        struct slot *s = wait_for_window(f);
        if (f->in_window == s->n)
            release(f, s);
        else
            advance(f, s->n - f->in_window);
    }
    if (f->in_window > 0)
        release(f, &f->slots[f->used % f->slot_count]);
}

const struct feed_item *feed_next(struct feed *f)
{
    assert(f->item == SIZE_MAX || f->item < f->count);
    if (f->item != SIZE_MAX)
        pass_over(f);
    f->item++; /* SIZE_MAX becomes 0 */
    f->at = 0;
    return f->item < f->count ? &f->items[f->item] : NULL;
}

/* ---- begin and end */

static unsigned threads_wanted(const struct feed *f, uint64_t windows)
{
    unsigned want = f->options.jobs ? f->options.jobs : f->store->slow ? JOBS_SLOW : JOBS_FAST;
    if (want > FEED_JOBS_MAX)
        want = FEED_JOBS_MAX;
    if (want > windows)
        want = (unsigned)windows;
    return want > 1 ? want : 0;
}

/* Counts windows, and finds the size of the largest. */
static uint64_t measure(struct feed *f)
{
    uint64_t windows = 0;
    for (size_t i = 0; i < f->count; i++) {
        const uint64_t bytes = f->items[i].bytes;
        f->total += bytes;
        windows += bytes / FEED_WINDOW + (bytes % FEED_WINDOW != 0);
        f->slot_bytes = bytes > f->slot_bytes ? (size_t)(bytes < FEED_WINDOW ? bytes : FEED_WINDOW) : f->slot_bytes;
    }
    return windows;
}

static int make_slots(struct feed *f, unsigned threads, struct err *e)
{
    f->slot_count = threads ? 2 * (size_t)threads : 1;
    f->slots = calloc(f->slot_count, sizeof *f->slots);
    if (!f->slots)
        return err_nomem(e, f->slot_count * sizeof *f->slots);
    if (claim_take(f->slot_count * f->slot_bytes, e)) {
        if (f->slot_count == 1)
            return -1;
        free(f->slots);
        return make_slots(f, 0, e); /* slower, with less memory */
    }
    f->claimed = f->slot_count * f->slot_bytes;
    for (size_t i = 0; i < f->slot_count; i++)
        if (!(f->slots[i].bytes = malloc(f->slot_bytes + 1)))
            return err_nomem(e, f->slot_bytes);
    return 0;
}

int feed_new(struct store *store, const struct feed_item *items, size_t count, const struct feed_options *options,
             struct feed **ret_feed, struct err *e)
{
    struct feed *f = calloc(1, sizeof *f);
    if (!f)
        return err_nomem(e, sizeof *f);
    *f = (struct feed){.store = store, .items = items, .count = count, .options = *options, .item = SIZE_MAX};
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    const unsigned threads = threads_wanted(f, measure(f));
    skip_empty(f, &f->next);
    if (make_slots(f, threads, e)) {
        feed_free(f);
        return -1;
    }
    while (f->slot_count > 1 && f->started < threads &&
           pthread_create(&f->threads[f->started], NULL, read_ahead, f) == 0)
        f->started++;
    *ret_feed = f;
    return 0;
}

void feed_free(struct feed *f)
{
    if (!f)
        return;
    pthread_mutex_lock(&f->lock);
    f->stop = true;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    for (unsigned i = 0; i < f->started; i++)
        pthread_join(f->threads[i], NULL);
    for (size_t i = 0; f->slots && i < f->slot_count; i++)
        free(f->slots[i].bytes);
    free(f->slots);
    claim_give(f->claimed);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    free(f);
}
