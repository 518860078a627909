/* extension/functions.h - the SQL functions of the extension.
 *
 *   seawall_txid([schema])            txid of the state that the connection reads
 *   seawall_time([schema])            time of that commit, RFC 3339 in UTC
 *   seawall_age_ms([schema])          how many ms ago it was made
 *   seawall_current_ms([schema])      ms since the store had nothing newer; NULL: it does not follow
 *   seawall_wait(txid, ms[, schema])  1: the next read transaction sees `txid`; 0: not after `ms` ms
 *   seawall_sync(ms[, replicas[, schema]])
 *                                     waits until what is committed is durable; the restore point that has it
 *   seawall_durable_txid([schema])    the newest restore point that is durable in each replica
 *   seawall_wait_on_commit(on[, ms[, replicas]])
 *                                     from now on each commit of the connection waits; `on`
 *   seawall_error()                   why the last call of this thread failed; NULL: none did
 *
 * `schema` is "main" if it is not given, `replicas` is 'all' or 'any'. The first four are NULL for a database that is not a
 * replica. */
#ifndef SEAWALL_EXTENSION_FUNCTIONS_H
#define SEAWALL_EXTENSION_FUNCTIONS_H

#include "extension/host.h"

/* Makes the functions known to a connection. Returns a SQLite result code. */
int functions_register(const struct host *host, sqlite3 *db);

#endif
