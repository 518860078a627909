/* ship/findings.h - decides whether the head of a replica is in the proven past of our page map. It is the decision of
 * attach, without a store.
 *
 * Attach reads the level-0 objects of the replica in ascending order: the newest one that begins at or before our
 * durable position, if there is one, and every object after it. Three questions decide, each about all of these
 * objects:
 *
 *   linked  Does the first object after our position begin right after it? Does each object name the digest of the
 *           object before it?
 *   mine    Is each object linked, and an attempt of ours or an object that one of our runs put?
 *   past    Is each object mine, and does it end within what our map contains?
 *
 * The outcome:
 *
 *   past     CONTINUE
 *   mine     RESYNC: compare all pages with those that the replica holds
 *   neither  CONFLICT: another writer put objects. With --take-over: RESYNC
 *
 * Retention and power cuts make exceptions. Retention can have deleted the object at our position: then `behind` is
 * set, and each later object shows by itself who put it. A power cut can have taken our newest position back: then
 * objects that we put lie behind a hole. In both cases CONTINUE is impossible, because nothing proves that our map
 * contains the commits of the hole.
 *
 * A pack takes the place of objects like a hole that retention left. The run in it is that of the daemon that packed, and
 * a daemon packs only what it continued. */
#ifndef SEAWALL_SHIP_FINDINGS_H
#define SEAWALL_SHIP_FINDINGS_H

#include "state/identity.h"

enum take_over { TAKE_OVER_NO, TAKE_OVER_YES };

/* The facts about a level-0 object that decide. */
struct level0_facts {
    struct segment_info info;
    struct digest digest; /* of the whole object */
    bool packed;          /* it is a pack: the runs of its objects are not known, only that of who packed them */
    uint64_t checksum;    /* of the database after its newest commit */
    int64_t time_ms;      /* of its newest commit */
    uint64_t bytes;       /* of the object and the parts that it names */
    uint64_t db_bytes;    /* of the database after its newest commit */
};

enum attach_outcome {
    ATTACH_EMPTY,    /* the replica has no objects, and none are missed: it gets everything */
    ATTACH_GONE,     /* the replica has no objects, but we shipped some */
    ATTACH_CONTINUE, /* the head is in our past: go on from it */
    ATTACH_RESYNC,   /* compare all pages with what the replica holds at its head, then go on from it */
    ATTACH_CONFLICT, /* the head is another writer's */
};

struct findings {
    const struct identity_replica *entry; /* our position in the replica, from the state file; borrowed */
    const struct identity *id;            /* whose runs are ours; borrowed */
    size_t newer;                         /* objects that begin after our position */
    size_t objects;                       /* that were added, damaged ones included */
    bool mine, past;                      /* see above */
    bool behind;                          /* the object at our position is gone; false again after the next object */
    bool packed;                          /* the newest object that was added is a pack */
    bool end_damaged;                     /* the newest object is damaged. It was not added, and none is newer */
    unsigned adopted;                     /* objects after our position, damaged ones not included */

    /* the head as far as objects were added; at first our position */
    uint64_t head_txid, head_checksum;
    int64_t head_time_ms; /* 0: no object was added */
    struct digest head;
    struct segment_info last; /* of the head */
    uint64_t db_bytes;        /* of the database at the head */
    uint64_t base_owed;       /* txid of a base-only object that waits for its base; 0: none */
    uint64_t anew_txid;       /* newest txid at which a new history began */
};

/* `newer`: how many objects of the replica begin after entry->durable_txid. `entry` and `id` must outlive the
 * findings. */
void findings_begin(struct findings *f, const struct identity_replica *entry, const struct identity *id, size_t newer);

/* Takes the next object into account. Objects come in ascending order; at most the first begins at or before our
 * position. */
void findings_add(struct findings *f, const struct level0_facts *o);

/* Takes a damaged object into account, which is not the newest one. Then nothing proves whose the replica is. */
void findings_add_damaged(struct findings *f);

/* Returns the decision. Precondition: all objects were added. */
enum attach_outcome findings_outcome(const struct findings *f, enum take_over take_over);

#endif
