/* support/quiet_database.h - a database in which nothing happens, for tests of the main thread's decisions. */
#ifndef TESTS_QUIET_DATABASE_H
#define TESTS_QUIET_DATABASE_H

#include "daemon/database.h"

/* Fills `db`, which is zeros: its files are open, one replica is attached, txid 5 is captured and durable, and no job
 * runs. `lane`, `job` and `config` are borrowed; the first two are zeros. */
static inline void quiet_database(struct database *db, struct lane *lane, struct local_job *job,
                                  const struct replicate_config *config)
{
    db->config = config;
    db->lanes.list = lane;
    db->lanes.count = 1;
    db->home = job;
    job->local.watch.checkpointer.db = (sqlite3 *)(void *)db; /* any pointer: the files are open */
    db->lanes.captured.txid = 5;
    db->runs = db->through_run = 3;
    lane->seen.state = DESTINATION_ATTACHED;
    lane->seen.durable = 5;
    lane->look.due_ms = INT64_MAX; /* no look was asked for */
    snprintf(lane->url, sizeof lane->url, "/replica");
}

#endif
