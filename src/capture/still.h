/* capture/still.h - holds a database in a rollback-journal mode still.
 *
 * There is no WAL to follow in these modes. Only a read transaction keeps writers from committing. A writer that
 * meets it waits, so the transaction must be short: the pages that are needed are copied meanwhile (frozen.h). */
#ifndef SEAWALL_CAPTURE_STILL_H
#define SEAWALL_CAPTURE_STILL_H

#include "capture/watch.h"

/* Begins a read transaction: nobody can commit until watch_go_on. SQLite first rolls back a hot journal, if there is
 * one. Before: the watch is open and `rollback` is true. ERR_BUSY: locked; try again later. ERR_GONE: the database is
 * in WAL mode now, or another file is at its path; close the watch and open it again. On error nothing is held. */
int watch_hold_still(struct watch *w, struct err *e) MUST_CHECK;

/* Ends the read transaction: writers can commit again. */
void watch_go_on(struct watch *w);

#endif
