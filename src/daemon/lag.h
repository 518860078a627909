/* daemon/lag.h - the age of the oldest commit that a replica does not have.
 *
 * The backlog does not know it, because it drops commits in an outage. So spans are kept. A span describes the commits
 * from the end of the span before it up to `last`. The oldest of them was made at since_ms. When there is no room, old
 * neighbours become one span. So during a long outage the answer gets coarser, but never too young. */
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

/* Notes that everything up to `last` is captured, and that the oldest commit since the call before was made at
 * since_ms. A txid that was noted before changes nothing. */
void lag_note(struct lag *l, uint64_t last, int64_t since_ms);

/* Every replica has the commits up to `txid`: forget them. */
void lag_trim(struct lag *l, uint64_t txid);

/* When the oldest commit after `txid` was made; wall clock. 0: none is known. */
int64_t lag_since_ms(const struct lag *l, uint64_t txid);

#endif
