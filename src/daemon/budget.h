/* daemon/budget.h - how often a replica whose requests cost money may be put to: a token bucket. While tokens last, what is
 * captured leaves at once; then once per refill. A quiet hour fills it again. */
#ifndef SEAWALL_DAEMON_BUDGET_H
#define SEAWALL_DAEMON_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct budget {
    uint64_t per_hour; /* UINT64_MAX: no limit */
    uint64_t most;     /* tokens that it holds */
    uint64_t parts;    /* held: BUDGET_PARTS each */
    int64_t at_ms;     /* monotonic; when `parts` was right */
};
#define BUDGET_PARTS 3600000u /* one hour in milliseconds: so a millisecond brings per_hour parts */

struct budget budget_full(uint64_t per_hour, uint64_t most, int64_t now_ms);

/* One PUT. Those that can't wait may overdraw it: it never holds less than nothing. */
void budget_take(struct budget *b, int64_t now_ms);

/* When a token is there; now_ms or earlier: at once. */
int64_t budget_ready_at_ms(const struct budget *b, int64_t now_ms);

#endif
