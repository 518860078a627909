/* base/claim.h - the memory of this process for what replicas claim to hold.
 *
 * An object of a kilobyte can claim a megabyte, and the claim can be true: zlib shrinks zeros 1000 times. A thousand of
 * these objects, or one in each of many threads, would take all memory of the machine. So the process has one budget.
 * Before a decoder allocates memory for a claim, it takes that many bytes from the budget. It gives them back when it
 * frees the memory. All functions may be called from any thread. */
#ifndef SEAWALL_BASE_CLAIM_H
#define SEAWALL_BASE_CLAIM_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define CLAIM_LIMIT_DEFAULT ((size_t)256 << 20) /* bytes; an honest object takes 16 MiB at most */

/* Sets the limit, in bytes. Bytes that are taken stay taken, even if they exceed the new limit. */
void claim_set_limit(size_t bytes);

/* Takes `bytes` from the budget. ERR_CLAIM: the budget has fewer bytes left, and nothing was taken. The message says
 * how many are needed; the caller wraps it with the name of the object that claims them. */
int claim_take(size_t bytes, struct err *e) MUST_CHECK;

/* Gives `bytes` back to the budget. Precondition: at least `bytes` are taken. */
void claim_give(size_t bytes);

/* Whether more than half of the budget is taken. If so, the caller should free all memory that holds only bytes which
 * it can read again. */
bool claim_is_tight(void);

#endif
