/* replica/catalog.h - which objects a replica has: one listing, sorted; records are fetched when somebody asks. */
#ifndef SEAWALL_REPLICA_CATALOG_H
#define SEAWALL_REPLICA_CATALOG_H

#include "format/names.h"
#include "replica/object.h"

/* ---- seawall.json: which database this replica is of */

struct replica_identity {
    struct uid database;
    int64_t created_ms;
};
#define REPLICA_FORMAT_VERSION 1

/* ERR_NOTFOUND: not there. ERR_CORRUPT: not ours, or of a later version. */
int replica_identity_read(struct store *store, struct replica_identity *ret_identity, struct err *e) MUST_CHECK;

/* Reads it, or makes it with a new database id. ERR_CORRUPT: it is missing, but objects are there. */
int replica_identity_obtain(struct store *store, struct replica_identity *ret_identity, struct err *e) MUST_CHECK;

/* Finds out whether the store puts exclusively, if that is not known, by putting this object once more as it is. */
int replica_probe(struct store *store, struct err *e) MUST_CHECK;

/* ---- the catalog */

struct catalog_object {
    struct name name;
    uint64_t size;
    int64_t time_ms;         /* when the store got it */
    struct segment *segment; /* records only; NULL until catalog_load */
};

struct catalog {
    struct replica_identity identity;
    struct store *store;           /* borrowed */
    struct codec *codec;           /* borrowed */
    struct catalog_object *level0; /* ascending min */
    size_t level0_count;
    struct catalog_object *levels; /* level 1 and up */
    size_t level_count;
    struct catalog_object *markers; /* ascending start */
    size_t marker_count;
    struct catalog_object *chunks; /* ascending start, run, first page */
    size_t chunk_count;
    struct catalog_object *parts; /* ascending run, number */
    size_t part_count;
    uint64_t identity_size;
    int64_t identity_time_ms;
    uint64_t objects, bytes; /* of everything that is ours */
    size_t records_kept;     /* by catalog_load, in all objects together */
};

/* Lists the replica. ERR_NOTFOUND: no object of a replica is here, nothing was ever replicated to this place. ERR_CORRUPT: objects,
 * but no seawall.json. */
int catalog_open(struct catalog *c, struct store *store, struct codec *codec, struct err *e) MUST_CHECK;
void catalog_release(struct catalog *c);

/* Makes o->segment (trailer, records, list) available. ERR_GONE: it was listed, and is not there any more. */
int catalog_load(struct catalog *c, struct catalog_object *o, struct err *e) MUST_CHECK;

/* For who goes through all objects: lets go of o->segment if more records are kept than CATALOG_RECORDS_MAX, so that memory is
 * bounded by the number of objects, not by that of the commits they record. catalog_load reads it again. */
#define CATALOG_RECORDS_MAX (1u << 20) /* 32 MiB */
void catalog_spare(struct catalog *c, struct catalog_object *o);

/* The records of these level-0 objects will be read: those that begin after `after` and not after `upto`. */
void catalog_prefetch(const struct catalog *c, uint64_t after, uint64_t upto);

/* The newest level-0 object with min <= txid, or NULL. */
struct catalog_object *catalog_level0_at(struct catalog *c, uint64_t txid);

/* The first object of this kind that is not before `name` in the order of keys; NULL: none. The listing has to be in order. */
struct catalog_object *catalog_seek(const struct catalog *c, const struct name *name);

/* The object of this name; NULL: the listing does not have it. */
struct catalog_object *catalog_find(const struct catalog *c, const struct name *name);

/* Is every object in the order of its key, and there once? */
bool catalog_in_order(const struct catalog *c);

#endif
