/* replica/catalog.h - the objects of a replica: one listing, sorted by kind. catalog_load fetches the records of an
 * object.
 *
 * A store may list in any order: the catalog sorts. A key that comes twice is an error, so every command refuses that
 * listing.
 *
 * Packs. A pack has every commit of the objects of level 0 in its range, so it takes their place in the list of level 0.
 * A pack that reaches the last object of level 0 in the listing came after level 0 was listed, or is not a pack. It is
 * passed over, and is in no list. It stays only if what was in level 0 behind its begin is lost.
 * What lies in a pack, smaller packs too, is in the list `packed`: nothing but retention needs it. Two writers can have
 * made packs that overlap. Then both are in level 0, and each has what comes after the begin of the other.
 * A damaged pack can be set aside: it is in `packed`, and what lies in it is in level 0. catalog_open does so with each pack
 * that can't be loaded, if something that lies in it is still there. */
#ifndef SEAWALL_REPLICA_CATALOG_H
#define SEAWALL_REPLICA_CATALOG_H

#include "format/names.h"
#include "replica/identity.h"
#include "replica/object.h"

struct catalog_object {
    struct name name;
    uint64_t size;
    int64_t time_ms;         /* when the store received it, by the store's clock */
    struct segment *segment; /* owned; trailer, records and list of a segment or marker; NULL before catalog_load */
    bool lent;               /* in a copy of a catalog: `segment` is borrowed, and catalog_spare leaves it alone */
    bool aside;              /* a damaged pack: what lies in it takes its place */
};

struct ways;

struct catalog {
    struct store *store; /* borrowed */
    struct codec *codec; /* borrowed */
    struct replica_identity identity;
    struct catalog_object *level0; /* packs, and the objects of level 0 that lie in none; ascending min, and max */
    size_t level0_count;
    struct catalog_object *packed; /* what lies in a pack, and packs that are set aside; ascending min, max */
    size_t packed_count;
    struct catalog_object *levels; /* level 1 and up; ascending level, min, max */
    size_t level_count;
    struct catalog_object *markers; /* ascending start, run */
    size_t marker_count;
    /* What bases have besides their markers: chunks, and interior pages. Ascending start, run, first page; the interior
     * pages of a base come after its chunks. */
    struct catalog_object *chunks;
    size_t chunk_count;
    struct catalog_object *parts; /* ascending run, number */
    size_t part_count;
    struct name later;    /* of the packs that were passed over, the one that reaches furthest; NAME_OTHER: none */
    bool identity_listed; /* the listing has seawall.json */
    uint64_t identity_size;
    int64_t identity_time_ms;
    uint64_t objects, bytes; /* of the six lists and seawall.json together */
    uint64_t foreign;        /* entries of the listing that are not objects of a replica; they are in no list */
    size_t bytes_kept;       /* memory of all loaded segments together */
    uint64_t loads;          /* how often a segment or marker was loaded or freed */
    struct ways *ways;       /* owned; see replica/ways.h. A copy with other lists of segments has its own */
};

/* Lists the replica and reads seawall.json. `store` and `codec` must outlive the catalog.
 * ERR_NOTFOUND: the place has no object of a replica. ERR_CORRUPT: it has objects, but no seawall.json, or a
 * damaged one; or the listing has a key twice.
 * ERR_GONE: seawall.json was listed, but no longer exists. After an error the catalog is empty. */
int catalog_open(struct catalog *c, struct store *store, struct codec *codec, struct err *e) MUST_CHECK;

/* What catalog_open does after catalog_list: reads seawall.json, and sets damaged packs aside. After an error only
 * catalog_release may follow. Errors: as catalog_open. */
int catalog_identify(struct catalog *c, struct err *e) MUST_CHECK;

/* As catalog_open without seawall.json, and no pack is set aside: `identity` stays zero, and a place without any object gives an empty catalog.
 * ERR_CORRUPT: the listing has a key twice. */
int catalog_list(struct catalog *c, struct store *store, struct codec *codec, struct err *e) MUST_CHECK;

/* Whether something that lies in this pack is still there: objects of level 0, or smaller packs. `pack` is in the list of
 * level 0. */
bool catalog_lies_in(const struct catalog *c, const struct catalog_object *pack);

/* Sets this pack of level 0 aside. Makes other lists `level0` and `packed`, and other ways: the places of their objects, and
 * what the ways knew, are no longer valid. ERR_NOMEM: then only catalog_release may follow. */
