/* retention/decision.c */
#include "retention/decision.h"

#include "base/trial.h"
#include "replica/ways.h"

#include <assert.h>
#include <inttypes.h>

bool decision_older(const struct decision *d, int64_t time_ms, uint64_t age_ms)
{
    return time_ms < d->now_ms && (uint64_t)d->now_ms - (uint64_t)time_ms > age_ms;
}

void decision_note_own(const struct decision *d, struct retention_verdict *v, const struct segment *s)
{
    const uint32_t records = s->trailer.record_count;
    int64_t own = s->trailer.info.time_ms;
    if (records > 0 && s->records[records - 1].time_ms > own)
        own = s->records[records - 1].time_ms;
    if (own > d->now_ms)
        own = d->now_ms;
    if (RULE(own_age) && own > v->time_ms)
        v->time_ms = own;
}

int decision_check_missing(const struct decision *d, const struct name *name, struct err *e)
{
    char key[NAME_MAX_BYTES];
    struct buf tail = BUF_INIT(1);
    uint64_t size = 0;
    assert(!catalog_find(d->c, name));
    name_format(name, key);
    int rc = store_read_tail(d->c->store, key, 1, &tail, &size, e);
    buf_release(&tail);
    if (rc == 0)
        return err_set(e, ERR_REMOTE, 0, "list '%s': '%s' exists, but is not in the listing: nothing is deleted",
                       d->c->store->url, key);
    return e->code == ERR_NOTFOUND ? 0 : -1;
}

int decision_listed(const struct decision *d, const struct segment *s, bool *ret_there, struct err *e)
{
    *ret_there = false;
    for (uint32_t i = 0; i < s->trailer.list_count; i++) {
        const struct name name = name_parse(s->list[i].name);
        const struct catalog_object *o = catalog_find(d->c, &name);
        if (!o && decision_check_missing(d, &name, e))
            return -1;
        if (!o || o->size != s->list[i].size)
            return 0;
    }
    *ret_there = true;
    return 0;
}

int decision_check_steps(const struct decision *d, uint64_t more, struct err *e)
{
    const uint64_t objects = d->segment_count + d->c->marker_count;
    if (d->c->ways->steps + more <= DECISION_STEPS_MIN + objects * DECISION_STEPS_EACH)
        return 0;
    err_set(e, ERR_LIMIT, 0,
            "'%s': the restore points of %zu bases can't be found among %zu segments in %" PRIu64
            " steps: nothing is deleted",
            d->c->store->url, d->c->marker_count, d->segment_count, d->c->ways->steps + more);
    return err_hint(e, "no writer makes a replica like this; look at it with 'seawall list' and 'seawall verify'");
}
