#include "replica/skipped.h"

struct search {
    struct catalog *c;
    int64_t time_ms, now_ms;
    uint64_t txid;
    unsigned read;    /* objects that nothing but a folder speaks for */
    bool next_future; /* the commit behind the point that was found has a time that has not come yet */
    struct skipped found;
};

/* Skips the object that gave this error. A damaged one has no restore point. */
static int pass_over(struct search *s, const struct err *e)
{
    if (plan_must_stop(e))
        return -1;
    s->found.unread += e->code != ERR_CORRUPT && e->code != ERR_GONE && e->code != ERR_NOTFOUND;
    return 0;
}

/* Whether the listing leaves it open that the object was there before the moment. The times of files can be lost. */
static bool is_candidate(struct search *s, const struct catalog_object *o)
{
    if (o->time_ms <= s->time_ms || s->now_ms - s->time_ms <= SKIPPED_CLOCKS_MS)
        return true;
    return s->c->store->folder && s->read++ < SKIPPED_READ_MAX;
}

static bool was_skipped(const struct search *s, const struct catalog_object *o, const struct commit_record *r)
{
    const bool received = !s->c->store->folder && o->time_ms <= s->time_ms - SKIPPED_CLOCKS_MS;
    return r->time_ms > s->time_ms && (commit_clock_ms(r) <= s->time_ms || received);
}

static bool has_not_come(const struct search *s, const struct commit_record *r)
{
    return commit_clock_ms(r) - SKIPPED_CLOCKS_MS > s->now_ms;
}

/* Behind a commit whose time is right, all are later than the moment, whatever their times are. */
static bool is_future(const struct search *s, const struct commit_record *r)
{
    return s->next_future && r->time_ms > s->time_ms && has_not_come(s, r);
}

/* Finds the first commit of level 0 behind the point that was found. */
static int look_at_next(struct search *s, size_t first, struct err *e)
{
    for (size_t i = first; i < s->c->level0_count && i < first + 2; i++) {
        struct catalog_object *o = &s->c->level0[i];
        if (catalog_load(s->c, o, e))
            return plan_must_stop(e) ? -1 : 0; /* look_at reads it again */
        for (uint32_t k = 0; k < o->segment->trailer.record_count; k++)
            if (o->segment->records[k].txid > s->txid) {
                s->next_future = has_not_come(s, &o->segment->records[k]);
                return 0;
            }
    }
    return 0;
}

/* *ret_is: a restore finds a way to the txid. */
static int is_restore_point(struct search *s, uint64_t txid, bool *ret_is, struct err *e)
{
    struct plan p = {0};
    *ret_is = plan_make(s->c, txid, &p, e) == 0;
    plan_release(&p);
    return *ret_is ? 0 : pass_over(s, e);
}

/* Looks at one object for a newer point than the one that was found. */
static int look_at(struct search *s, struct catalog_object *o, struct err *e)
{
    if (!is_candidate(s, o))
        return 0;
    if (catalog_load(s->c, o, e))
        return pass_over(s, e);
    const struct segment *g = o->segment;
    const struct commit_record *newest = NULL;
    for (uint32_t i = g->trailer.record_count; i-- > 0 && g->records[i].txid > s->found.last && !newest;)
        if (g->records[i].txid > s->txid && (was_skipped(s, o, &g->records[i]) || is_future(s, &g->records[i])))
            newest = &g->records[i];
    const struct commit_record r = newest ? *newest : (struct commit_record){0};
    const bool there = newest && was_skipped(s, o, newest);
    bool is = false;
    catalog_spare(s->c, o);
    if (newest && is_restore_point(s, r.txid, &is, e))
        return -1;
    if (is)
        s->found = (struct skipped){.last = r.txid, .last_ms = r.time_ms, .unread = s->found.unread, .future = !there};
    return 0;
}

int skipped_find(struct catalog *c, int64_t time_ms, int64_t now_ms, uint64_t txid, struct skipped *ret_skipped,
                 struct err *e)
{
    struct search s = {.c = c, .time_ms = time_ms, .now_ms = now_ms, .txid = txid};
    const struct catalog_object *at = catalog_level0_at(c, txid);
    const size_t first = at ? (size_t)(at - c->level0) : 0;
    if (look_at_next(&s, first, e))
        return -1;
    for (size_t i = c->level0_count; i-- > first && s.found.last == 0;) /* the newest object first */
        if (look_at(&s, &c->level0[i], e))
            return -1;
    for (size_t i = 0; i < c->level_count; i++)
        if (c->levels[i].name.max > txid && c->levels[i].name.max > s.found.last && look_at(&s, &c->levels[i], e))
            return -1;
    *ret_skipped = s.found;
    return 0;
}
