/* ship/destination.h - one replica that a database is shipped to: its position, and the protocol that keeps one
 * history in it.
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
 *   DETACHED   The state of the store is not known. Nothing may be put.
 *
 *   RESYNC     The head is known, but it is not in the past of our map. All pages must be compared with the replica.
 *              The state file keeps the position from before, so that a restart comes to the same result.
 *
 *   ATTACHED   Objects can be appended.
 *
 *   CONFLICT   The replica belongs to another writer. Nothing is put any more; exit code 6.
 *
 * Append. The digest of the object, the attempt, goes into the state file first. Then the object is put exclusively,
 * under the one key that continues the head. If that key exists, the object under it is read:
 *   - It is an attempt of ours: adopt it as the head.
 *   - An earlier run put it, and it is in the past of our map: adopt it.
 *   - An earlier run put it, and it is not in the past of our map: the state becomes DETACHED, and attach decides.
 *   - Anything else is another writer's: CONFLICT.
 * An object is adopted only if it has everything that the URL asks for (store_confirm): a server can refuse a PUT, for
 * example because of its object lock, and have stored the object.
 *
 * Proof of the head. Retention deletes old level-0 objects. So a key that continues our head can be free although
 * others moved the head long ago, and an exclusive PUT would then append in the past. So the head must be proven: by
 * attach, or by an append. If the proof is older than half of pack_settle_ms (by the clock of the store or of this
 * machine), the replica is listed behind the head before the PUT. If the answer to the PUT comes that late, the
 * replica is listed before the answer is believed.
 *
 * Stores that only seem exclusive. A server can answer 412 to a PUT of a key that exists, and still let two PUTs at the
 * same moment succeed, because its look and its PUT are two steps. So a writer that never attached to this replica
 * finds out by a race (store_race). One that passes is not proven to be exclusive. So what costs nothing is compared:
 *   - the object that was found after 412 must continue the head that was acknowledged to us;
 *   - a listing for a look must show our newest objects with their size and entity tag (recent.h).
 * A contradiction is a CONFLICT, and the state file remembers that the store is weak.
 *
 * Weak stores. A store without exclusive PUT (storage/store.h: weak) can't be made safe, only watched. Before each
 * append the head must be the object that we know, with no object behind it. After it the object that is read back
 * must be ours. So another writer is found with the next append at the latest, and stopped. What both wrote until
 * then can break the chain of objects. The next restore reports that.
 *
 * Loss. What was acknowledged can vanish: a person empties the folder or the prefix, a disk forgets. Looks (look.h)
 * notice it, and then everything that is missing is put again:
 *   - The head is there, and a restore finds no way to it: the replica owes a base, which needs nothing before it.
 *   - The head is gone: the next object begins a new history, behind the last txid that was acknowledged. It has no
 *     pages; they come as a base. So no txid and no key is used twice, and a PUT of ours that is carried out late
 *     can't land behind the new head.
 * Nothing counts as durable until the base is complete. A loss is believed only at the second look, and only if the
 * place proves that it is the same: a folder with the seawall.json of this replica, or one that has been the same
 * folder since it held the replica; a bucket proves it by answering. Otherwise a person must decide, because the
 * folder may be the mount point of a disk that is not mounted.
 * The fence holds meanwhile. Any object of another writer that our position does not explain is a CONFLICT: one
 * behind it, and one before it that was stored after our last proof of the head. After the PUT of the new beginning
 * the replica is listed from the last object that was left: if there is anything but the new beginning, that is
 * removed again, and attach decides.
 *
 * Ownership. A job owns the destination while it runs. Otherwise the main thread owns it. */
#ifndef SEAWALL_SHIP_DESTINATION_H
#define SEAWALL_SHIP_DESTINATION_H

#include "cargo/batch.h"
#include "cargo/copy.h"
#include "replica/plan.h"
#include "ship/findings.h"
#include "ship/kept.h"
#include "ship/levels.h"
#include "ship/recent.h"
#include "state/state.h"

