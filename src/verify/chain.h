/* verify/chain.h - what objects say about each other. Private to the room. */
#ifndef SEAWALL_VERIFY_CHAIN_H
#define SEAWALL_VERIFY_CHAIN_H

#include "verify/check.h"

/* Checks rules 4 to 6 and the pages of chunks, finds the restore points, counts orphans. All items must be
 * examined. */
int chain_check(struct check *c, struct err *e) MUST_CHECK;

/* *ret_found: a sound object has the commit record of `txid`. Not from several threads. */
int chain_record(struct check *c, uint64_t txid, struct commit_record *ret_record, bool *ret_found,
                 struct err *e) MUST_CHECK;

#endif
