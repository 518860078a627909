/* base/store.h - the contract of stores. A store keeps the objects of a replica: immutable bytes under keys.
 *
 * Every kind of store keeps these rules, and the same tests run over all of them (tests/support/store_contract.h):
 *
 *   - An object appears whole or not at all, and never changes.
 *   - put_new is exclusive: of two writers of one key exactly one succeeds, and the other gets ERR_EXISTS.
 *   - When put_new returns 0, the object is durable. After any error but ERR_EXISTS the outcome is unknown.
 *   - Success and ERR_EXISTS come with the time of the answer by the store's clock.
 *   - Reads and listings that start after a put see the object.
 *   - A listing that fails is an error, never a short listing. So is a list of folders.
 *
 * Several threads may use one store at the same time. A key consists of segments of [0-9a-z.-], joined by '/', and has
 * at most STORE_KEY_MAX - 1 bytes. */
#ifndef SEAWALL_BASE_STORE_H
#define SEAWALL_BASE_STORE_H

#include "base/buf.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define STORE_KEY_MAX 128
#define STORE_URL_MAX 1024
#define STORE_DESCRIPTION_MAX 1024
#define STORE_REMOVE_MAX 1000   /* keys in one call of remove_all */
#define STORE_LIST_MAX 10000000 /* keys in a listing; the catalog of a replica takes 90 bytes for each */
#define STORE_FOLDER_MAX 1024   /* the name of a folder, with NUL */

/* Keys of objects that only try something out, and are removed again. Everything that reads a replica passes over them.
 * They are put without the retention that the URL asks for. */
#define STORE_PROBE_PREFIX "probe/"
#define STORE_RACERS 4      /* PUTs at the same moment in a race, */
#define STORE_RACERS_MAX 32 /* and the most that there can be */

struct store;

struct store_entry {
    /* Valid during the call. "": the place has an entry that can't be an object: a file that is not regular, a link, a
     * folder that can't be read, or a key that is too long. These entries come last. */
    const char *key;
    uint64_t size;    /* bytes */
    int64_t time_ms;  /* when the object was stored, by the store's clock */
    const char *etag; /* changes when the object changes; NULL: the store has none. Valid as `key` */
};

/* Returns 0 to continue. Any other value ends the listing early, which is not an error. */
typedef int store_entry_fn(void *context, const struct store_entry *entry);

/* `name`: of a folder, without slashes; valid during the call. "": something else, or a name that no path can have.
 * Returns 0 to continue. Any other value ends the list early, which is not an error. */
typedef int store_folder_fn(void *context, const char *name);

enum store_answer { STORE_UNKNOWN, STORE_NO, STORE_YES };

#define STORE_RULE_MAX 160

/* What the place does with objects by itself, or because an operator told it. UNKNOWN: it can't be asked, or this user
 * may not ask. */
struct store_rules {
    enum store_answer keeps_versions; /* an object that is removed or overwritten stays, and is billed */
    enum store_answer locks;          /* objects can be locked */
    enum store_answer locks_all;      /* each new object is locked, also if the PUT does not ask for it */
    enum store_answer removes;        /* a rule removes objects of this replica */
    enum store_answer archives;       /* a rule moves them where they can't be read at once */
    enum store_answer removes_old;    /* a rule removes versions that are not the newest */
    char rule[STORE_RULE_MAX];        /* the rule that removes or archives; "": none does */
    char why[STORE_RULE_MAX];         /* why something is unknown; "": nothing is */
};

/* The last bytes of an object: as many, or all of it. */
struct store_end {
    const char *key;
    size_t bytes;
};

/* What a kind of store implements. storage/store.h states what each function does. */
struct store_ops {
    int (*put_new)(struct store *s, const char *key, const void *bytes, size_t n, int64_t *ret_time_ms, struct err *e);
    int (*read)(struct store *s, const char *key, uint64_t offset, void *out, size_t n, struct err *e);
    /* As store_try_read. NULL: a read is short, and `read` does it. */
    int (*try_read)(struct store *s, const char *key, void *out, size_t n, const atomic_bool *cancel, struct err *e);
    int (*read_tail)(struct store *s, const char *key, size_t n, struct buf *out, uint64_t *ret_size, struct err *e);
    int (*list)(struct store *s, const char *prefix, const char *start_after, store_entry_fn *fn, void *context,
                struct err *e);
    int (*folders)(struct store *s, store_folder_fn *fn, void *context, struct err *e);
    int (*remove)(struct store *s, const char *key, struct err *e);
    /* Removes 2 to STORE_REMOVE_MAX keys. NULL: the store has nothing faster than one `remove` for each. */
    int (*remove_all)(struct store *s, const char *const *keys, size_t count, struct err *e);
    int (*time)(struct store *s, int64_t *ret_time_ms, struct err *e);
    void (*prefetch)(struct store *s, const struct store_end *ends, size_t count); /* NULL: reads are cheap */
    void (*hold)(struct store *s, const char *const *keys, size_t count);          /* NULL: it can't be done */
    /* Puts `bytes`, which the object at `key` already has, once more, and sets `fencing` by the answer.
     * NULL: `fencing` is known from the start. */
    int (*probe)(struct store *s, const char *key, const void *bytes, size_t n, struct err *e);
    /* Puts an object `racers` times at the same moment, and sets `fencing` by the answers. NULL: as for `probe`. */
    int (*race)(struct store *s, unsigned racers, struct err *e);
    /* Checks an object whose PUT was not acknowledged. NULL: an object that is there is as it was asked for. */
    int (*confirm)(struct store *s, const char *key, struct err *e);
    int (*rules)(struct store *s, struct store_rules *ret_rules, struct err *e); /* NULL: there are none */
    void (*describe)(const struct store *s, char out[STORE_DESCRIPTION_MAX]);    /* NULL: the URL says everything */
    void (*close)(struct store *s);
};

