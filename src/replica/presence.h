/* replica/presence.h - does a replica still hold everything that a restore of one txid needs?
 *
 * Retention may delete other objects at any time, on any machine. So nothing is compared with a list of what was put:
 * the planner decides, as it does for a restore. */
#ifndef SEAWALL_REPLICA_PRESENCE_H
#define SEAWALL_REPLICA_PRESENCE_H

#include "replica/handle.h"

struct presence {
    bool whole;        /* a restore of the txid finds all its objects */
    char missing[200]; /* if not: the first thing that it would miss, for people: "it holds no object of level 0" */
};

/* Lists the replica into the catalog of `r`, and looks for the objects that a restore of `txid` reads. `txid` must be
 * durable before this call, and at least 1. Reads the ends of the segments of the plan, not the pages.
 * ERR_GONE: an object was listed and is not there any more, since another process deletes objects at this moment: look again.
 * ERR_NOTFOUND: the place itself does not exist. Other errors are those of the store, and prove nothing. */
int presence_look(struct replica_handle *r, uint64_t txid, struct presence *ret_presence, struct err *e) MUST_CHECK;

#endif
