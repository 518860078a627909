/* replica/presence.c */
#include "replica/presence.h"

#include "replica/plan.h"
#include "replica/ways.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

static void misses(struct presence *p, const char *what, const char *why)
{
    p->whole = false;
    const int front = text_front(why);
    snprintf(p->missing, sizeof p->missing, "%.40s%s%.*s", what, why[0] ? ": " : "", front < 150 ? front : 150, why);
}

static int look_for_sources(const struct catalog *c, const struct plan *plan, struct presence *p, struct err *e)
{
    for (size_t i = 0; i < plan->source_count && p->whole; i++) {
        bool there = false;
        if (catalog_has(c, plan->sources[i].key, plan->sources[i].size, &there, e))
            return -1;
        if (!there)
            misses(p, "object", plan->sources[i].key);
    }
    return 0;
}

static int look_for_identity(struct catalog *c, struct presence *p, struct err *e)
{
    if (replica_identity_read(c->store, &c->identity, e) == 0)
        return 0;
    if (e->code != ERR_NOTFOUND)
        return -1;
    misses(p, "object", NAME_IDENTITY);
    return 0;
}

/* The planner takes an object that is gone for lost. It may be one that another process deletes now, and has replaced.
 */
static int check_none_is_gone(const struct catalog *c, const struct err *why, struct err *e)
{
    for (size_t i = 0; i < catalog_segment_count(c); i++)
        if (c->ways->fault[i] == ERR_GONE)
            return err_set(e, ERR_GONE, 0, "an object could not be read: %.*s", text_front(why->msg), why->msg);
    return 0;
}

static int look_for_plan(struct catalog *c, uint64_t txid, struct presence *p, struct err *e)
{
    struct plan plan = {0};
    struct err why;
    int rc = plan_make(c, txid, &plan, e);
    if (rc == 0) {
        rc = look_for_sources(c, &plan, p, e);
    } else if (e->code == ERR_NOTFOUND || e->code == ERR_CORRUPT) {
        why = *e;
        rc = check_none_is_gone(c, &why, e);
        misses(p, "no restore", why.msg);
    }
    plan_release(&plan);
    return rc;
}

int presence_look(struct replica_handle *r, uint64_t txid, struct presence *ret_presence, struct err *e)
{
    struct catalog *c = &r->catalog;
    assert(r->store && r->codec && txid > 0);
    *ret_presence = (struct presence){.whole = true};
    catalog_release(c);
    if (catalog_list(c, r->store, r->codec, e) || look_for_identity(c, ret_presence, e))
        return -1;
    if (!catalog_head(c))
        misses(ret_presence, "it holds no object of level 0", "");
    if (!ret_presence->whole)
        return 0;
    if (catalog_set_damaged_aside(c, e))
        return -1;
    return look_for_plan(c, txid, ret_presence, e);
}
