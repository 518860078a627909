/* verify/walk.h - computes database checksums from page hashes. Private to the room. */
#ifndef SEAWALL_VERIFY_WALK_H
#define SEAWALL_VERIFY_WALK_H

#include "verify/check.h"

/* Limits of the objects whose indexes are read at a time. */
#define WALK_BATCH_BYTES (16u << 20) /* their size together */
#define WALK_BATCH_MAX 256           /* their number */

/* Checks rule 8 and notes problems. Precondition: chain_check has run. Errors: those of the store, ERR_CLAIM,
 * ERR_CANCELED, ERR_NOMEM. */
int walk_check(struct check *c, struct err *e) MUST_CHECK;

#endif