int catalog_set_aside(struct catalog *c, struct catalog_object *pack, struct err *e) MUST_CHECK;

/* Sets aside each pack that can't be loaded, if something that lies in it is still there. Before: c->identity is that of the
 * replica. As catalog_set_aside otherwise. ERR_NOMEM, ERR_CANCELED: then only catalog_release may follow. */
int catalog_set_damaged_aside(struct catalog *c, struct err *e) MUST_CHECK;

/* Makes c->ways, for a copy of a catalog with other lists of segments. The caller frees it by ways_free.
 * ERR_NOMEM. */
int catalog_make_ways(struct catalog *c, struct err *e) MUST_CHECK;

/* A zeroed catalog is allowed. */
void catalog_release(struct catalog *c);

/* Fetches o->segment, if it is not loaded yet. `o` must be a segment, a pack or a marker of this catalog.
 * ERR_CORRUPT: the object is damaged, or does not fit its key. ERR_GONE: it was listed, but no longer exists.
 * ERR_CLAIM: it claims more than the budget allows. That does not mean that it is damaged: the caller must not skip it.
 * Other errors are those of the store. */
int catalog_load(struct catalog *c, struct catalog_object *o, struct err *e) MUST_CHECK;

/* Reads only the trailer of a segment, a pack or a marker. Nothing is kept. Errors: as catalog_load; what is behind a sound
 * trailer can be damaged. */
int catalog_look(const struct catalog *c, const struct catalog_object *o, struct segment_trailer *ret_trailer,
                 struct err *e) MUST_CHECK;

/* For code that goes through all objects. Frees o->segment if the catalog keeps more than CATALOG_BYTES_MAX, or if the
 * budget is tight. So memory grows with the number of objects, not with their contents. catalog_load fetches a freed
 * segment again. */
#define CATALOG_BYTES_MAX ((size_t)32 << 20)
void catalog_spare(struct catalog *c, struct catalog_object *o);

/* Frees o->segment, unless it is lent. */
void catalog_forget(struct catalog *c, struct catalog_object *o);

/* Tells the store that the objects in the list of level 0 will be loaded soon. Only a hint: nothing is reported. */
void catalog_prefetch(const struct catalog *c);

/* The same for what a plan for `txid` loads, as far as the names say: the newest marker that starts not after it, then
 * levels, then level 0. */
void catalog_prefetch_way(const struct catalog *c, uint64_t txid);

/* That marker. NULL: there is none. */
const struct catalog_object *catalog_newest_base(const struct catalog *c, uint64_t txid);

/* For code that reads many objects. If the replica has packs, segments go soon after they were put: asks the store to keep
 * those of this listing readable, the oldest of level 0 first. Only a hint. */
void catalog_hold(const struct catalog *c);

/* ---- level 0, then levels, as one list of all segments */

size_t catalog_segment_count(const struct catalog *c);

/* `index` must be below catalog_segment_count. */
struct catalog_object *catalog_segment(const struct catalog *c, size_t index);

/* The index of a segment of this catalog. */
size_t catalog_segment_index(const struct catalog *c, const struct catalog_object *segment);

/* ---- searching */

/* The newest level-0 object, or NULL. It ends the history of the replica. It is a pack only if the objects after the
 * pack were lost. */
struct catalog_object *catalog_head(const struct catalog *c);

/* The last object in the list of level 0 with min <= txid, or NULL. */
struct catalog_object *catalog_level0_at(const struct catalog *c, uint64_t txid);

/* The first object of the kind name->kind that does not come before `name` in the order of keys, or NULL. What is in
 * `packed` is not found; with the kinds NAME_LEVEL0 and NAME_PACK, both are found. */
struct catalog_object *catalog_seek(const struct catalog *c, const struct name *name);

/* The object of this name, or NULL. It may be in `packed`. */
struct catalog_object *catalog_find(const struct catalog *c, const struct name *name);

/* Whether the catalog has every part or chunk that this segment or marker names, with the size that it names. */
bool catalog_has_all(const struct catalog *c, const struct segment *s);

/* Whether the store has an object of this key and size. The listing decides, unless it lacks the object: a listing can
 * lag, so the object is read then. Errors are those of the store. */
int catalog_has(const struct catalog *c, const char *key, uint64_t size, bool *ret_has, struct err *e) MUST_CHECK;

#endif
