/* daemon/lanes.c - what a replica can do next, and what becomes of it. */
#include "base/clock.h"
#include "base/invariant.h"
#include "base/log.h"
#include "base/trial.h"
#include "daemon/database.h"
#include "daemon/history.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHIP_SINGLE_MS 2 /* between two objects of one replica, while they come one by one */
#define SHIP_LIGHT_MS 10 /* while a few commits wait */
#define SHIP_HEAVY_MS 50 /* while many do */
#define HEAVY_COMMITS 40
#define FIRST_SEGMENT_BYTES                                                                                            \
    SCALE(32u << 20, 5120u) /* a larger database begins with a base instead of one large segment */

bool ship_hangs(const struct lane *l)
{
    return l->busy && clock_mono_ms() - l->started_at_ms > HANG_MS;
}

bool ship_healthy(const struct lane *l)
{
    return l->seen == DESTINATION_ATTACHED && l->backoff_ms == 0 && !ship_hangs(l);
}

static void ship_done(struct job *job);
static void piece_done(struct job *job);

static bool collect_batches(struct database *db, struct lane *l)
{
    uint64_t durable = l->d.entry.durable_txid;
    l->batch_count = 0;
    if (durable >= l->d.since || !RULE(splice))
        l->batch_count =
            backlog_find(&db->backlog, durable + 1, db->page_size, LANE_BYTES_MAX, l->batches, LANE_BATCHES_MAX);
    return l->batch_count > 0;
}

/* Beside level 0: what it puts moves no position. */
static bool puts_beside(enum ship_kind kind)
{
    return kind == SHIP_MARKER || kind == SHIP_PART || kind == SHIP_LEVEL;
}

static void start_ship(struct database *db, struct lane *l, enum ship_kind kind)
{
    if (kind == SHIP_COMMITS)
        backlog_hold(l->batches, l->batch_count);
    else
        l->batch_count = 0;
    l->started_at_ms = clock_mono_ms();
    l->base_was_owed = l->d.entry.base_owed > 0;
    if (kind != SHIP_ATTACH)
        budget_take(&l->budget, l->started_at_ms);
    if (kind != SHIP_ATTACH && !puts_beside(kind))
        l->shipped_at_ms = l->started_at_ms;
    l->page_size = db->page_size;
    l->record = db->newest;
    lane_start(l, kind, db->workers, ship_done);
}

/* Commits wait a little for each other, so that a writer at full speed does not make an object of each. */
static int64_t gap_ms(const struct lane *l)
{
    return l->shipped_commits >= HEAVY_COMMITS ? SHIP_HEAVY_MS
           : l->shipped_commits > 1            ? SHIP_LIGHT_MS
                                               : SHIP_SINGLE_MS;
}

int64_t ship_due_ms(const struct database *db, const struct lane *l, int64_t now)
{
    int64_t due = l->shipped_at_ms + gap_ms(l);
    bool urgent = l->d.entry.durable_txid < db->urgent_txid;
    bool free = db->stopping || urgent || !l->store || !l->store->costs;
    const struct options *o = &db->config->options;
    size_t full =
        o->max_batch < o->max_pending / 2 ? o->max_batch : o->max_pending / 2; /* more than is kept never waits */
    if (free || backlog_bytes_after(&db->backlog, l->d.entry.durable_txid) >= full)
        return due;
    int64_t ready = budget_ready_at_ms(&l->budget, now);
    return due > ready ? due : ready;
}

/* A copy that failed, that is of another page size, or that the replica's position has left behind, is given up when its jobs are
 * done. */
static bool abandon_if_useless(struct database *db, struct lane *l)
{
    bool anew = destination_starts_anew(&l->d, db->page_size);
    bool attached = l->d.state == DESTINATION_ATTACHED;
    if (l->paused_base && (!attached || anew)) {
        copy_free(l->paused_base);
        l->paused_base = NULL;
    }
    if (!l->copy)
        return false;
    bool left_behind = l->copy->kind == COPY_CATCH_UP && l->copy->after != l->d.entry.durable_txid;
    bool useless = l->copy_failed || !attached || left_behind || l->copy->page_size != db->page_size ||
                   (l->copy->kind == COPY_BASE && anew);
    if (!useless)
        return false;
    if (lane_pieces_busy(l) || (db->busy && db->copying == l))
        return true;
    lane_abandon_copy(l);
    return false;
}

