/* restore/integrity.h - SQLite's own check of a restored file. */
#ifndef SEAWALL_RESTORE_INTEGRITY_H
#define SEAWALL_RESTORE_INTEGRITY_H

#include "base/err.h"

/* Runs PRAGMA integrity_check. Preconditions: no process writes the file; its pages are proven to be those of the
 * restore point. So a fault that SQLite finds is one of the database itself, not of the replica. SQLite can't check
 * content that needs a function or a collation of the application: that counts as sound, with a warning in the log.
 * ERR_CONTENT: the message has the first fault that SQLite found. ERR_IO: a read failed. ERR_SQLITE: SQLite can't open the file.
 * ERR_CONFIG: the path is too long. ERR_NOMEM. */
int integrity_check(const char *path, struct err *e) MUST_CHECK;

#endif
