/* restore/target.h - the path where a restored database goes, and how it gets there.
 *
 * The new database is written to a hidden file beside the target. When it is checked and synced:
 *   1. An old database at the target is linked to <target>-seawall-undo, and its -wal and -journal are renamed to
 *      match. If the machine dies now, the old database is whole under that name.
 *   2. Any other -wal, -shm and -journal of the target is removed, so that it can't be applied to the new database.
 *   3. The new file is renamed to the target. The folder is synced.
 *   4. If no undo is wanted, the old database is removed.
 *
 * So a database has at most one undo, and an undo stays until a newer one replaces it. An undo is either a whole
 * database, made here, or the journal of a change in place (inplace.h). Its first bytes tell which. */
#ifndef SEAWALL_RESTORE_TARGET_H
#define SEAWALL_RESTORE_TARGET_H

#include "base/stage.h"
#include "state/state.h"

#include <stdbool.h>
#include <sys/types.h>

#define UNDO_SUFFIX "-seawall-undo"

#define TARGET_MODE_DEFAULT 0600

enum target_overwrite {
    TARGET_REFUSE,           /* an error if a file is there */
    TARGET_REPLACE,          /* the old database becomes the undo */
    TARGET_REPLACE_FOR_GOOD, /* the old database is removed; there is no undo */
};

struct target {
    char path[PATH_TEXT_MAX];
    struct folder folder; /* of `path` */
    enum target_overwrite overwrite;
    mode_t mode; /* permissions of the new database, if it replaces none */
    struct stage stage;
    struct state_reservation state;
    bool
        unsynced; /* set after target_begin: the name of the new file is not synced; the caller syncs the file system */
};

/* For --if-db-not-exists: checks whether there is a database. A regular file that is not empty counts as one. A file
 * that is not a database, but may hold data or be about to get data, is an error, so that a person decides. An undo
 * alone does not count: a restore replaced that database on purpose. ERR_EXISTS: an empty file; a -wal or -journal that
 * is not empty, without its database; a symbolic link to a missing file. ERR_CONFIG: not a regular file. ERR_IO. */
enum target_found { TARGET_FREE, TARGET_DATABASE };
int target_look(const char *path, enum target_found *ret_found, struct err *e) MUST_CHECK;

/* For --dry-run: what target_begin checks, except for the lock of the state file. Makes nothing. Errors: as
 * target_begin. */
int target_check(const char *path, enum target_overwrite overwrite, struct err *e) MUST_CHECK;

/* Checks that the path is free, or may be replaced and is not in use. Makes the hidden file t->stage, which only its
 * owner can read. Locks the state file. `mode`: permissions of the new database, if it replaces none. The caller calls
 * target_abort in any case. ERR_EXISTS: a file is there. ERR_CONFIG: it is not a regular file, or the folder does not
 * exist. ERR_BUSY: a process has it open, or a daemon or restore has locked its state file. ERR_IO. */
int target_begin(struct target *t, const char *path, enum target_overwrite overwrite, mode_t mode,
                 struct err *e) MUST_CHECK;

/* Runs integrity_check (restore/integrity.h) on the hidden file. Its preconditions and errors; ERR_IO. */
int target_check_integrity(struct target *t, struct err *e) MUST_CHECK;

/* Puts the new database in place. It gets the attributes of the database that it replaces (restore/attributes.h). If it
 * replaces none, it gets t->mode and, if this process is root, the owner of the folder. Precondition: t->stage holds
 * the new database, checked. *ret_undo: the old database is kept as the undo. ERR_EXISTS: a file appeared at the path
 * meanwhile. ERR_BUSY, ERR_IO. */
int target_commit(struct target *t, bool *ret_undo, struct err *e) MUST_CHECK;

/* Removes the hidden file, and a state file that was made for the lock alone. After target_commit it only unlocks. */
void target_abort(struct target *t);

/* Exchanges the database at `path` with its undo, or moves the undo there if `path` is free. Preconditions: the undo is
 * a whole database; no -wal or -journal of either holds changes; no process has either open. If `path` had a database,
 * it has one at any moment. ERR_IO. */
int target_swap_undo(const char *path, struct err *e) MUST_CHECK;

/* Removes files of an old undo. Ignores errors: files that are left do no harm. */
enum target_undo {
    TARGET_UNDO_COMPANIONS, /* only -wal, -journal and -shm of a whole database */
    TARGET_UNDO_WHOLE,      /* the undo as well */
};
void target_forget_undo(const char *path, enum target_undo what);

#endif
