/* restore/target.h - the place where a restored database goes, and the moment it takes it.
 *
 * The new database is written to a file beside the target that nobody sees. Only when it is proven and synced:
 *   1. an old database at the target is linked to <target>-seawall-undo, its -wal and -journal renamed to go with it,
 *      so that the old one is whole under that name if the machine dies now;
 *   2. a stale -wal, -shm or -journal is gone from the target's name: it can't poison the new database;
 *   3. the new file is renamed over the target, the folder is synced;
 *   4. if no undo is to be kept, the old one is removed.
 *
 * So a database has at most one undo, and an older one stays until there is a newer one. An undo is either a whole database, from
 * here, or the journal of a change in place, from inplace.h; its first bytes tell which. */
#ifndef SEAWALL_RESTORE_TARGET_H
#define SEAWALL_RESTORE_TARGET_H

#include "base/stage.h"

#include <stdbool.h>

#define UNDO_SUFFIX "-seawall-undo"

enum target_overwrite {
    TARGET_REFUSE,
    TARGET_REPLACE,          /* the old database becomes the undo */
    TARGET_REPLACE_FOR_GOOD, /* no undo is left */
};

struct target {
    char path[PATH_TEXT_MAX], dir[PATH_TEXT_MAX];
    enum target_overwrite overwrite;
    struct stage stage;
};

/* For --if-db-not-exists: is there a database? Only a regular file that is not empty is one. What may hold data, or is about to,
 * but is no database by itself, is an error, so that nobody decides over it unseen. ERR_EXISTS: an empty file; a -wal or -journal
 * with something in it, without a database; a link that leads nowhere. ERR_CONFIG: not a regular file. An undo alone holds what
 * somebody replaced on purpose, and counts as nothing. */
enum target_found { TARGET_FREE, TARGET_DATABASE };
int target_look(const char *path, enum target_found *ret_found, struct err *e) MUST_CHECK;

/* Checks that the place is free, or may be replaced and is not in use; makes the hidden file.
 * ERR_EXISTS: something is there. ERR_CONFIG: and it is not a regular file. ERR_BUSY: a process has it open. */
int target_begin(struct target *t, const char *path, enum target_overwrite overwrite, struct err *e) MUST_CHECK;
/* *ret_undo: something was there, and is kept as the undo. */
int target_commit(struct target *t, bool *ret_undo, struct err *e) MUST_CHECK;
void target_abort(struct target *t); /* after commit: does nothing */

/* Exchanges the whole database that is the undo of `path` with the one at `path`, or puts it there if nothing is. Neither has
 * anything beside it that counts, and nobody has them open. There is a database at `path` at any moment. */
int target_swap_undo(const char *path, struct err *e) MUST_CHECK;

/* Removes what belongs to an undo that is no more. Left-overs do no harm, so a failure is none. */
enum target_undo { TARGET_UNDO_COMPANIONS, TARGET_UNDO_WHOLE };
void target_forget_undo(const char *path, enum target_undo what);

#endif
