/* restore/undo.h - `seawall restore --undo`: puts back the database that the last restore replaced.
 *
 * There are two kinds of undo. A journal has pages, which are written in place, with a new journal that becomes the new
 * undo. Its pages fit only the file that the restore left. So the file is checked first: its inode, size and
 * modification time, or else every page. A whole database changes places with the one at the path. Either kind of undo
 * can itself be undone. */
#ifndef SEAWALL_RESTORE_UNDO_H
#define SEAWALL_RESTORE_UNDO_H

#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum undo_flags { UNDO_KEEP = 1, UNDO_INTEGRITY_CHECK = 2 };

struct undo_options {
    const char *path;          /* of the database */
    unsigned flags;            /* enum undo_flags */
    const atomic_bool *cancel; /* when it becomes true: ERR_CANCELED. May be NULL */
    void (*progress)(void *context, uint64_t done, uint64_t total); /* bytes; may be NULL */
    void *context;
};

struct undo_result {
    bool whole;         /* the database changed places with the undo. The other fields are for a change in place */
    uint32_t rewritten; /* pages */
    uint32_t pages, page_size;
    uint64_t txid_undone, txid; /* of the database before and after the undo; 0: not known */
};

/* Undoes the last restore. An error leaves database and undo as they were, with the exception of inplace_change.
 * ERR_NOTFOUND: there is no undo. ERR_EXISTS: the database was changed since the restore, or is missing beside its -wal
 * or -journal. ERR_IO: also if the undo is damaged. ERR_BUSY: the database is in use. ERR_CONTENT, ERR_CANCELED,
 * ERR_CONFIG, ERR_NOMEM, ERR_SQLITE. */
int undo_run(const struct undo_options *options, struct undo_result *ret_result, struct err *e) MUST_CHECK;

#endif
