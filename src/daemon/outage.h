/* daemon/outage.h - stores that can't be reached: all replicas there share one back-off and one probe.
 *
 *   up     each replica sends what it has; a request that fails otherwise waits by itself
 *   down   a request was not answered, and none that ended since it began: no replica sends anything, but one at a time
 *          is asked to probe the store, after a wait that doubles up to OUTAGE_WAIT_MS_MAX
 *
 * Any answer, also a refusal, ends it, and all replicas go on. Main thread only. Knows no event loop: time comes in. */
#ifndef SEAWALL_DAEMON_OUTAGE_H
#define SEAWALL_DAEMON_OUTAGE_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define OUTAGE_WAIT_MS_MIN 100
#define OUTAGE_WAIT_MS_MAX 30000
#define OUTAGE_BEGIN_MS 1000 /* a replica that was asked, and sends nothing for so long, had nothing to ask */

struct outages;

/* A replica, as its store sees it. All zero: it is in a folder, and nothing holds it up. */
struct outage_user {
    struct outage *of;
    struct outage_user *next, *previous; /* of the same store */
    void (*changed)(void *context);      /* the store is up again, or this one has to probe it */
    void *context;
    bool probes;
};

/* ERR_NOMEM. */
int outages_open(struct outages **ret_outages, struct err *e) MUST_CHECK;
void outages_close(struct outages *o); /* no replica may use it. NULL is fine */

/* `store`: a text that is the same for all replicas there. `shown`: the URL of one of them, without secrets. `u` must
 * stay where it is until outage_leave. ERR_NOMEM. */
int outage_join(struct outages *o, const char *store, const char *shown, struct outage_user *u,
                struct err *e) MUST_CHECK;
void outage_leave(struct outage_user *u);

bool outage_is_down(const struct outage_user *u);

/* Whether this replica may send something: the store is up, or it has to probe it. */
bool outage_admits(const struct outage_user *u);

/* The store answered a request, whatever it said. */
void outage_answered(struct outage_user *u, int64_t now_ms);

/* A request that began at `began_ms` was not answered. Returns true if the store was not down before, and is now. */
bool outage_unanswered(struct outage_user *u, int64_t began_ms, const struct err *why, int64_t now_ms);

/* It was asked to probe the store, and sends a request now. */
void outage_began(struct outage_user *u);

/* A request of this replica ended without reaching the store, for a reason of this machine: if it was the probe, another
 * replica is asked next, after a wait. */
void outage_not_asked(struct outage_user *u, int64_t now_ms);

/* It had nothing to ask: another one probes the store. If none has, the store counts as up. */
void outage_passed(struct outage_user *u, int64_t now_ms);

/* While it is down: why, as the last request that was not answered says, and since when (wall clock). */
const struct err *outage_why(const struct outage_user *u);
int64_t outage_since_ms(const struct outage_user *u);

/* Asks a replica of each store whose wait is over to probe it. Returns in how many ms the next wait is over. */
int outages_turn(struct outages *o, int64_t now_ms);

#endif
