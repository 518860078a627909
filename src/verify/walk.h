/* verify/walk.h - database checksums from page hashes. Private to the room. */
#ifndef SEAWALL_VERIFY_WALK_H
#define SEAWALL_VERIFY_WALK_H

#include "verify/check.h"

/* Indexes that are read at a time. */
#define WALK_BATCH_BYTES (16u << 20)
#define WALK_BATCH_MAX 256 /* objects */

/* Checks rule 8. chain_check must have run. */
int walk_check(struct check *c, struct err *e) MUST_CHECK;

#endif
