/* state/state.h - the state file <db>-seawall: the identity and the page map. It is mapped, so a kill -9 loses nothing.
 *
 *   offset 0       4 identity slots           16 KiB each, big-endian
 *   65536          map header                 4 KiB, byte order of the machine
 *   69632          map entries                16 bytes a page
 *
 * Slots. A synced slot is not overwritten before another slot is synced. A kill can tear the slot that is being
 * written. A power cut can tear every slot that was written since the last sync. The newest synced slot is always
 * intact. The fourth slot is used while a sync is under way, so that no writer waits for the sync.
 *
 * Seal. Identity and map header carry the same seal: a random number, counted up with each state. A map counts only if
 * it is whole and has the seal of the identity. So neither a map of another file nor a map of an earlier fate of this
 * file can be taken for it.
 *
 * What state_open reports, by what it finds:
 *
 *   identity \ map    intact      torn        older       copied from     gone
 *                                                         elsewhere
 *   intact            INTACT      MAP_LOST    MAP_LOST    MAP_LOST        MAP_LOST
 *   newest slot torn  by the slot before it: INTACT if the map has its seal (only the entry of a replica was newer),
 *                     else MAP_LOST
 *   older             MAP_LOST    MAP_LOST    INTACT      MAP_LOST        MAP_LOST
 *   copied, or gone   NEW         NEW         NEW         NEW             NEW
 *
 *   INTACT    capture continues from the recorded position, if the WAL still continues it
 *   MAP_LOST  the map is empty. Objects that earlier runs put do not count as our past: each replica's index must be
 *             compared
 *   NEW       a new writer. A replica that has objects belongs to another writer (exit 6, or --take-over)
 *
 * An identity counts as copied if its binding names another place (machine, path) or another inode than that of its
 * file. An older identity with its own map is INTACT: a power cut took both back. It proves its own past; objects that
 * were put later are beyond the `upto` of its runs.
 *
 * Stamp. A position can have the ctime of the database file. Then the map is that of the database file as it was at that
 * ctime, without any WAL. A program can't set the ctime. So a file that still has its inode, size, mtime and ctime was
 * not written since, and all newer commits are in the WAL, from its first frame on. Two writes within one tick of the
 * kernel's clock get one ctime: a stamp is taken only when the ctime is STAMP_AGE_MS old, or STAMP_AGE_COARSE_MS if it
 * is a whole second, as on file systems that keep no others; and not while it is in the future, which shows that the
 * clock was set back. A power cut can keep what was written and take the ctime back (fdatasync does not write times). So
 * a stamp counts only in the boot in which it was taken. A position without a stamp says nothing of that kind.
 *
 * An flock on the file keeps a second daemon away from the database.
 *
 * Who writes. The local job owns the map and says when a state is complete (state_commit). A ship job owns the entry of
 * its replica (state_set_replica). A restore owns the whole file (state_restart). The identity and its slots are
 * private to state.c: every change goes through the functions below, which take a lock. */
#ifndef SEAWALL_STATE_STATE_H
#define SEAWALL_STATE_STATE_H

#include "base/path.h"
#include "state/identity.h"
#include "state/map.h"

#define STATE_SUFFIX "-seawall"

enum state_found {
    STATE_NEW,      /* no identity */
    STATE_MAP_LOST, /* an identity, but no map that belongs to it */
    STATE_INTACT,
};

#define STAMP_AGE_MS 50 /* the kernel's clock moves in steps of 10 ms at most */
#define STAMP_AGE_COARSE_MS 2100

struct state_record; /* the identity, its slots and their lock */

struct state {
    struct map map;              /* of the local job or the restore that holds the state */
    int fd;                      /* of the state file; holds the flock */
    char path[PATH_TEXT_MAX];    /* of the state file */
    struct state_record *record; /* owned; NULL: not open */
    bool unsynced;               /* of a reservation: nothing is synced here */
};

/* Opens the state file of the database at `db_path`; makes it if there is none. *ret_found says what it held. The
 * caller closes the state with state_close. ERR_BUSY: another process has locked it. ERR_NOTFOUND: there is no
 * database. ERR_CONFIG: the path is too long, or leads to something that is not a state file: a link, a FIFO, a file
 * of another program (base/folder.h). ERR_IO. ERR_NOMEM. */
int state_open(struct state *s, const char *db_path, enum state_found *ret_found, struct err *e) MUST_CHECK;

/* Reads the identity of the state file of the database at `db_path`, without a lock: another process may have it, and
 * be at work. ERR_NOTFOUND: there is no state file, or no database. ERR_CORRUPT: it has no identity, or one that does
 * not belong here: a daemon would be a new writer. ERR_CONFIG, ERR_IO: as state_open. */
int state_peek(const char *db_path, struct identity *ret_identity, struct err *e) MUST_CHECK;

/* A state file that is locked before its database exists, so that no daemon takes up the database that is put there. */
struct state_reservation {
    int fd;        /* -1: none */
    bool made;     /* the file was made, and is empty: it is removed if it is not used */
    bool unsynced; /* set by the owner: who syncs the whole file system later, before the state counts */
};
#define STATE_RESERVATION_NONE ((struct state_reservation){.fd = -1})

