/* extension/extension.h - the replica VFS inside this program, which is linked with SQLite. */
#ifndef SEAWALL_EXTENSION_EXTENSION_H
#define SEAWALL_EXTENSION_EXTENSION_H

#include "reader/reader.h"

#include <sqlite3.h>

/* Registers the VFS "seawall" with the replica VFS, not as the default. Precondition: seawall_vfs_register was not
 * called in this process. Returns a SQLite result code. */
int extension_register(void);

/* Makes the SQL functions known to a connection. Precondition: extension_register succeeded. */
int extension_functions(sqlite3 *db);

/* Opens a connection to a replica at a moment, with the SQL functions; databases that it attaches may be written. The
 * caller closes *ret_db. Precondition: extension_register succeeded. Errors: those of reader_open; ERR_SQLITE. */
int extension_open(const char *url, const struct moment *moment, sqlite3 **ret_db, struct err *e) MUST_CHECK;

/* Attaches a replica at a moment to a connection of extension_open, as `schema`. Errors: the same. */
int extension_attach(sqlite3 *db, const char *schema, const char *url, const struct moment *moment,
                     struct err *e) MUST_CHECK;

/* Sets `e` to the error of the last call of this connection, which failed: that of the replica, if it was that. Returns
 * -1. */
int extension_failed(sqlite3 *db, struct err *e);

/* The reader of an open replica. NULL: `schema` is not one. The connection owns it. */
struct reader *extension_reader(sqlite3 *db, const char *schema);

#endif
