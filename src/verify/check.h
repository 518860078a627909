/* verify/check.h - what the parts of one verification share. Private to the room. */
#ifndef SEAWALL_VERIFY_CHECK_H
#define SEAWALL_VERIFY_CHECK_H

#include "replica/catalog.h"
#include "verify/result.h"

#include <pthread.h>

/* An object to be looked at: of the catalog, or one that such an object names. */
struct item {
    struct name name;
    struct catalog_object *object; /* segment, marker; it has its records when the item is sound */
    const struct listed *listed;   /* part, chunk; as `owner` names it */
    const struct item *owner;
    size_t first_named, named_count; /* what it names itself: among check.named */
    struct digest digest;
    uint64_t size;
    uint32_t last_page; /* of its versions; 0: it has none */
    bool digest_known;
    bool sound; /* it, and what it names */
};

struct check {
    struct store *store; /* borrowed, as the next three */
    struct codec *codec;
    struct catalog *catalog;
    const struct verify_options *options;
    struct verify_result result;
    struct item *items; /* owned; as catalog_segment, then the markers */
    size_t item_count;
    bool *chunk_named, *part_named; /* owned; of the catalog's chunks and parts: a marker or manifest names it */
    struct item *named;             /* in the order of those that name them */
    size_t named_count;
    pthread_mutex_t lock; /* guards result.problems and what follows, while threads run */
    bool changed;         /* something was listed and has been deleted since: this look is void */
};

static inline const struct segment_info *item_info(const struct item *it) /* of a sound segment or marker */
{
    return &it->object->segment->trailer.info;
}

static inline bool check_is_full(const struct check *c)
{
    return (c->options->flags & VERIFY_FULL) != 0;
}

/* Notes a problem of the object under `key`. Any thread. */
void check_problem(struct check *c, const char *key, const char *hint, const char *fmt, ...) PRINTF_LIKE(4, 5);
void check_problem_of(struct check *c, const struct name *name, const char *hint, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

extern const char hint_damaged[], hint_mixed[];

/* Something was deleted since it was listed. Nothing more is looked at, and what was found does not count. Any thread. */
void check_void(struct check *c);

/* What a failed read says of the object: nothing (-1, the store is at fault); or it is damaged or missing, and noted as that, or
 * retention has taken it, and the look is void (0). */
int check_failed(struct check *c, const struct item *it, struct err *e) MUST_CHECK;

int check_canceled(const struct check *c, struct err *e) MUST_CHECK;

/* ---- threads */

struct worker {
    struct codec *codec;
    struct digest_stream *digest;
    struct buf tail, stored;
    uint8_t raw[SEGMENT_BLOCK_BYTES];
    void *context;
};
typedef int work_fn(struct check *c, struct worker *w, size_t index, struct err *e);

/* Calls `fn` for each index below `count`, several at a time. The first error ends it. */
int check_each(struct check *c, size_t count, work_fn *fn, void *context, struct err *e) MUST_CHECK;

/* ---- the parts, in this order */

/* Lists everything; takes the catalog. 0 with a problem noted and no items: there is nothing more to look at. */
int listing_take(struct check *c, struct err *e) MUST_CHECK;

/* Reads one object: items[index] or named[index]. */
int examine_item(struct check *c, struct worker *w, size_t index, struct err *e) MUST_CHECK;
int examine_named(struct check *c, struct worker *w, size_t index, struct err *e) MUST_CHECK;

/* What objects say of each other: links, checksums, gaps, restore points, orphans. */
int chain_check(struct check *c, struct err *e) MUST_CHECK;
const struct commit_record *chain_record(const struct check *c,
                                         uint64_t txid); /* of a sound object; NULL: none has it */

/* Database checksums from page hashes. */
#define WALK_BATCH_BYTES (16u << 20)
#define WALK_BATCH_MAX 256
int walk_check(struct check *c, struct err *e) MUST_CHECK;

#endif
