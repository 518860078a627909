/* replica/handle.h - an open replica: its store, the codec that reads its objects, and its catalog. Every command
 * and job that reads a replica opens it here. */
#ifndef SEAWALL_REPLICA_HANDLE_H
#define SEAWALL_REPLICA_HANDLE_H

#include "replica/catalog.h"

struct replica_handle {
    struct store *store;
    struct codec *codec;
    struct catalog catalog; /* of the last listing; empty before the first one */
    bool owns_store, owns_codec;
    struct store_traffic *traffic; /* of the options */
};

struct replica_options {
    enum store_mode mode;
    struct codec *codec;                   /* borrowed; NULL: the handle makes its own */
    const atomic_bool *cancel;             /* ends a wait for the store with ERR_CANCELED when true; NULL: never */
    void (*retrying)(const struct err *e); /* called when an operation takes more than two tries; may be NULL */
    struct store_traffic *traffic;         /* gets the requests when the handle is closed; borrowed; may be NULL */
};

/* Opens the store at `url`. Lists nothing: `catalog` is empty afterwards. A remote store is not contacted yet.
 * Errors are those of store_open; ERR_NOMEM. After an error the handle needs no replica_handle_close. */
int replica_handle_open(struct replica_handle *r, const char *url, const struct replica_options *options,
                        struct err *e) MUST_CHECK;

/* A handle over a store and a codec that the caller keeps and closes itself, after replica_handle_close. */
struct replica_handle replica_handle_borrow(struct store *store, struct codec *codec);

/* Lists the replica into `catalog`, in place of the listing before. The handle must be open. Errors are those of
 * catalog_open; then `catalog` is empty. */
int replica_handle_list(struct replica_handle *r, struct err *e) MUST_CHECK;

/* Releases the catalog, and the store and codec that the handle owns. A zeroed handle is allowed. */
void replica_handle_close(struct replica_handle *r);

#endif
