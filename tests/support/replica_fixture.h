/* support/replica_fixture.h - what a unit test of room replica works on: a replica in memory, and its catalog. */
#ifndef TESTS_REPLICA_FIXTURE_H
#define TESTS_REPLICA_FIXTURE_H

#include "replica_in_memory.h"

static struct codec *codec;
static struct store *store;
static struct replica r;
static struct catalog catalog;

/* The model has `commits` commits with a page size of 512; no object is put. -1: out of memory. */
static inline int replica_fixture(uint64_t seed, unsigned commits)
{
    if (replica_in_memory(&r, &store, &codec, seed))
        return -1;
    replica_commits(&r, commits, 512);
    return 0;
}

static inline int replica_fixture_release(void **state)
{
    (void)state;
    catalog_release(&catalog);
    replica_in_memory_release(&r, store, codec);
    return 0;
}

#endif
