/* daemon/scheduler.h - one thread that decides what runs, and when. It owns the state; jobs own what they were handed.
 *
 *   events (inotify, signals, the end of a job, a deadline)  ->  mark  ->  schedule: which jobs can start now?
 *
 * Two kinds of jobs. A local job, at most one: owns the SQLite handles and the page map. Ship jobs, at most one for each replica,
 * and at most COPY_IN_FLIGHT piece jobs beside it: own objects, touch no handle. So a slow store delays neither capture nor
 * checkpoints.
 *
 * Pace: after quiet the first commit is captured and shipped at once. Under load there is a pass every 5 ms (light) to 20 ms
 * (heavy), because a writer that is looked at after each commit loses a third of its rate. */
#ifndef SEAWALL_DAEMON_SCHEDULER_H
#define SEAWALL_DAEMON_SCHEDULER_H

#include "daemon/database.h"

/* Runs until SIGTERM or SIGINT, or until it can't go on. 0: everything captured is durable. Otherwise *e says why not:
 * ERR_CONFLICT, ERR_TIMEOUT (could not ship in time), ERR_CONFIG, ... The summary is written in either case. If it says `hung`,
 * nothing was released. */
int scheduler_run(const struct replicate_config *config, struct replicate_summary *ret_summary,
                  struct err *e) MUST_CHECK;

#endif
