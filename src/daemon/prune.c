/* daemon/prune.c */
#include "daemon/prune.h"

#include "base/container.h"
#include "base/trial.h"

#include <assert.h>

#define FIRST_MS 60000 /* after a start: also a daemon that runs for an hour a day has to prune */
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
    p->wait_ms = (int64_t)p->interval_ms;
    p->ended_ms = now_ms - p->wait_ms + (p->wait_ms < FIRST_MS ? p->wait_ms : FIRST_MS);
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
    return p->interval_ms != OPTION_NEVER && !p->busy && now_ms >= p->ended_ms + wait_ms;
}

struct prune *prune_of_job(struct job *job)
{
    return CONTAINER_OF(job, struct prune, job);
}

static void run_prune(struct job *job, struct codec *codec)
{
    struct prune *p = prune_of_job(job);
    const struct replica_options options = {.mode = STORE_WRITE, .codec = codec, .cancel = &p->cancel};
    struct replica_handle replica;
    struct retention_plan plan = {0};
    p->figures = (struct retention_figures){0};
    p->rc = replica_handle_open(&replica, p->url, &options, &p->err);
    if (p->rc == 0)
        p->rc = retention_decide_now(&replica, &p->policy, &plan, &p->err);
    if (p->rc == 0 && !uid_equal(&plan.head_writer, &p->writer))
        p->rc = err_set(&p->err, ERR_CONFLICT, 0, "another writer put its newest object: nothing is deleted");
    if (p->rc == 0)
        p->rc = retention_apply(replica.store, &plan, &p->figures, &p->err);
    if (p->rc != 0 && p->err.code == ERR_NOTFOUND)
        err_hint(&p->err, "what was put there is gone: the daemon looks again, and then says what it does about it");
    retention_plan_release(&plan);
    replica_handle_close(&replica);
}

void prune_start(struct prune *p, uint64_t objects, const struct uid *writer, struct workers *workers,
                 void (*done)(struct job *))
{
    assert(!p->busy);
    p->writer = *writer;
    p->policy = p->next_policy;
    if (objects > p->objects)
        p->wait_ms = (int64_t)p->interval_ms;
    p->objects = objects;
    p->busy = true;
    p->job = (struct job){.run = run_prune, .done = done};
    workers_submit(workers, &p->job);
}

bool prune_ended(struct prune *p, int64_t now_ms)
{
    p->busy = false;
    p->ended_ms = now_ms;
    if (p->rc == 0 && p->figures.objects == 0 && p->wait_ms < IDLE_MS_MAX)
        p->wait_ms *= 2;
    if (p->rc == 0)
        complaint_is_over(&p->complaint);
    if (p->rc == 0 || p->err.code == ERR_CANCELED || p->err.code == ERR_BUSY)
        return false;
    return complaint_is_news(&p->complaint, &p->err);
}
