/* base/claim.h - the memory of this process for what replicas claim to hold.
 *
 * An object of a kilobyte can claim a megabyte, and be right: zlib shrinks zeros 1000 times. A thousand such objects, or
 * one in each of many threads, would take all memory of the machine. So there is one budget for the whole process. Who
 * decodes bytes of a replica takes from it what the claim needs, before any memory is allocated, and gives it back when
 * that memory is freed. All functions may be called from any thread. */
#ifndef SEAWALL_BASE_CLAIM_H
#define SEAWALL_BASE_CLAIM_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define CLAIM_LIMIT_DEFAULT ((size_t)256 << 20) /* bytes; an honest object takes 16 MiB at most */

/* Sets the limit. What is taken already stays taken. */
void claim_set_limit(size_t bytes);

/* Takes `bytes`. ERR_CLAIM: so much is not left, and nothing was taken. The message says how much is needed; the caller
 * puts in front what claims it. */
int claim_take(size_t bytes, struct err *e) MUST_CHECK;

/* Gives back what was taken. Precondition: at least `bytes` are taken. */
void claim_give(size_t bytes);

/* Is more than half of the budget taken? Then nothing should be kept that can be read again. */
bool claim_is_tight(void);

#endif
