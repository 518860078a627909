/* restore/apply.h - the blocks that win, written each to its place.
 *
 *   1. indexes: of each page the newest image or zero version not after the target
 *   2. images, several sources at a time: inflate the blocks that hold one that wins, check its hash, write it
 *   3. patches, source after source in ascending order: apply what follows the page's version so far, check its hash
 *   4. every page has a version, and the XOR of their hashes is the database checksum of the commit record */
#ifndef SEAWALL_RESTORE_APPLY_H
#define SEAWALL_RESTORE_APPLY_H

#include "pagemap/map.h"
#include "replica/plan.h"

#include <stdatomic.h>

struct apply_options {
    unsigned jobs;                                                  /* threads, at least 1 */
    atomic_bool *cancel;                                            /* set by somebody else: stop with ERR_CANCELED */
    void (*progress)(void *context, uint64_t done, uint64_t total); /* bytes of sources; from the calling thread; may be NULL */
    void *context;
};

/* Writes the database of the plan to `fd`, which is empty. ret_map (memory only) gets hash and txid of each page.
 * ERR_CORRUPT names the object. */
int apply_plan(struct catalog *c, const struct plan *p, int fd, const struct apply_options *options, struct map *ret_map,
               struct err *e) MUST_CHECK;

#endif
