/* ship/destination.h - one replica that a database is shipped to: its position, and the protocol that keeps its history one.
 *
 *      DETACHED ---attach---> ATTACHED ---------> CONFLICT (another writer; final)
 *       ^   | |                |   ^                ^  ^
 *       |   | +---attach-------|---|----------------+  |  found while appending
 *       |   +--> RESYNC -------|---+ pages compared    |
 *       +------ ask again -----+-----------------------+
 *
 *   from \ to   DETACHED  RESYNC  ATTACHED  CONFLICT
 *   DETACHED      fails    yes      yes       yes
 *   RESYNC         -        -       yes        -
 *   ATTACHED      yes       -        -        yes
 *   CONFLICT       -        -        -         -
 *
 *   DETACHED   nothing is known of the store's side; nothing may be put
 *
 *   RESYNC     the head is known but is not in the past of our map: waits for the local comparison of all pages.
 *              The state file still has the position of before, so that a restart finds the same
 *
 *   ATTACHED   appends
 *
 *   CONFLICT   stops, exit code 6
 *
 * Append: the digest of the attempt goes into the state file, then the object is put under the one key that continues the head,
 * exclusively. If that key exists, the object there is read: an attempt of ours is adopted; an earlier run's object that lies in
 * our past too; an earlier run's that does not leads back to DETACHED; anything else is another writer's.
 *
 * Retention deletes old level-0 objects, so a key below a head that others have moved can be free again. A writer that slept could
 * then append in the past. So the head is proven: by attach, and by each append. If the proof is older than half the grace period
 * (by the store's clock, or by the machine's), the replica is listed behind the head before the PUT; if the answer comes that late,
 * before it is believed.
 *
 * A store without exclusive PUT (storage/store.h: weak) can't be made safe, only watched: before each append the head must be the
 * object that we know, with nothing behind it, and after it the object that is read back must be ours. Another writer is found at
 * the latest with the next append, and stopped; what the two wrote in between can break the chain, which the next restore then
 * says.
 *
 * A job owns the destination while it runs; otherwise the scheduler does. */
#ifndef SEAWALL_SHIP_DESTINATION_H
#define SEAWALL_SHIP_DESTINATION_H

#include "cargo/batch.h"
#include "cargo/copy.h"
#include "replica/plan.h"
#include "ship/findings.h"
#include "ship/levels.h"
#include "state/state.h"

enum destination_state { DESTINATION_DETACHED, DESTINATION_RESYNC, DESTINATION_ATTACHED, DESTINATION_CONFLICT };

/* A level-0 object that continues the head, or will. */
struct landed {
    struct digest digest;
    uint64_t min, max;
    uint64_t checksum;  /* database checksum of state max */
    uint64_t base_owed; /* after it */
    uint64_t bytes;     /* with its parts */
    uint32_t page_size;
    bool anew; /* nothing before it counts */
};

/* An object that is built and not yet known to be there. Sent again unchanged until the outcome is known. */
struct outgoing {
    struct buf bytes; /* len 0: none */
    struct landed object;
    unsigned commits;
};

struct destination {
    const char *given;   /* the URL as it was given; borrowed */
    char url[1024];      /* as it is shown */
    struct store *store; /* NULL: could not be opened yet; attach tries again */
    enum destination_state state;
    bool known;                    /* index and entry are the state file's */
    uint32_t index;                /* in the identity */
    struct identity_replica entry; /* working copy; state_set_replica stores it */
    struct outgoing outgoing;
    struct levels levels; /* while ATTACHED */

    /* after attach, until the resync that it asked for is done */
    struct map head_map; /* of the replica at its head; page_size 0: not known */
    int64_t head_time_ms;
    bool from_empty;         /* the next object starts anew: nothing in the replica is related to what we have */
    uint32_t head_page_size; /* of the newest object; 0: there is none */
    uint64_t head_min;       /* its first txid */

    /* on a weak store: a PUT of an earlier run whose outcome is unknown may yet be carried out, and overwrite what we put there */
    bool open_attempts;
    uint64_t endangered_min; /* what we put there begins with this txid; 0: nothing yet */
    struct digest endangered;
    bool broken;            /* it happened: the next object starts anew */
    bool run_on_disk;       /* this run, with the position that it went on from: since its first put */
    uint64_t since;         /* commits captured up to here do not continue the replica's head */
    int64_t proof_store_ms; /* the store's clock when the head was proven to be the head */
    int64_t proof_boot_ms;  /* and the machine's, which goes on while it is suspended */

    uint64_t objects, bytes; /* put by this run */
    char found[160];         /* what attach found, for the log */
};

