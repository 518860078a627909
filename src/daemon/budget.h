/* daemon/budget.h - how often objects may be put into a replica whose requests cost money: a token bucket.
 *
 * While the bucket holds tokens, what is captured leaves at once. After that one PUT leaves for each token that comes
 * in. A quiet time fills the bucket again. */
#ifndef SEAWALL_DAEMON_BUDGET_H
#define SEAWALL_DAEMON_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct budget {
    uint64_t per_hour; /* tokens that come in; UINT64_MAX: there is no limit */
    uint64_t most;     /* tokens that the bucket can hold */
    uint64_t parts;    /* what it holds: BUDGET_PARTS to a token */
    int64_t at_ms;     /* monotonic; when `parts` was right */
};
#define BUDGET_PARTS 3600000u /* one hour in milliseconds: so each millisecond brings per_hour parts */

struct budget budget_full(uint64_t per_hour, uint64_t most, int64_t now_ms);

/* Takes a token for one PUT. A PUT that can't wait takes it even when there is none; the bucket never owes tokens. */
void budget_take(struct budget *b, int64_t now_ms);

/* When the next token is there; now_ms: at once. Precondition: tokens come in, or there is one. */
int64_t budget_ready_at_ms(const struct budget *b, int64_t now_ms);

#endif