static struct piece *next_waiting(const struct lane *l, unsigned *ret_place)
{
    struct piece *first = NULL;
    for (unsigned i = 0; i < COPY_IN_FLIGHT; i++)
        if (l->waiting[i] && (!first || l->waiting[i]->index < first->index)) {
            first = l->waiting[i];
            *ret_place = i;
        }
    return first;
}

/* In order; nothing is put with a txid that the level-0 objects have not reached. */
static void start_pieces(struct database *db, struct lane *l)
{
    for (unsigned k = 0; k < COPY_IN_FLIGHT; k++) {
        unsigned place = 0;
        struct piece *p = next_waiting(l, &place);
        if (!p || (l->copy->kind == COPY_BASE && l->d.entry.durable_txid < p->record.txid && RULE(durable_first)))
            return;
        if (l->piece_job[k].busy)
            continue;
        l->waiting[place] = NULL;
        budget_take(&l->budget, clock_mono_ms());
        lane_start_piece(l, &l->piece_job[k], p, db->workers, piece_done);
    }
}

static bool copy_is_put(const struct lane *l)
{
    for (unsigned i = 0; i < COPY_IN_FLIGHT; i++)
        if (l->waiting[i])
            return false;
    return l->copy && l->read_all && !lane_pieces_busy(l);
}

static void start_catch_up(struct database *db, struct lane *l)
{
    uint64_t durable = l->d.entry.durable_txid;
    l->read_all = l->copy_failed = false;
    l->copy = copy_new(COPY_CATCH_UP, durable, db->page_size);
    if (l->copy && durable > 0 && db->newest.txid > durable + 1)
        log_info("replica '%s': txid %" PRIu64 " to %" PRIu64
                 " become one restore point: they could not be shipped one by one",
                 l->d.url, durable + 1, db->newest.txid);
}

/* Level 0 goes on, by commits or by a catch-up. */
static void ship_newest(struct database *db, struct lane *l, int64_t now)
{
    bool anew = destination_starts_anew(&l->d, db->page_size);
    if (!db->stopping && now < ship_due_ms(db, l, now))
        return;
    if (collect_batches(db, l) && !(anew && l->d.entry.durable_txid > 0)) {
        l->upto = history_cut(l);
        start_ship(db, l, SHIP_COMMITS);
    } else if (anew && (uint64_t)db->newest.pages * db->page_size > FIRST_SEGMENT_BYTES) {
        start_ship(db, l, SHIP_ANCHOR);
    } else if (!l->copy || (!lane_pieces_busy(l) && !(db->busy && db->copying == l))) {
        if (l->copy) /* a base is under way: it goes on afterwards */
            lane_pause_base(l);
        start_catch_up(db, l);
    }
}

