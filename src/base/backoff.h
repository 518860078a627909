/* base/backoff.h - how long to wait before the next try: exponential, with full jitter. */
#ifndef SEAWALL_BASE_BACKOFF_H
#define SEAWALL_BASE_BACKOFF_H

#include <stdint.h>

/* Doubles *wait_ms, which is 0 before the first failure, within least_ms..most_ms. Returns how long to wait now, in ms:
 * half of least_ms and a random share of *wait_ms, so that those who failed together don't come back together. */
int64_t backoff_next_ms(int64_t *wait_ms, int64_t least_ms, int64_t most_ms);

#endif
