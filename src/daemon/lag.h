/* daemon/lag.h - how old is the oldest commit that a replica does not have?
 *
 * The commits of the backlog could say, but it drops them in an outage. So spans are kept: commits up to `last`, the oldest of them
 * as old as `since_ms`. When there is no room, old neighbours become one: over a long outage the answer gets coarser, never too
 * young. */
#ifndef SEAWALL_DAEMON_LAG_H
#define SEAWALL_DAEMON_LAG_H

#include <stdint.h>

#define LAG_SPANS_MAX 64

struct lag {
    struct {
        uint64_t last;    /* txid */
        int64_t since_ms; /* wall clock */
    } spans[LAG_SPANS_MAX];
    unsigned count;
};

/* Everything up to `last` is captured now; the oldest commit since the call before is of since_ms. Txids that were noted before are
 * no news. */
void lag_note(struct lag *l, uint64_t last, int64_t since_ms);

/* Every replica has what is up to `txid`. */
void lag_trim(struct lag *l, uint64_t txid);

/* When the oldest commit after `txid` was made; 0: there is none that is known. */
int64_t lag_since_ms(const struct lag *l, uint64_t txid);

#endif
