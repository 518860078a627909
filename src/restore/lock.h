/* restore/lock.h - the bytes of a database file that SQLite's unix VFS locks: finds out whether a process has the
 * database open, and keeps every other process out.
 *
 * The locks are those of an open file description. They conflict with SQLite's locks, and stay when another descriptor
 * of the file is closed. */
#ifndef SEAWALL_RESTORE_LOCK_H
#define SEAWALL_RESTORE_LOCK_H

#include "base/folder.h"

/* Checks that no SQLite connection holds a lock on the database. In WAL mode a connection holds a shared lock as long
 * as it is open; in the rollback-journal modes only while it reads or writes. ERR_BUSY: a connection holds a lock.
 * ERR_CONFIG: not a regular file. ERR_NOTFOUND, ERR_IO. */
int lock_check(const struct folder *f, const char *name, struct err *e) MUST_CHECK;

/* Describes the database `name` for folder_open_file. It may have any owner and several names: a command works on the
 * database that it was given. */
struct folder_file lock_database(const char *name, enum folder_access access);

/* Takes SQLite's exclusive lock: other connections get SQLITE_BUSY until `fd` is closed. Precondition: `fd` is open for
 * writing. ERR_BUSY: a connection holds a lock. ERR_IO. */
int lock_take(int fd, const char *path, struct err *e) MUST_CHECK;

/* Checks that the file has no other open descriptor. That finds an idle connection in a rollback-journal mode, which
 * holds no lock, but would go on to use the old pages in its cache. If the kernel grants no lease (the user is not the
 * owner, or the file is on a network file system), this can't be known, and 0 is returned. ERR_BUSY: the file is open
 * in another process. */
int lock_check_alone(int fd, const char *path, struct err *e) MUST_CHECK;

#endif
