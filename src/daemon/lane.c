/* daemon/lane.c */
#include "daemon/lane.h"

#include "base/backoff.h"
#include "base/clock.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define HANG_MS 5000 /* of a ship job: a replica that takes longer keeps no batches waiting */
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 30000
#define BACKOFF_SLOW_MIN_MS 5000 /* when a person has to act */
#define BACKOFF_SLOW_MAX_MS 60000

int lane_open(struct lane *l, const char *url, struct err *e)
{
    *l = (struct lane){.given = url};
    l->home = shipment_open(url, e);
    if (!l->home)
        return -1;
    l->home->owner = l;
    lane_look(l);
    return l->home->rc;
}

static void abandon_copies(struct lane *l)
{
    transfer_abandon(&l->copy);
    transfer_abandon(&l->level);
    copy_release(&l->paused_base);
}

int lane_start_over(struct lane *l, struct err *e)
{
    struct destination *d = &l->home->d;
    uint64_t objects = d->objects, bytes = d->bytes; /* of the run, which goes on */
    abandon_copies(l);
    destination_close(d);
    int rc = destination_open(d, l->given, e);
    d->objects = objects;
    d->bytes = bytes;
    lane_look(l);
    l->asked = l->watched = false;
    l->pace.retry_at_ms = 0; /* the comparison for all replicas waits until this one was asked */
    return rc;
}

void lane_close(struct lane *l)
{
    abandon_copies(l);
    shipment_close(l->home);
    l->home = NULL;
}

void lane_look(struct lane *l)
{
    const struct destination *d = &l->home->d;
    snprintf(l->url, sizeof l->url, "%s", d->url); /* a place that was away at the start has its one name now */
    l->seen = (struct sighting){
        .state = d->state,
        .durable = d->entry.durable_txid,
        .base_owed = d->entry.base_owed > 0,
        .lost = d->lost,
        .known = d->known,
        .index = d->index,
        .store = d->store,
        .base = {.max = d->levels.base_max, .bytes = d->levels.base_bytes, .at_ms = d->levels.base_at_ms}};
    l->appended = d->objects;
    l->appended_bytes = d->bytes;
}

uint64_t lane_ask(struct lane *l, int64_t age_ms, int64_t now_ms)
{
    if (l->check.done > 0 && now_ms - l->check.done_ms <= age_ms)
        return l->check.done;
    l->check.asked = l->check.started + 1;
    return l->check.asked;
}

bool lane_hangs(const struct lane *l)
{
    return lane_is_away(l) && clock_mono_ms() - l->pace.started_at_ms > HANG_MS;
}

bool lane_is_healthy(const struct lane *l)
{
    return l->seen.state == DESTINATION_ATTACHED && l->pace.backoff_ms == 0 && !lane_hangs(l);
}

bool lane_needs_a_person(const struct err *e)
{
    return e->code == ERR_CONFIG || e->code == ERR_CLAIM;
}

void lane_failed(struct lane *l, const struct err *e, int64_t now_ms)
{
    bool slow = lane_needs_a_person(e);
    l->pace.retry_at_ms = now_ms + backoff_next_ms(&l->pace.backoff_ms, slow ? BACKOFF_SLOW_MIN_MS : BACKOFF_MIN_MS,
                                                   slow ? BACKOFF_SLOW_MAX_MS : BACKOFF_MAX_MS);
}

void lane_succeeded(struct lane *l)
{
    l->pace.backoff_ms = 0;
    l->pace.retry_at_ms = 0;
    l->failing_since_ms = 0;
}

void lane_detoured(struct lane *l, int64_t now_ms)
{
    struct pace *p = &l->pace;
    int64_t wait_ms = (int64_t)BACKOFF_MIN_MS << (p->detours < 10 ? p->detours : 10);
    if (p->detours++ > 0) /* the first time is nothing unusual */
        p->retry_at_ms = now_ms + (wait_ms < BACKOFF_MAX_MS ? wait_ms : BACKOFF_MAX_MS);
}

void lane_pause_base(struct lane *l)
{
    assert(l->paused_base.terms.kind == COPY_NONE);
    l->paused_base = transfer_pause(&l->copy);
}

void lane_resume_base(struct lane *l)
{
    assert(l->paused_base.terms.kind == COPY_BASE);
    transfer_begin(&l->copy, &l->paused_base);
    l->paused_base = (struct copy){.terms.kind = COPY_NONE};
}
