/* verify/chain.h - what objects say about each other. Private to the room. */
#ifndef SEAWALL_VERIFY_CHAIN_H
#define SEAWALL_VERIFY_CHAIN_H

#include "verify/check.h"

/* Checks rules 4 to 6 and the pages of chunks, finds the restore points, counts orphans. All items must be
 * examined. */
int chain_check(struct check *c, struct err *e) MUST_CHECK;

/* The commit record of `txid` in a sound object, or NULL. */
const struct commit_record *chain_record(const struct check *c, uint64_t txid);

#endif
