/* daemon/lag.c */
#include "daemon/lag.h"

#include <string.h>

/* The older half becomes a quarter. The newer half stays exact, even while a replica is away for a week. */
static void make_room(struct lag *l)
{
    unsigned n = LAG_SPANS_MAX / 4, half = LAG_SPANS_MAX / 2;
    for (unsigned i = 0; i < n; i++) {
        l->spans[i].since_ms = l->spans[2 * i].since_ms;
        l->spans[i].last = l->spans[2 * i + 1].last;
        l->spans[i].bytes = l->spans[2 * i].bytes + l->spans[2 * i + 1].bytes;
    }
    memmove(l->spans + n, l->spans + half, half * sizeof l->spans[0]);
    l->count = n + half;
}

void lag_note(struct lag *l, uint64_t last, int64_t since_ms, uint64_t bytes)
{
    if (l->count > 0 && last <= l->spans[l->count - 1].last)
        return;
    if (l->count == LAG_SPANS_MAX)
        make_room(l);
    l->spans[l->count].last = last;
    l->spans[l->count].bytes = bytes;
    l->spans[l->count++].since_ms = since_ms;
}

void lag_trim(struct lag *l, uint64_t txid)
{
    unsigned n = 0;
    while (n < l->count && l->spans[n].last <= txid)
        n++;
    l->count -= n;
    memmove(l->spans, l->spans + n, l->count * sizeof l->spans[0]);
}

int64_t lag_since_ms(const struct lag *l, uint64_t txid)
{
    for (unsigned i = 0; i < l->count; i++)
        if (l->spans[i].last > txid)
            return l->spans[i].since_ms;
    return 0;
}

uint64_t lag_bytes(const struct lag *l, uint64_t txid)
{
    uint64_t bytes = 0;
    for (unsigned i = l->count; i-- > 0 && l->spans[i].last > txid;)
        bytes += l->spans[i].bytes;
    return bytes;
}