/* Whether put_new is exclusive. A weak store lets a second writer overwrite an object. A writer can only notice that:
 * it must look before each put and again after it. */
enum store_fencing { STORE_FENCING_UNKNOWN, STORE_FENCING_STRONG, STORE_FENCING_WEAK };

/* Counts requests by kind, including those that failed and those that were repeated, and the bytes of all bodies. */
struct store_traffic {
    atomic_ullong put, get, head, list, remove, failed, sent_bytes, received_bytes;
};

static inline void store_traffic_add(struct store_traffic *sum, const struct store_traffic *t)
{
    atomic_fetch_add(&sum->put, atomic_load(&t->put));
    atomic_fetch_add(&sum->get, atomic_load(&t->get));
    atomic_fetch_add(&sum->head, atomic_load(&t->head));
    atomic_fetch_add(&sum->list, atomic_load(&t->list));
    atomic_fetch_add(&sum->remove, atomic_load(&t->remove));
    atomic_fetch_add(&sum->failed, atomic_load(&t->failed));
    atomic_fetch_add(&sum->sent_bytes, atomic_load(&t->sent_bytes));
    atomic_fetch_add(&sum->received_bytes, atomic_load(&t->received_bytes));
}

/* The first member of the struct of each kind of store. */
struct store {
    const struct store_ops *ops;
    char url[STORE_URL_MAX]; /* for messages and as the name of the replica: without secrets */
    char note[200];          /* a warning for the log, "": none */
    _Atomic enum store_fencing fencing;
    bool costs;         /* each request costs money: requests are counted and rationed */
    bool slow;          /* a request takes tens of milliseconds: use few large ones, many at a time */
    const char *folder; /* the objects are files below this folder, which may be watched. It may be the mount point of a
                           disk that is not mounted: if it was empty when the store was opened, that proves no loss.
                           NULL: there is no such folder, and an empty place is one */
    struct store_traffic traffic;          /* if `costs`: see store_traffic */
    const struct store *below;             /* the store that makes the requests of this one; NULL: it makes them */
    const atomic_bool *cancel;             /* set by the owner: waits end when it becomes true; NULL: never */
    void (*retrying)(const struct err *e); /* set by the owner: called when a second try failed too; NULL: not called */
};

/* The requests of a store, and of the one below it. */
static inline const struct store_traffic *store_traffic(const struct store *s)
{
    return s->below ? &s->below->traffic : &s->traffic;
}

enum store_mode {
    STORE_READ,  /* ERR_NOTFOUND if the place does not exist */
    STORE_WRITE, /* creates the place if the kind of store can do that */
};

/* One key of the query of a store's URL. */
struct store_url_option {
    const char *name;       /* "region" */
    const char *value_name; /* "NAME", "auto|path|vhost" */
    const char *help;       /* a phrase for `seawall help` */
};

/* A kind of store. The table of all kinds is in storage/open.c. */
struct store_kind {
    const char *name;   /* topic of `seawall help`: "s3" */
    const char *scheme; /* beginning of its URLs: "s3://" */
    const char *form;   /* what a user writes: "s3://bucket/prefix" */
    const char *help;   /* text of the help topic before the options; NULL: this kind has no topic */

    /* Opens the store at `url`, which begins with `scheme`, or is a path if this is the first kind of the table.
     * Contacts no server. ERR_CONFIG: the URL is wrong. ERR_NOTFOUND: see enum store_mode. */
    int (*open)(const char *url, enum store_mode mode, struct store **ret_store, struct err *e);

    /* Checks `url` without contacting the store. ret_shown: the URL without secrets. ERR_CONFIG: the URL is wrong. */
    int (*check)(const char *url, char ret_shown[STORE_URL_MAX], struct err *e);

    /* Describes the URL option at `index`. False: there are no more. NULL: its URLs take no options. */
    bool (*option)(size_t index, struct store_url_option *ret_option);
};

#endif
