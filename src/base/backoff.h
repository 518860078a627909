/* base/backoff.h - the time to wait before the next try: exponential, with full jitter. */
#ifndef SEAWALL_BASE_BACKOFF_H
#define SEAWALL_BASE_BACKOFF_H

#include <stdint.h>

/* Doubles *wait_ms, but keeps it from least_ms to most_ms. The caller sets *wait_ms to 0 before the first failure.
 * Returns the time to wait now, in ms: half of least_ms, plus a random time below *wait_ms. So clients that failed at
 * the same time do not try again at the same time. Precondition: 0 < least_ms <= most_ms <= UINT32_MAX. */
int64_t backoff_next_ms(int64_t *wait_ms, int64_t least_ms, int64_t most_ms);

#endif
