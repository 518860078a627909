/* ship/pack.h - puts packs (replica/packs.h has the rules): the writer's half. Retention deletes what lies in them.
 *
 * It needs nothing of the destination: what may be packed follows from a listing and from the objects themselves, and
 * what is put meanwhile lies behind it. So it runs beside ship jobs, with a store handle of its own.
 *
 * Objects of level 0 are packed when there are about `objects` of them. `packs` small packs in a row are packed again, up to
 * `bytes`. So each commit is written twice more, or three times if commits are small.
 *
 * Where requests cost money, a pack must save more than it costs, by the prices of base/prices.h. It saves the share of an
 * object in each listing, from now until the object would go without a pack. It costs a PUT, the requests that read it
 * back, and a GET for each object that is not kept in memory (ship/kept.h). So an object is read only if that is cheaper
 * than leaving it, one of more than KEPT_OBJECT_MAX bytes never, and packs are not packed again. */
#ifndef SEAWALL_SHIP_PACK_H
#define SEAWALL_SHIP_PACK_H

#include "base/trial.h"
#include "replica/catalog.h"
#include "replica/packs.h"
#include "replica/whole.h"
#include "ship/kept.h"

#define PACK_OBJECTS SCALE(512, 4)
#define PACK_PACKS SCALE(16, 3)
#define PACK_BYTES SCALE(8u << 20, 40000u) /* of the objects of one pack together */

#define PACK_PAUSES 3 /* where requests cost money: so many packings at most in the time of pack_settle_ms */
#define PACK_REFUSED 32

/* Ranges of objects that can never be packed, so that they are not read again each time. A zeroed one has none. With more
 * than PACK_REFUSED, the oldest are forgotten. */
struct pack_refused {
    struct {
        uint64_t first, last; /* the objects that begin from here to here; `last` 0: none */
    } ranges[PACK_REFUSED];
    size_t next; /* where the next one is noted */
};

struct pack_terms {
    struct uid writer;            /* who packs */
    struct kept *kept;            /* borrowed; may be NULL; objects that are packed are forgotten */
    struct pack_refused *refused; /* borrowed; may be NULL */
    struct codec *codec;          /* borrowed */
    struct whole_packs *whole;    /* borrowed; packs that were read whole; may be NULL */
    uint64_t grace_ms;
    uint64_t keep_ms;     /* what is older goes without a pack; counts where requests cost money */
    uint64_t interval_ms; /* between two prunes at most; likewise */
    int64_t now_ms;       /* the store's clock, before the listing */
    size_t objects;       /* PACK_OBJECTS */
    size_t packs;         /* PACK_PACKS */
    uint64_t bytes;       /* PACK_BYTES */
};

struct pack_figures {
    uint64_t packs, bytes; /* that were put */
    uint64_t removed;      /* damaged packs */
};

/* Puts packs into the replica whose fresh listing is `c`, until there is nothing to pack. Loads segments. Reads each pack
 * back: one that is not as it was put is removed again. Before that, removes each damaged pack of which every object is still
 * there, and says so in the log. *ret_figures is set in any case.
 * ERR_CONFLICT: another writer put the newest object: nothing is packed. ERR_CORRUPT: a pack could not be read back.
 * ERR_CANCELED: store->cancel is set. ERR_NOMEM, ERR_CLAIM; other errors are those of the store. Preconditions: the store
 * is open for writing; pack_is_of_use(c->store); where requests cost money, interval_ms > 0. */
int pack_all(struct catalog *c, const struct pack_terms *terms, struct pack_figures *ret_figures,
             struct err *e) MUST_CHECK;

#endif
