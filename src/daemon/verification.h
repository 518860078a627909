/* daemon/verification.h - the daemon's own verification: which replica is verified when.
 *
 * Every `verify-interval` each replica is verified, and restored to a temporary folder, by a process of its own
 * (verifier.h), one at a time for all databases of the daemon. verdict.h decides the result; verification_record.h
 * keeps it.
 *
 *   never verified       due when the daemon has run for min(interval, 1 h), so not at each start
 *   problems found       due again after a day at the latest
 *   no result            tried again after 10 minutes at the latest
 *   newest txid proven   by a restore: not due until something new is durable
 *
 * Main thread only; a job writes the file. No function waits. */
#ifndef SEAWALL_DAEMON_VERIFICATION_H
#define SEAWALL_DAEMON_VERIFICATION_H

#include "daemon/database.h"
#include "daemon/verification_record.h"
#include "daemon/verifier.h"

struct verification {
    struct database *db;                 /* borrowed */
    bool loaded;                         /* the records were read from their file */
    int64_t started_ms;                  /* monotonic */
    struct verification_records records; /* one for each lane */
    struct verifier *verifier;           /* borrowed; verifications of other databases use it too */
    size_t index;                        /* lane of the replica that the verifier has, or had last */
    bool told_room;                      /* the log said that there is too little room for a restore */

    /* the job that writes the file */
    struct job job;
    bool writing, dirty;
    char *document; /* owned; the text that it writes */
    char path[PATH_TEXT_MAX];
    int rc;
    struct err error;
};

/* `db` and `verifier` are borrowed; the lanes of `db` are open. ERR_NOMEM. */
int verification_start(struct verification *v, struct database *db, struct verifier *verifier,
                       struct err *e) MUST_CHECK;

/* Takes the result of the verifier, and begins the next verification. The loop calls it at each turn, and again after
 * the returned number of ms at the latest. */
int verification_run(struct verification *v, int64_t now_ms);

/* True while this replica, by its lane's index, is being verified. */
bool verification_is_running(const struct verification *v, size_t index);

/* Asks a verifier of this database to end; nobody takes its result. Does not wait. */
void verification_abandon(struct verification *v);

/* Frees everything, and abandons the verifier. Before: no job runs. A zeroed verification is allowed. */
void verification_release(struct verification *v);

#endif
