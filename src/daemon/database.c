/* daemon/database.c - the local side of one database. */
#include "daemon/database.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon/history.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PASS_LIGHT_MS 5
#define PASS_HEAVY_MS 20
#define HEAVY_FRAMES 100 /* new frames in one pass that make it heavy */
#define SWEEP_MS 1000    /* covers lost events */
#define REST_RETRY_MS 250
#define REOPEN_MS 1000   /* after an error of the local job */
#define BUSY_MS 50       /* when somebody only held a lock: meanwhile nothing protects the WAL */
#define LOOK_MS_MAX 8    /* after an event without news: look again after 1, 2, 4, 8, 8, ... ms */
#define LOOK_FOR_MS 2000 /* for so long: a disk may take its time to sync */
#define LOCAL_DEADLINE_MS 300000

void database_fail(struct database *db, const struct err *e)
{
    if (!db->failed)
        db->error = *e;
    db->failed = true;
}

/* The time to stop counts from the last progress: a large first copy may take as long as it takes. */
void database_note_progress(struct database *db)
{
    db->stop_deadline_ms = clock_mono_ms() + (int64_t)db->config->options.stop_timeout_ms;
}

void database_stop(struct database *db)
{
    if (db->stopping)
        return;
    db->stopping = true;
    for (size_t i = 0; i < db->lane_count && !db->config->once; i++)
        atomic_store(&db->lanes[i].prune.cancel, true); /* it goes on some other time */
    database_note_progress(db);
}

static void log_requests(const struct store *s)
{
    const struct store_traffic *t = &s->traffic;
    log_info(
        "replica '%s': requests: put %llu, get %llu, head %llu, list %llu, delete %llu, failed %llu; bytes: sent %llu, "
        "received %llu",
        s->url, atomic_load(&t->put), atomic_load(&t->get), atomic_load(&t->head), atomic_load(&t->list),
        atomic_load(&t->remove), atomic_load(&t->failed), atomic_load(&t->sent_bytes), atomic_load(&t->received_bytes));
}

void database_log_figures(const struct database *db)
{
    const struct local_report *l = &db->figures;
    const struct checkpoint_stats *c = &l->checkpoints;
    uint64_t objects = 0, bytes = 0;
    for (size_t i = 0; i < db->lane_count; i++) {
        objects += db->lanes[i].appended + db->lanes[i].pieces;
        bytes += db->lanes[i].appended_bytes + db->lanes[i].piece_bytes;
    }
    log_info("database '%s': longest write-lock hold %.2f ms; commits %" PRIu64 ", frames %" PRIu64
             ", checkpoints %" PRIu64 ", truncated %" PRIu64 ", busy %" PRIu64 ", resyncs %" PRIu64 ", objects %" PRIu64
             ", bytes %" PRIu64,
             db->config->db_path, (double)c->longest_write_hold_ns / 1e6, l->commits_captured, l->frames_captured,
             c->resets, c->truncations, c->busy, l->resyncs, objects, bytes);
    for (size_t i = 0; i < db->lane_count; i++)
        if (db->lanes[i].store && db->lanes[i].store->costs)
            log_requests(db->lanes[i].store);
}

struct replicate_summary database_summary(const struct database *db)
{
    struct replicate_summary s = {.txid = db->captured_txid, .replicas = db->lane_count, .taken = db->taken};
    for (size_t i = 0; i < db->lane_count; i++) {
        const struct lane *l = &db->lanes[i];
        s.objects += l->appended + l->pieces;
        s.bytes += l->appended_bytes + l->piece_bytes;
        s.durable += l->seen == DESTINATION_ATTACHED && l->seen_durable == s.txid && !l->base_wanted && db->proven;
    }
    return s;
}

/* ---- captured commits: kept while a healthy replica needs them */

/* Are batches kept for this one? One in trouble keeps those that continue its head, while there is room. */
static bool keeps_batches(const struct database *db, const struct lane *l)
{
    const struct batch *first = db->backlog.first;
    if (ship_healthy(l))
        return true;
    return l->seen == DESTINATION_ATTACHED && db->backlog.bytes < db->config->options.max_pending &&
           (first ? first->first <= l->seen_durable + 1 : db->captured_txid == l->seen_durable);
}

