/* verify/chain.h - compares what objects say about each other. Private to the room. */
#ifndef SEAWALL_VERIFY_CHAIN_H
#define SEAWALL_VERIFY_CHAIN_H

#include "verify/check.h"

/* Checks rules 4 to 6 and the pages of chunks, finds the restore points, and counts orphans. Notes problems. If objects
 * were deleted meanwhile, sets c->changed. Precondition: all items are examined. Errors: those of the store, ERR_CLAIM,
 * ERR_NOMEM. */
int chain_check(struct check *c, struct err *e) MUST_CHECK;

/* Finds the commit record of `txid` in the sound objects. *ret_found: whether one has it. Only one thread may call this
 * at a time. Errors: as chain_check. */
int chain_record(struct check *c, uint64_t txid, struct commit_record *ret_record, bool *ret_found,
                 struct err *e) MUST_CHECK;

#endif