/* After an error it is without a store: attach tries again. `url` must outlive it. */
int destination_open(struct destination *d, const char *url, struct err *e) MUST_CHECK;
int destination_open_store(struct destination *d, struct err *e) MUST_CHECK;
void destination_close(struct destination *d);

/* Who puts objects, and what for. */
struct author {
    struct state *state;
    struct uid run;
    struct codec *codec; /* of the worker */
    enum take_over take_over;
    int64_t grace_ms;
};

void destination_enter(struct destination *d, enum destination_state to);

/* Notes that the head is the head, as of this time of the store. */
void destination_prove(struct destination *d, int64_t store_ms);

/* Another writer's object is where ours should be: the end. */
int destination_conflict(struct destination *d, const struct segment_info *theirs, struct err *e);

/* Finds the replica in the state file. ERR_LIMIT. */
int destination_look_up(struct destination *d, struct state *state, struct err *e) MUST_CHECK;

/* Finds out where the replica stands. Leaves it ATTACHED, RESYNC (with head_map) or CONFLICT. Errors leave it DETACHED. */
int destination_attach(struct destination *d, const struct author *a, struct err *e) MUST_CHECK;

/* All pages were compared with what the replica holds at its head: from here on the map leads on from it. */
void destination_compared(struct destination *d, const struct author *a, uint64_t txid, uint32_t page_size);

/* True if the next object starts a new history inside the replica: an empty replica, an unrelated one, another page size. */
bool destination_starts_anew(const struct destination *d, uint32_t page_size);

/* ---- building what goes out next; each leaves d->outgoing filled */

/* Commits after the durable position, not after `upto`, out of consecutive batches of which the first contains durable_txid + 1. */
int destination_build_commits(struct destination *d, const struct author *a, struct batch *const *batches, size_t count,
                              uint64_t upto, struct err *e) MUST_CHECK;

/* The last piece of a catch-up, with the list of the parts before it. */
int destination_build_catch_up(struct destination *d, const struct author *a, const struct piece *piece,
                               const struct copy *copy, struct err *e) MUST_CHECK;

/* An empty first object: its pages come as a base. */
int destination_build_anchor(struct destination *d, const struct author *a, const struct commit_record *record,
                             uint32_t page_size, struct err *e) MUST_CHECK;

/* ---- sending */

/* Puts d->outgoing. 0: durable_txid moved, or the state changed: look at it. ERR_CONFLICT: another writer. Other errors: outcome
 * unknown, try again later. */
int destination_append(struct destination *d, const struct author *a, struct err *e) MUST_CHECK;

/* ---- objects beside level 0: pieces.c. Each has a key that nothing else takes, so that a try whose answer was lost can be
 * repeated: an object that lies under the key then is ours, or the error is ERR_CONFLICT. */

/* Where the objects of a replica go. Known once the replica was attached; any job may hold a copy. */
struct place {
    struct store *store; /* borrowed */
    struct uid database;
};
struct place destination_place(const struct destination *d);

/* Puts a part of a catch-up or of a compacted segment, or a chunk of a base. Needs nothing of the destination: a ship job
 * may run at the same time. */
int destination_put_piece(const struct place *place, const struct author *a, const struct piece *piece,
                          const struct copy_terms *terms, struct listed *ret_listed, struct err *e) MUST_CHECK;

/* Puts the marker that completes a base. The replica then owes no base. */
int destination_put_marker(struct destination *d, const struct author *a, const struct copy *copy,
                           struct err *e) MUST_CHECK;

/* Puts a compacted segment: its last piece, with the list of the parts before it. It ends at the head. ret_size: bytes of
 * this object. */
int destination_put_level(struct destination *d, const struct author *a, const struct piece *piece,
                          const struct copy *copy, uint64_t *ret_size, struct err *e) MUST_CHECK;

/* ---- for attach.c, append.c and pieces.c */

/* Reads the level-0 object that begins at txid `min`. Before: the store is open.
 * ERR_NOTFOUND: there is none. ERR_CORRUPT: it is damaged. ERR_IO, ERR_REMOTE from the store. */
int destination_read_facts(const struct destination *d, const struct author *a, uint64_t min,
                           struct level0_facts *ret_facts, struct err *e) MUST_CHECK;

/* Who writes, for which database, and when. */
int author_info(const struct author *a, const struct uid *database, struct segment_info *ret_info,
                struct err *e) MUST_CHECK;
int destination_add_piece(struct segment_writer *w, const struct piece *p, struct err *e) MUST_CHECK;

#endif