/* Lets go of what no replica will use any more: every healthy one has it. The others catch up from the database. */
static void let_go_of_batches(struct database *db)
{
    uint64_t low = db->captured_txid;
    for (size_t i = 0; i < db->lane_count; i++)
        if (keeps_batches(db, &db->lanes[i]) && db->lanes[i].seen_durable < low)
            low = db->lanes[i].seen_durable;
    backlog_trim(&db->backlog, low);
}

static void take_batches(struct database *db, struct batch *list)
{
    bool somebody = false;
    while (list) {
        struct batch *b = list;
        list = b->next;
        backlog_add(&db->backlog, b);
    }
    for (size_t i = 0; i < db->lane_count; i++)
        somebody |= keeps_batches(db, &db->lanes[i]) || !db->lanes[i].asked;
    while (db->backlog.first &&
           (!somebody ||
            db->backlog.bytes > 3 * db->config->options.max_pending)) /* an outage costs granularity, never data */
        backlog_drop_first(&db->backlog);
}

/* ---- the local job */

static void run_local(struct job *job, struct codec *codec)
{
    struct database *db = (struct database *)(void *)((char *)job - offsetof(struct database, job));
    (void)codec;
    db->rc = local_run(&db->local, &db->request, &db->report, &db->err);
}

static void complain(char *last, const char *what, const struct err *e)
{
    if (strncmp(last, e->msg, ERR_MSG_MAX) == 0)
        return;
    snprintf(last, ERR_MSG_MAX, "%s", e->msg);
    log_warn("%s: %s", what, e->msg);
}

static void after_resync(struct database *db)
{
    for (size_t i = 0; i < db->lane_count; i++) {
        struct lane *l = &db->lanes[i];
        if (!l->compared)
            continue; /* it attached while the pages were compared with the others: its turn comes */
        l->compared = false;
        destination_compared(&l->d, &l->author, db->newest.txid, db->page_size);
        l->seen = l->d.state;
        l->seen_durable = l->d.entry.durable_txid;
        l->seen_base_owed = l->d.entry.base_owed > 0;
    }
}

/* Errors that no waiting will mend end the daemon; the others are tried again. */
static void local_failed(struct database *db)
{
    bool final = db->err.code == ERR_CONFIG || db->config->once || db->stopping;
    if (db->config->as_it_is && db->err.code == ERR_BUSY && clock_mono_ms() < db->busy_until_ms) {
        db->open_at_ms = clock_mono_ms() + BUSY_MS;
        return;
    }
    if (final) {
        database_fail(db, &db->err);
        return;
    }
    complain(db->complaint, "let go of the database, trying again", &db->err);
    db->open_at_ms = clock_mono_ms() + (db->err.code == ERR_BUSY ? BUSY_MS : REOPEN_MS);
}

/* Before the batches are handed over: they know when the first of the new commits was made. */
static void note_captured(struct database *db)
{
    const struct local_report *r = &db->report;
    const struct batch *b = r->batches;
    uint64_t low = r->newest.txid;
    db->newest = r->newest;
    db->captured_txid = r->newest.txid;
    db->page_size = r->page_size;
    lag_note(&db->lag, r->newest.txid, b && b->record_count > 0 ? b->records[0].time_ms : r->newest.time_ms);
    for (size_t i = 0; i < db->lane_count; i++)
        if (db->lanes[i].seen_durable < low)
            low = db->lanes[i].seen_durable;
    lag_trim(&db->lag, low);
}

static void give_piece(struct database *db, struct piece *piece)
{
    struct lane *l = db->copying;
    if (!l)
        return;
    if (db->copying_level) {
        l->level_read_all = l->level->read_all;
        l->level_failed |= l->level->failed;
        l->level_piece = piece;
        return;
    }
    l->read_all = l->copy && l->copy->read_all;
    l->copy_failed |= l->copy && l->copy->failed;
    if (!piece)
        return;
    if (piece->last) {
        l->last_piece = piece;
        return;
    }
    for (unsigned i = 0; i < COPY_IN_FLIGHT; i++)
        if (!l->waiting[i]) {
            l->waiting[i] = piece;
            return;
        }
    abort(); /* lane_wants_piece said that there was room */
}

static void pace(struct database *db, int64_t now)
{
    const struct local_report *r = &db->report;
    if (r->commits || r->more) {
        db->news = true;
        db->pass_at_ms = now + (r->frames_new >= HEAVY_FRAMES ? PASS_HEAVY_MS : PASS_LIGHT_MS);
        db->look_ms = 0;
        return;
    }
    db->news = r->torn;
    db->pass_at_ms = now + (r->torn ? 10 : 0);
}

