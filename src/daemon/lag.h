/* daemon/lag.h - the age of the oldest commit that a replica does not have, and the bytes of all that it does not have.
 *
 * The backlog does not know it, because it drops commits in an outage. So spans are kept. A span describes the commits
 * from the end of the span before it up to `last`. The oldest of them was made at since_ms. When there is no room, old
 * neighbours become one span. So during a long outage the answers get coarser, but never too young or too small. */
#ifndef SEAWALL_DAEMON_LAG_H
#define SEAWALL_DAEMON_LAG_H

#include <stdint.h>

#define LAG_SPANS_MAX 64

struct lag {
    struct {
        uint64_t last;    /* txid */
        int64_t since_ms; /* wall clock */
        uint64_t bytes;   /* of the pages of the span */
    } spans[LAG_SPANS_MAX];
    unsigned count;
};

/* Notes that everything up to `last` is captured, and that the oldest commit since the call before was made at
 * since_ms. `bytes`: of the pages that these commits wrote, or more. A txid that was noted before changes nothing. */
void lag_note(struct lag *l, uint64_t last, int64_t since_ms, uint64_t bytes);

/* Every replica has the commits up to `txid`: forget them. */
void lag_trim(struct lag *l, uint64_t txid);

/* When the oldest commit after `txid` was made; wall clock. 0: none is known. */
int64_t lag_since_ms(const struct lag *l, uint64_t txid);

/* The bytes of the pages of all commits after `txid`, or more: commits of one span are not told apart. */
uint64_t lag_bytes(const struct lag *l, uint64_t txid);

#endif
