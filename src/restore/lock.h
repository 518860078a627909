/* restore/lock.h - the bytes of a database file that SQLite's unix VFS locks: who has it open, and keeping everybody out.
 *
 * Locks of an open file description, which conflict with SQLite's, and stay when another descriptor of the file is closed. */
#ifndef SEAWALL_RESTORE_LOCK_H
#define SEAWALL_RESTORE_LOCK_H

#include "base/err.h"

/* In WAL mode every connection holds a shared lock on the database file as long as it is open; in the rollback modes only while it
 * reads or writes. ERR_BUSY: one has it. */
int lock_check(const char *path, struct err *e) MUST_CHECK;

/* As SQLite's exclusive lock: whoever opens the database gets SQLITE_BUSY until fd is closed. ERR_BUSY: somebody has it. */
int lock_take(int fd, const char *path, struct err *e) MUST_CHECK;

/* Nobody else has the file open? A connection in a rollback mode that does nothing holds no lock, and would go by what it has in
 * its cache. Where the kernel grants no leases (not the owner, a network file system) it can't be known, and nothing is said.
 * ERR_BUSY. */
int lock_check_alone(int fd, const char *path, struct err *e) MUST_CHECK;

#endif
