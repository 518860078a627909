/* support/memory_store.h - a store in memory, for tests that need thousands of replicas. The contract tests of the real
 * stores run over it too. */
#ifndef TESTS_MEMORY_STORE_H
#define TESTS_MEMORY_STORE_H

#include "storage/store.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct memory_object {
    char key[STORE_KEY_MAX];
    uint8_t *bytes; /* owned */
    size_t size;
    int64_t time_ms;
};

struct memory_store {
    struct store base;
    pthread_mutex_t lock;
    struct memory_object *objects; /* ascending keys */
    size_t count, cap;
    int64_t now_ms; /* its clock; only the test moves it */

    /* faults that a test can set */
    unsigned (*shown)(const char *key); /* how often a listing has this key; NULL: once */
    uint64_t shuffled;                  /* seed of the order of listings; 0: ascending */
    unsigned strange;                   /* how many entries without a key a listing has */
    bool list_fails;
    unsigned removes;   /* how many removals succeed before one fails */
    const char *unread; /* reads of this object fail; NULL: none */
    unsigned answered;  /* how many of them succeed before */
};

/* Index of the first object whose key is not below `key`. The caller holds the lock. */
static inline size_t memory_store_find(const struct memory_store *m, const char *key)
{
    size_t low = 0, high = m->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strcmp(m->objects[mid].key, key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* The object of this key, for tests that damage it in place. NULL: it does not exist. */
static inline struct memory_object *memory_store_object(struct memory_store *m, const char *key)
{
    size_t i = memory_store_find(m, key);
    return i < m->count && strcmp(m->objects[i].key, key) == 0 ? &m->objects[i] : NULL;
}

static inline bool memory_store_refuses(struct memory_store *m, const char *key)
{
    if (!m->unread || strcmp(m->unread, key) != 0)
        return false;
    const bool refuses = m->answered == 0;
    m->answered -= !refuses;
    return refuses;
}

static inline int memory_store_insert(struct memory_store *m, const char *key, const void *bytes, size_t n,
                                      struct err *e)
{
    size_t i = memory_store_find(m, key);
    if (i < m->count && strcmp(m->objects[i].key, key) == 0)
        return err_set(e, ERR_EXISTS, 0, "it exists already");
    if (m->count == m->cap) {
        size_t cap = m->cap ? 2 * m->cap : 64;
        void *grown = realloc(m->objects, cap * sizeof *m->objects);
        if (!grown)
            return err_nomem(e, cap);
        m->objects = grown;
        m->cap = cap;
    }
    struct memory_object o = {.bytes = malloc(n + 1), .size = n, .time_ms = m->now_ms};
    if (!o.bytes)
        return err_nomem(e, n);
    if (n > 0)
        memcpy(o.bytes, bytes, n);
    snprintf(o.key, sizeof o.key, "%s", key);
    memmove(m->objects + i + 1, m->objects + i, (m->count - i) * sizeof *m->objects);
    m->objects[i] = o;
    m->count++;
    return 0;
}

static inline int memory_store_put_new(struct store *s, const char *key, const void *bytes, size_t n,
                                       int64_t *ret_time_ms, struct err *e)
{
    struct memory_store *m = (struct memory_store *)s;
    *ret_time_ms = m->now_ms;
    pthread_mutex_lock(&m->lock);
    int rc = memory_store_insert(m, key, bytes, n, e);
    pthread_mutex_unlock(&m->lock);
    return rc;
}

static inline int memory_store_read(struct store *s, const char *key, uint64_t offset, void *out, size_t n,
                                    struct err *e)
{
    struct memory_store *m = (struct memory_store *)s;
    int rc = 0;
    pthread_mutex_lock(&m->lock);
    const struct memory_object *o = memory_store_object(m, key);
    if (memory_store_refuses(m, key))
        rc = err_set(e, ERR_REMOTE, 0, "the store does not answer");
    else if (!o)
        rc = err_set(e, ERR_NOTFOUND, 0, "no such object");
    else if (offset > o->size || n > o->size - offset)
        rc = err_set(e, ERR_CORRUPT, 0, "object ends at %zu", o->size);
    else if (n > 0)
        memcpy(out, o->bytes + offset, n);
    pthread_mutex_unlock(&m->lock);
    return rc;
}

static inline int memory_store_read_tail(struct store *s, const char *key, size_t n, struct buf *out,
                                         uint64_t *ret_size, struct err *e)
{
    struct memory_store *m = (struct memory_store *)s;
    pthread_mutex_lock(&m->lock);
    const struct memory_object *o = memory_store_object(m, key);
    int rc = o ? 0 : err_set(e, ERR_NOTFOUND, 0, "no such object");
    if (memory_store_refuses(m, key)) {
        rc = err_set(e, ERR_REMOTE, 0, "the store does not answer");
    } else if (o) {
        size_t want = o->size < n ? o->size : n;
        rc = buf_append(out, o->bytes + o->size - want, want, e);
        *ret_size = rc == 0 ? o->size : *ret_size;
    }
    pthread_mutex_unlock(&m->lock);
    return rc;
}

/* The indexes of `count` objects in random order. The caller frees them. */
static inline size_t *memory_store_order(size_t count, uint64_t seed)
{
    size_t *order = malloc((count + 1) * sizeof *order);
    for (size_t i = 0; order && i < count; i++)
        order[i] = i;
    for (size_t i = count; order && i > 1; i--) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        size_t k = (size_t)(seed >> 33) % i, other = order[k];
        order[k] = order[i - 1];
        order[i - 1] = other;
    }
    return order;
}

static inline int memory_store_list(struct store *s, const char *prefix, const char *start_after, store_entry_fn *fn,
                                    void *context, struct err *e)
{
    struct memory_store *m = (struct memory_store *)s;
    size_t *order = NULL, n = strlen(prefix);
    bool stopped = false;
    if (m->list_fails)
        return err_set(e, ERR_REMOTE, 0, "made to fail");
    pthread_mutex_lock(&m->lock);
    if (m->shuffled)
        order = memory_store_order(m->count, m->shuffled);
    for (size_t i = order ? 0 : memory_store_find(m, prefix); i < m->count && !stopped; i++) {
        const struct memory_object *o = &m->objects[order ? order[i] : i];
        struct store_entry entry = {.key = o->key, .size = o->size, .time_ms = o->time_ms};
        const bool wanted = strncmp(o->key, prefix, n) == 0;
        if (!wanted && !order)
            break;
        for (unsigned times = m->shown ? m->shown(o->key) : 1; wanted && times > 0 && !stopped; times--)
            stopped = strcmp(entry.key, start_after) > 0 && fn(context, &entry);
    }
    for (unsigned i = 0; i < m->strange && !stopped; i++)
        stopped = fn(context, &(struct store_entry){.key = ""});
    pthread_mutex_unlock(&m->lock);
    free(order);
    return 0;
}

static inline int memory_store_folders(struct store *s, store_folder_fn *fn, void *context, struct err *e)
{
    struct memory_store *m = (struct memory_store *)s;
    char last[STORE_KEY_MAX] = "";
    size_t others = 0;
    bool stopped = false;
    if (m->list_fails)
        return err_set(e, ERR_REMOTE, 0, "made to fail");
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->count && !stopped; i++) {
        char name[STORE_KEY_MAX];
        const char *key = m->objects[i].key, *slash = strchr(key, '/');
        snprintf(name, sizeof name, "%.*s", slash ? (int)(slash - key) : 0, key);
        others += !slash;
        if (slash && strcmp(name, last) != 0)
            stopped = fn(context, name);
        memcpy(last, name, sizeof last);
    }
    for (size_t i = 0; i < others && !stopped; i++)
        stopped = fn(context, "");
    pthread_mutex_unlock(&m->lock);
    return 0;
}

