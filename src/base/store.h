/* base/store.h - where a replica lives: immutable objects under keys. Every store keeps the same contract (one test suite for
 * all):
 *
 *   - an object appears whole or not at all, and never changes;
 *   - store_put_new is exclusive: of two writers of one key exactly one succeeds, the other gets ERR_EXISTS;
 *   - when store_put_new returns 0, the object is durable. Any error but ERR_EXISTS means: the outcome is unknown;
 *   - with success and with ERR_EXISTS comes the time of the answer by the store's clock;
 *   - an object that was put is seen by reads and listings that start afterwards;
 *   - a listing that fails is an error, never a short listing.
 *
 * A store may be used by several threads at a time. Keys: segments of [0-9a-z.-] joined by '/', at most STORE_KEY_MAX - 1 bytes. */
#ifndef SEAWALL_BASE_STORE_H
#define SEAWALL_BASE_STORE_H

#include "base/buf.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define STORE_KEY_MAX 128
#define STORE_URL_MAX 1024
#define STORE_DESCRIPTION_MAX 1024
#define STORE_REMOVE_MAX 1000 /* keys in one call of store_remove_all */

struct store;

struct store_entry {
    const char *key; /* valid during the call */
    uint64_t size;   /* bytes */
    int64_t time_ms; /* when the store got it, by its own clock */
};
/* Returns 0 to go on, anything else to end the listing early (which is no error). */
typedef int store_entry_fn(void *context, const struct store_entry *entry);

struct store_ops {
    int (*put_new)(struct store *s, const char *key, const void *bytes, size_t n, int64_t *ret_time_ms, struct err *e);
    int (*read)(struct store *s, const char *key, uint64_t offset, void *out, size_t n, struct err *e);
    int (*read_tail)(struct store *s, const char *key, size_t n, struct buf *out, uint64_t *ret_size, struct err *e);
    int (*list)(struct store *s, const char *prefix, const char *start_after, store_entry_fn *fn, void *context,
                struct err *e);
    int (*remove)(struct store *s, const char *key, struct err *e);
    int (*remove_all)(struct store *s, const char *const *keys, size_t count,
                      struct err *e); /* NULL: one by one is as good */
    int (*time)(struct store *s, int64_t *ret_time_ms, struct err *e);
    void (*prefetch)(struct store *s, const char *const *keys, size_t count); /* NULL: reading is cheap */
    /* Puts an object that is there once more as it is, and sets `fencing`. NULL: that is known from the beginning. */
    int (*probe)(struct store *s, const char *key, const void *bytes, size_t n, struct err *e);
    void (*describe)(const struct store *s, char out[STORE_DESCRIPTION_MAX]); /* NULL: the URL says it all */
    void (*close)(struct store *s);
};

/* Whether put_new is as exclusive as the contract says. A store that lacks it can't be made safe by us, only watched: whoever
 * appends must look before and after. */
enum store_fencing { STORE_FENCING_UNKNOWN, STORE_FENCING_STRONG, STORE_FENCING_WEAK };

/* Requests that cost money, by kind, with those that failed or were repeated. */
struct store_traffic {
    atomic_ullong put, get, head, list, remove, failed, sent_bytes, received_bytes;
};

/* What every store begins with. */
struct store {
    const struct store_ops *ops;
    char url[STORE_URL_MAX]; /* as it may be shown: without secrets */
    char note[200];          /* what an operator should know of it, for the log; "": nothing */
    _Atomic enum store_fencing fencing;
    bool costs;                   /* each request costs money: they are counted and rationed */
    bool slow;                    /* a request takes tens of milliseconds: few large ones, many at a time */
    struct store_traffic traffic; /* if `costs` */
    const atomic_bool *cancel;    /* set by the owner: gives up waiting when it becomes true; NULL: nobody interrupts */
    void (*retrying)(
        const struct err *e); /* set by the owner: told when an operation takes more than two tries; may be NULL */
};

enum store_mode {
    STORE_READ,  /* ERR_NOTFOUND when there is no such place */
    STORE_WRITE, /* make the place if that is possible */
};

#endif
