/* base/backoff.c */
#include "base/backoff.h"

#include "base/hash.h"

#include <assert.h>

int64_t backoff_next_ms(int64_t *wait_ms, int64_t least_ms, int64_t most_ms)
{
    uint32_t random = 0;
    struct err e;
    assert(0 < least_ms && least_ms <= most_ms && most_ms <= UINT32_MAX);
    *wait_ms = *wait_ms >= least_ms ? 2 * *wait_ms : least_ms;
    if (*wait_ms > most_ms)
        *wait_ms = most_ms;
    if (random_bytes(&random, sizeof random, &e))
        random = 0;
    return least_ms / 2 + (int64_t)(random % (uint32_t)*wait_ms);
}
