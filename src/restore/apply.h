/* restore/apply.h - writes the database of a plan into a file, with several threads.
 *
 * wanted.h says which pages and objects count, passes.h what is done with them. */
#ifndef SEAWALL_RESTORE_APPLY_H
#define SEAWALL_RESTORE_APPLY_H

#include "replica/plan.h"
#include "state/map.h"

#include <stdatomic.h>
#include <stdbool.h>

/* The pages that the caller has already. As far as the caller knows, they are those of the target. */
struct apply_have {
    struct map map;      /* of plan->record.pages pages; an entry with a txid: the caller has this page */
    uint64_t known_upto; /* `map` accounts for every change up to this txid; a page that changed later is fetched */
};

struct apply_options {
    int fd;                    /* the file to write: empty, and not used by others */
    const char *path;          /* of that file, for messages; NULL: they name no file */
    unsigned jobs;             /* threads; 0: by the kind of store */
    const atomic_bool *cancel; /* when it becomes true, apply_plan ends with ERR_CANCELED; may be NULL */
    void *context;             /* for `progress` */
    bool read_soon;            /* the caller reads the pages next: they are to be in the page cache */
    /* Called about every 100 ms, in the thread that called apply_plan, with bytes of sources. May be NULL. */
    void (*progress)(void *context, uint64_t done, uint64_t total);
    struct apply_have *have; /* NULL: none */
    uint64_t *fetched;       /* the bytes of blocks and indexes that were read are added to it; may be NULL */
    /* Becomes true if the pages of `have`, with those that were read, do not have the database checksum of the target.
     * May be NULL. */
    bool *misfit;
};

/* Writes the database of the plan. Pages of `have`, and pages of zeros, become holes of the file. *ret_map, in memory,
 * gets hash and txid of each page; the caller releases it. `have->map` is empty afterwards, even after an error.
 * ERR_CORRUPT: the replica is damaged; the message names the object if there is one to name. ERR_GONE: an object of the
 * plan does not exist any more: plan again. ERR_CLAIM, ERR_CANCELED, ERR_NOMEM, ERR_IO, and the errors of the store. */
int apply_plan(struct catalog *c, const struct plan *p, const struct apply_options *options, struct map *ret_map,
               struct err *e) MUST_CHECK;

#endif
