/* daemon/lane.c */
#include "daemon/lane.h"

#include "base/backoff.h"
#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HANG_MS 5000 /* of a ship job: a replica that takes longer keeps no batches waiting */
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 30000
#define BACKOFF_SLOW_MIN_MS 5000 /* when a person has to act */
#define BACKOFF_SLOW_MAX_MS 60000

int lane_open(struct lane *l, const char *url, struct err *e)
{
    *l = (struct lane){.given = url, .kept = kept_new()};
    l->home = shipment_open(url, e);
    if (!l->home)
        return -1;
    l->home->owner = l;
    l->home->d.kept = l->kept;
    lane_look(l);
    return l->home->rc;
}

static void abandon_copies(struct lane *l)
{
    transfer_abandon(&l->copy);
    transfer_abandon(&l->level);
    copy_release(&l->paused_base);
}

bool lane_requests(const struct lane *l, uint64_t out[REQUEST_FIGURES])
{
    memcpy(out, l->requests_before, sizeof l->requests_before);
    summary_add_requests(&l->beside, out);
    if (!l->seen.store || !l->seen.store->costs)
        return false;
    summary_add_requests(&l->seen.store->traffic, out);
    return true;
}

int lane_start_over(struct lane *l, struct err *e)
{
    struct destination *d = &l->home->d;
    uint64_t objects = d->objects, bytes = d->bytes; /* of the run, which goes on */
    if (l->seen.store)
        summary_add_requests(&l->seen.store->traffic, l->requests_before);
    abandon_copies(l);
    destination_close(d);
    kept_forget(l->kept, UINT64_MAX);
    int rc = destination_open(d, l->given, e);
    d->kept = l->kept;
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
    outage_leave(&l->outage);
    if (l->all && l->all->commons->ration)
        ration_leave(l->all->commons->ration, &l->ration);
    shipment_close(l->home);
    l->home = NULL;
    kept_free(l->kept);
    l->kept = NULL;
    workers_close(l->workers);
    l->workers = NULL;
}

void lane_look(struct lane *l)
{
    const struct destination *d = &l->home->d;
    snprintf(l->url, sizeof l->url, "%s", d->url); /* a place that was away at the start has its one name now */
    l->seen = (struct sighting){
        .state = d->state,
        .durable = d->entry.durable_txid,
        .base_owed = d->entry.base_owed > 0,
        .missed = d->missed_boot_ms > 0,
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
    return l->seen.state == DESTINATION_ATTACHED && l->pace.backoff_ms == 0 && !outage_is_down(&l->outage) &&
           !lane_hangs(l);
}

bool lane_needs_a_person(const struct err *e)
{
    return e->code == ERR_CONFIG || e->code == ERR_CLAIM;
}

bool lane_is_out_of_reach(enum err_code code)
{
    return code == ERR_REMOTE || code == ERR_TIMEOUT;
}

bool lane_fails_for_long(struct lane *l, int64_t now_ms)
{
    if (l->told_long || l->failing_since_ms == 0 || now_ms - l->failing_since_ms < LANE_LONG_MS)
        return false;
    l->told_long = true;
    return true;
}

/* Time alone does not heal it. A folder may be mended at any moment, so it is tried soon again. */
static bool is_refusal(const struct err *e)
{
    const int s = e->sys;
    bool of_files = e->code == ERR_IO && (s == ENOTDIR || s == EACCES || s == EPERM || s == EROFS || s == ELOOP);
    return lane_needs_a_person(e) || of_files || e->code == ERR_CORRUPT;
}

void lane_failed(struct lane *l, const struct err *e, int64_t now_ms)
{
    bool slow = lane_needs_a_person(e);
    l->refused = is_refusal(e) ? l->refused + 1 : 0;
    l->pace.retry_at_ms = now_ms + backoff_next_ms(&l->pace.backoff_ms, slow ? BACKOFF_SLOW_MIN_MS : BACKOFF_MIN_MS,
                                                   slow ? BACKOFF_SLOW_MAX_MS : BACKOFF_MAX_MS);
}

void lane_succeeded(struct lane *l)
{
    l->pace.backoff_ms = 0;
    l->pace.retry_at_ms = 0;
    l->failing_since_ms = 0;
    l->refused = 0;
    l->told = l->told_long = false;
}

void lane_detoured(struct lane *l, int64_t now_ms)
{
    struct pace *p = &l->pace;
    int64_t wait_ms = (int64_t)BACKOFF_MIN_MS << (p->detours < 10 ? p->detours : 10);
    if (p->detours++ > 0) /* the first time is nothing unusual */
        p->retry_at_ms = now_ms + (wait_ms < BACKOFF_MAX_MS ? wait_ms : BACKOFF_MAX_MS);
}

/* The last page of the copy, as far as is known. */
static uint32_t pages_of_copy(const struct lane *l)
{
    const struct copy_terms *terms = &l->copy.copy.terms;
    return terms->kind == COPY_BASE ? terms->end_page : l->all->captured.newest.pages;
}

void lane_copied(const struct lane *l, uint64_t *ret_done, uint64_t *ret_total)
{
    const uint32_t pages = pages_of_copy(l), done = l->copied < pages ? l->copied : pages;
    assert(l->shown);
    *ret_done = (uint64_t)done * l->copy.copy.terms.page_size;
    *ret_total = (uint64_t)pages * l->copy.copy.terms.page_size;
}

static void begin_progress(struct lane *l)
{
    const struct replicate_config *c = l->all->config;
    char what[PROGRESS_WHAT_MAX];
    snprintf(what, sizeof what, "%s of '%.100s' in '%.150s'", transfer_is(&l->copy, COPY_BASE) ? "base" : "catching up",
             c->db_path, l->url);
    progress_begin(&l->progress, c->progress, NULL, what);
    l->copied = 0;
    l->shown = true;
}

void lane_show_progress(struct lane *l)
{
    uint64_t done = 0, total = 0;
    if (!transfer_under_way(&l->copy)) {
        if (l->shown)
            progress_end(&l->progress);
        l->shown = false;
        return;
    }
    const bool begins = !l->shown;
    if (begins)
        begin_progress(l);
    if (!l->copy.reading && l->copy.copy.cursor.next_page > 0)
        l->copied = l->copy.copy.cursor.next_page - 1;
    lane_copied(l, &done, &total);
    if (begins)
        progress_goes_on_from(&l->progress, done);
    progress_report(&l->progress, done, total);
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
