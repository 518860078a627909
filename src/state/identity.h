/* state/identity.h - who we are in a replica's history: the part of the state file whose loss costs the replica.
 *
 * Losing it means that the objects of the replica can't be told from another writer's. So it has slots, each with its own
 * checksum and serial number; the newest intact one counts (state.h says in which order they are written). */
#ifndef SEAWALL_STATE_IDENTITY_H
#define SEAWALL_STATE_IDENTITY_H

#include "base/hash.h"
#include "base/trial.h"
#include "format/segment.h"
#include "wal/header.h"

#include <stdbool.h>

#define IDENTITY_SLOT_BYTES 16384
#define IDENTITY_RUNS_MAX SCALE(64, 6) /* at most two runs are unlooked of each replica: only others are forgotten */
#define IDENTITY_REPLICAS_MAX 16       /* destinations of one database */
#define IDENTITY_ATTEMPTS_MAX 8 /* PUTs of one key whose outcome is unknown; at it the replica waits for an answer */

/* Where a state file belongs. A copy of it elsewhere is no proof of ownership. The inode is that of the state file itself: a copy
 * has another one, while the database beside it may be replaced without its history becoming another's. (No device number: it
 * changes when a machine boots with its disks in another order.) */
struct binding {
    struct digest place; /* SHA-256 of machine id and absolute path of the database */
    uint64_t inode;      /* of the state file */
};
int binding_of(const char *db_path, uint64_t state_inode, struct binding *ret_binding, struct err *e) MUST_CHECK;

/* A start of the daemon that put something. Of an earlier run only txids up to `upto` are our past: its later ones may be another
 * fate's, after a power cut that took back the state file. */
struct identity_run {
    struct uid id;
    uint64_t upto;     /* the txid with which the next run began; RUN_OPEN while it is the current one */
    uint32_t unlooked; /* bit i: it put objects into replica i, and no later run has looked at them */
};
#define RUN_OPEN UINT64_MAX

struct identity_replica {
    struct digest place;    /* SHA-256 of the URL */
    struct uid database;    /* id in the replica's seawall.json */
    uint64_t durable_txid;  /* the store acknowledged everything up to here */
    struct digest head;     /* of the level-0 object that ends there */
    uint64_t head_checksum; /* database checksum there */
    bool
        unrelated; /* the map was lost since: it does not lead on from that head until all pages are compared with it */
    uint64_t base_owed; /* txid of a base_only segment that waits for its base; 0: none */
    uint64_t anew_txid; /* newest txid at which the replica began anew: what is compacted begins there or later */
    uint32_t attempt_count;
    struct digest attempts[IDENTITY_ATTEMPTS_MAX]; /* objects sent whose outcome is unknown */
};

struct identity {
    struct binding binding;
    struct uid writer;  /* random name of this state file */
    uint64_t txid;      /* newest captured: T */
    struct wal_pos pos; /* up to which the WAL is captured; that is T */
    struct wal_pos
        pos_before_reset; /* end of the generation before: after a crash its bytes can come back as the current WAL */
    uint64_t map_seal;    /* the map beside it has the same: it is the map of this very state */
    int64_t time_ms;      /* of the newest commit record: times never fall */
    uint64_t db_inode;    /* of the database file, */
    uint64_t db_size;     /* its bytes, and */
    int64_t db_mtime_ns;  /* its time of change, as our last checkpoint left them */
    uint32_t run_count, replica_count;
    struct identity_run runs[IDENTITY_RUNS_MAX];
    struct identity_replica replicas[IDENTITY_REPLICAS_MAX];
};

/* Slot bytes, without gaps; the rest of the slot is left alone. */
void identity_encode(const struct identity *id, uint64_t serial, uint8_t slot[IDENTITY_SLOT_BYTES]);

/* False: not a whole identity. */
bool identity_decode(const uint8_t slot[IDENTITY_SLOT_BYTES], struct identity *ret_id, uint64_t *ret_serial);

/* The entry of a replica; a new one if it is not known. ERR_LIMIT. */
int identity_replica_get(struct identity *id, const char *url, struct identity_replica **ret_replica,
                         struct err *e) MUST_CHECK;

/* True if `digest` is a PUT of ours whose outcome was unknown. */
bool identity_replica_tried(const struct identity_replica *replica, const struct digest *digest);

/* True if an object that `run` wrote with newest txid `max` lies in the past of our map. */
bool identity_is_past(const struct identity *id, const struct uid *run, uint64_t max);
bool identity_knows_run(const struct identity *id, const struct uid *run);

/* At start: earlier runs end at the newest txid, or (the map was lost) are no proof of our past any more. A lost map is made anew
 * from one replica's numbers, which say nothing of another's: so none of them is related to it before it was compared. */
enum identity_past { IDENTITY_KEEP_PAST, IDENTITY_LOSE_PAST };
void identity_end_runs(struct identity *id, enum identity_past past);

/* The run is about to put level-0 objects into a replica. True: that is new, and has to be on disk before. */
bool identity_note_put(struct identity *id, const struct uid *run, uint32_t replica);

/* The run has looked at all that is in the replica. */
void identity_note_looked(struct identity *id, const struct uid *run, uint32_t replica);

#endif
