/* daemon/prune.c */
#include "daemon/prune.h"

#include "base/container.h"
#include "base/trial.h"

#include <assert.h>

#define FIRST_MS 60000                 /* after a start: also a daemon that runs for an hour a day has to prune */
#define PACK_PAUSE_MS SCALE(1000, 200) /* between two packings, at least; where requests are free */
#define IDLE_MS_MAX (INT64_C(30) * 86400000)

struct retention_policy prune_policy(const struct options *o)
{
    return (struct retention_policy){.grace_ms = o->grace_ms,
                                     .keep_all_ms = o->keep_all_ms,
                                     .keep_levels_ms = o->keep_levels_ms,
                                     .keep_hourly = o->keep_hourly,
                                     .keep_daily = o->keep_daily,
                                     .keep_weekly = o->keep_weekly,
                                     .keep_monthly = o->keep_monthly};
}

void prune_init(struct prune *p, const char *url, const char *shown, const struct options *o, int64_t now_ms)
{
    *p = (struct prune){.url = url, .shown = shown, .policy = prune_policy(o), .interval_ms = o->prune_interval_ms};
    p->next_policy = p->policy;
    p->pack_objects = PACK_OBJECTS;
    p->pack_settle_ms = PACK_SETTLE_MS;
    p->pack_pause_ms = PACK_PAUSE_MS;
    p->wait_ms = (int64_t)p->interval_ms;
    p->ended_ms = now_ms - p->wait_ms + (p->wait_ms < FIRST_MS ? p->wait_ms : FIRST_MS);
}

void prune_set_store(struct prune *p, const struct store *s)
{
    p->packs = s && pack_is_of_use(s);
    if (!p->packs)
        return;
    p->pack_objects = s->costs ? PACK_OBJECTS + PACK_OBJECTS / 4 : PACK_OBJECTS;
    p->pack_settle_ms = (int64_t)pack_settle_ms(s, p->policy.grace_ms);
    p->pack_pause_ms = s->costs ? p->pack_settle_ms / PACK_PAUSES : PACK_PAUSE_MS;
}

void prune_change(struct prune *p, const struct options *o)
{
    uint64_t grace_ms = p->next_policy.grace_ms;
    p->next_policy = prune_policy(o);
    p->next_policy.grace_ms = grace_ms;
    if (p->interval_ms != o->prune_interval_ms)
        p->wait_ms = (int64_t)o->prune_interval_ms;
    p->interval_ms = o->prune_interval_ms;
}

bool prune_due(const struct prune *p, uint64_t objects, int64_t now_ms)
{
    int64_t wait_ms = objects > p->objects ? (int64_t)p->interval_ms : p->wait_ms; /* what is new covers something */
    if (p->settle_ms > 0 && wait_ms > p->settle_ms)
        wait_ms = p->settle_ms;
    if (p->packs && objects >= p->objects + p->pack_objects && wait_ms > p->pack_pause_ms)
        wait_ms = p->pack_pause_ms;
    return p->interval_ms != OPTION_NEVER && !p->busy && now_ms >= p->ended_ms + wait_ms;
}

struct prune *prune_of_job(struct job *job)
{
    return CONTAINER_OF(job, struct prune, job);
}

static bool has_set_aside(const struct catalog *c)
{
    for (size_t i = 0; i < c->packed_count; i++)
        if (c->packed[i].aside)
            return true;
    return false;
}

/* Packs what can be packed. An error does not keep retention from working. *ret_now_ms: the store's clock before the listing
 * that `r` has afterwards, and that retention can use: where requests cost money, it is not listed again. 0: it has none. */
static int pack(struct prune *p, struct replica_handle *r, int64_t *ret_now_ms, struct err *e)
{
    const struct retention_policy *policy = &p->policy;
    struct pack_terms terms = {.writer = p->writer,
                               .kept = p->kept,
                               .refused = &p->refused,
                               .codec = r->codec,
                               .whole = &p->whole,
                               .grace_ms = policy->grace_ms,
                               .keep_ms =
                                   policy->keep_all_ms > policy->grace_ms ? policy->keep_all_ms : policy->grace_ms,
                               .interval_ms = p->interval_ms,
                               .objects = PACK_OBJECTS,
                               .packs = PACK_PACKS,
                               .bytes = r->store->costs ? PACK_BYTES / 4 : PACK_BYTES}; /* they are all in memory */
    p->packed = (struct pack_figures){0};
    *ret_now_ms = 0;
    if (!p->packs)
        return 0;
    if (store_time(r->store, &terms.now_ms, e) || replica_handle_list(r, e))
        return -1;
    int rc = pack_all(&r->catalog, &terms, &p->packed, e);
    if (rc == 0 && r->store->costs && p->packed.removed == 0 && !has_set_aside(&r->catalog))
        *ret_now_ms = terms.now_ms;
    else
        catalog_release(&r->catalog);
    return rc;
}

