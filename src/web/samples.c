/* web/samples.c */
#include "web/samples.h"

#include <assert.h>

static struct sample *at(struct samples *s, int64_t minute)
{
    return &s->list[minute % SAMPLES_COUNT];
}

/* Minutes that passed without a note are unknown. */
static void go_on_to(struct samples *s, int64_t minute)
{
    const int64_t passed = s->newest == 0 ? SAMPLES_COUNT : minute - s->newest;
    for (int64_t i = 0; i < passed && i < SAMPLES_COUNT; i++)
        *at(s, minute - i) = (struct sample){.known = false};
    if (passed > 0)
        s->newest = minute;
}

void samples_note(struct samples *s, int64_t now_ms, int64_t lag_ms, uint64_t lag_bytes)
{
    assert(now_ms > 0);
    const int64_t minute = now_ms / SAMPLES_MS + SAMPLES_COUNT; /* never negative, also for the oldest */
    go_on_to(s, minute);
    struct sample *x = at(s, minute);
    x->lag_ms = !x->known || lag_ms > x->lag_ms ? lag_ms : x->lag_ms;
    x->lag_bytes = !x->known || lag_bytes > x->lag_bytes ? lag_bytes : x->lag_bytes;
    x->known = true;
}

struct sample samples_at(const struct samples *s, int64_t now_ms, size_t ago)
{
    const int64_t minute = now_ms / SAMPLES_MS + SAMPLES_COUNT - (int64_t)ago;
    if (ago >= SAMPLES_COUNT || minute > s->newest || minute <= s->newest - SAMPLES_COUNT || s->newest == 0)
        return (struct sample){.known = false};
    return s->list[minute % SAMPLES_COUNT];
}
