/* daemon/lanes.h - what each replica of a database can do next, and what becomes of it.
 *
 * At most one ship job runs for each replica, and up to COPY_IN_FLIGHT piece jobs beside it. Main thread only. */
#ifndef SEAWALL_DAEMON_LANES_H
#define SEAWALL_DAEMON_LANES_H

#include "daemon/lane.h"

/* Opens a lane for each URL of the configuration. A replica that is away must not keep the others waiting; if none is
 * there, this fails. The pointers are borrowed. On error nothing is left to be closed. */
int lanes_open(struct lanes *all, const struct replicate_config *config, const struct commons *commons,
               struct workers *workers, struct err *e) MUST_CHECK;
void lanes_close(struct lanes *all); /* no job may be under way */

/* Forgets the position of every replica: each attaches again, as after a start. No job may be under way. */
void lanes_start_over(struct lanes *all);

/* Jobs that only read or delete are to end (true), or may run again (false). */
void lanes_cancel(struct lanes *all, bool cancel);

/* Starts what can run now for every replica. If `failed` is set afterwards, or after a job ended, the daemon has to
 * end. */
void lanes_schedule(struct lanes *all, int64_t now_ms);

/* When the commits that wait for this replica may leave; monotonic. The shipment must be home. */
int64_t lanes_due_ms(const struct lanes *all, const struct lane *l, int64_t now_ms);

/* Ends retention jobs, and starts none: the process ends soon. */
void lanes_stop(struct lanes *all, int64_t now_ms);

/* ---- captured commits: kept while a replica needs them */

void lanes_take_batches(struct lanes *all, struct batch *list_taken);
void lanes_trim_batches(struct lanes *all); /* lets go of what no replica will use any more */

/* True if commits are kept for at least one replica. */
bool lanes_any_keeps(const struct lanes *all);

/* ---- what the local job is asked for */

/* Every replica was asked for its position; those that hang don't count. */
bool lanes_all_asked(const struct lanes *all);
/* A replica waits to be compared with all pages. */
bool lanes_want_resync(const struct lanes *all);
/* All pages were compared with the replicas that `compared` marks. */
void lanes_compared(struct lanes *all);
/* The transfer whose next piece is wanted most: a catch-up first, a base last. NULL: none wants a piece. */
struct transfer *lanes_wanting_piece(struct lanes *all);
/* A healthy replica catches up, and none follows the commits meanwhile. */
bool lanes_catch_up(const struct lanes *all);
/* Replicas that are attached, or wait to be compared, need the pages that changed after this txid. */
uint64_t lanes_need_after(const struct lanes *all);

/* ---- at the end */

bool lanes_all_durable(const struct lanes *all); /* every replica that is not in conflict, with its history */
/* Whether every replica that is not in conflict is durable, or acknowledged everything and fails, or does not answer,
 * when it is asked whether it still has that. */
bool lanes_only_unanswered(const struct lanes *all);
const struct lane *lanes_owing(const struct lanes *all); /* the first one that is not durable; NULL: there is none */
/* Some are not durable, and each of these failed with an error that time does not heal, or for damage: nothing is to be
 * waited for. With `once` each was tried twice. */
bool lanes_hopeless(const struct lanes *all);
bool lanes_running(const struct lanes *all); /* any job runs */

#endif
