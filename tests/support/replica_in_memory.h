/* support/replica_in_memory.h - a replica of replica.h in a store in memory: setup and teardown of unit tests. */
#ifndef TESTS_REPLICA_IN_MEMORY_H
#define TESTS_REPLICA_IN_MEMORY_H

#include "memory_store.h"
#include "replica.h"

/* Makes an empty replica. -1: out of memory. */
static inline int replica_in_memory(struct replica *r, struct store **ret_store, struct codec **ret_codec,
                                    uint64_t seed)
{
    *ret_codec = codec_new();
    *ret_store = memory_store_new();
    if (!*ret_codec || !*ret_store)
        return -1;
    replica_init(r, *ret_store, *ret_codec, seed);
    return 0;
}

static inline void replica_in_memory_release(struct replica *r, struct store *store, struct codec *codec)
{
    replica_release(r);
    store_close(store);
    codec_free(codec);
}

#endif
