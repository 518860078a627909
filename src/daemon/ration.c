/* daemon/ration.c */
#include "daemon/ration.h"

#include <stddef.h>

#define IDLE_MS 60000

bool ration_admits(const struct ration *r, const struct ration_user *u, int64_t now_ms)
{
    return u->granted || (!r->first && budget_ready_at_ms(&r->budget, now_ms) <= now_ms);
}

void ration_wait(struct ration *r, struct ration_user *u)
{
    if (u->waits || u->granted)
        return;
    u->waits = true;
    u->next = NULL;
    u->previous = r->last;
    *(r->last ? &r->last->next : &r->first) = u;
    r->last = u;
}

static void take_out(struct ration *r, struct ration_user *u)
{
    if (!u->waits)
        return;
    *(u->previous ? &u->previous->next : &r->first) = u->next;
    *(u->next ? &u->next->previous : &r->last) = u->previous;
    u->waits = false;
}

void ration_take(struct ration *r, struct ration_user *u, int64_t now_ms)
{
    take_out(r, u);
    if (!u->granted)
        budget_take(&r->budget, now_ms);
    u->granted = false;
}

void ration_leave(struct ration *r, struct ration_user *u)
{
    take_out(r, u);
    u->granted = false;
}

int ration_turn(struct ration *r, int64_t now_ms)
{
    int64_t wait_ms = IDLE_MS;
    while (r->first && (wait_ms = budget_ready_at_ms(&r->budget, now_ms) - now_ms) <= 0) {
        struct ration_user *u = r->first;
        take_out(r, u);
        budget_take(&r->budget, now_ms);
        u->granted = true;
        u->changed(u->context);
        wait_ms = IDLE_MS;
    }
    return (int)(wait_ms < IDLE_MS ? wait_ms : IDLE_MS);
}
