/* replica/whole.h - reads a pack whole. The checksums of its records say nothing about its pages: before anything goes because
 * of a pack, every block of it is read and checked. */
#ifndef SEAWALL_REPLICA_WHOLE_H
#define SEAWALL_REPLICA_WHOLE_H

#include "replica/catalog.h"

#define WHOLE_PACKS 32

/* The packs of one replica that were read whole and found sound. A zeroed one has none. With more than WHOLE_PACKS, the
 * oldest are forgotten. */
struct whole_packs {
    uint64_t seen[WHOLE_PACKS]; /* hash of key, size, time and nonce; 0: none */
    size_t next;                /* where the next one is noted */
};

/* Reads every block of the pack, unless `known` has it, and notes it there. `known` may be NULL. Precondition: `o` is a pack
 * of the catalog. ERR_CORRUPT: the pack is damaged, or does not fit its key. ERR_GONE: it was listed, but no longer
 * exists. ERR_CANCELED: store->cancel is set. ERR_NOMEM, ERR_CLAIM; other errors are those of the store. */
int whole_check(const struct catalog *c, const struct catalog_object *o, struct whole_packs *known,
                struct err *e) MUST_CHECK;

/* The same for the pack or the object of level 0 of this name, which the catalog may lack. */
int whole_check_named(const struct catalog *c, const struct name *name, struct err *e) MUST_CHECK;

#endif
