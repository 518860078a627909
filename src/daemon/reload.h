/* daemon/reload.h - SIGHUP: the configuration is read again, and what may change while the daemon runs changes.
 *
 * Options change at once, except those that a running job or the format of what was put depends on: grace, memory and
 * set-wal. They, the replicas, and the folder of the control socket count from the next start, and the log says so. A file
 * with an error changes nothing. Main thread only. */
#ifndef SEAWALL_DAEMON_RELOAD_H
#define SEAWALL_DAEMON_RELOAD_H

#include "daemon/database.h"

/* `config`: that of `db`, to be changed. Logs what changed, and what counts from the next start. Precondition: the local job
 * is home. */
void reload_configuration(struct replicate_config *config, struct database *db);

#endif