enum destination_state { DESTINATION_DETACHED, DESTINATION_RESYNC, DESTINATION_ATTACHED, DESTINATION_CONFLICT };

/* A level-0 object that is the head, or becomes it. */
struct landed {
    struct digest digest;
    uint64_t min, max;
    uint64_t checksum;  /* of the database at txid max */
    uint64_t base_owed; /* txid of a base-only object that waits for its base; 0: none */
    uint64_t bytes;     /* of the object and its parts */
    uint32_t page_size;
    bool anew; /* it begins a new history */
};

/* The object that is built next. It is sent again, unchanged, until it is known whether the store has it. */
struct outgoing {
    struct buf bytes; /* len 0: no object is built */
    struct landed object;
    unsigned commits; /* in it */
};

/* The other writer of a conflict. */
struct rival {
    struct uid writer;
    uint64_t min, max;       /* txids of its object */
    int64_t time_ms;         /* when it put that, by its clock; 0: there is no conflict */
    struct writer_note note; /* zeros: the replica does not say who it is */
};

struct destination {
    const char *given;   /* the URL as the user gave it; borrowed */
    char url[1024];      /* the URL as it is shown: without secrets */
    struct store *store; /* owned; NULL: not open yet */
    enum destination_state state;
    bool known;                    /* `index` and `entry` come from the state file */
    uint32_t index;                /* of the replica in the state file */
    struct identity_replica entry; /* working copy; state_set_replica stores it */
    struct outgoing outgoing;
    struct levels levels; /* valid while ATTACHED */
    struct recent recent; /* put while ATTACHED, and acknowledged */
    bool unlisted;        /* the last destination_look missed one of `recent` before the head */
    struct kept *kept;    /* borrowed; NULL: nothing is kept for packs. Otherwise likewise, if requests cost money */

    /* the head, as attach found it */
    struct map head_map;     /* RESYNC: the pages that the replica holds at its head; page_size 0: not known */
    int64_t head_time_ms;    /* of its newest commit */
    bool from_empty;         /* the next object begins a new history: our map has nothing in common with the replica */
    uint32_t head_page_size; /* of the newest object; 0: there is none */
    uint64_t head_min;       /* first txid of the newest object */

    /* Weak stores: a PUT of an earlier run whose outcome is unknown can still be carried out, and overwrite an object
     * of ours. */
    bool open_attempts;       /* there are such PUTs */
    uint64_t endangered_min;  /* first txid of the object that they can overwrite; 0: none yet */
    struct digest endangered; /* its digest */
    bool broken;              /* that object was overwritten: the next one begins a new history */

    bool run_on_disk;        /* this run, and the position that it went on from, are synced: since its first PUT */
    uint64_t since;          /* commits that were captured up to this txid do not continue the head of the replica */
    int64_t proof_store_ms;  /* when the head was proven, by the store's clock */
    int64_t proof_boot_ms;   /* and by the machine's clock, which goes on while the machine is suspended */
    int64_t proof_before_ms; /* during attach: the proof before it, by the store's clock; 0: there was none */
    int64_t clock_ahead_ms;  /* how far the clock of this machine was ahead of the store's; negative: behind */

    /* after a loss */
    bool seen_here;         /* the replica was attached since the store was opened: the place is the right one */
    int64_t missed_boot_ms; /* when attach missed objects for the first time, by the machine's clock; 0: it does not */
    bool lost;              /* the loss is certain, and the next object begins a new history */
    uint64_t left_min;      /* first txid of the newest object that was left; 0: none was */
    uint64_t lost_first, lost_last; /* txids that can't be restored, by the newest marker that was put; 0: none */
    bool identity_put;              /* attach had to put seawall.json again */
    bool named;                     /* the replica names this writer, as far as it could be done */

    struct rival rival; /* CONFLICT */

