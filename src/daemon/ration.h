/* daemon/ration.h - how often all replicas of a daemon together may put objects whose requests cost money, and whose
 * turn it is.
 *
 * While the budget holds tokens and nobody waits, a replica takes one at once. After that those that wait get one each,
 * in the order in which they began to wait: so the oldest commits leave first, and a busy database takes no turn from
 * a quiet one. Main thread only. Time comes in. */
#ifndef SEAWALL_DAEMON_RATION_H
#define SEAWALL_DAEMON_RATION_H

#include "daemon/budget.h"

struct ration {
    struct budget budget;
    struct ration_user *first, *last; /* those that wait */
};

/* A replica. All zero: it does not wait. */
struct ration_user {
    struct ration_user *next, *previous;
    bool waits;
    bool granted; /* it has a token */
    void (*changed)(void *context);
    void *context;
};

/* Whether `u` may put an object now. */
bool ration_admits(const struct ration *r, const struct ration_user *u, int64_t now_ms);

/* `u` has something to put: `changed` is called when it has a token. It must stay where it is until ration_leave. */
void ration_wait(struct ration *r, struct ration_user *u);

/* `u` puts an object, with a token or because it can't wait. */
void ration_take(struct ration *r, struct ration_user *u, int64_t now_ms);

/* It does not wait any more, and gives nothing back. */
void ration_leave(struct ration *r, struct ration_user *u);

/* Hands out the tokens that have come in. Returns in how many ms the next one comes for one that waits. */
int ration_turn(struct ration *r, int64_t now_ms);

#endif
