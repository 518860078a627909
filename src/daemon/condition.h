/* daemon/condition.h - one word for how a replica or a database is, and whether all is well: for people and monitors.
 *
 * The worst condition of its replicas is that of the database, unless its own is worse. The words are in the status
 * (seawall(1)), so they never change. */
#ifndef SEAWALL_DAEMON_CONDITION_H
#define SEAWALL_DAEMON_CONDITION_H

#include "daemon/database.h"
#include "daemon/verification_record.h"

#define CONDITION_PATIENCE_MS 60000 /* a replica may be behind, or fail, for so long: then all is not well */

/* From the best to the worst. */
enum condition {
    CONDITION_FOLLOWING,           /* every captured commit is durable */
    CONDITION_STARTING,            /* the replica was not asked yet, or the database was not opened yet */
    CONDITION_FIRST_COPY,          /* nothing can be restored yet: the first copy is under way */
    CONDITION_BEHIND,              /* some captured commits are not durable */
    CONDITION_FAILING,             /* the store fails, although nothing waits for it */
    CONDITION_WAITING,             /* for the database: it is missing, or can't be opened */
    CONDITION_VERIFICATION_FAILED, /* the last verification found problems */
    CONDITION_LOST,                /* the replica lost objects, and is not whole again */
    CONDITION_CONFLICT,            /* it belongs to another writer */
};
const char *condition_name(enum condition c);

/* Is that no reason to act? `for_ms`: how long the replica has been behind, or fails. */
bool condition_is_well(enum condition c, int64_t for_ms);

/* The condition of a replica. `r`: the record of its verifications. *ret_for_ms: how long it has been so, as far as
 * condition_is_well needs it. `now_ms`: wall clock. */
enum condition condition_of_replica(const struct database *db, const struct lane *l,
                                    const struct verification_record *r, int64_t now_ms, int64_t *ret_for_ms);

/* The condition of the database itself, without its replicas. */
enum condition condition_of_database(const struct database *db);

/* How much of the first base was put, in percent; negative: not known. */
int condition_percent(const struct lane *l);

#endif
