/* storage/cached.c */
#include "storage/cached.h"

#include "base/container.h"
#include "base/hash.h"
#include "base/thread.h"
#include "storage/store.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_MIN 1024 /* a power of two */

struct entry {
    char key[STORE_KEY_MAX];
    struct entry *smaller; /* owned: the one in whose place it is; another thread may still read it */
    uint64_t size;         /* of the object */
    size_t len;
    uint8_t tail[]; /* its last `len` bytes */
};

struct cached_store {
    struct store base;
    struct store *inner;  /* owned */
    pthread_mutex_t lock; /* guards the members below; entries never change, and are freed with the store */
    struct entry **slots; /* hash table with open addressing */
    size_t slot_count;    /* a power of two */
    size_t count;         /* entries */
    size_t bytes;         /* of all entries */
};

static struct cached_store *of(struct store *s)
{
    return CONTAINER_OF(s, struct cached_store, base);
}

/* Finds the slot that holds the key, or the free slot where it belongs. */
static struct entry **slot_of(struct entry **slots, size_t slot_count, const char *key)
{
    size_t i = (size_t)hash64(key, strlen(key)) & (slot_count - 1);
    while (slots[i] && strcmp(slots[i]->key, key) != 0)
        i = (i + 1) & (slot_count - 1);
    return &slots[i];
}

static const struct entry *find(struct cached_store *c, const char *key)
{
    pthread_mutex_lock(&c->lock);
    const struct entry *found = *slot_of(c->slots, c->slot_count, key);
    pthread_mutex_unlock(&c->lock);
    return found;
}

static bool grow(struct cached_store *c)
{
    struct entry **slots = calloc(2 * c->slot_count, sizeof(struct entry *));
    if (!slots)
        return false;
    for (size_t i = 0; i < c->slot_count; i++)
        if (c->slots[i])
            *slot_of(slots, 2 * c->slot_count, c->slots[i]->key) = c->slots[i];
    free(c->slots);
    c->slots = slots;
    c->slot_count *= 2;
    return true;
}

/* Keeps a copy of the end of an object, if there is room and memory for it. Otherwise it will be read again. */
static void keep(struct cached_store *c, const char *key, uint64_t size, const uint8_t *tail, size_t len)
{
    struct entry *kept = malloc(sizeof *kept + len);
    if (!kept)
        return;
    *kept = (struct entry){.size = size, .len = len};
    snprintf(kept->key, sizeof kept->key, "%s", key);
    memcpy(kept->tail, tail, len);
    pthread_mutex_lock(&c->lock);
    bool room = c->bytes + sizeof *kept + len <= CACHED_BYTES_MAX && (2 * c->count < c->slot_count || grow(c));
    struct entry **slot = slot_of(c->slots, c->slot_count, key);
    if (room && (!*slot || (*slot)->len < len)) {
        c->count += !*slot;
        kept->smaller = *slot;
        *slot = kept;
        c->bytes += sizeof *kept + len;
        kept = NULL;
    }
    pthread_mutex_unlock(&c->lock);
    free(kept);
}

/* Copies the settings of the owner to the inner store. The owner makes them before the first request, while there is
 * one thread; later nothing is written. */
static void pass_on(struct cached_store *c)
{
    if (c->inner->cancel == c->base.cancel && c->inner->retrying == c->base.retrying)
        return;
    c->inner->cancel = c->base.cancel;
    c->inner->retrying = c->base.retrying;
}

static int cached_read(struct store *s, const char *key, uint64_t offset, void *out, size_t n, struct err *e)
{
    struct cached_store *c = of(s);
    const struct entry *kept = find(c, key);
    pass_on(c);
    if (!kept || offset < kept->size - kept->len || offset > kept->size || n > kept->size - offset) {
        if (c->inner->ops->read(c->inner, key, offset, out, n, e))
            return -1;
        if (kept && offset + n == kept->size && n <= CACHED_LARGER_MAX)
            keep(c, key, kept->size, out, n);
        return 0;
    }
    memcpy(out, kept->tail + (offset - (kept->size - kept->len)), n);
    return 0;
}

static int cached_try_read(struct store *s, const char *key, void *out, size_t n, const atomic_bool *cancel,
                           struct err *e)
{
    pass_on(of(s));
    return store_try_read(of(s)->inner, key, out, n, cancel, e);
}

static int cached_read_tail(struct store *s, const char *key, size_t n, struct buf *out, uint64_t *ret_size,
                            struct err *e)
{
    struct cached_store *c = of(s);
    const struct entry *kept = find(c, key);
    size_t before = out->len;
    pass_on(c);
    if (kept && (n <= kept->len || kept->len == kept->size)) {
        size_t len = n < kept->len ? n : kept->len;
        *ret_size = kept->size;
        return buf_append(out, kept->tail + (kept->len - len), len, e);
    }
    if (c->inner->ops->read_tail(c->inner, key, n, out, ret_size, e))
        return -1;
    if (out->len - before <= CACHED_LARGER_MAX)
        keep(c, key, *ret_size, out->data + before, out->len - before);
    return 0;
}

/* ---- prefetch */

