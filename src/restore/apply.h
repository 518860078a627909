/* restore/apply.h - the blocks that win, written each to its place.
 *
 *   1. indexes: of each page the newest image or zero version not after the target
 *   2. images, several sources at a time: inflate the blocks that hold one that wins, check its hash, write it
 *   3. patches, source after source in ascending order: apply what follows the page's version so far, check its hash
 *   4. every page has a version, and the XOR of their hashes is the database checksum of the commit record
 *
 * A caller that has most pages already names those: of the others alone versions are looked for. Then the sources are gone through
 * from the newest to the oldest only until each page has an image, and of a base only chunks are opened that hold one which is
 * still missing: what is read depends on what differs, not on the size of the database. */
#ifndef SEAWALL_RESTORE_APPLY_H
#define SEAWALL_RESTORE_APPLY_H

#include "replica/plan.h"
#include "state/map.h"

#include <stdatomic.h>
#include <stdbool.h>

/* Pages that the caller has as the target has them, as far as it knows. */
struct apply_have {
    struct map map; /* of the size of the target; an entry with a txid: it has that page. Taken over */
    uint64_t
        known_upto; /* the caller knows of changes up to this txid: a later version of a page counts all the same */
};

struct apply_options {
    unsigned jobs;       /* threads, at least 1 */
    atomic_bool *cancel; /* set by somebody else: stop with ERR_CANCELED */
    void (*progress)(void *context, uint64_t done,
                     uint64_t total); /* bytes of sources; from the calling thread; may be NULL */
    void *context;
    struct apply_have *have; /* NULL: nothing */
    uint64_t *fetched;       /* gets the bytes of blocks and indexes that were read; may be NULL */
    bool *misfit;            /* set if what the caller has does not go with what was read; may be NULL without `have` */
};

/* Writes the database of the plan to `fd`, which is empty; pages that the caller has stay holes there. ret_map (memory only) gets
 * hash and txid of each page. ERR_CORRUPT names the object. */
int apply_plan(struct catalog *c, const struct plan *p, int fd, const struct apply_options *options,
               struct map *ret_map, struct err *e) MUST_CHECK;

#endif
