/* daemon/sync.c */
#include "daemon/sync.h"

#define AGAIN_MS 20   /* between runs that did not get through */
#define RETRY_MS 1000 /* least time between two tries of a replica that fails, however many wait */

/* `touched`: a file put in the place of the database is another database, and has to be seen. */
static void ask_for_run(struct database *db, struct sync_wait *w, int64_t now)
{
    if (db->busy || db->final_done || now < db->open_at_ms ||
        !watch_is_open(&db->local.watch)) /* or one starts anyway */
        return;
    if (w->asked && w->asked_run == db->runs)
        return;
    if (w->asked && db->pass_at_ms < now + AGAIN_MS)
        db->pass_at_ms = now + AGAIN_MS;
    w->asked = true;
    w->asked_run = db->runs;
    db->news = db->touched = true;
}

void sync_begin(struct database *db, struct sync_wait *ret_wait, enum sync_what what, int64_t now_ms)
{
    *ret_wait = (struct sync_wait){.after_run = db->runs, .base = what == SYNC_BASE};
    for (size_t i = 0; i < db->lane_count; i++) {
        struct lane *l = &db->lanes[i];
        int64_t soon = l->started_at_ms + RETRY_MS;
        l->base_wanted |= what == SYNC_BASE;
        if (l->retry_at_ms > soon)
            l->retry_at_ms = soon;
    }
    ask_for_run(db, ret_wait, now_ms);
}

static void note_captured(struct database *db, struct sync_wait *w)
{
    w->captured = true;
    w->txid = db->captured_txid;
    w->resyncs = db->figures.resyncs;
    if (db->urgent_txid < w->txid)
        db->urgent_txid = w->txid;
}

enum sync_state sync_look(struct database *db, struct sync_wait *w, int64_t now_ms)
{
    enum sync_state state = SYNC_DURABLE;
    if (!w->captured && db->through_run > w->after_run)
        note_captured(db, w);
    if (!w->captured) {
        ask_for_run(db, w, now_ms);
        return SYNC_WAITING;
    }
    if (w->resyncs != db->figures.resyncs)
        note_captured(db, w);
    for (size_t i = 0; i < db->lane_count; i++) {
        const struct lane *l = &db->lanes[i];
        if (l->seen == DESTINATION_CONFLICT)
            state = SYNC_CONFLICT;
        else if (l->seen != DESTINATION_ATTACHED || l->seen_durable < w->txid || l->seen_base_owed ||
                 (w->base && l->base_wanted))
            return SYNC_WAITING;
    }
    return state;
}
