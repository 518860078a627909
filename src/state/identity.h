/* state/identity.h - the identity: which writer this is, and what it knows of each of its replicas.
 *
 * Without its identity a writer can't tell the objects that it put from those of another writer. So the state file has
 * several slots for it, each with a checksum and a serial number. The newest intact slot counts (state.h says in which
 * order they are written). */
#ifndef SEAWALL_STATE_IDENTITY_H
#define SEAWALL_STATE_IDENTITY_H

#include "base/hash.h"
#include "base/trial.h"
#include "format/segment.h"
#include "wal/header.h"

#include <stdbool.h>

#define IDENTITY_SLOT_BYTES 16384
#define IDENTITY_RUNS_MAX                                                                                              \
    SCALE(64, 6)                 /* of each replica at most two runs are unlooked: only other runs are forgotten */
#define IDENTITY_REPLICAS_MAX 16 /* of one database */
#define IDENTITY_ATTEMPTS_MAX 8  /* PUTs of one key with unknown outcome; then the replica waits for an answer */

/* The place where a state file belongs. A copy in another place proves nothing. The inode is that of the state file,
 * which a copy does not have; the database beside it may be replaced, and keeps its history. There is no device number:
 * it changes when a machine boots with its disks in another order. */
struct binding {
    struct digest place; /* SHA-256 of machine id and absolute path of the database */
    uint64_t inode;      /* of the state file */
};

/* Makes the binding of a state file. Precondition: the database exists. ERR_NOTFOUND, ERR_IO: its path can't be
 * resolved. */
int binding_of(const char *db_path, uint64_t state_inode, struct binding *ret_binding, struct err *e) MUST_CHECK;

/* Whether a slot begins with these bytes. Its checksum may be wrong all the same. */
#define IDENTITY_MAGIC_BYTES 8
bool identity_has_magic(const uint8_t bytes[IDENTITY_MAGIC_BYTES]);

/* A run that put an object: one life of the writer. Only the txids up to `upto` of an earlier run are our past. If a
 * power cut took back the state file, the later txids of that run are those of another history. */
struct identity_run {
    struct uid id;
    uint64_t upto;     /* the newest txid when the next run began; RUN_OPEN in the current run */
    uint32_t unlooked; /* bit i: the run put objects into replica i, and no later run has looked at them */
};
#define RUN_OPEN UINT64_MAX

struct identity_replica {
    struct digest place;    /* SHA-256 of the URL */
    struct uid database;    /* id in the replica's seawall.json */
    uint64_t durable_txid;  /* the store acknowledged every commit up to this one */
    struct digest head;     /* of the level-0 segment that ends at durable_txid; zeros: not known */
    uint64_t head_checksum; /* database checksum at durable_txid */
    bool unrelated;         /* the map was lost: it does not continue from `head` before all pages were compared */
    bool raced;             /* whether PUT is exclusive there was found out by a race */
    bool not_exclusive;     /* PUT is not exclusive there, whatever its answers say */
    uint64_t base_owed;     /* txid of a base_only segment that waits for its base; 0: none */
    uint64_t anew_txid; /* the newest txid at which the replica began from empty; compaction begins there or later */
    uint32_t attempt_count;
    struct digest attempts[IDENTITY_ATTEMPTS_MAX]; /* objects that were put with unknown outcome */
};

struct identity {
    struct binding binding;
    struct uid writer;               /* random id of this state file */
    uint64_t txid;                   /* of the newest captured commit */
    struct wal_pos pos;              /* the WAL is captured up to here, which is `txid` */
    struct wal_pos pos_before_reset; /* end of the WAL generation before: after a crash its bytes can be the WAL again.
                                      * frame UINT32_MAX: the position in them is not known */
    uint64_t map_seal;               /* a map with the same seal is the map of this identity */
    int64_t time_ms;                 /* of the newest commit record; never decreases */
    uint64_t db_inode, db_size;      /* of the database file, as our last checkpoint left it; size in bytes */
    int64_t db_mtime_ns;             /* as db_inode */
    int64_t db_ctime_ns;             /* the stamp (state.h); 0: there is none */
    uint64_t boot;                   /* clock_boot_id when the stamp was taken */
    uint32_t run_count, replica_count;
    struct identity_run runs[IDENTITY_RUNS_MAX];
    struct identity_replica replicas[IDENTITY_REPLICAS_MAX];
};

/* Writes the bytes of a slot. Leaves the rest of the slot as it is. */
void identity_encode(const struct identity *id, uint64_t serial, uint8_t slot[IDENTITY_SLOT_BYTES]);

/* Decodes a slot. False: it is not intact. */
bool identity_decode(const uint8_t slot[IDENTITY_SLOT_BYTES], struct identity *ret_id, uint64_t *ret_serial);

/* Finds the entry of the replica at `url`; adds one if there is none. *ret_replica points into `id`. ERR_LIMIT: no
 * room. */
int identity_replica_get(struct identity *id, const char *url, struct identity_replica **ret_replica,
                         struct err *e) MUST_CHECK;

/* Whether `digest` is that of a PUT with unknown outcome. */
bool identity_replica_tried(const struct identity_replica *replica, const struct digest *digest);

/* Whether an object that `run` wrote, with newest txid `max`, is in the past of our map. */
bool identity_is_past(const struct identity *id, const struct uid *run, uint64_t max);
bool identity_knows_run(const struct identity *id, const struct uid *run); /* whether it is a run of this writer */

/* Ends the earlier runs, when a new one starts. IDENTITY_KEEP_PAST: they end at the newest txid. IDENTITY_LOSE_PAST:
 * the map was lost, so the runs prove nothing about our past any more. The new map takes its txids from one replica;
 * they say nothing about the other replicas. So no replica is related to the map before it was compared. */
enum identity_past { IDENTITY_KEEP_PAST, IDENTITY_LOSE_PAST };
void identity_end_runs(struct identity *id, enum identity_past past);

/* Notes that the run is about to put level-0 objects into a replica. Returns true if this is new: then it must be on
 * disk before the put. Precondition: replica < IDENTITY_REPLICAS_MAX. */
bool identity_note_put(struct identity *id, const struct uid *run, uint32_t replica);

/* Notes that the run has looked at every object of the replica. Precondition as identity_note_put. */
void identity_note_looked(struct identity *id, const struct uid *run, uint32_t replica);

#endif
