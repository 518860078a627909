/* daemon/history.h - what keeps a replica small and quick to restore: which compaction, base or deletion is next, and
 * what becomes of it. lanes.c asks, and starts the jobs.
 *
 * Main thread only. The lane's shipment must be home, except where a function says otherwise. */
#ifndef SEAWALL_DAEMON_HISTORY_H
#define SEAWALL_DAEMON_HISTORY_H

#include "daemon/lane.h"

/* ---- levels */

/* Gives up a compaction that is of no use any more. Returns true if a job still has a part of it: wait. */
bool history_abandon_level(struct lane *l, const struct captured_head *captured);
/* Begins a compaction if one is due. It ends at the newest commit; an object of level 0 will end there too. */
void history_begin_level(const struct lanes *all, struct lane *l);
/* Returns true if a piece of the compaction may be put. *ret_kind: SHIP_PART or SHIP_LEVEL. */
bool history_level_ready(const struct lane *l, enum ship_kind *ret_kind);
/* A piece was put and became `object`. `piece_index`: its index. */
void history_level_done(struct lane *l, enum ship_kind kind, unsigned piece_index, const struct listed *object);
/* The txid at which the next object of level 0 has to end; UINT64_MAX: at any. */
uint64_t history_cut(const struct lane *l);

/* ---- bases */

bool history_base_due(const struct lanes *all, const struct lane *l);
/* Begins a base, or goes on with the one that an earlier run began. */
void history_start_base(const struct lanes *all, struct lane *l);
/* The base's chunk `index` was put. A ship job may run. */
void history_note_chunk(const struct lane *l, unsigned index, const struct listed *chunk);
/* The base is complete, or can't be completed: no later run goes on with it. */
void history_forget_base(const struct lane *l);

/* ---- retention */

/* Starts a retention job, if it is time. */
void history_prune(const struct lanes *all, struct lane *l, int64_t now_ms);

/* ---- all of it */

/* All commits are durable, but the process must not exit yet: a base without which nothing can be restored is
 * incomplete; or, with --once, a due compaction, base or retention has not run. */
bool history_owes(const struct lanes *all, const struct lane *l);

/* The compaction under way, and a compaction or base that will be due after the next object, need the pages that
 * changed after this txid; UINT64_MAX: none. A ship job may run. */
uint64_t history_needs_after(const struct lanes *all, const struct lane *l);

#endif