/* Locks the state file, and makes it if there is none. The caller ends the reservation with state_open_reserved or
 * state_unreserve. If the file can't be opened, nothing is reserved, which is not an error here. ERR_BUSY: another
 * process has locked it. ERR_CONFIG: the path is too long. */
int state_reserve(struct state_reservation *r, const char *db_path, struct err *e) MUST_CHECK;
void state_unreserve(struct state_reservation *r, const char *db_path); /* STATE_RESERVATION_NONE is fine */

/* As state_open, with the reserved file. STATE_RESERVATION_NONE: the same as state_open. Takes over the reservation,
 * also after an error. */
int state_open_reserved(struct state *s, struct state_reservation *taken, const char *db_path,
                        enum state_found *ret_found, struct err *e) MUST_CHECK;

/* Unlocks and closes the file. Does nothing to a state that is closed or that state_open could not open. */
void state_close(struct state *s);

/* Whether the path of the state file still leads to the file that is open and locked. False: the file was removed or
 * replaced, so the lock does not keep a second daemon away any more. */
bool state_is_at_its_path(const struct state *s);

/* Whether the path leads to another file, or to none. A look that fails for a reason of the moment does not say so. */
bool state_is_lost(const struct state *s);

/* ---- reading: each function copies, under the lock */

/* The newest complete state: the map is the database after `txid`, and the WAL is captured up to `pos`. */
struct state_position {
    uint64_t txid;
    struct wal_pos pos;
    struct wal_pos pos_before_reset; /* end of the WAL generation before */
    int64_t time_ms;                 /* of the commit record of `txid` */
    uint64_t db_inode, db_size;      /* of the database file, as the last checkpoint left it; size in bytes */
    int64_t db_mtime_ns;
    int64_t db_ctime_ns; /* the stamp; 0: there is none */
    uint64_t boot;       /* clock_boot_id at that time */
};
struct state_position state_position(const struct state *s);
struct state_position state_position_of(const struct identity *id);
uint64_t state_txid(const struct state *s);
struct uid state_writer(const struct state *s);
struct identity state_identity(const struct state *s);

/* ---- writing. A change survives a kill -9 at once, and a power cut after the next state_sync */

/* Records a new position. Preconditions: the map is that of the database after position->txid; position->txid is not
 * less than the txid before. */
void state_commit(struct state *s, const struct state_position *position);

/* Records that the newest captured commit is `txid`, and that the map is not a map of it. The next state_open finds
 * MAP_LOST. */
void state_lose_map(struct state *s, uint64_t txid, int64_t time_ms);

/* Gives a new state file the identity of one that was removed while it was in use: the same writer, the same runs and
 * replicas. Or gives it to an older state file of the same writer, in a place to which the path of the database leads
 * again. Precondition: state_open found STATE_NEW, or an identity of the same writer. From now on it counts as
 * STATE_MAP_LOST. */
void state_adopt(struct state *s, const struct identity *removed);

/* Copies the entry of the replica at `url`, and its index. Makes the entry if there is none. ERR_LIMIT: too many
 * replicas. */
int state_replica(struct state *s, const char *url, uint32_t *ret_index, struct identity_replica *ret_replica,
                  struct err *e) MUST_CHECK;

/* Stores the entry of a replica. Precondition: `index` comes from state_replica. */
void state_set_replica(struct state *s, uint32_t index, const struct identity_replica *replica);

/* See identity_end_runs, identity_note_put and identity_note_looked. A put may begin only after note_put was synced. */
void state_end_runs(struct state *s, enum identity_past past);
void state_note_put(struct state *s, const struct uid *run, uint32_t replica);
void state_note_looked(struct state *s, const struct uid *run, uint32_t replica);

/* The restored database, and the replica that it came from. */
struct state_restart {
    uint64_t txid;         /* of the restore point, at least 1 */
    int64_t time_ms;       /* of its commit record */
    const struct map *map; /* complete: the pages of the restored database. Borrowed */
    const char *url;       /* of the replica */
    struct uid database;   /* id in the replica's seawall.json */
    struct digest
        head; /* of the level-0 object that ends at txid and ends the history of the replica; zeros: none does */
    uint64_t head_checksum; /* database checksum at txid */
};

/* Begins the history of a restored database at a restore point, and syncs the file.
 *   - the map becomes a copy of restart->map
 *   - earlier runs are not our past any more: they continued the database that was replaced
 *   - the entry of the replica says that the replica is durable up to txid, with `head` as its head. Exception: the
 *     entry was of this replica before, and `head` is zeros. Then it keeps its position, and the next start compares
 *     the replica
 *   - position and file attributes are zeros: the state file does not claim that the map matches the database file; the
 *     next start verifies it (an undo can bring back a file that looks as an earlier checkpoint left it)
 * An error leaves the identity unchanged; the map may be lost. ERR_LIMIT, ERR_NOMEM, ERR_IO. */
int state_restart(struct state *s, const struct state_restart *restart, struct err *e) MUST_CHECK;

/* Makes everything that was written durable. May be called from several threads. ERR_IO. */
int state_sync(struct state *s, struct err *e) MUST_CHECK;

#endif