static inline int memory_store_remove(struct store *s, const char *key, struct err *e)
{
    struct memory_store *m = (struct memory_store *)s;
    pthread_mutex_lock(&m->lock);
    struct memory_object *o = memory_store_object(m, key);
    int rc = o && m->removes == 0 ? err_set(e, ERR_REMOTE, 0, "made to fail") : 0;
    if (o && rc == 0) {
        m->removes--;
        free(o->bytes);
        memmove(o, o + 1, (size_t)(m->objects + m->count - (o + 1)) * sizeof *o);
        m->count--;
    }
    pthread_mutex_unlock(&m->lock);
    return rc;
}

static inline int memory_store_time(struct store *s, int64_t *ret_time_ms, struct err *e)
{
    (void)e;
    *ret_time_ms = ((struct memory_store *)s)->now_ms;
    return 0;
}

static inline void memory_store_close(struct store *s)
{
    struct memory_store *m = (struct memory_store *)s;
    for (size_t i = 0; i < m->count; i++)
        free(m->objects[i].bytes);
    free(m->objects);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static inline struct store *memory_store_new(void) /* store_close frees; NULL: out of memory */
{
    static const struct store_ops ops = {
        .put_new = memory_store_put_new,
        .read = memory_store_read,
        .read_tail = memory_store_read_tail,
        .list = memory_store_list,
        .folders = memory_store_folders,
        .remove = memory_store_remove,
        .time = memory_store_time,
        .close = memory_store_close,
    };
    struct memory_store *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->base.ops = &ops;
    m->base.fencing = STORE_FENCING_STRONG;
    m->now_ms = 1;
    m->removes = UINT_MAX;
    snprintf(m->base.url, sizeof m->base.url, "memory:");
    pthread_mutex_init(&m->lock, NULL);
    return &m->base;
}

#endif