    uint64_t objects, bytes; /* that this run put */
    char found[200];         /* what attach found, for the log */
};

/* Makes the destination and opens its store. `url` must outlive it. An error leaves it without a store; attach then
 * tries again. Errors come from store_open. */
int destination_open(struct destination *d, const char *url, struct err *e) MUST_CHECK;

/* Opens the store if it is not open. */
int destination_open_store(struct destination *d, struct err *e) MUST_CHECK;
void destination_close(struct destination *d);

/* Writes a text that is the same for all replicas that fail together: in one bucket by one endpoint, or on one file
 * system. It may have secrets. Asks no store. */
void destination_store_name(const struct destination *d, char out[STORE_URL_MAX]);

/* Writes how the URL is shown, without secrets. Asks no store. ERR_CONFIG: it is wrong. */
int destination_show(const char *url, char ret_shown[STORE_URL_MAX], struct err *e) MUST_CHECK;

/* Whether the replica at `url` has everything up to id->txid, as far as a state file knows. No store is asked; of a
 * folder, seawall.json must be there. May add an entry to `id`. */
bool destination_is_known_durable(struct identity *id, const char *url);

/* The writer of objects, and its rules. */
struct author {
    struct state *state; /* borrowed */
    struct uid run;      /* this start of the program */
    struct codec *codec; /* of the worker; borrowed */
    enum take_over take_over;
    int64_t grace_ms;     /* the grace period of retention */
    const char *database; /* path of the database, for replica/writer.h; borrowed; NULL: replicas do not get it */
    bool hide_writer;     /* they get hashes instead */
};

/* Changes the state. Precondition: the table above allows it. If the new state is not ATTACHED, the outgoing object is
 * dropped: it was built for a head that may no longer be the head. The attempts stay in the state file. */
void destination_enter(struct destination *d, enum destination_state to);

/* Notes that the head was proven when the store's clock was at `store_ms`. */
void destination_prove(struct destination *d, int64_t store_ms);

/* Notes what a request says about the clocks: it was sent when the clock of this machine was at `before_ms`, and now
 * its answer is here, with `store_ms` of the store's clock. */
void destination_note_clock(struct destination *d, int64_t before_ms, int64_t store_ms);

/* Makes the state CONFLICT: another writer put `theirs` under the key of our next object. Returns -1 with
 * ERR_CONFLICT. */
int destination_conflict(struct destination *d, const struct segment_info *theirs, struct err *e);

/* The store acknowledged our object at txid `min`, and has `theirs` under its key, or behind it an object that does not
 * continue ours. So PUT is not exclusive there, which the state file remembers. The state becomes CONFLICT. Returns -1
 * with ERR_CONFLICT. */
int destination_overwritten(struct destination *d, const struct author *a, uint64_t min,
                            const struct segment_info *theirs, struct err *e);

/* Sets `index` and `entry` from the state file. ERR_LIMIT: the state file has too many replicas. */
int destination_look_up(struct destination *d, struct state *state, struct err *e) MUST_CHECK;

/* Finds out where the head of the replica is and whether we may continue it. Precondition: DETACHED. Returns 0 with
 * ATTACHED or RESYNC; RESYNC sets head_map. ERR_CONFLICT: the state is CONFLICT. After another error the state is
 * DETACHED. ERR_REMOTE: also if objects are missing, which another look or a person has to confirm. */
int destination_attach(struct destination *d, const struct author *a, struct err *e) MUST_CHECK;

/* Notes that all pages were compared with head_map: from now on our map continues the head. The state becomes ATTACHED.
 * `txid`: the txid that the comparison used. `page_size`: of the local database. Precondition: RESYNC or ATTACHED, and
 * `txid` is newer than the head. */
void destination_compared(struct destination *d, const struct author *a, uint64_t txid, uint32_t page_size);

/* Whether the next object begins a new history in the replica. It does in a replica that is empty, unrelated, or of
 * another page size. */
