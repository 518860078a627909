/* reader/snapshot.h - the pages of a replica at one txid. Only what is asked for is fetched.
 *
 * A snapshot never changes, and several threads may read from it at a time. It has the indexes of the segments of its
 * plan in layers, and the names of the chunks of its base: the index of a chunk is fetched when a page of it is
 * wanted. */
#ifndef SEAWALL_READER_SNAPSHOT_H
#define SEAWALL_READER_SNAPSHOT_H

#include "reader/layer.h"
#include "reader/pages.h"
#include "replica/plan.h"

#define SNAPSHOT_LAYERS_MAX 40 /* each is twice as large as the next one: more do not fit into memory */

enum moment_kind { MOMENT_NEWEST, MOMENT_TXID, MOMENT_TIME };

struct moment {
    enum moment_kind kind;
    uint64_t txid;   /* MOMENT_TXID */
    int64_t time_ms; /* MOMENT_TIME: the last restore point that is not later */
};

struct snapshot {
    atomic_uint users;
    struct origin *origin; /* owned: one use */
    struct commit_record record;
    uint32_t page_size;
    struct uid database;
    struct chunk_list *chunks;                 /* owned: one use; of the base; NULL: there is none */
    struct layer *layers[SNAPSHOT_LAYERS_MAX]; /* owned: one use of each; the oldest first */
    size_t layer_count;
    /* The newest object of level 0 of the listing, or that was found since. 0: the replica has none. */
    uint64_t head_min, head_max, head_size;
};

/* Opens the state of a replica at a moment. Lists the replica. ERR_NOTFOUND: there is no replica, or the moment is not
 * a restore point; ERR_CORRUPT, with the name of the object; ERR_CLAIM, ERR_CONFIG, ERR_NOMEM, and the errors of the
 * store. The caller releases *ret_snapshot. */
int snapshot_open(struct origin *origin, const struct moment *moment, struct snapshot **ret_snapshot,
                  struct err *e) MUST_CHECK;

/* Looks for the object of level 0 that follows the head, with one request, and makes the snapshot that it leads to.
 * *ret_next: NULL: there is none, as far as its name tells. It can have gone already: snapshot_look finds that out.
 * ERR_GONE: something is there that needs a plan: open again. */
int snapshot_advance(const struct snapshot *s, struct snapshot **ret_next, struct err *e) MUST_CHECK;

enum snapshot_age {
    SNAPSHOT_NEWEST,  /* the head is there, and nothing after it */
    SNAPSHOT_OLD,     /* there is something after the head */
    SNAPSHOT_FOREIGN, /* the head is not there: it is another history, or damaged */
};

/* Lists level 0 from the head on. One request. */
int snapshot_look(const struct snapshot *s, enum snapshot_age *ret_age, struct err *e) MUST_CHECK;

struct snapshot *snapshot_retain(struct snapshot *s);
void snapshot_release(struct snapshot *s); /* NULL does nothing */

/* Whether a page has the same bytes in both, by the hashes in the indexes: no page is read. Precondition: both have it, and
 * pages of the same size. ERR_CORRUPT, ERR_GONE, and the errors of the store. */
int snapshot_same_page(const struct snapshot *a, const struct snapshot *b, uint32_t pgno, bool *ret_same,
                       struct err *e) MUST_CHECK;

/* Reads a page: s->page_size bytes into `out`. Precondition: 1 <= pgno <= record.pages. ERR_GONE: an object is not
 * there any more: open again with the same txid. ERR_CORRUPT, with the name of the object. ERR_CLAIM, ERR_NOMEM, and
 * the errors of the store. */
int snapshot_read(const struct snapshot *s, uint32_t pgno, struct read_ahead *ahead, uint8_t *out,
                  struct err *e) MUST_CHECK;

#endif
