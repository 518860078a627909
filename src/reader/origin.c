/* reader/origin.c */
#include "reader/origin.h"

#include <pthread.h>
#include <stdlib.h>

#define CODECS_KEPT 4

struct origin_pool {
    pthread_mutex_t lock;
    struct codec *idle[CODECS_KEPT];
    unsigned count;
};

int origin_over(struct store *store, struct origin **ret_origin, struct err *e)
{
    struct origin *o = calloc(1, sizeof *o);
    struct origin_pool *pool = calloc(1, sizeof *pool);
    if (!o || !pool) {
        free(o);
        free(pool);
        return err_nomem(e, sizeof *o);
    }
    pthread_mutex_init(&pool->lock, NULL);
    o->pool = pool;
    o->store = store;
    atomic_init(&o->users, 1);
    *ret_origin = o;
    return 0;
}

int origin_open(const char *url, struct disk *disk, struct origin **ret_origin, struct err *e)
{
    struct store *store = NULL;
    if (store_open(url, STORE_READ, &store, e))
        return -1;
    if (origin_over(store, ret_origin, e)) {
        store_close(store);
        return -1;
    }
    (*ret_origin)->owns_store = true;
    (*ret_origin)->disk = disk;
    return 0;
}

struct origin *origin_retain(struct origin *o)
{
    atomic_fetch_add(&o->users, 1);
    return o;
}

void origin_release(struct origin *o)
{
    if (!o || atomic_fetch_sub(&o->users, 1) != 1)
        return;
    if (o->owns_store)
        store_close(o->store);
    while (o->pool->count > 0)
        codec_free(o->pool->idle[--o->pool->count]);
    pthread_mutex_destroy(&o->pool->lock);
    free(o->pool);
    free(o);
}

struct codec *origin_take_codec(struct origin *o)
{
    pthread_mutex_lock(&o->pool->lock);
    struct codec *c = o->pool->count > 0 ? o->pool->idle[--o->pool->count] : NULL;
    pthread_mutex_unlock(&o->pool->lock);
    return c ? c : codec_new();
}

void origin_give_codec(struct origin *o, struct codec *c)
{
    pthread_mutex_lock(&o->pool->lock);
    if (o->pool->count < CODECS_KEPT) {
        o->pool->idle[o->pool->count++] = c;
        c = NULL;
    }
    pthread_mutex_unlock(&o->pool->lock);
    codec_free(c);
}
