/* daemon/condition.h - the condition of a replica or a database in one word, and whether all is well. People and
 * monitors read it.
 *
 * `seawall status` shows for a database the worst of its own condition and those of its replicas. The words are
 * documented (seawall(1)), so they never change. */
#ifndef SEAWALL_DAEMON_CONDITION_H
#define SEAWALL_DAEMON_CONDITION_H

#include "daemon/database.h"
#include "daemon/verification_record.h"

#define CONDITION_PATIENCE_MS 60000 /* all is well as long as a replica is behind, or fails, for less than this */

/* From the best to the worst. */
enum condition {
    CONDITION_FOLLOWING,           /* every captured commit is durable */
    CONDITION_STARTING,            /* the replica was not asked yet, or the database was not opened yet */
    CONDITION_FIRST_COPY,          /* nothing can be restored yet: the first copy is under way */
    CONDITION_BEHIND,              /* some captured commits are not durable */
    CONDITION_FAILING,             /* the store fails, although nothing waits for it */
    CONDITION_WAITING,             /* the database is missing, or can't be opened */
    CONDITION_VERIFICATION_FAILED, /* the last verification found problems */
    CONDITION_LOST,                /* the replica lost objects, and is not whole again */
    CONDITION_CONFLICT,            /* the replica belongs to another writer */
};
const char *condition_name(enum condition c);

/* Whether all is well: nobody has to act. `for_ms`: how long the replica has been behind or failing. */
bool condition_is_well(enum condition c, int64_t for_ms);

/* The condition of a replica. `r`: the record of its verifications. *ret_for_ms: how long it has been behind or
 * failing; 0: it is not. `now_ms`: wall clock. */
enum condition condition_of_replica(const struct database *db, const struct lane *l,
                                    const struct verification_record *r, int64_t now_ms, int64_t *ret_for_ms);

/* The condition of the database itself, without its replicas. */
enum condition condition_of_database(const struct database *db);

/* When the oldest commit was made that was captured and can't be restored from the replica; wall clock. After a loss of
 * objects that is not known for older commits: when it was noticed. 0: everything can be restored. */
int64_t condition_behind_since_ms(const struct database *db, const struct lane *l);

/* How much of the first base was put, in percent; negative: not known. */
int condition_percent(const struct lane *l);

#endif
