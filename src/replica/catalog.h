/* replica/catalog.h - the objects of a replica: one listing, sorted by kind. catalog_load fetches the records of an
 * object.
 *
 * A store may list in any order: the catalog sorts. A key that comes twice is an error, so every command refuses that
 * listing. */
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
};

struct ways;

struct catalog {
    struct store *store; /* borrowed */
    struct codec *codec; /* borrowed */
    struct replica_identity identity;
    struct catalog_object *level0; /* ascending min */
    size_t level0_count;
    struct catalog_object *levels; /* level 1 and up; ascending level, min, max */
    size_t level_count;
    struct catalog_object *markers; /* ascending start, run */
    size_t marker_count;
    struct catalog_object *chunks; /* ascending start, run, first page */
    size_t chunk_count;
    struct catalog_object *parts; /* ascending run, number */
    size_t part_count;
    bool identity_listed; /* the listing has seawall.json */
    uint64_t identity_size;
    int64_t identity_time_ms;
    uint64_t objects, bytes; /* of the five lists and seawall.json together */
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

/* The same without seawall.json: `identity` stays zero, and a place without any object gives an empty catalog.
 * ERR_CORRUPT: the listing has a key twice. */
int catalog_list(struct catalog *c, struct store *store, struct codec *codec, struct err *e) MUST_CHECK;

/* Makes c->ways, for a copy of a catalog with other lists of segments. The caller frees it by ways_free.
 * ERR_NOMEM. */
int catalog_make_ways(struct catalog *c, struct err *e) MUST_CHECK;

/* A zeroed catalog is allowed. */
void catalog_release(struct catalog *c);

/* Fetches o->segment, if it is not loaded yet. `o` must be a segment or a marker of this catalog.
 * ERR_CORRUPT: the object is damaged, or does not fit its key. ERR_GONE: it was listed, but no longer exists.
 * ERR_CLAIM: it claims more than the budget allows. That does not mean that it is damaged: the caller must not skip it.
 * Other errors are those of the store. */
int catalog_load(struct catalog *c, struct catalog_object *o, struct err *e) MUST_CHECK;

/* For code that goes through all objects. Frees o->segment if the catalog keeps more than CATALOG_BYTES_MAX, or if the
 * budget is tight. So memory grows with the number of objects, not with their contents. catalog_load fetches a freed
 * segment again. */
#define CATALOG_BYTES_MAX ((size_t)32 << 20)
void catalog_spare(struct catalog *c, struct catalog_object *o);

/* Frees o->segment, unless it is lent. */
void catalog_forget(struct catalog *c, struct catalog_object *o);

/* Tells the store that the level-0 objects with `after` < min <= `upto` will be loaded soon. Only a hint: nothing
 * is reported. */
void catalog_prefetch(const struct catalog *c, uint64_t after, uint64_t upto);

/* ---- level 0, then levels, as one list of all segments */

size_t catalog_segment_count(const struct catalog *c);

/* `index` must be below catalog_segment_count. */
struct catalog_object *catalog_segment(const struct catalog *c, size_t index);

/* The index of a segment of this catalog. */
size_t catalog_segment_index(const struct catalog *c, const struct catalog_object *segment);

/* ---- searching */

/* The newest level-0 object, or NULL. It ends the history of the replica. */
struct catalog_object *catalog_head(const struct catalog *c);

/* The last level-0 object with min <= txid, or NULL. */
struct catalog_object *catalog_level0_at(const struct catalog *c, uint64_t txid);

/* The first object of the kind name->kind that does not come before `name` in the order of keys, or NULL. */
struct catalog_object *catalog_seek(const struct catalog *c, const struct name *name);

/* The object of this name, or NULL. */
struct catalog_object *catalog_find(const struct catalog *c, const struct name *name);

/* Whether the catalog has every part or chunk that this segment or marker names, with the size that it names. */
bool catalog_has_all(const struct catalog *c, const struct segment *s);

#endif
