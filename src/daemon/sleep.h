/* daemon/sleep.h - when a database of a daemon of many may sleep, and what is left of it then (FLEET in seawall(1)).
 *
 * A database sleeps when it is at rest and stamped (state/state.h), every replica has everything, nothing is under way,
 * and a look (look.h) has found all objects. Then it is closed: SQLite's handles, the state file with its lock, the
 * stores, the memory. It is woken when it is written (sleepers.h), by a request, and about once a day for retention and
 * verification.
 *
 * On waking, the stamp proves that every commit since is in the WAL. An application that is the last to close the
 * database checkpoints and removes the WAL before anybody looks: then all pages are compared. So a database that was
 * woken like that stays awake longer each time. Main thread only. */
#ifndef SEAWALL_DAEMON_SLEEP_H
#define SEAWALL_DAEMON_SLEEP_H

#include "daemon/sleepers.h"
#include "daemon/verification.h"

#define SLEEP_WORK_MS (24 * 3600000) /* a database that sleeps is woken for work so often, give or take a half */

/* A database that sleeps. */
struct sleep {
    struct sleeper *sleeper; /* owned by the sleepers; NULL: it does not sleep */
    int64_t since_ms;        /* wall clock */
    int64_t work_at_ms;      /* monotonic: when it is woken for retention and verification */
    uint64_t txid;           /* of its newest commit, which every replica has */
    int64_t time_ms;         /* of that commit */
};

/* Whether it may sleep now. Asks for the looks that are missing. */
bool sleep_may(struct database *db, const struct verification *v, int64_t now_ms);

/* Notes what will be left of the database. The caller then closes it. ERR_GONE: it was written just now. ERR_EXISTS,
 * ERR_NOMEM. */
int sleep_begin(struct sleep *s, struct sleepers *all, const struct database *db, void *context, int64_t now_ms,
                struct err *e) MUST_CHECK;

/* The same at the start, from the state file alone: the database has its stamp, and every replica is known to have
 * everything. Reads no page, and asks no store. Other errors than ERR_NOMEM: it has to be opened. */
int sleep_begin_closed(struct sleep *s, struct sleepers *all, const struct replicate_config *config, void *context,
                       int64_t now_ms, struct err *e) MUST_CHECK;

/* It does not sleep any more. */
void sleep_end(struct sleep *s, struct sleepers *all);

#endif
