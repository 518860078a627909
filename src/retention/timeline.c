/* retention/timeline.c */
#include "retention/timeline.h"

#include <stdlib.h>
#include <string.h>

static bool is_point(const struct retention_verdict *v)
{
    const bool kind = v->name.kind == NAME_LEVEL0 || v->name.kind == NAME_LEVEL || v->name.kind == NAME_MARKER ||
                      v->name.kind == NAME_PACK;
    return kind && !v->goes && v->time_ms > 0 && v->reason != RETENTION_BASE_INCOMPLETE &&
           v->reason != RETENTION_BASE_DAMAGED && v->reason != RETENTION_COVER_DAMAGED;
}

static int by_time(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* Each point is a span at first. The gap that is the shortest goes, until there are few enough. */
static void close_gap(struct timeline *t)
{
    unsigned least = 1;
    for (unsigned i = 1; i < t->count; i++)
        if (t->spans[i].from_ms - t->spans[i - 1].to_ms < t->spans[least].from_ms - t->spans[least - 1].to_ms)
            least = i;
    t->spans[least - 1].to_ms = t->spans[least].to_ms;
    memmove(t->spans + least, t->spans + least + 1, (t->count - least - 1) * sizeof t->spans[0]);
    t->count--;
}

static void add(struct timeline *t, int64_t time_ms)
{
    if (t->count > 0 && t->spans[t->count - 1].to_ms == time_ms)
        return;
    if (t->count == TIMELINE_SPANS_MAX)
        close_gap(t);
    t->spans[t->count].from_ms = t->spans[t->count].to_ms = time_ms;
    t->count++;
}

int timeline_make(struct timeline *ret, const struct retention_plan *plan, struct err *e)
{
    struct timeline t = {.listed_ms = plan->now_ms, .objects = plan->keep_count, .bytes = plan->keep_bytes};
    int64_t *times = malloc((plan->count + 1) * sizeof *times);
    if (!times)
        return err_nomem(e, plan->count * sizeof *times);
    for (size_t i = 0; i < plan->count; i++)
        if (is_point(&plan->verdicts[i]))
            times[t.points++] = plan->verdicts[i].time_ms;
    qsort(times, t.points, sizeof *times, by_time);
    for (size_t i = 0; i < t.points; i++)
        add(&t, times[i]);
    free(times);
    *ret = t;
    return 0;
}
