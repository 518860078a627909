/* daemon/reload.h - a configuration was read again (SIGHUP): what may change while the daemon runs changes.
 *
 * Options change at once, except those that a running job or the format of what was put depends on: grace,
 * hide-writer, memory and set-wal. They, the replicas, and the folder of the control socket count from the next start,
 * and the log says so. Main thread only. */
#ifndef SEAWALL_DAEMON_RELOAD_H
#define SEAWALL_DAEMON_RELOAD_H

#include "daemon/database.h"

/* Whether a daemon may have these options. ERR_CONFIG: retention would keep nothing. */
int reload_check(const struct options *next, struct err *e) MUST_CHECK;

/* Logs what is different in `next` and counts from the next start, besides options. Returns how much that is. */
unsigned reload_tell_fixed(const struct replicate_config *now, const struct replicate_config *next);

/* Takes the options, and logs what changed. Returns how many differ. `db`: works by `now`, and its local job is home;
 * NULL: it is not open. */
unsigned reload_options(struct replicate_config *now, const struct options *next, struct database *db);

/* The same for the options that count for the whole daemon. */
unsigned reload_shared(struct options *now, const struct options *next);

#endif