/* No page may differ, and there is a new restore point all the same. */
static const char *what_is_shipped(const struct resync_result *r)
{
    if (!r->changed)
        return "";
    return r->differing > 0 ? ", shipped as one restore point"
                            : "; its size or its replicas' positions do, shipped as one restore point";
}

static void local_done(struct job *job)
{
    struct database *db = (struct database *)(void *)((char *)job - offsetof(struct database, job));
    const struct local_report *r = &db->report;
    int64_t now = clock_mono_ms();
    db->busy = false;
    db->figures = *r;
    note_captured(db);
    take_batches(db, r->batches);
    give_piece(db, r->piece);
    db->copying = NULL;
    db->rested = r->rested;
    if (db->rc) {
        db->proven = false; /* the map may be half-way, or empty: nothing is copied from it */
        local_failed(db);
        return;
    }
    db->complaint[0] = 0;
    db->busy_until_ms = now + (int64_t)db->config->busy_ms;
    db->proven = !r->waiting;
    if (r->through > 0 && !r->moved)
        db->through_run = r->through;
    if (r->opened) { /* once for each file, before anything is looked at */
        db->alarm.opened(db->alarm.context, db->path, db->wal_path);
        log_info("database '%s': opened%s", db->config->db_path, r->switched_to_wal ? ", switched to WAL mode" : "");
    }
    if (r->moved) {
        log_warn("database '%s': its files were replaced or overwritten, or its journal mode was changed; opening them "
                 "anew and "
                 "comparing all "
                 "pages",
                 db->config->db_path);
        db->news = true;
        db->open_at_ms = now;
        return;
    }
    if (r->resynced) {
        log_info("database '%s': compared all pages: %u of %u differ%s", db->config->db_path, r->resync.differing,
                 r->resync.pages, what_is_shipped(&r->resync));
        after_resync(db);
    }
    if (r->rested)
        db->closed_event = false;
    if (db->stopping && db->request.settle && !r->waiting && !r->more)
        db->final_done = true;
    if (r->commits)
        db->rest_at_ms = now + (int64_t)db->config->options.rest_after_ms;
    else if (!r->rested && now >= db->rest_at_ms)
        db->rest_at_ms = now + REST_RETRY_MS; /* readers were in the way */
    pace(db, now);
}

/* One that hangs is compared when it answers: its turn comes. */
static bool all_asked(const struct database *db)
{
    for (size_t i = 0; i < db->lane_count; i++) {
        const struct lane *l = &db->lanes[i];
        if (!ship_hangs(l) && (!l->asked || (l->busy && l->kind == SHIP_ATTACH)))
            return false;
    }
    return true;
}

static bool any_keeps(const struct database *db)
{
    for (size_t i = 0; i < db->lane_count; i++)
        if (keeps_batches(db, &db->lanes[i]))
            return true;
    return false;
}

/* A catch-up comes first, a base last. */
static struct lane *lane_to_copy(struct database *db, bool *ret_level)
{
    *ret_level = false;
    for (size_t i = 0; i < db->lane_count; i++)
        if (db->lanes[i].copy && db->lanes[i].copy->kind == COPY_CATCH_UP && lane_wants_piece(&db->lanes[i]))
            return &db->lanes[i];
    for (size_t i = 0; i < db->lane_count; i++)
        if (lane_wants_level_piece(&db->lanes[i])) {
            *ret_level = true;
            return &db->lanes[i];
        }
    for (size_t i = 0; i < db->lane_count; i++)
        if (lane_wants_piece(&db->lanes[i]))
            return &db->lanes[i];
    return NULL;
}

static bool wants_copy(struct database *db)
{
    bool level = false;
    return lane_to_copy(db, &level) != NULL;
}

static bool catching_up(const struct database *db)
{
    for (size_t i = 0; i < db->lane_count; i++)
        if (db->lanes[i].copy && db->lanes[i].copy->kind == COPY_CATCH_UP && ship_healthy(&db->lanes[i]))
            return true;
    return false;
}

