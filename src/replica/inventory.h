/* replica/inventory.h - what a replica consists of, for people: its bases, its levels, its objects one by one.
 *
 * It judges by the listing, by the markers and manifests that name other objects, and, object by object, by trailers. Whether pages
 * are whole is not looked at. */
#ifndef SEAWALL_REPLICA_INVENTORY_H
#define SEAWALL_REPLICA_INVENTORY_H

#include "replica/catalog.h"

#define INVENTORY_LEVELS (SEGMENT_LEVEL_MAX + 1)

enum inventory_state {
    INVENTORY_COMPLETE,
    INVENTORY_NOT_COMPLETE, /* no marker: it is under way, or was never completed */
    INVENTORY_LACKS_CHUNKS, /* the marker names chunks that are not there, or have another size */
    INVENTORY_DAMAGED,      /* the marker can't be read */
};

struct inventory_base {
    uint64_t start, max; /* max: only if the marker could be read */
    struct uid run;
    int64_t time_ms; /* when the marker was written; without one, when the store got the last chunk */
    uint64_t bytes;  /* of chunks and marker */
    size_t chunks;
    enum inventory_state state;
};

struct inventory_level {
    uint64_t objects, bytes; /* without parts */
    uint64_t first_txid, last_txid;
};

/* What a marker or manifest says of the object it names. */
struct inventory_naming {
    bool named;
    uint64_t min, max;
};

struct inventory {
    struct catalog *catalog; /* borrowed */
    struct inventory_base *bases;
    size_t base_count;
    struct inventory_level levels[INVENTORY_LEVELS];
    uint64_t parts, part_bytes;
    struct inventory_naming *chunk_names, *part_names; /* as the lists of the catalog */
    bool unreadable;                                   /* a marker or segment: what it names is not known */
};

/* Reads markers and the newest level-0 object. */
int inventory_take(struct inventory *v, struct catalog *c, struct err *e) MUST_CHECK;
void inventory_release(struct inventory *v);

struct inventory_object {
    char key[NAME_MAX_BYTES];
    enum name_kind kind; /* NAME_OTHER: seawall.json */
    unsigned level;
    uint64_t min, max; /* txids, of a base from its start; 0: not known */
    int64_t time_ms;   /* when it was written, as it says; chunks and parts: when the store got them */
    uint64_t size;
    uint32_t flags; /* enum segment_flags */
    bool damaged;   /* its trailer or records can't be read, or it is gone by now */
    bool orphan;    /* a part or chunk that no manifest or marker names */
    bool unknown;   /* the same, but one that may name it can't be read */
};

/* Every object of the replica, in the order of their keys, seawall.json last. Reads each segment. `fn` returns non-zero to stop. */
typedef int inventory_object_fn(void *context, const struct inventory_object *object);
int inventory_objects(struct inventory *v, inventory_object_fn *fn, void *context, struct err *e) MUST_CHECK;

#endif
