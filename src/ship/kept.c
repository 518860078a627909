/* ship/kept.c */
#include "ship/kept.h"

#include "base/claim.h"
#include "base/search.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct object {
    uint64_t min;
    size_t size;
    uint8_t bytes[];
};

struct kept {
    pthread_mutex_t lock;
    struct object **list; /* owned; of KEPT_COUNT_MAX; ascending min, from `first` on */
    size_t first, count;
    size_t bytes;
};

static atomic_size_t total; /* bytes of all replicas */

struct kept *kept_new(void)
{
    struct kept *k = calloc(1, sizeof *k);
    if (k)
        pthread_mutex_init(&k->lock, NULL);
    return k;
}

void kept_free(struct kept *k)
{
    if (!k)
        return;
    kept_forget(k, UINT64_MAX);
    free(k->list);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

/* ---- with the lock */

static void drop_first(struct kept *k)
{
    struct object *o = k->list[k->first++];
    k->count--;
    k->bytes -= o->size;
    atomic_fetch_sub(&total, o->size);
    free(o);
}

static void drop_all(struct kept *k)
{
    while (k->count > 0)
        drop_first(k);
    free(k->list); /* a replica where nothing is put has no list */
    k->list = NULL;
    k->first = 0;
}

static bool make_room(struct kept *k, size_t n)
{
    if (!k->list)
        k->list = malloc(KEPT_COUNT_MAX * sizeof(struct object *));
    while (k->count > 0 && (k->count == KEPT_COUNT_MAX || k->bytes + n > KEPT_BYTES_MAX))
        drop_first(k);
    if (k->list && k->first + k->count == KEPT_COUNT_MAX) {
        memmove(k->list, k->list + k->first, k->count * sizeof(struct object *));
        k->first = 0;
    }
    return k->list != NULL;
}

/* NULL: memory is short. */
static struct object *copy_of(uint64_t min, const void *bytes, size_t n)
{
    if (claim_is_tight())
        return NULL;
    const bool room = atomic_fetch_add(&total, n) + n <= KEPT_TOTAL_MAX;
    struct object *o = room ? malloc(sizeof *o + n) : NULL;
    if (!o) {
        atomic_fetch_sub(&total, n);
        return NULL;
    }
    o->min = min;
    o->size = n;
    memcpy(o->bytes, bytes, n);
    return o;
}

struct query {
    const struct kept *kept;
    uint64_t min;
};

static bool is_not_before(const void *context, size_t at)
{
    const struct query *q = context;
    return q->kept->list[q->kept->first + at]->min >= q->min;
}

static const struct object *find(const struct kept *k, uint64_t min, uint64_t size)
{
    const size_t at = search_first(k->count, is_not_before, &(struct query){k, min});
    const struct object *o = at < k->count ? k->list[k->first + at] : NULL;
    return o && o->min == min && o->size == size ? o : NULL;
}

/* ---- without */

void kept_add(struct kept *k, uint64_t min, const void *bytes, size_t n)
{
    if (!k)
        return;
    pthread_mutex_lock(&k->lock);
    if (k->count > 0 && k->list[k->first + k->count - 1]->min >= min)
        drop_all(k);
    struct object *o = n <= KEPT_OBJECT_MAX && make_room(k, n) ? copy_of(min, bytes, n) : NULL;
    if (o) {
        k->list[k->first + k->count++] = o;
        k->bytes += n;
    } else if (n <= KEPT_OBJECT_MAX) {
        drop_all(k);
    }
    pthread_mutex_unlock(&k->lock);
}

bool kept_has(struct kept *k, uint64_t min, uint64_t size)
{
    if (!k)
        return false;
    pthread_mutex_lock(&k->lock);
    const bool has = find(k, min, size) != NULL;
    pthread_mutex_unlock(&k->lock);
    return has;
}

bool kept_read(struct kept *k, uint64_t min, uint64_t size, struct buf *out)
{
    struct err ignored;
    assert(out->len == 0);
    if (!k)
        return false;
    pthread_mutex_lock(&k->lock);
    const struct object *o = find(k, min, size);
    const bool read = o && buf_append(out, o->bytes, o->size, &ignored) == 0;
    pthread_mutex_unlock(&k->lock);
    return read;
}

void kept_forget(struct kept *k, uint64_t upto)
{
    if (!k)
        return;
    pthread_mutex_lock(&k->lock);
    while (k->count > 0 && k->list[k->first]->min <= upto)
        drop_first(k);
    if (k->count == 0)
        drop_all(k);
    pthread_mutex_unlock(&k->lock);
}