struct prefetch {
    struct cached_store *cached;
    const struct store_end *ends;
    size_t count, next; /* next: guarded by the lock of the store */
};

/* How much of an end is kept. */
static size_t end_bytes(const struct store_end *end)
{
    const size_t at_least = end->bytes > CACHED_TAIL_MAX ? end->bytes : CACHED_TAIL_MAX;
    return at_least < CACHED_LARGER_MAX ? at_least : CACHED_LARGER_MAX;
}

static void *prefetch_thread(void *arg)
{
    struct prefetch *p = arg;
    struct cached_store *c = p->cached;
    struct buf tail = BUF_INIT(CACHED_LARGER_MAX);
    struct err ignored; /* the read that needs the object will get the error */
    uint64_t size = 0;
    for (;;) {
        pthread_mutex_lock(&c->lock);
        const size_t more = p->next < p->count ? end_bytes(&p->ends[p->next]) : 0;
        const bool full = c->bytes + more > CACHED_BYTES_MAX;
        size_t i = full || (c->base.cancel && atomic_load(c->base.cancel)) ? p->count : p->next++;
        pthread_mutex_unlock(&c->lock);
        if (i >= p->count)
            break;
        tail.len = 0;
        const struct store_end *end = &p->ends[i];
        if (!find(c, end->key) && cached_read_tail(&c->base, end->key, end_bytes(end), &tail, &size, &ignored))
            break; /* do not send more requests to a store that fails */
    }
    buf_release(&tail);
    return NULL;
}

static void cached_prefetch(struct store *s, const struct store_end *ends, size_t count)
{
    struct prefetch p = {.cached = of(s), .ends = ends, .count = count};
    pthread_t threads[CACHED_THREADS];
    const size_t want = count < CACHED_THREADS ? count : CACHED_THREADS;
    threads_join(threads, threads_start(threads, want, prefetch_thread, &p));
}

/* ---- passed through */

static int cached_put_new(struct store *s, const char *key, const void *bytes, size_t n, int64_t *ret_time_ms,
                          struct err *e)
{
    return of(s)->inner->ops->put_new(of(s)->inner, key, bytes, n, ret_time_ms, e);
}

static int cached_list(struct store *s, const char *prefix, const char *start_after, store_entry_fn *fn, void *context,
                       struct err *e)
{
    pass_on(of(s));
    return of(s)->inner->ops->list(of(s)->inner, prefix, start_after, fn, context, e);
}

static int cached_folders(struct store *s, store_folder_fn *fn, void *context, struct err *e)
{
    pass_on(of(s));
    return of(s)->inner->ops->folders(of(s)->inner, fn, context, e);
}

static int cached_remove(struct store *s, const char *key, struct err *e)
{
    return of(s)->inner->ops->remove(of(s)->inner, key, e);
}

static int cached_remove_all(struct store *s, const char *const *keys, size_t count, struct err *e)
{
    return store_remove_all(of(s)->inner, keys, count, e);
}

static int cached_time(struct store *s, int64_t *ret_time_ms, struct err *e)
{
    pass_on(of(s));
    return of(s)->inner->ops->time(of(s)->inner, ret_time_ms, e);
}

static int cached_confirm(struct store *s, const char *key, struct err *e)
{
    return store_confirm(of(s)->inner, key, e);
}

static void cached_describe(const struct store *s, char out[STORE_DESCRIPTION_MAX])
{
    store_describe(((const struct cached_store *)(const void *)s)->inner, out);
}

static void cached_close(struct store *s)
{
    struct cached_store *c = of(s);
    store_close(c->inner);
    for (size_t i = 0; c->slots && i < c->slot_count; i++)
        for (struct entry *kept = c->slots[i], *smaller; kept; kept = smaller) {
            smaller = kept->smaller;
            free(kept);
        }
    free(c->slots);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static const struct store_ops cached_ops = {
    .put_new = cached_put_new,
    .read = cached_read,
    .try_read = cached_try_read,
    .read_tail = cached_read_tail,
    .list = cached_list,
    .folders = cached_folders,
    .remove = cached_remove,
    .remove_all = cached_remove_all,
    .time = cached_time,
    .prefetch = cached_prefetch,
    .confirm = cached_confirm,
    .describe = cached_describe,
    .close = cached_close,
};

int cached_store_new(struct store *inner, struct store **ret_store, struct err *e)
{
    assert(inner && inner->ops);
    struct cached_store *c = calloc(1, sizeof *c);
    struct entry **slots = calloc(SLOTS_MIN, sizeof(struct entry *));
    if (!c || !slots) {
        free(c);
        free(slots);
        store_close(inner);
        return err_nomem(e, SLOTS_MIN * sizeof(struct entry *));
    }
    c->base.ops = &cached_ops;
    c->base.costs = inner->costs;
    c->base.below = inner;
    c->base.slow = inner->slow;
    memcpy(c->base.url, inner->url, sizeof c->base.url);
    memcpy(c->base.note, inner->note, sizeof c->base.note);
    c->inner = inner;
    c->slots = slots;
    c->slot_count = SLOTS_MIN;
    pthread_mutex_init(&c->lock, NULL);
    *ret_store = &c->base;
    return 0;
}
