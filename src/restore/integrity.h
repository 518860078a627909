/* restore/integrity.h - SQLite's own check of a restored file. */
#ifndef SEAWALL_RESTORE_INTEGRITY_H
#define SEAWALL_RESTORE_INTEGRITY_H

#include "base/err.h"

/* Runs PRAGMA integrity_check. Precondition: no process writes the file. ERR_CORRUPT: the message has the first problem
 * that SQLite found. ERR_SQLITE: SQLite can't open the file. ERR_CONFIG: the path is too long. */
int integrity_check(const char *path, struct err *e) MUST_CHECK;

#endif
