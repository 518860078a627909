/* daemon/scheduler.h - the main thread of the daemon: it decides which jobs run, and when.
 *
 *   an event (inotify, a signal, the end of a job, a deadline)  ->  a mark  ->  which jobs can start now?
 *
 * The main thread owns the state of the daemon. A job owns what it was handed. Two kinds of jobs work on a database:
 *
 *   local job   at most one: owns the SQLite handles and the page map
 *   ship jobs   at most one for each replica, and at most COPY_IN_FLIGHT piece jobs beside it: own objects, touch no
 *   handle
 *
 * So a slow store delays neither capture nor checkpoints.
 *
 * After quiet the first commit is captured and shipped at once. Under load there is a pass every 5 ms (light) to 20 ms
 * (heavy): a writer that is looked at after each commit loses a third of its rate. */
#ifndef SEAWALL_DAEMON_SCHEDULER_H
#define SEAWALL_DAEMON_SCHEDULER_H

#include "daemon/database.h"

/* Runs until SIGTERM or SIGINT, or until the daemon can't go on. Returns 0 if everything captured is durable. Otherwise
 * *e says why not: ERR_CONFLICT, ERR_TIMEOUT (not shipped in time), ERR_CONFIG, ... The summary is written in either
 * case. If it says `hung`, nothing was released. */
int scheduler_run(const struct daemon_config *config, struct daemon_summary *ret_summary, struct err *e) MUST_CHECK;

#endif
