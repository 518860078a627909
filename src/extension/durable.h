/* extension/durable.h - a program that writes waits until its commits are durable: the daemon of the database says so, over
 * its control socket. However many connections wait, the daemon puts what is committed together.
 *
 * The daemon is found as commands find it (control/place.h). The environment of the process can say more:
 *   SEAWALL_CONTROL   folder of the socket, as --control
 *   SEAWALL_CONFIG    configuration whose daemon has the database among others */
#ifndef SEAWALL_EXTENSION_DURABLE_H
#define SEAWALL_EXTENSION_DURABLE_H

#include "base/err.h"
#include "extension/host.h"

#include <stdint.h>

#define DURABLE_MS_MAX 86400000

enum durable_where {
    DURABLE_EVERYWHERE, /* in each replica of the daemon */
    DURABLE_ANYWHERE,   /* in one of them */
};

/* A database of a connection. `schema`: "main", or as it is attached. */
struct durable_target {
    const struct host *host;
    sqlite3 *db;
    const char *schema;
};

/* Waits until everything that anybody has committed to this database by now is durable. *ret_txid: the restore point that
 * has it. ms: 0 to DURABLE_MS_MAX. ERR_CONFIG: the database has no file, is a replica, or no database has that name.
 * ERR_BUSY: no daemon can be asked. ERR_TIMEOUT. ERR_CONFLICT: another writer has a replica. ERR_REMOTE: the daemon refused.
 * ERR_GONE: another file is at the path. ERR_IO: the daemon ended. */
int durable_wait(const struct durable_target *t, enum durable_where where, int64_t ms, uint64_t *ret_txid,
                 struct err *e) MUST_CHECK;

/* The newest txid that is durable in each replica, at this moment; 0: none is. Errors: as durable_wait. */
int durable_txid(const struct durable_target *t, uint64_t *ret_txid, struct err *e) MUST_CHECK;

/* From now on each COMMIT of the connection that wrote into a database in WAL mode returns when it is durable. If that takes
 * longer than `ms`, or fails, the commit is done all the same, and its statement fails with SQLITE_IOERR_FSYNC. Before, it
 * waits once, so that a missing daemon is an error now. It takes the place of the connection's WAL hook, and does that
 * one's automatic checkpoints. Errors: as durable_wait; ERR_CONFIG: the database is not in WAL mode; ERR_NOMEM. */
int durable_wait_on_commit(const struct durable_target *t, enum durable_where where, int64_t ms,
                           struct err *e) MUST_CHECK;

/* Ends that. The automatic checkpoints are as they were before. Without a wait nothing happens. */
void durable_wait_no_more(const struct durable_target *t);

#endif