bool destination_starts_anew(const struct destination *d, uint32_t page_size);

/* ---- building the next object. Before: ATTACHED. Each function sets d->outgoing. ERR_NOMEM, ERR_LIMIT */

/* Commits after the durable position and up to `upto`. `batches` are consecutive; the first contains the commit that
 * follows the durable position. */
int destination_build_commits(struct destination *d, const struct author *a, struct batch *const *batches, size_t count,
                              uint64_t upto, struct err *e) MUST_CHECK;

/* The object of a catch-up: its last piece, with the list of the parts before it. */
int destination_build_catch_up(struct destination *d, const struct author *a, const struct piece *piece,
                               const struct copy *copy, struct err *e) MUST_CHECK;

/* An empty object that begins a history: its pages come as a base. */
int destination_build_anchor(struct destination *d, const struct author *a, const struct commit_record *record,
                             uint32_t page_size, struct err *e) MUST_CHECK;

/* ---- sending */

/* Puts d->outgoing. Precondition: ATTACHED, and d->outgoing begins right after the durable position. After 0 the
 * durable position has moved, or the state is DETACHED. ERR_CONFLICT: the state is CONFLICT. After another error the
 * outcome is unknown; try again later. */
int destination_append(struct destination *d, const struct author *a, struct err *e) MUST_CHECK;

/* ---- objects beside level 0 (pieces.c). Nothing else takes their keys. So a PUT whose answer was lost can be
 * repeated: an object that is found under the key is ours, or the error is ERR_CONFLICT. */

/* Where the objects of a replica go. Any job may hold a copy. Before: the replica was attached once. */
struct destination_place {
    struct store *store; /* borrowed */
    struct uid database;
};
struct destination_place destination_place(const struct destination *d);

/* Puts a part of a catch-up or of a compacted segment, or a chunk of a base. Does not touch the destination: a ship
 * job may run at the same time. *ret_listed: how the object is named in a list. */
int destination_put_piece(const struct destination_place *place, const struct author *a, const struct piece *piece,
                          const struct copy_terms *terms, struct listed *ret_listed, struct err *e) MUST_CHECK;

/* Puts the marker that completes a base. Precondition: every chunk ends at or before the durable position. Afterwards
 * the replica does not owe a base. ERR_CONFLICT: a chunk is missing. */
int destination_put_marker(struct destination *d, const struct author *a, const struct copy *copy,
                           struct err *e) MUST_CHECK;

/* Puts a compacted segment: its last piece, with the list of the parts before it. Precondition: it begins where its
 * level ends, and ends at the head. *ret_size: bytes of this object, without the parts. ERR_CONFLICT: a part is
 * missing. */
int destination_put_level(struct destination *d, const struct author *a, const struct piece *piece,
                          const struct copy *copy, uint64_t *ret_size, struct err *e) MUST_CHECK;

/* ---- for attach.c, append.c and pieces.c */

/* Reads an object of level 0 or a pack. Before: the store is open.
 * ERR_NOTFOUND: there is none. ERR_CORRUPT: it is damaged. ERR_IO, ERR_REMOTE from the store. */
int destination_read_facts_of(const struct destination *d, const struct author *a, const struct name *name,
                              struct level0_facts *ret_facts, struct err *e) MUST_CHECK;

/* The same for the level-0 object that begins at txid `min`. */
int destination_read_facts(const struct destination *d, const struct author *a, uint64_t min,
                           struct level0_facts *ret_facts, struct err *e) MUST_CHECK;

/* Fills in writer, run, database, time and a random nonce of an object. */
int author_info(const struct author *a, const struct uid *database, struct segment_info *ret_info,
                struct err *e) MUST_CHECK;

/* Adds all pages of a piece to an object. */
int destination_add_piece(struct segment_writer *w, const struct piece *p, struct err *e) MUST_CHECK;

#endif
