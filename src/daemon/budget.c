/* daemon/budget.c */
#include "daemon/budget.h"

struct budget budget_full(uint64_t per_hour, uint64_t most, int64_t now_ms)
{
    return (struct budget){.per_hour = per_hour, .most = most, .parts = most * BUDGET_PARTS, .at_ms = now_ms};
}

static uint64_t parts_at(const struct budget *b, int64_t now_ms)
{
    uint64_t full = b->most * BUDGET_PARTS, ms = now_ms > b->at_ms ? (uint64_t)(now_ms - b->at_ms) : 0;
    uint64_t missing = full - b->parts;
    return b->per_hour > 0 && ms > missing / b->per_hour ? full : b->parts + ms * b->per_hour;
}

void budget_take(struct budget *b, int64_t now_ms)
{
    if (b->per_hour == UINT64_MAX)
        return;
    b->parts = parts_at(b, now_ms);
    b->parts -= b->parts < BUDGET_PARTS ? b->parts : BUDGET_PARTS;
    b->at_ms = now_ms;
}

int64_t budget_ready_at_ms(const struct budget *b, int64_t now_ms)
{
    uint64_t parts = b->per_hour == UINT64_MAX ? BUDGET_PARTS : parts_at(b, now_ms);
    return parts >= BUDGET_PARTS ? now_ms : now_ms + (int64_t)((BUDGET_PARTS - parts + b->per_hour - 1) / b->per_hour);
}
