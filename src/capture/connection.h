/* capture/connection.h - one SQLite connection to the watched database, opened through the shim. The watch (watch.h)
 * has three.
 *
 * A connection never checkpoints on its own, not even when it closes. SQLite's own busy waits are off. */
#ifndef SEAWALL_CAPTURE_CONNECTION_H
#define SEAWALL_CAPTURE_CONNECTION_H

#include "base/err.h"
#include "seawall/vfs.h"

#include <stdbool.h>

struct watch;

struct watch_connection {
    struct watch *watch; /* that the connection belongs to; borrowed */
    sqlite3 *db;         /* owned; NULL: not open */
    seawall_file *file;  /* the shim's handle of the database file */
    sqlite3_stmt *begin, *read, *commit;
    int slot;          /* WAL read slot of its transaction; -1: none */
    bool recovering;   /* it recovers the wal-index */
    bool lock_dropped; /* SQLite believes that it holds the lock of `slot`, but watch_drop_lock dropped the lock */
};

/* Opens the database at `path` for reading and writing, and sets the hooks before the first statement. `hooks` stays
 * borrowed. After an error the connection must still be closed. ERR_CONFIG: the file may not be written, or is not a
 * database. ERR_BUSY: locked. ERR_SQLITE. */
int watch_connection_open(struct watch_connection *c, const char *path, const seawall_hooks *hooks,
                          struct err *e) MUST_CHECK;

/* Closes the connection. A connection that is all zeros, or that could not be opened, is fine. */
void watch_connection_close(struct watch_connection *c);

/* Looks whether this process may read and write the -wal and the -shm of the database at `path`, if they are there. Waits a
 * moment before it says no. ERR_IO: it may not. Without an error `e` stays as it was. */
int watch_connection_check_files(const char *path, struct err *e) MUST_CHECK;

/* Begins a read transaction. Before: the connection is open. ERR_SQLITE: a transaction is open already.
 * ERR_BUSY: locked. ERR_CONFIG. On error no transaction was begun. */
int watch_connection_begin(struct watch_connection *c, struct err *e) MUST_CHECK;

/* The same, but waits up to 100 ms for a lock of another process. */
int watch_connection_begin_patiently(struct watch_connection *c, struct err *e) MUST_CHECK;

/* Ends the read transaction, if there is one. */
void watch_connection_end(struct watch_connection *c);
bool watch_connection_reads(const struct watch_connection *c); /* a transaction is open */

/* What the SQLite result `rc` means, in words. */
const char *watch_sqlite_text(int rc);

/* Turns the SQLite result `rc` of the step `step` into an error. `db`: its connection, or NULL.
 * ERR_BUSY for BUSY, LOCKED and PROTOCOL, ERR_CONFIG for NOTADB, otherwise ERR_SQLITE. Returns -1. */
int watch_sqlite_error(struct err *e, sqlite3 *db, int rc, const char *step);

#endif
