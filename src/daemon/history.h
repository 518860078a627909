/* daemon/history.h - what keeps a replica small and quick to restore: which compaction, base or deletion is next, and what
 * becomes of it. ship.c asks, and starts the jobs.
 *
 * Everything here runs on the scheduler's thread; no job of the lane is under way unless it says so. */
#ifndef SEAWALL_DAEMON_HISTORY_H
#define SEAWALL_DAEMON_HISTORY_H

#include "daemon/database.h"

/* ---- levels */

/* Gives up a compaction that is of no use any more. True: a job has it yet, wait. */
bool history_abandon_level(const struct database *db, struct lane *l);
/* Begins one if it is time. What is read ends at the newest commit; an object of level 0 will end there too. */
void history_begin_level(const struct database *db, struct lane *l);
/* Is there a piece of it that may be put? SHIP_PART or SHIP_LEVEL in *ret_kind. */
bool history_level_ready(const struct lane *l, enum ship_kind *ret_kind);
void history_level_done(struct lane *l, enum ship_kind kind); /* it was put */
/* Where the object of level 0 has to end that is built next; UINT64_MAX: anywhere. */
uint64_t history_cut(const struct lane *l);

/* ---- bases */

bool history_base_due(const struct database *db, const struct lane *l);
void history_start_base(struct database *db, struct lane *l); /* or goes on with the one that an earlier run began */
void history_note_chunk(const struct lane *l, unsigned index,
                        const struct listed *chunk); /* it was put; other jobs may run */
void history_forget_base(
    const struct lane *l); /* it is complete, or can't be completed: no other run goes on with it */

/* ---- retention */

void history_prune(struct database *db, struct lane *l, int64_t now_ms); /* starts a job of its own, if it is time */

/* ---- all of it */

/* Is durable, but has something to write before a process that has to come to an end may do so: a base without which nothing can be
 * restored; with --once, which is run again and again, what history needs. */
bool history_owes(const struct database *db, const struct lane *l);

/* What is compacted, or will be after the next object, and a base that will be due then, need pages that changed after this txid. A
 * job may run. */
uint64_t history_needs_after(const struct database *db, const struct lane *l);

#endif
