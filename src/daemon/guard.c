/* daemon/guard.c */
#include "daemon/guard.h"

#include "base/container.h"
#include "base/log.h"
#include "ship/newcomer.h"

#define AGAIN_MS 5000

struct guard *guard_of_job(struct job *job)
{
    return CONTAINER_OF(job, struct guard, job);
}

static void run_guard(struct job *job, struct codec *codec)
{
    struct guard *g = guard_of_job(job);
    const struct replicate_config *c = g->config;
    (void)codec;
    g->rc = newcomer_check(c->db_path, c->urls, c->url_count, &g->cancel, &g->err);
}

void guard_ask(struct guard *g, const struct replicate_config *config, struct workers *workers,
               void (*done)(struct job *), int64_t now_ms)
{
    if (g->busy || g->answered || now_ms < g->again_at_ms)
        return;
    g->config = config;
    g->busy = true;
    g->job = (struct job){.run = run_guard, .done = done};
    workers_submit(workers, &g->job);
}

bool guard_ended(struct guard *g, int64_t now_ms)
{
    g->busy = false;
    g->answered = g->rc == 0;
    g->again_at_ms = now_ms + AGAIN_MS;
    if (g->rc == 0 || g->err.code == ERR_CANCELED)
        return false;
    if (g->err.code == ERR_CONFLICT)
        return true;
    if (!g->waits)
        log_warn("database '%s': it does not exist, and it is not known whether a replica has a history: %s",
                 g->config->db_path, g->err.msg);
    g->waits = true;
    return false;
}