/* Replicas that are attached, or wait to be compared, need what changed after this txid. Others are not waited for. */
static uint64_t needed_after(const struct database *db)
{
    uint64_t low = UINT64_MAX;
    for (size_t i = 0; i < db->lane_count; i++) {
        const struct lane *l = &db->lanes[i];
        uint64_t after = l->seen_durable;
        if (l->seen != DESTINATION_ATTACHED && l->seen != DESTINATION_RESYNC)
            continue;
        if (l->copy)
            after = l->copy->after;
        else if (!l->busy && l->d.from_empty)
            after = 0;
        if (l->base_wanted || l->paused_base || (!l->busy && l->d.entry.base_owed > 0))
            after = 0;
        uint64_t history = history_needs_after(db, l);
        after = history < after ? history : after;
        low = after < low ? after : low;
    }
    return low;
}

static void fill_request(struct database *db)
{
    struct local_request *r = &db->request;
    *r = (struct local_request){.run = db->runs,
                                .rest = db->closed_event || db->stopping,
                                .settle = db->stopping && !db->final_done,
                                .hold = (catching_up(db) && !db->stopping) || db->final_done,
                                .look = db->touched,
                                .drop = all_asked(db) && !any_keeps(db),
                                .may_resync = all_asked(db),
                                .needed_after = needed_after(db)};
    r->room =
        db->backlog.bytes < db->config->options.max_pending ? db->config->options.max_pending - db->backlog.bytes : 0;
    for (size_t i = 0; i < db->lane_count; i++) {
        struct destination *d = &db->lanes[i].d;
        db->lanes[i].compared = !db->lanes[i].busy && d->state == DESTINATION_RESYNC;
        if (db->lanes[i].compared)
            r->references[r->reference_count++] =
                (struct capture_reference){.head_txid = d->entry.durable_txid,
                                           .head_time_ms = d->head_time_ms,
                                           .map = d->head_map.page_size ? &d->head_map : NULL};
    }
    db->copying = lane_to_copy(db, &db->copying_level);
    if (db->copying)
        r->copy = db->copying_level ? db->copying->level : db->copying->copy;
}

static bool resync_wanted(const struct database *db)
{
    for (size_t i = 0; i < db->lane_count; i++)
        if (!db->lanes[i].busy && db->lanes[i].d.state == DESTINATION_RESYNC)
            return true;
    return false;
}

/* Is there a reason to run the local job now? */
static bool local_due(struct database *db, int64_t now)
{
    if (now < db->open_at_ms)
        return false;
    if (!watch_is_open(&db->local.watch))
        return true;
    if (all_asked(db) && (resync_wanted(db) || !db->proven))
        return true;
    if (wants_copy(db))
        return true;
    if (db->stopping && !db->final_done)
        return true;
    if (db->final_done)
        return false;
    if (now >= db->pass_at_ms && db->news &&
        !(catching_up(db) && !db->report.commits && !db->report.torn && now < db->pass_at_ms + 50))
        return true;
    return !db->rested && (now >= db->rest_at_ms || db->closed_event) && now >= db->pass_at_ms;
}

static void start_local(struct database *db)
{
    db->runs++;
    fill_request(db);
    db->busy = true;
    db->news = db->touched = false;
    db->job = (struct job){.run = run_local, .done = local_done, .deadline_ms = LOCAL_DEADLINE_MS};
    db->local.capture.beat_ms = &db->job.beat_ms;
    workers_submit(db->workers, &db->job);
}

/* ---- when is it all done? */

static bool all_durable(const struct database *db)
{
    for (size_t i = 0; i < db->lane_count; i++) {
        const struct lane *l = &db->lanes[i];
        if (l->seen == DESTINATION_CONFLICT)
            continue;
        if (l->busy || l->d.state != DESTINATION_ATTACHED || l->d.entry.durable_txid != db->captured_txid ||
            history_owes(db, l))
            return false;
    }
    return true;
}

static bool anything_running(const struct database *db)
{
    for (size_t i = 0; i < db->lane_count; i++)
        if (db->lanes[i].busy || db->lanes[i].prune.busy || lane_pieces_busy(&db->lanes[i]))
            return true;
    return db->busy;
}