/* What can this replica do now? At most one ship job; pieces go beside it. */
void ship_schedule(struct database *db, struct lane *l, int64_t now)
{
    enum ship_kind kind;
    if (l->busy || now < l->retry_at_ms || l->d.state == DESTINATION_CONFLICT || l->d.state == DESTINATION_RESYNC)
        return;
    if (l->d.state == DESTINATION_DETACHED) {
        if (!abandon_if_useless(db, l) && !history_abandon_level(db, l))
            start_ship(db, l, SHIP_ATTACH);
        return;
    }
    if (l->d.outgoing.bytes.len > 0) {
        start_ship(db, l, SHIP_AGAIN);
        return;
    }
    if (abandon_if_useless(db, l) || history_abandon_level(db, l) || !db->proven || db->page_size == 0)
        return;
    uint64_t durable = l->d.entry.durable_txid;
    INVARIANT(durable <= db->captured_txid, "replica '%s': durable at txid %" PRIu64 ", captured %" PRIu64, l->d.url,
              durable, db->captured_txid);
    if (l->copy)
        start_pieces(db, l);
    if (l->copy && l->copy->kind == COPY_CATCH_UP) {
        if (l->last_piece && copy_is_put(l))
            start_ship(db, l, SHIP_CATCH_UP);
        return;
    }
    if (l->copy && copy_is_put(l) && l->copy->put == l->copy->pieces) {
        start_ship(db, l, SHIP_MARKER);
        return;
    }
    history_prune(db, l, now);
    history_begin_level(db, l);
    if (history_level_ready(l, &kind)) {
        start_ship(db, l, kind);
        return;
    }
    if (durable < db->captured_txid) {
        ship_newest(db, l, now);
        if (l->busy)
            return;
    }
    if (l->copy || durable == 0 || destination_starts_anew(&l->d, db->page_size))
        return;
    if (l->paused_base)
        lane_resume_base(l);
    else if (history_base_due(db, l))
        history_start_base(db, l);
}

/* What kind of store it is, once that is known. */
static void introduce(struct lane *l)
{
    struct store *s = l->store;
    char text[STORE_DESCRIPTION_MAX];
    if (l->introduced || !s)
        return;
    store_describe(s, text);
    if (!text[0])
        return;
    l->introduced = true;
    log_info("replica '%s': %s; PUT is %s", l->d.url, text,
             s->fencing == STORE_FENCING_STRONG ? "exclusive" : "not exclusive");
    if (s->fencing == STORE_FENCING_WEAK)
        log_warn("replica '%s': without exclusive PUT a second writer is noticed only afterwards, and each object "
                 "costs five "
                 "requests more. Make sure that there is none",
                 l->d.url);
    if (s->note[0])
        log_warn("replica '%s': %s", l->d.url, s->note);
}

static void lane_log(struct lane *l, enum ship_kind kind)
{
    if (kind == SHIP_ATTACH)
        introduce(l);
    if (kind == SHIP_ATTACH && l->d.state != DESTINATION_CONFLICT)
        log_info("replica '%s': %s", l->d.url, l->d.found);
    if (kind == SHIP_CATCH_UP && l->d.state == DESTINATION_ATTACHED)
        log_info("replica '%s': up to date at txid %" PRIu64, l->d.url, l->d.entry.durable_txid);
    if (kind == SHIP_MARKER && l->base_was_owed)
        log_info("replica '%s': the base is complete", l->d.url);
}

static void complain_of_replica(struct lane *l, const struct err *e)
{
    if (l->failing_since_ms == 0)
        l->failing_since_ms = clock_wall_ms();
    if (l->complaint[0] && l->complaint_code == e->code && l->complaint_sys == e->sys)
        return;
    l->complaint_code = e->code;
    l->complaint_sys = e->sys;
    snprintf(l->complaint, sizeof l->complaint, "%s", e->msg);
    log_warn("replica '%s': trying again until it works: %s", l->d.url, e->msg);
}

static void lane_conflict(struct database *db, struct lane *l)
{
    size_t left = 0;
    l->failing_since_ms = clock_wall_ms();
    for (size_t i = 0; i < db->lane_count; i++)
        left += db->lanes[i].seen != DESTINATION_CONFLICT;
    if (left == 0)
        database_fail(db, &l->err); /* said at the end */
    else
        log_error("replica '%s': given up, the others go on: %s", l->d.url, l->err.msg);
}

/* One that was away at the start may turn out to be another that is here. */
static bool is_given_twice(const struct database *db, const struct lane *l)
{
    for (size_t i = 0; i < db->lane_count; i++)
        if (&db->lanes[i] != l && !db->lanes[i].busy && db->lanes[i].d.known && l->d.known &&
            db->lanes[i].d.index == l->d.index)
            return true;
    return false;
}

