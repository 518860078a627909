/* support/dice.h - random numbers from a seed. The same seed gives the same numbers, so a failure can be repeated. */
#ifndef TESTS_DICE_H
#define TESTS_DICE_H

#include <stddef.h>
#include <stdint.h>

struct dice {
    uint64_t state; /* never 0 */
};

static inline struct dice dice_of(uint64_t seed)
{
    return (struct dice){(seed + 1) * UINT64_C(0x9e3779b97f4a7c15)};
}

static inline uint64_t dice_next(struct dice *d) /* xorshift64* */
{
    d->state ^= d->state >> 12;
    d->state ^= d->state << 25;
    d->state ^= d->state >> 27;
    return d->state * UINT64_C(0x2545f4914f6cdd1d);
}

static inline uint32_t dice_below(struct dice *d, uint32_t n)
{
    return (uint32_t)((dice_next(d) >> 32) * n >> 32);
}

static inline uint32_t dice_between(struct dice *d, uint32_t low, uint32_t high) /* both included */
{
    return low + dice_below(d, high - low + 1);
}

static inline void dice_fill(struct dice *d, void *out, size_t n)
{
    uint8_t *at = out;
    for (size_t i = 0; i < n; i++)
        at[i] = (uint8_t)(dice_next(d) >> 40);
}

#endif
