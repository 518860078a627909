/* litestream/feed.h - the bytes of several objects, one object after the other.
 *
 * Threads read ahead, in windows of FEED_WINDOW bytes, so that many requests are under way at a slow store. A feed is
 * used by one thread. It takes the memory of its windows from the budget (base/claim.h).
 *
 *     while (feed_next(f))
 *         ... feed_take(f, n, e), feed_some(f, most, &n, e) ... */
#ifndef SEAWALL_LITESTREAM_FEED_H
#define SEAWALL_LITESTREAM_FEED_H

#include "storage/store.h"

#define FEED_WINDOW ((size_t)2 << 20)
#define FEED_TAKE_MAX ((size_t)128 << 10)
#define FEED_JOBS_MAX 64

struct feed_item {
    char key[STORE_KEY_MAX];
    uint64_t bytes; /* how many bytes from the beginning of the object are read; its size, or less */
};

struct feed_options {
    unsigned jobs;             /* threads; 0: by the kind of store; 1: the caller's thread reads */
    const atomic_bool *cancel; /* when it becomes true: ERR_CANCELED; may be NULL */
    void (*progress)(void *context, uint64_t done, uint64_t total); /* bytes; may be NULL */
    void *context;
};

struct feed;

/* `items` and the store must outlive the feed. The caller frees *ret_feed. ERR_NOMEM, ERR_CLAIM. */
int feed_new(struct store *store, const struct feed_item *items, size_t count, const struct feed_options *options,
             struct feed **ret_feed, struct err *e) MUST_CHECK;
void feed_free(struct feed *f); /* NULL is allowed */

/* Goes to the next object, the first one at first. What is left of the one before is passed over. NULL: that was the
 * last one. */
const struct feed_item *feed_next(struct feed *f);

/* Bytes of this object that are not taken yet. */
uint64_t feed_left(const struct feed *f);

/* The next `n` bytes of this object. Precondition: n is at most FEED_TAKE_MAX. They are valid until the next call.
 * NULL: ERR_CORRUPT: fewer are left. ERR_GONE: the object does not exist any more. Other errors: of the store. */
const uint8_t *feed_take(struct feed *f, size_t n, struct err *e);

/* The next bytes of this object, as many as can be had at once: 1 to `most`. Precondition: feed_left is not 0. NULL: as
 * for feed_take. */
const uint8_t *feed_some(struct feed *f, size_t most, size_t *ret_n, struct err *e);

/* Takes `n` bytes back that feed_some gave last. */
void feed_unread(struct feed *f, size_t n);

#endif