/* Decides by the listing that the replica has, or by a new one. */
static int decide(struct prune *p, struct replica_handle *r, int64_t listed_ms, struct retention_plan *ret_plan,
                  struct err *e)
{
    if (listed_ms == 0)
        return retention_decide_now(r, &p->policy, ret_plan, e);
    int rc = retention_decide(&r->catalog, &p->policy, listed_ms, ret_plan, e);
    catalog_release(&r->catalog);
    return rc;
}

static void run_prune(struct job *job, struct codec *codec)
{
    struct prune *p = prune_of_job(job);
    const struct replica_options options = {
        .mode = STORE_WRITE, .codec = codec, .cancel = &p->cancel, .traffic = p->traffic};
    struct replica_handle replica;
    struct retention_plan plan = {0};
    p->figures = (struct retention_figures){0};
    struct err unpacked;
    bool packed = true;
    int64_t listed_ms = 0;
    p->rc = replica_handle_open(&replica, p->url, &options, &p->err);
    if (p->rc == 0)
        packed = pack(p, &replica, &listed_ms, &unpacked) == 0;
    if (p->rc == 0)
        p->rc = decide(p, &replica, listed_ms, &plan, &p->err);
    if (p->rc == 0 && !uid_equal(&plan.head_writer, &p->writer))
        p->rc = err_set(&p->err, ERR_CONFLICT, 0, "another writer put its newest object: nothing is deleted");
    if (p->rc == 0)
        p->rc = timeline_make(&p->seen, &plan, &p->err);
    if (p->rc == 0)
        p->rc = retention_apply(replica.store, &plan, &p->figures, &p->err);
    if (p->rc == 0 && !packed && unpacked.code != ERR_GONE) {
        p->err = unpacked;
        p->rc = -1;
    }
    p->left = p->packed.packs > 0;
    for (size_t i = 0; i < plan.count && !p->left; i++)
        p->left = plan.verdicts[i].reason == RETENTION_PACK_YOUNG;
    if (p->rc != 0 && p->err.code == ERR_NOTFOUND)
        err_hint(&p->err, "what was put there is gone: the daemon looks again, and then says what it does about it");
    retention_plan_release(&plan);
    replica_handle_close(&replica);
}

void prune_start(struct prune *p, uint64_t objects, const struct author *author, struct workers *workers,
                 void (*done)(struct job *))
{
    assert(!p->busy);
    p->writer = state_writer(author->state);
    p->policy = p->next_policy;
    p->policy.whole = &p->whole;
    if (objects > p->objects)
        p->wait_ms = (int64_t)p->interval_ms;
    p->objects = objects;
    p->busy = true;
    p->job = (struct job){.run = run_prune, .done = done};
    workers_submit(workers, &p->job);
}

/* How long to wait until what a pack has may go; 0: nothing waits. `passed_ms`: since the prune before. A pack whose time is
 * in the future, by the store's clock, stays young: if that wait has passed, nothing went and nothing was packed, it
 * doubles. A prune that came earlier, because of new objects, proves nothing. */
static int64_t settle_after(const struct prune *p, int64_t passed_ms)
{
    if (!p->left)
        return 0;
    if (p->settle_ms == 0 || p->figures.objects > 0 || p->packed.packs > 0)
        return p->pack_settle_ms;
    return p->settle_ms < IDLE_MS_MAX && passed_ms >= p->settle_ms ? 2 * p->settle_ms : p->settle_ms;
}

bool prune_ended(struct prune *p, int64_t now_ms)
{
    p->busy = false;
    p->settle_ms = settle_after(p, now_ms - p->ended_ms);
    p->ended_ms = now_ms;
    if (p->rc == 0 && p->figures.objects == 0 && p->wait_ms < IDLE_MS_MAX)
        p->wait_ms *= 2;
    if (p->rc == 0) {
        complaint_is_over(&p->complaint);
        p->timeline = p->seen;
    }
    if (p->rc == 0 || p->err.code == ERR_CANCELED || p->err.code == ERR_BUSY)
        return false;
    return complaint_is_news(&p->complaint, &p->err);
}
