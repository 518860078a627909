/* restore/undo.h - `seawall restore --undo`: what the last restore replaced is put back.
 *
 * An undo that is a journal is a change in place like any other: its pages are written with a journal of their own, which becomes
 * the new undo. It goes with the very bytes that the restore left, so they are proven first: by inode, size and time of change,
 * else by reading every page. An undo that is a whole database changes places with what is there. Either way an undo undoes an
 * undo. */
#ifndef SEAWALL_RESTORE_UNDO_H
#define SEAWALL_RESTORE_UNDO_H

#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum undo_flags { UNDO_KEEP = 1, UNDO_INTEGRITY_CHECK = 2 };

struct undo_options {
    const char *path; /* of the database */
    unsigned flags;
    const atomic_bool *cancel;
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
};

struct undo_result {
    bool whole;         /* the database changed places with what was there; the rest is for a change in place */
    uint32_t rewritten; /* pages */
    uint32_t pages, page_size;
    uint64_t txid_undone, txid; /* as of which the database was, and is; 0: not known */
};

/* ERR_NOTFOUND: there is no undo. ERR_EXISTS: the database was changed since. ERR_IO: the undo is damaged. ERR_BUSY: it is in use.
 * If it fails database and undo are as they were. */
int undo_run(const struct undo_options *options, struct undo_result *ret_result, struct err *e) MUST_CHECK;

#endif
