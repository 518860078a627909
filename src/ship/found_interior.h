/* ship/found_interior.h - interior pages that an earlier run of the writer put, and did not live to name in a marker.
 *
 * They can be named if each of them is the page that a chunk of the base has. What this run has read says nothing about that:
 * the chunks may be of the earlier run, and the database has changed since. */
#ifndef SEAWALL_SHIP_FOUND_INTERIOR_H
#define SEAWALL_SHIP_FOUND_INTERIOR_H

#include "cargo/copy.h"
#include "replica/object.h"

/* Whether the chunks of a base have each page of the object `key`, with its txid and its hash. Reads the index of that object,
 * and of each chunk in whose range one lies. Errors: those of object_load. */
int found_interior_check(struct store *store, struct codec *codec, const char *key, const struct copy_objects *chunks,
                         bool *ret_right, struct err *e) MUST_CHECK;

#endif
