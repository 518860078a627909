/* replica/identity.h - seawall.json, the object with the id of the replica. */
#ifndef SEAWALL_REPLICA_IDENTITY_H
#define SEAWALL_REPLICA_IDENTITY_H

#include "format/segment.h"
#include "replica/writer.h"

#define REPLICA_FORMAT_VERSION 1

struct replica_identity {
    struct uid database;        /* id of the replica; each of its objects has it too */
    int64_t created_ms;         /* wall clock of the writer that created the replica, ms since 1970 */
    struct writer_note founder; /* that writer; zeros: it is not named */
};

/* Whether a key is one where Litestream puts objects, as far as its folder or its end says. */
bool replica_key_of_litestream(const char *key);

/* Reads seawall.json.
 * ERR_NOTFOUND: the object does not exist. ERR_CORRUPT: it is not a seawall.json that this version reads. Other
 * errors are those of the store. */
int replica_identity_read(struct store *store, struct replica_identity *ret_identity, struct err *e) MUST_CHECK;

/* `founder`: the writer that a new seawall.json names; NULL: none.
 * Reads seawall.json. If it does not exist and the place has no other objects of a replica, puts it with a new id. If
 * another process puts it first, returns the id of that process. Logs a warning if a new replica begins beside objects
 * of Litestream. ERR_CORRUPT: the reasons of replica_identity_read, or
 * seawall.json is missing although objects of a replica exist. Other errors are those of the store. */
int replica_identity_obtain(struct store *store, const struct writer_note *founder,
                            struct replica_identity *ret_identity, struct err *e) MUST_CHECK;

/* Puts seawall.json again, for a replica of this database that lost it. If there is one meanwhile, that one counts.
 * *ret_identity: what is there afterwards. Errors as above. */
int replica_identity_replace(struct store *store, const struct uid *database, const struct writer_note *founder,
                             struct replica_identity *ret_identity, struct err *e) MUST_CHECK;

/* Finds out whether store_put_new of the store is exclusive, unless store->fencing is known: puts seawall.json once
 * more with the same bytes. Precondition: seawall.json exists. Errors are those of the store. */
int replica_probe(struct store *store, struct err *e) MUST_CHECK;

/* Sets ERR_CORRUPT for a place that has objects of a replica, but no seawall.json. Returns -1. */
int replica_identity_lost(const struct store *store, struct err *e);

#endif
