/* state/state.h - the state file <db>-seawall: identity and page map, mapped, so that kill -9 loses nothing.
 *
 *   offset 0       4 identity slots           16 KiB each, big-endian
 *   65536          map header                 4 KiB, byte order of the machine
 *   69632          map entries                16 bytes a page
 *
 * A slot that was synced is not written again before another one is: a kill tears the one being written, a power cut may tear all
 * that were written since, and the newest synced one is always there. One more is taken while a sync is under way, so that nobody
 * waits for it.
 *
 * What is found at open, and what follows. A map counts if it is whole and has the seal of the identity: a random number, counted
 * on, so that no other file's map, and no map of another fate of this file, can be taken for it.
 *
 *   identity \ map    intact      torn        older       copied from     gone
 *                                                         elsewhere
 *   intact            INTACT      MAP_LOST    MAP_LOST    MAP_LOST        MAP_LOST
 *   newest slot torn  as the older slot says: INTACT if the map has its seal (only a replica's position was newer), else MAP_LOST
 *   older             MAP_LOST    MAP_LOST    INTACT      MAP_LOST        MAP_LOST
 *   copied, or gone   NEW         NEW         NEW         NEW             NEW
 *
 *   INTACT    continue where the position proves it
 *   MAP_LOST  the map is empty, and of what earlier runs put nothing is proven to be in our past: compare with each replica's index
 *   NEW       a new writer: a replica with objects in it belongs to somebody else (exit 6, or --take-over). An identity is copied
 * if it is bound to another place (machine, path), or to another inode than its file's
 *
 * An older identity with its own map (a power cut took both back) is INTACT and proves its own past; what was put after it is
 * beyond the `upto` of its runs.
 *
 * An flock on the file keeps a second daemon away from the database.
 *
 * Two kinds of jobs write it: the local job owns the map and says when a state is complete (state_commit); a ship job owns the
 * entry of its replica (state_set_replica). A lock in here keeps the identity slots whole; nobody else writes `identity`. */
#ifndef SEAWALL_STATE_STATE_H
#define SEAWALL_STATE_STATE_H

#include "state/identity.h"
#include "state/map.h"

#include <pthread.h>

#define STATE_SUFFIX "-seawall"

enum state_found {
    STATE_NEW,      /* no identity: nothing is known */
    STATE_MAP_LOST, /* identity, but no map of our past */
    STATE_INTACT,
};

struct state {
    struct identity identity;
    struct map map;
    int fd;
    uint8_t *fixed; /* mapped: slots and map header */
    uint64_t serial;
    uint64_t seal;             /* of the map: random at open, then counted, so that no two fates of a state share one */
    pthread_mutex_t lock;      /* guards identity, serial and the slots */
    pthread_mutex_t sync_lock; /* one sync at a time */
    int current, synced, syncing; /* slots; -1: none */
    char path[4200];
};

/* Opens or makes the state file of the database at db_path.
 * ERR_BUSY: another process has it. ERR_IO. */
int state_open(struct state *s, const char *db_path, enum state_found *ret_found, struct err *e) MUST_CHECK;
void state_close(struct state *s);

/* Writes identity and map header: what is in memory now is one whole state. Survives kill -9; a power cut after state_sync only. */
void state_seal(struct state *s);

/* A new newest state: the map in memory is the database after `txid`, captured up to `pos`. */
struct state_position {
    uint64_t txid;
    struct wal_pos pos, pos_before_reset;
    int64_t time_ms;
    uint64_t db_inode, db_size;
    int64_t db_mtime_ns;
};
void state_commit(struct state *s, const struct state_position *position);

/* The newest captured commit is `txid`, but the map is half-way beyond it: whoever opens the file finds no map. */
void state_lose_map(struct state *s, uint64_t txid, int64_t time_ms);

/* The entry of a replica, made if it is not there. ERR_LIMIT. */
int state_replica(struct state *s, const char *url, uint32_t *ret_index, struct identity_replica *ret_replica,
                  struct err *e) MUST_CHECK;

/* Copies one replica's entry in or out. */
void state_set_replica(struct state *s, uint32_t index, const struct identity_replica *replica);
void state_end_runs(struct state *s, enum identity_past past);
void state_note_put(struct state *s, const struct uid *run, uint32_t replica); /* has to be synced before the put */
void state_note_looked(struct state *s, const struct uid *run, uint32_t replica);
struct identity state_identity(struct state *s);
struct uid state_writer(struct state *s);
uint64_t state_txid(struct state *s); /* T */

int state_sync(struct state *s, struct err *e) MUST_CHECK;

#endif
