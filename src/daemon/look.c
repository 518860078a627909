/* daemon/look.c */
#include "daemon/look.h"

#include "base/container.h"
#include "base/trial.h"

#include <assert.h>

#define LOOK_FIRST_MS SCALE(60000, 3000)
#define LOOK_INTERVAL_MS SCALE(3600000, 10000)
#define LOSSES_MAX 10
#define LOOK_NEAR_MS 1000
#define LOOK_RETRY_MS SCALE(30000, 500) /* after a failure: doubled each time, up to the interval */

void look_init(struct look *k, const char *url, void *owner, int64_t now_ms)
{
    *k = (struct look){.url = url, .owner = owner, .ended_ms = now_ms, .due_ms = now_ms + LOOK_FIRST_MS};
}

void look_ask(struct look *k, int64_t at_ms)
{
    if (at_ms < k->due_ms)
        k->due_ms = at_ms;
}

void look_doubt(struct look *k, int64_t now_ms)
{
    if (k->missed == 0)
        k->missed = 1;
    look_ask(k, now_ms);
}

bool look_due(const struct look *k, uint64_t objects, int64_t now_ms)
{
    if (k->busy || !RULE(look))
        return false;
    return now_ms >= k->due_ms || (objects > k->objects && now_ms >= k->ended_ms + LOOK_INTERVAL_MS);
}

bool look_is_near(const struct look *k, int64_t now_ms)
{
    return k->busy || k->due_ms <= now_ms + LOOK_NEAR_MS;
}

struct look *look_of_job(struct job *job)
{
    return CONTAINER_OF(job, struct look, job);
}

static void run_look(struct job *job, struct codec *codec)
{
    struct look *k = look_of_job(job);
    const struct look_terms terms = {
        .url = k->url, .txid = k->txid, .codec = codec, .cancel = &k->cancel, .traffic = k->traffic};
    k->rc = look_at_history(&terms, &k->found, &k->err);
}

void look_start(struct look *k, uint64_t txid, uint64_t objects, struct workers *workers, void (*done)(struct job *))
{
    assert(!k->busy && txid > 0);
    k->txid = txid;
    k->put = objects;
    k->busy = true;
    k->due_ms = INT64_MAX;
    k->job = (struct job){.run = run_look, .done = done};
    workers_submit(workers, &k->job);
}

enum look_end look_ended(struct look *k, int64_t confirm_ms, int64_t now_ms)
{
    k->busy = false;
    if (k->rc != 0) {
        int64_t wait_ms = LOOK_RETRY_MS << (k->failures < 7 ? k->failures : 7);
        k->failures++;
        look_ask(k, now_ms + (wait_ms < LOOK_INTERVAL_MS ? wait_ms : LOOK_INTERVAL_MS));
        return LOOK_AGAIN;
    }
    k->failures = 0;
    k->ended_ms = now_ms;
    k->objects = k->put;
    if (k->found.whole) {
        k->missed = k->losses = 0;
        return LOOK_WHOLE;
    }
    if (k->missed++ == 0 && confirm_ms > 0) {
        look_ask(k, now_ms + (confirm_ms << (k->losses < LOSSES_MAX ? k->losses : LOSSES_MAX)));
        return LOOK_AGAIN;
    }
    k->missed = 0;
    k->losses++;
    return LOOK_MISSING;
}
