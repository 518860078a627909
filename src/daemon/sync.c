/* daemon/sync.c */
#include "daemon/sync.h"

#define AGAIN_MS 20   /* between runs that did not get through */
#define RETRY_MS 1000 /* least time between two tries of a replica that fails, however many wait */

/* `touched`: if a file was put in the place of the database, that has to be noticed too. */
static void ask_for_run(struct database *db, struct sync_wait *w, int64_t now)
{
    struct local_pace *p = &db->pace;
    bool starts_anyway = !db->home || db->final_done || now < p->open_at_ms || !watch_is_open(&db->home->local.watch);
    if (starts_anyway)
        return;
    if (w->asked && w->asked_run == db->runs)
        return;
    if (w->asked && p->pass_at_ms < now + AGAIN_MS)
        p->pass_at_ms = now + AGAIN_MS;
    w->asked = true;
    w->asked_run = db->runs;
    db->signs.news = db->signs.touched = db->signs.any = true;
}

void sync_begin(struct database *db, struct sync_wait *ret_wait, enum sync_what what, int64_t now_ms)
{
    *ret_wait = (struct sync_wait){.after_run = db->runs, .what = what};
    database_path_changed(db); /* the commits may be those of another file, where the path leads to now */
    for (size_t i = 0; i < db->lanes.count; i++) {
        struct lane *l = &db->lanes.list[i];
        int64_t soon = l->pace.started_at_ms + RETRY_MS;
        l->base_wanted |= what == SYNC_BASE;
        if (l->pace.retry_at_ms > soon)
            l->pace.retry_at_ms = soon;
    }
    ask_for_run(db, ret_wait, now_ms);
}

static void note_captured(struct database *db, struct sync_wait *w)
{
    w->captured = true;
    w->txid = db->lanes.captured.txid;
    w->resyncs = db->figures.resyncs;
    if (db->lanes.urgent_txid < w->txid)
        db->lanes.urgent_txid = w->txid;
}

/* Everything was put. */
static bool has_all(const struct lane *l, const struct sync_wait *w)
{
    return l->seen.state == DESTINATION_ATTACHED && l->seen.durable >= w->txid && !l->seen.base_owed &&
           l->loss.since_ms == 0 && (w->what != SYNC_BASE || !l->base_wanted);
}

/* Everything was put: the store is asked once, and its answer has to come. */
static bool store_has_answered(struct lane *l, uint64_t *asked, int64_t now_ms)
{
    if (l->seen.durable == 0)
        return true; /* nothing was put, so nothing can be missing */
    if (*asked == 0)
        *asked = lane_ask(l, 0, now_ms);
    bool suspected = l->look.missed > 0 || l->check.history == HISTORY_MISSED || look_is_near(&l->look, now_ms);
    return l->check.done >= *asked && !suspected && l->loss.since_ms == 0;
}

enum sync_state sync_look(struct database *db, struct sync_wait *w, int64_t now_ms)
{
    size_t conflicts = 0, durable = 0;
    db->active_ms = now_ms;
    if (!w->captured && db->through_run > w->after_run)
        note_captured(db, w);
    if (!w->captured) {
        ask_for_run(db, w, now_ms);
        return SYNC_WAITING;
    }
    if (w->resyncs != db->figures.resyncs)
        note_captured(db, w);
    for (size_t i = 0; i < db->lanes.count; i++) {
        struct lane *l = &db->lanes.list[i];
        const bool asks = w->what == SYNC_COMMITS || w->what == SYNC_BASE;
        if (l->seen.state == DESTINATION_CONFLICT)
            conflicts++;
        else if (has_all(l, w) && (!asks || store_has_answered(l, &w->asked_stores[i], now_ms)))
            durable++;
    }
    if (w->what == SYNC_ANY && durable > 0)
        return SYNC_DURABLE;
    if (durable + conflicts < db->lanes.count)
        return SYNC_WAITING;
    return conflicts > 0 ? SYNC_CONFLICT : SYNC_DURABLE;
}
