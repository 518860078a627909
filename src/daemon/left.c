/* daemon/left.c */
#include "daemon/left.h"

#include "base/units.h"

#include <inttypes.h>
#include <stdio.h>

/* What a replica lacks: "base 34 %, 120.0 MB/s, 8 s left". */
static void describe_lane(const struct database *db, const struct lane *l, int64_t now_ms, char *out, size_t out_max)
{
    const struct lanes *all = &db->lanes;
    char text[PROGRESS_TEXT_MAX], bytes[32];
    uint64_t done = 0, total = 0;
    if (l->shown) {
        lane_copied(l, &done, &total);
        progress_text(&l->progress, done, total, now_ms, text);
        snprintf(out, out_max, "%s %s", transfer_is(&l->copy, COPY_BASE) ? "base" : "catching up", text);
    } else if (l->seen.durable < all->captured.txid) {
        units_format_size(backlog_bytes_after(&all->backlog, l->seen.durable), bytes);
        snprintf(out, out_max, "%" PRIu64 " transactions, %s", all->captured.txid - l->seen.durable, bytes);
    } else {
        snprintf(out, out_max, "the last requests");
    }
}

static void describe(const struct database *db, int64_t now_ms, char *out, size_t out_max)
{
    const struct lane *l = lanes_owing(&db->lanes);
    char what[PROGRESS_TEXT_MAX + 32];
    const int64_t ms = database_stop_deadline_ms(db) - now_ms;
    if (!db->final_done || !l) {
        snprintf(out, out_max, "the last commits are read");
        return;
    }
    describe_lane(db, l, now_ms, what, sizeof what);
    snprintf(out, out_max, "replica '%.200s': %s; gives up after %" PRId64 " s without progress", l->url, what,
             ms > 0 ? ms / 1000 : 0);
}

bool left_text(const struct fleet *f, int64_t now_ms, char out[LEFT_TEXT_MAX])
{
    const struct member *first = NULL;
    char what[700];
    size_t open = 0;
    for (size_t i = 0; i < f->count; i++) {
        const struct member *m = f->list[i];
        if (m->ended || !m->awake)
            continue;
        if (!first || (!lanes_owing(&first->awake->db.lanes) && lanes_owing(&m->awake->db.lanes)))
            first = m;
        open++;
    }
    if (!first)
        return false;
    describe(&first->awake->db, now_ms, what, sizeof what);
    if (f->shared.alone)
        snprintf(out, LEFT_TEXT_MAX, "%s", what);
    else
        snprintf(out, LEFT_TEXT_MAX, "%zu of %zu databases are not durable yet; '%.200s': %s", open, f->count,
                 first->config->db_path, what);
    return true;
}
