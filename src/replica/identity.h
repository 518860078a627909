/* replica/identity.h - seawall.json, the object that says which database a replica is of. */
#ifndef SEAWALL_REPLICA_IDENTITY_H
#define SEAWALL_REPLICA_IDENTITY_H

#include "format/segment.h"
#include "storage/store.h"

#define REPLICA_FORMAT_VERSION 1

struct replica_identity {
    struct uid database;
    int64_t created_ms; /* wall clock of the writer that created the replica */
};

/* Reads seawall.json.
 * ERR_NOTFOUND: the object does not exist. ERR_CORRUPT: it is not a seawall.json that this version reads. Other
 * errors are those of the store. */
int replica_identity_read(struct store *store, struct replica_identity *ret_identity, struct err *e) MUST_CHECK;

/* Reads seawall.json. If it does not exist and the place holds no other objects of a replica, creates it with a
 * new database id. If another process creates it first, returns that one's id.
 * ERR_CORRUPT: as above, or seawall.json is missing although objects of a replica exist. */
int replica_identity_obtain(struct store *store, struct replica_identity *ret_identity, struct err *e) MUST_CHECK;

/* Puts seawall.json again, for a replica of this database that lost it. If there is one meanwhile, that one counts.
 * *ret_identity: what is there afterwards. Errors as above. */
int replica_identity_replace(struct store *store, const struct uid *database, struct replica_identity *ret_identity,
                             struct err *e) MUST_CHECK;

/* Finds out whether the store's store_put_new is exclusive, if store->fencing does not say so yet: puts
 * seawall.json once more with the same bytes. seawall.json must exist. */
int replica_probe(struct store *store, struct err *e) MUST_CHECK;

/* Sets the error for a place that has objects of a replica, but no seawall.json. Always returns -1, with
 * ERR_CORRUPT. */
int replica_identity_lost(const struct store *store, struct err *e);

#endif
