/* replica/presence.h - checks whether a replica still has every object that a restore of one txid needs.
 *
 * Retention may delete other objects at any time, on any machine. So the listing is not compared with the objects that
 * were put: the planner decides, as it does for a restore. */
#ifndef SEAWALL_REPLICA_PRESENCE_H
#define SEAWALL_REPLICA_PRESENCE_H

#include "replica/handle.h"

struct presence {
    bool whole;        /* a restore of the txid finds all its objects */
    char missing[200]; /* if not: the first thing that it would miss, for people: "it holds no object of level 0" */
};

/* Lists the replica into the catalog of `r`, and looks for the objects that a restore of `txid` reads. Reads the ends
 * of the segments of the plan, not the pages. Precondition: `txid` is at least 1, and was durable before this call.
 * ERR_GONE: an object was listed but does not exist any more, because another process deletes objects now: look again.
 * ERR_NOTFOUND: the place itself does not exist. Other errors are those of the store, and prove nothing. */
int presence_look(struct replica_handle *r, uint64_t txid, struct presence *ret_presence, struct err *e) MUST_CHECK;

#endif
