/* restore/integrity.h - SQLite's own opinion of a restored file. */
#ifndef SEAWALL_RESTORE_INTEGRITY_H
#define SEAWALL_RESTORE_INTEGRITY_H

#include "base/err.h"

/* PRAGMA integrity_check on a file that nobody writes. ERR_CORRUPT with SQLite's first finding. */
int integrity_check(const char *path, struct err *e) MUST_CHECK;

#endif