bool database_finished(struct database *db)
{
    int64_t now = clock_mono_ms();
    if (db->failed && (db->hung || !anything_running(db)))
        return true;
    if (db->failed)
        database_stop(db); /* what runs may take until the deadline of a stop */
    if (!db->stopping)
        return false;
    if (db->final_done && all_durable(db)) {
        for (size_t i = 0; i < db->lane_count; i++)
            if (db->lanes[i].seen == DESTINATION_CONFLICT)
                database_fail(db, &db->lanes[i].err); /* the others are up to date; this one is not */
        return !anything_running(db);
    }
    if (now < db->stop_deadline_ms)
        return false;
    if (now > db->stop_deadline_ms + HANG_MS)
        db->hung = true;
    struct err e;
    err_set(&e, ERR_TIMEOUT, 0, "stopped before everything was durable");
    for (size_t i = 0; i < db->lane_count; i++)
        if (db->lanes[i].complaint[0])
            err_set(&e, ERR_TIMEOUT, 0, "stopped before everything was durable: '%s': %.300s", db->lanes[i].d.url,
                    db->lanes[i].complaint);
        else if (ship_hangs(&db->lanes[i]))
            err_set(&e, ERR_TIMEOUT, 0, "stopped before everything was durable: '%s' does not answer",
                    db->lanes[i].d.url);
    database_fail(db, &e);
    return db->hung || !anything_running(db);
}

static void look(struct database *db, int64_t now)
{
    if (db->busy || !watch_is_open(&db->local.watch) || db->news || db->final_done)
        return;
    db->alarm.commit(db->alarm.context, db->wal_path); /* then one more look: what came in between is not lost */
    if (db->touched && !checkpoint_files_ours(&db->local.checkpoint))
        db->news = true;
    else
        db->touched = false;
    bool due = now >= db->sweep_at_ms || (db->look_ms > 0 && now >= db->look_at_ms);
    if (db->proven &&
        local_has_news(&db->local)) { /* while it waits for replicas all is news, and nothing can be done about it */
        db->news = true;
        db->look_ms = 0;
        return;
    }
    if (!due)
        return;
    if (now >= db->sweep_at_ms) {
        db->sweep_at_ms = now + SWEEP_MS;
        if (!checkpoint_files_ours(&db->local.checkpoint))
            db->news = true;
    }
    if (db->look_ms > 0) {
        db->look_at_ms = now + db->look_ms;
        if (db->look_ms < LOOK_MS_MAX)
            db->look_ms *= 2;
        if (now > db->look_until_ms)
            db->look_ms = 0;
    }
}

static int64_t earliest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int database_timeout_ms(struct database *db)
{
    int64_t now = clock_mono_ms();
    int64_t at = db->sweep_at_ms > now ? db->sweep_at_ms : now + SWEEP_MS;
    if (!db->busy) {
        if (db->open_at_ms > now)
            at = earliest(at, db->open_at_ms);
        if (db->news)
            at = earliest(at, db->pass_at_ms);
        if (db->look_ms > 0)
            at = earliest(at, db->look_at_ms);
        if (!db->rested && watch_is_open(&db->local.watch))
            at = earliest(at, db->rest_at_ms > db->pass_at_ms ? db->rest_at_ms : db->pass_at_ms);
    }
    for (size_t i = 0; i < db->lane_count; i++) {
        struct lane *l = &db->lanes[i];
        if (l->busy)
            continue;
        if (l->retry_at_ms > now)
            at = earliest(at, l->retry_at_ms);
        else if (l->d.state == DESTINATION_ATTACHED && l->d.entry.durable_txid < db->captured_txid)
            at = earliest(at, ship_due_ms(db, l, now));
    }
    if (db->stopping)
        at = earliest(at, db->stop_deadline_ms);
    if (at <= now)
        return 1;
    return at - now > 60000 ? 60000 : (int)(at - now);
}

/* ---- start and end */

