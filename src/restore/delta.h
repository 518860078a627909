/* restore/delta.h - rewrites only those pages of an existing database that differ from the target.
 *
 *   1. Find the hash of each page. The state file knows them if it proves that the file is as the daemon left it.
 *      Otherwise every page is read.
 *   2. Fetch the pages that differ from the target into a hidden file. Check that they, together with the pages that
 *      stay, have the database checksum of the commit record.
 *   3. Write them in place, all or none (inplace.h).
 *
 * With the state file, only pages that change are read. So damage in another page stays, if it did not change the
 * modification time of the file. DELTA_READ_ALL reads every page. */
#ifndef SEAWALL_RESTORE_DELTA_H
#define SEAWALL_RESTORE_DELTA_H

#include "restore/apply.h"
#include "restore/inplace.h"
#include "state/state.h"

enum delta_flags {
    DELTA_DRY_RUN = 1, /* only count */
    DELTA_NO_UNDO = 2,
    DELTA_INTEGRITY_CHECK = 4, /* before the change counts */
    DELTA_READ_ALL = 8,        /* do not rely on the state file */
};

struct delta {
    struct inplace ip;
    struct state state; /* if state_open: locked, so that no daemon starts */
    bool state_open;    /* the database has a state file */
    enum state_found found;
    uint64_t known_upto;      /* up to this txid, the map describes both the file and the replica; 0: it does not */
    uint64_t *before;         /* owned: hash of each page of the file now */
    uint64_t checksum_before; /* XOR of `before` */
};

/* Opens and locks the database and its state file. *ret_fit is INPLACE_READY, or says why the database can't be changed
 * in place. If 0 is returned, the caller calls delta_close. Errors: those of inplace_open and state_open. */
int delta_open(struct delta *d, const char *path, unsigned flags, enum inplace_fit *ret_fit, struct err *e) MUST_CHECK;
void delta_close(struct delta *d);

struct delta_request {
    struct catalog *catalog;
    const struct plan *plan;             /* its page size is that of the database */
    const struct apply_options *options; /* jobs, cancel, progress and context; the other fields do not count */
    unsigned flags;                      /* enum delta_flags */
};

struct delta_result {
    uint32_t rewritten; /* pages; with DELTA_DRY_RUN: that would be rewritten */
    uint64_t fetched;   /* bytes */
    bool by_state_file; /* pages that stay were not read */
    bool unsettled;     /* with DELTA_DRY_RUN: the -wal or -journal holds changes that were not counted */
};

/* Makes the database that of the plan. Preconditions: delta_open found INPLACE_READY; the page size of the plan is that
 * of the database. *ret_map gets hash and txid of each page, and the caller releases it; with DELTA_DRY_RUN it is left
 * alone. An error leaves the database as it was, with the exception of inplace_change. Errors: those of apply_plan and
 * inplace_change. */
int delta_run(struct delta *d, const struct delta_request *request, struct delta_result *ret_result,
              struct map *ret_map, struct err *e) MUST_CHECK;

/* Opens and locks the state file of the database at `path`, if both exist. *ret_open: whether it did; then the caller
 * closes `s`. ERR_BUSY: another process has locked it. Other errors: those of state_open. */
int delta_hold_state(struct state *s, const char *path, bool *ret_open, enum state_found *ret_found,
                     struct err *e) MUST_CHECK;

/* Reads every page of the file. *ret_checksum: the database checksum. hashes[pgno - 1] gets the hash of each page;
 * `hashes` may be NULL. Only cancel, progress and context of `options` count. Precondition: inplace_open found
 * INPLACE_READY. ERR_CANCELED, ERR_NOMEM, ERR_IO. */
int delta_read_all(const struct inplace *ip, const struct apply_options *options, uint64_t *hashes,
                   uint64_t *ret_checksum, struct err *e) MUST_CHECK;

#endif
