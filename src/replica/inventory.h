/* replica/inventory.h - counts the bases, levels and objects of a replica for `seawall list`.
 *
 * It uses the listing, the markers and segments that name other objects, and for single objects their trailers. It does
 * not check pages. */
#ifndef SEAWALL_REPLICA_INVENTORY_H
#define SEAWALL_REPLICA_INVENTORY_H

#include "replica/catalog.h"

#define INVENTORY_LEVELS (SEGMENT_LEVEL_MAX + 1)

enum inventory_state {
    INVENTORY_COMPLETE,
    INVENTORY_NOT_COMPLETE, /* there is no marker: the base is still written, or was never completed */
    INVENTORY_LACKS_CHUNKS, /* the marker names chunks that do not exist or have another size */
    INVENTORY_DAMAGED,      /* the marker can't be read */
    INVENTORY_DELETED,      /* only its interior pages are left: a program that did not know them deleted the base */
};

struct inventory_base {
    uint64_t start;
    uint64_t max; /* 0 if the marker can't be read */
    struct uid run;
    int64_t time_ms; /* when the marker was written; without a marker, when the store received the last object */
    uint64_t bytes;  /* of chunks, interior pages and marker */
    size_t chunks;
    enum inventory_state state;
};

struct inventory_level {
    uint64_t objects, bytes; /* without parts */
    uint64_t first_txid, last_txid;
};

/* The entry of an object in the list of a marker or segment. */
struct inventory_naming {
    bool named;
    uint64_t min, max;
};

struct inventory {
    struct catalog *catalog;      /* borrowed */
    struct inventory_base *bases; /* owned; ascending start, run */
    size_t base_count;
    struct inventory_level levels[INVENTORY_LEVELS];
    uint64_t parts, part_bytes;
    struct inventory_naming *chunk_names, *part_names; /* owned; in the order of the catalog's lists */
    bool unreadable; /* a segment or marker can't be read, so the objects that it names are not known */
};

/* Takes the inventory of an open catalog, which must outlive it. Loads the markers and the newest object of level 0.
 * A damaged object is not an error. The caller releases the inventory. ERR_CLAIM, ERR_NOMEM, and the errors of the
 * store. */
int inventory_take(struct inventory *v, struct catalog *c, struct err *e) MUST_CHECK;
void inventory_release(struct inventory *v); /* a zeroed inventory is allowed */

struct inventory_object {
    char key[NAME_MAX_BYTES];
    enum name_kind kind; /* NAME_OTHER: seawall.json */
    unsigned level;
    uint64_t min, max; /* txids; of a base from its start; 0: not known */
    int64_t time_ms;   /* when it was written, by its trailer; of chunks and parts, when the store received it */
    uint64_t size;
    uint32_t flags; /* enum segment_flags */
    bool damaged;   /* its trailer or records can't be read, or it no longer exists */
    bool orphan;    /* a chunk, interior pages or a part that no marker or segment names */
    bool unknown;   /* the same, but a marker or segment that may name it can't be read */
};

/* Calls `fn` for each object of the replica, in the order of keys, seawall.json last. Stops if `fn` returns non-zero,
 * which is not an error. Loads each segment. Precondition: inventory_take filled in `v`. Errors: as inventory_take. */
typedef int inventory_object_fn(void *context, const struct inventory_object *object);
int inventory_objects(struct inventory *v, inventory_object_fn *fn, void *context, struct err *e) MUST_CHECK;

#endif
