/* restore/delta.h - only the pages that differ from the target, written where they are.
 *
 *   1. what is in each page now: told by the state file, if it proves that the file is as the daemon left it; else every page is
 * read
 *   2. only pages that are not what they were at the target are fetched, into a file that nobody sees, and proven there along with
 *      what stays: together they give the database checksum of the commit record
 *   3. inplace.h writes them, all or none
 *
 * What the state file says of a page is not read again, but for pages that change. So damage that came to the file since, past the
 * file system's time of change, stays; with DELTA_READ_ALL every page is read. */
#ifndef SEAWALL_RESTORE_DELTA_H
#define SEAWALL_RESTORE_DELTA_H

#include "restore/apply.h"
#include "restore/inplace.h"
#include "state/state.h"

enum delta_flags {
    DELTA_DRY_RUN = 1, /* only count */
    DELTA_NO_UNDO = 2,
    DELTA_INTEGRITY_CHECK = 4, /* before the change counts */
    DELTA_READ_ALL = 8,        /* believe no state file */
};

struct delta {
    struct inplace ip;
    struct state state; /* held, so that no daemon starts; if there is one at all */
    bool state_open;
    enum state_found found;
    uint64_t upto;    /* how far the state file knows the replica's history, and the file as it is; 0: it does not */
    uint64_t *before; /* hash of each page that is there now */
    uint64_t checksum_before;
};

/* Opens and locks the database. *ret_fit is INPLACE_READY, or says why nothing can be done in place. */
int delta_open(struct delta *d, const char *path, unsigned flags, enum inplace_fit *ret_fit, struct err *e) MUST_CHECK;
void delta_close(struct delta *d);

struct delta_result {
    uint32_t rewritten; /* pages; with DELTA_DRY_RUN: would be */
    uint64_t fetched;   /* bytes */
    bool by_state_file; /* pages that stay were not read */
    bool unsettled;     /* DELTA_DRY_RUN: the -wal or -journal holds something that was not counted */
};

/* The database becomes that of the plan, which has its page size. ret_map gets hash and txid of each page; not with DELTA_DRY_RUN.
 * If it fails the database is as it was. */
int delta_run(struct delta *d, struct catalog *c, const struct plan *p, const struct apply_options *options,
              unsigned flags, struct delta_result *ret_result, struct map *ret_map, struct err *e) MUST_CHECK;

/* The state file of the database, if it has one: *ret_open says so. ERR_BUSY: a daemon has it. */
int delta_hold_state(struct state *s, const char *path, bool *ret_open, enum state_found *ret_found,
                     struct err *e) MUST_CHECK;

/* Database checksum of the file as it is; `hashes`, if not NULL, gets the hash of each page. */
int delta_read_all(const struct inplace *ip, const struct apply_options *options, uint64_t *hashes,
                   uint64_t *ret_checksum, struct err *e) MUST_CHECK;

#endif