static int open_local(struct database *db)
{
    struct err e;
    if (db->ready)
        return 0;
    if (!realpath(db->config->db_path, db->path)) /* SQLite opens what a link leads to, and keeps -wal and -shm there */
        snprintf(db->path, sizeof db->path, "%s", db->config->db_path);
    snprintf(db->wal_path, sizeof db->wal_path, "%s-wal", db->path);
    if (local_init(&db->local, db->path, &db->config->options, &e)) {
        db->taken = e.code == ERR_BUSY;
        if (e.code != ERR_NOTFOUND || db->config->once || db->stopping) {
            database_fail(db, &e);
        } else {
            complain(db->complaint, "waiting for the database to appear", &e);
            db->open_at_ms = clock_mono_ms() + REOPEN_MS;
        }
        return -1;
    }
    db->busy_until_ms = clock_mono_ms() + (int64_t)db->config->busy_ms;
    db->local.as_it_is = db->config->as_it_is;
    enum identity_past past = db->local.map_known ? IDENTITY_KEEP_PAST : IDENTITY_LOSE_PAST;
    state_end_runs(&db->local.state, past);
    for (size_t i = 0; i < db->lane_count; i++) {
        struct lane *l = &db->lanes[i];
        if (l->d.store && destination_look_up(&l->d, &db->local.state, &e)) {
            database_fail(db, &e);
            return -1;
        }
        l->seen_durable = l->d.entry.durable_txid;
        l->author = (struct author){.owner = db,
                                    .state = &db->local.state,
                                    .run = db->run,
                                    .take_over = db->config->take_over,
                                    .grace_ms = (int64_t)db->config->options.grace_ms};
    }
    struct state_position at = state_position(&db->local.state);
    db->captured_txid = at.txid;
    lag_note(&db->lag, db->captured_txid, at.time_ms);
    db->ready = true;
    return 0;
}

void database_schedule(struct database *db)
{
    int64_t now = clock_mono_ms();
    if (db->failed)
        return;
    if (now >= db->open_at_ms && open_local(db))
        return;
    if (!db->ready)
        return;
    let_go_of_batches(db);
    look(db, now);
    if (db->config->once && db->proven && all_asked(db))
        database_stop(db);
    if (!db->busy && local_due(db, now))
        start_local(db);
    for (size_t i = 0; i < db->lane_count; i++)
        ship_schedule(db, &db->lanes[i], now);
    if (!db->busy && !db->failed && wants_copy(db)) /* a copy that has just begun */
        start_local(db);
}

void database_woken(struct database *db)
{
    db->look_ms = 1;
    db->look_at_ms = clock_mono_ms();
    db->look_until_ms = db->look_at_ms + LOOK_FOR_MS;
}

void database_touched(struct database *db)
{
    db->touched = true;
}

void database_closed(struct database *db)
{
    db->closed_event = true;
}

static void close_lanes(struct database *db)
{
    for (size_t i = 0; i < db->lane_count; i++)
        lane_close(&db->lanes[i]);
    free(db->lanes);
    db->lanes = NULL;
    db->lane_count = 0;
}

/* A replica that is away at a start must not keep the others waiting. If none is there, the start fails. */
static int open_lanes(struct database *db, struct err *e)
{
    size_t opened = 0;
    const struct replicate_config *config = db->config;
    db->lanes = calloc(config->url_count, sizeof *db->lanes);
    if (!db->lanes)
        return err_nomem(e, config->url_count * sizeof *db->lanes);
    for (; db->lane_count < config->url_count; db->lane_count++) {
        struct lane *l = &db->lanes[db->lane_count];
        if (lane_open(l, config->urls[db->lane_count], e) && (e->code == ERR_CONFIG || config->url_count == 1)) {
            lane_close(l);
            return -1;
        }
        if (!l->d.store)
            log_warn("replica '%s': trying again until it works: %s", l->d.url, e->msg);
        opened += l->d.store != NULL;
        l->base_wanted = config->base;
        l->budget = budget_full(config->options.put_rate, config->options.put_burst, clock_mono_ms());
        prune_init(&l->prune, config->urls[db->lane_count], l->d.url, &config->options, clock_mono_ms());
        for (size_t i = 0; i < db->lane_count; i++)
            if (strcmp(db->lanes[i].d.url, l->d.url) == 0) {
                lane_close(l);
                return err_set(e, ERR_CONFIG, 0, "the replica '%s' is given twice", db->lanes[i].d.url);
            }
    }
    return opened > 0 ? 0 : -1;
}

int database_init(struct database *db, const struct replicate_config *config, struct workers *workers, struct err *e)
{
    struct retention_policy policy = prune_policy(&config->options);
    *db = (struct database){.config = config, .workers = workers, .started_ms = clock_wall_ms()};
    if (config->options.prune_interval_ms != OPTION_NEVER && retention_policy_check(&policy, e))
        return -1;
    if (random_bytes(db->run.bytes, UID_BYTES, e))
        return -1;
    if (open_lanes(db, e)) {
        close_lanes(db);
        return -1;
    }
    return 0;
}

void database_release(struct database *db)
{
    if (db->ready)
        local_release(&db->local);
    backlog_clear(&db->backlog);
    close_lanes(db);
}
