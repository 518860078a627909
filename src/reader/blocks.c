/* reader/blocks.c */
#include "reader/blocks.h"

#include "base/hash.h"
#include "reader/fork.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 16384u /* a power of two */

struct entry {
    struct block_key key;
    struct entry *next;          /* in its bucket */
    struct entry *newer, *older; /* in the order of use */
    size_t len;
    uint8_t bytes[];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all below */
static struct entry *buckets[BUCKETS];
static struct entry *newest, *oldest;
static size_t kept, limit = BLOCKS_BYTES_MAX;

/* Another thread of the parent may have been changing the lists. Their memory is given up. */
static void forget(void)
{
    pthread_mutex_init(&lock, NULL);
    memset(buckets, 0, sizeof buckets);
    newest = oldest = NULL;
    kept = 0;
}

static void watch_forks(void)
{
    int rc = fork_forgets(forget);
    (void)rc;
}

static void enter(void)
{
    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&lock);
}

static struct entry **bucket_of(const struct block_key *key)
{
    return &buckets[(size_t)hash64(key, sizeof *key) & (BUCKETS - 1)];
}

static struct entry *find(const struct block_key *key)
{
    struct entry *e = *bucket_of(key);
    while (e && memcmp(&e->key, key, sizeof *key) != 0)
        e = e->next;
    return e;
}

static void take_out(struct entry *e)
{
    *(e->newer ? &e->newer->older : &newest) = e->older;
    *(e->older ? &e->older->newer : &oldest) = e->newer;
}

static void put_first(struct entry *e)
{
    e->newer = NULL;
    e->older = newest;
    *(newest ? &newest->newer : &oldest) = e;
    newest = e;
}

static size_t cost(const struct entry *e)
{
    return sizeof *e + e->len;
}

static void drop_oldest(void)
{
    struct entry *e = oldest, **at = bucket_of(&e->key);
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    take_out(e);
    kept -= cost(e);
    free(e);
}

bool blocks_get(const struct block_key *key, size_t offset, void *out, size_t n)
{
    enter();
    struct entry *e = find(key);
    const bool has = e && offset <= e->len && n <= e->len - offset;
    if (has) {
        memcpy(out, e->bytes + offset, n);
        if (e != newest) {
            take_out(e);
            put_first(e);
        }
    }
    pthread_mutex_unlock(&lock);
    return has;
}

bool blocks_has(const struct block_key *key)
{
    enter();
    const bool has = find(key) != NULL;
    pthread_mutex_unlock(&lock);
    return has;
}

void blocks_put(const struct block_key *key, const void *bytes, size_t n)
{
    struct entry *e = malloc(sizeof *e + n);
    if (!e)
        return;
    memset(e, 0, sizeof *e);
    e->key = *key;
    e->len = n;
    memcpy(e->bytes, bytes, n);
    enter();
    if (find(key) || cost(e) > limit) {
        free(e);
    } else {
        while (oldest && kept + cost(e) > limit)
            drop_oldest();
        struct entry **bucket = bucket_of(key);
        e->next = *bucket;
        *bucket = e;
        put_first(e);
        kept += cost(e);
    }
    pthread_mutex_unlock(&lock);
}

void blocks_set_limit(size_t bytes)
{
    enter();
    limit = bytes;
    while (oldest && kept > limit)
        drop_oldest();
    pthread_mutex_unlock(&lock);
}

size_t blocks_bytes(void)
{
    enter();
    const size_t n = kept;
    pthread_mutex_unlock(&lock);
    return n;
}
