/* ship/recent.h - the objects of level 0 that this run put last, to compare them with what a listing shows. A store
 * that acknowledged two PUTs of one key has only one of the objects. The entity tag of the listing shows which one, and
 * costs nothing. Knows no store. */
#ifndef SEAWALL_SHIP_RECENT_H
#define SEAWALL_SHIP_RECENT_H

#include "base/store.h"

#include "base/hash.h"

#define RECENT_MAX 8
#define RECENT_ETAG_MAX 48

struct recent_object {
    uint64_t min;               /* first txid */
    uint64_t size;              /* bytes */
    struct digest digest;       /* of the object */
    char etag[RECENT_ETAG_MAX]; /* what the listing should show: the MD5 in hex, or what it showed of this object */
};

struct recent {
    struct recent_object objects[RECENT_MAX]; /* ascending txid */
    size_t count;
};

/* Adds an object that the store acknowledged, and forgets the oldest one if there are RECENT_MAX. Before: `min` is
 * greater than that of every object. */
void recent_add(struct recent *r, uint64_t min, const struct digest *digest, const void *bytes, size_t n);

/* The object that begins at `min`. NULL: it is not one of them. */
struct recent_object *recent_find(struct recent *r, uint64_t min);

/* Forgets the objects for which `listed` is false; it has the order of r->objects. Returns whether there was one. */
bool recent_forget_unlisted(struct recent *r, const bool listed[RECENT_MAX]);

/* Does the entry of a listing have the size and the entity tag of this object? False proves nothing: some stores have
 * tags that are not the MD5. An entry without a tag is compared by its size. */
bool recent_fits(const struct recent_object *o, const struct store_entry *entry);

/* The object was read and is the one that was put: the tag that the listing showed is its tag. */
void recent_learn(struct recent_object *o, const char *etag);

#endif
