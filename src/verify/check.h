/* verify/check.h - the data of a verification while it runs. Private to the room.
 *
 * verify.c calls, in this order: listing.c, examine.c for each object, chain.c, walk.c. */
#ifndef SEAWALL_VERIFY_CHECK_H
#define SEAWALL_VERIFY_CHECK_H

#include "replica/catalog.h"
#include "verify/result.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

/* An object to check: one of the catalog, or one that an object of the catalog names. */
struct item {
    struct name name;
    /* Of a segment or marker. If the item is sound, its trailer and list are loaded, and its records unless memory was
     * short: then `records` is NULL. */
    struct catalog_object *object;
    const struct listed *listed; /* of a part or chunk; the entry of the owner's list */
    const struct item *owner;    /* of a part, a chunk or interior pages; the segment or marker that names it */
    size_t first_named;          /* of a segment or marker; its parts or chunks are check.named from this index on */
    size_t named_count;          /* how many they are */
    struct digest digest;
    uint64_t size;
    struct commit_record first, last; /* of a sound segment: its records at both ends */
    uint32_t last_page;               /* highest page of its versions; 0: it has none */
    bool digest_known;
    bool missing; /* of an item with an owner: it does not exist. chain_check decides whether that is a problem */
    bool sound;   /* no problem was found in it, nor in what it names */
};

struct check {
    struct store *store; /* borrowed, as the next three */
    struct codec *codec;
    struct catalog *catalog;
    const struct verify_options *options;
    struct verify_result result;
    struct item *items; /* owned; as catalog_segment, then the markers */
    size_t item_count;
    bool *chunk_named, *part_named; /* owned; for each chunk and part of the catalog: a marker or segment names it */
    struct item *named;             /* owned; parts and chunks, in the order of their owners; then interior pages */
    size_t named_count;
    /* Owned; chain_check makes it. For each segment in the order of the catalog's ways: of the segments up to this one
     * that end at the same txid, the index of the first sound item, plus 1; 0: none is sound. */
    size_t *sound_ends;
    struct item *reread;    /* borrowed: the item whose records are in `records`; NULL: none */
    struct segment records; /* owned */
    size_t charged;         /* bytes that `named` takes from the budget */
    atomic_size_t kept;     /* bytes of records and lists of all items */
    pthread_mutex_t lock;   /* guards the problems in `result`, `done` and `changed`, while threads run */
    uint64_t done;          /* objects that were read */
    bool newer;             /* the listing has later commits than its level 0: they were put during it */
    bool changed;           /* an object was deleted after it was listed: `result` does not count */
};

/* The trailer fields of an item. Precondition: `it` is a sound segment or marker. */
static inline const struct segment_info *item_info(const struct item *it)
{
    assert(it->object && it->object->segment);
    return &it->object->segment->trailer.info;
}

static inline bool check_is_full(const struct check *c)
{
    return (c->options->flags & VERIFY_FULL) != 0;
}

/* Notes a problem of the object under `key`, which is not "". `hint`: a constant, or NULL. Any thread may call this. */
void check_problem(struct check *c, const char *key, const char *hint, const char *fmt, ...) PRINTF_LIKE(4, 5);
void check_problem_of(struct check *c, const struct name *name, const char *hint, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

extern const char hint_damaged[], hint_mixed[];

/* Notes that an object was deleted after it was listed. The check stops, and verify starts again. Any thread may call
 * this. */
void check_void(struct check *c);

/* Decides what a failed read of an object means. `e`: the error of the read. Returns 0 if the object is damaged or
 * missing, which is noted as a problem, or for a missing part or chunk in item.missing; or if retention has deleted it:
 * then check_void was called. Returns -1 if the store failed, with that error in `e`. */
int check_failed(struct check *c, const struct item *it, struct err *e) MUST_CHECK;

/* Fails with ERR_CANCELED if options->cancel is set. */
int check_canceled(const struct check *c, struct err *e) MUST_CHECK;

#endif