static void ship_done(struct job *job)
{
    struct lane *l = lane_of_job(job);
    struct database *db = (struct database *)l->author.owner;
    int64_t now = clock_mono_ms();
    enum ship_kind kind = l->kind;
    l->busy = false;
    l->seen = l->d.state;
    l->store = l->d.store;
    l->seen_durable = l->d.entry.durable_txid;
    l->seen_base_owed = l->d.entry.base_owed > 0;
    l->seen_base.max = l->d.levels.base_max;
    l->seen_base.bytes = l->d.levels.base_bytes;
    l->seen_base.at_ms = l->d.levels.base_at_ms;
    l->appended = l->d.objects;
    l->appended_bytes = l->d.bytes;
    backlog_let_go(l->batches, l->batch_count);
    if (kind == SHIP_ATTACH)
        l->asked = true;
    if (kind == SHIP_ATTACH && is_given_twice(db, l)) {
        err_set(&l->err, ERR_CONFIG, 0, "the replica '%s' is given twice", l->d.url);
        database_fail(db, &l->err);
        return;
    }
    if (l->rc) {
        if (l->err.code == ERR_CONFLICT && !puts_beside(kind)) {
            lane_conflict(db, l);
        } else {
            if (db->config->once && l->err.code == ERR_CONFIG && db->lane_count == 1) {
                database_fail(db, &l->err); /* somebody waits for the answer, and only a person can help */
                return;
            }
            complain_of_replica(l, &l->err);
            if (kind == SHIP_MARKER && l->err.code == ERR_CONFLICT) {
                history_forget_base(l);
                lane_abandon_copy(l);
            }
            if (kind == SHIP_PART || kind == SHIP_LEVEL) /* it can be read again at any time */
                lane_abandon_level(l);
            lane_failed(l, &l->err, now);
        }
        return;
    }
    database_note_progress(db);
    if (l->complaint[0])
        log_info("replica '%s': reachable again", l->d.url);
    lane_succeeded(l);
    if (l->d.state == DESTINATION_DETACHED)
        lane_detoured(l, now);
    else if (kind != SHIP_ATTACH)
        l->detours = 0;
    if (!puts_beside(kind))
        l->shipped_commits = l->d.outgoing.commits;
    if (kind == SHIP_MARKER)
        history_forget_base(l);
    l->prune_owed |=
        (kind == SHIP_MARKER || kind == SHIP_LEVEL) && db->config->options.prune_interval_ms != OPTION_NEVER;
    if (kind == SHIP_CATCH_UP || kind == SHIP_MARKER)
        lane_abandon_copy(l);
    if (kind == SHIP_PART || kind == SHIP_LEVEL)
        history_level_done(l, kind);
    if (kind == SHIP_MARKER)
        l->base_wanted = false;
    lane_log(l, kind);
}

/* A piece that could not be put waits for another try, alone. */
static void put_back(struct lane *l, struct piece *piece)
{
    for (unsigned i = 0; i < COPY_IN_FLIGHT; i++)
        if (!l->waiting[i]) {
            l->waiting[i] = piece;
            return;
        }
    abort(); /* it came from there, and what is waiting and what is under way are counted together */
}

static void piece_done(struct job *job)
{
    struct piece_job *pj = piece_job_of(job);
    struct lane *l = pj->lane;
    struct piece *piece = pj->piece;
    pj->busy = false;
    pj->piece = NULL;
    if (pj->rc && pj->err.code != ERR_CONFLICT) {
        complain_of_replica(l, &pj->err);
        lane_failed(l, &pj->err, clock_mono_ms());
        put_back(l, piece);
        return;
    }
    if (pj->rc) { /* its name is taken by another piece of this base: begin a new one */
        history_forget_base(l);
        piece_free(piece);
        l->copy_failed = true;
        return;
    }
    if (l->copy->kind == COPY_BASE)
        history_note_chunk(l, piece->index, &pj->listed);
    if (copy_note(l->copy, piece->index, &pj->listed, &pj->err)) {
        complain_of_replica(l, &pj->err);
        l->copy_failed = true;
    }
    piece_free(piece);
    l->pieces++;
    l->piece_bytes += pj->listed.size;
    database_note_progress((struct database *)l->author.owner);
    l->backoff_ms = 0;
}
