/* daemon/sleep.c */
#include "daemon/sleep.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/path.h"

#include <errno.h>
#include <stdlib.h>

/* ---- may it? */

static bool nothing_is_wrong(const struct lane *l)
{
    return l->seen.state == DESTINATION_ATTACHED && l->failing_since_ms == 0 && l->loss.since_ms == 0 &&
           l->prune.complaint.text[0] == 0 && !l->base_wanted;
}

static bool nothing_is_under_way(const struct lane *l, int64_t now_ms)
{
    return !prune_due(&l->prune, l->appended + l->pieces, now_ms) && !lane_is_away(l) && !l->prune.busy &&
           !l->look.busy && !transfer_under_way(&l->copy) && !transfer_under_way(&l->level) &&
           l->paused_base.terms.kind == COPY_NONE;
}

/* Everything that was put was looked at. */
static bool was_looked_at(struct lane *l, int64_t now_ms)
{
    if (l->look.due_ms == INT64_MAX && l->look.missed == 0 && l->look.objects >= l->appended + l->pieces)
        return true;
    look_ask(&l->look, now_ms);
    return false;
}

static bool replicas_may_sleep(struct lanes *all, int64_t now_ms)
{
    bool may = true, looked_at = true;
    for (size_t i = 0; may && i < all->count; i++)
        may = nothing_is_wrong(&all->list[i]) && nothing_is_under_way(&all->list[i], now_ms) &&
              lane_restorable_txid(&all->list[i]) == all->captured.txid;
    for (size_t i = 0; may && i < all->count; i++)
        looked_at &= was_looked_at(&all->list[i], now_ms);
    return may && looked_at && lanes_all_durable(all);
}

static bool is_verified_now(const struct verification *v)
{
    bool runs = v->writing || v->dirty;
    for (size_t i = 0; i < v->db->lanes.count; i++)
        runs |= verification_is_running(v, i);
    return runs;
}

bool sleep_may(struct database *db, const struct verification *v, int64_t now_ms)
{
    const bool at_rest = db->state && db->home && db->rested && db->stamped && db->figures.at == LOCAL_RESTING &&
                         db->lanes.captured.proven && !db->signs.news && !db->signs.suspect && !db->signs.touched;
    const bool busy = db->failed || db->stopping || db->detached || db->lost || db->complaint.text[0];
    return at_rest && !busy && !is_verified_now(v) && replicas_may_sleep(&db->lanes, now_ms);
}

/* ---- begin and end */

static int64_t next_work_ms(int64_t now_ms)
{
    uint32_t share = 0;
    struct err e;
    if (random_bytes(&share, sizeof share, &e))
        share = UINT32_MAX / 2;
    return now_ms + SLEEP_WORK_MS / 2 + (int64_t)((uint64_t)SLEEP_WORK_MS * share >> 32);
}

static int begin(struct sleep *s, struct sleepers *all, struct sleeper_of *of, const struct state_position *at,
                 void *context, int64_t now_ms, struct err *e)
{
    if (!sleepers_stamp(of->path, &of->stamp) || !capture_has_stamp(at, &of->stamp))
        return err_set(e, ERR_GONE, 0, "'%s' does not have its stamp", of->path);
    *s = (struct sleep){
        .since_ms = clock_wall_ms(), .work_at_ms = next_work_ms(now_ms), .txid = at->txid, .time_ms = at->time_ms};
    return sleepers_add(all, of, context, &s->sleeper, e);
}

int sleep_begin(struct sleep *s, struct sleepers *all, const struct database *db, void *context, int64_t now_ms,
                struct err *e)
{
    const struct state_position at = state_position(db->state);
    struct sleeper_of of = {.path = db->path, .given = db->config->db_path};
    return begin(s, all, &of, &at, context, now_ms, e);
}

int sleep_begin_closed(struct sleep *s, struct sleepers *all, const struct replicate_config *config, void *context,
                       int64_t now_ms, struct err *e)
{
    struct identity *id = NULL;
    char path[PATH_TEXT_MAX];
    errno = 0;
    if (!path_resolve(config->db_path, path))
        return io_is_passing(errno) ? err_sys(e, errno, "look at '%s'", config->db_path)
                                    : err_set(e, ERR_NOTFOUND, 0, "there is no database '%s'", config->db_path);
    id = malloc(sizeof *id);
    if (!id)
        return err_nomem(e, sizeof *id);
    if (state_peek(path, id, e)) {
        free(id);
        return -1;
    }
    bool durable = config->take_over == TAKE_OVER_NO;
    for (size_t i = 0; durable && i < config->url_count; i++)
        durable = destination_is_known_durable(id, config->urls[i]);
    const struct state_position at = state_position_of(id);
    struct sleeper_of of = {.path = path, .given = config->db_path};
    int rc = durable ? begin(s, all, &of, &at, context, now_ms, e)
                     : err_set(e, ERR_NOTFOUND, 0, "'%s': a replica may lack something", path);
    free(id);
    return rc;
}

void sleep_end(struct sleep *s, struct sleepers *all)
{
    sleepers_remove(all, s->sleeper);
    *s = (struct sleep){.sleeper = NULL};
}
