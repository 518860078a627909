/* daemon/database.c */
#include "daemon/database.h"

#include "base/clock.h"
#include "base/container.h"
#include "base/folder.h"
#include "base/invariant.h"
#include "base/io.h"
#include "base/log.h"
#include "base/privacy.h"
#include "capture/candidate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PASS_LIGHT_MS 5
#define PASS_HEAVY_MS 20
#define PASS_TORN_MS 10
#define HEAVY_FRAMES 100 /* new frames in one pass that make it heavy */
#define HOLD_MS 50       /* a catch-up lets commits wait so long */
#define SWEEP_MS 1000    /* covers lost events */
#define REST_RETRY_MS 250
#define STAMP_MS 2000 /* at rest for so long */
#define STAMP_RETRY_MS 10000
#define UNREST_MS 2000 /* so long a reader may keep the file from being complete without a warning */
#define REOPEN_MS 1000 /* after an error of the local job */
#define LOCKED_MS 2000 /* so long an application may keep the database locked without an error in the log */
#define BUSY_MS 50     /* when a process only held a lock: meanwhile nothing protects the WAL */
#define TAKEN_MS 5000  /* so long the state file may be locked when the database appears again */
#define TAKEN_RETRY_MS 50
#define LOOK_MS_MAX 8       /* after an event without news: look again after 1, 2, 4, 8, 8, ... ms */
#define LOOK_FOR_MS 2000    /* for so long: a disk may take its time to sync */
#define LOOK_SLOW_MS 50     /* after that, while a checkpoint of the application may wait for us */
#define CLOSED_REST_MS 1000 /* after the last close, unless rest_after is shorter ... */
#define CLOSED_REST_NUM 3   /* ... three quarters of that: a script that sleeps for a second is not met */
#define CLOSED_REST_DEN 4
#define AGAIN_MS_MIN 10 /* between jobs that change nothing, without an event: doubled each time */
#define AGAIN_MS_MAX 1000
#define LOCAL_DEADLINE_MS 300000
#define STOP_UNANSWERED_MS 5000 /* for the answer of a store that acknowledged everything and fails now */
#define LATE_MAX 300            /* bytes of the last error of a replica in the one of the stop */
#define SETTLES_MAX 2           /* at the stop: after so many checkpoints the application may keep its WAL ... */
#define SETTLES_ALONE_MAX 20    /* ... and after so many, if no application has the database open meanwhile */
#define STOP_HANG_MS 5000 /* after the deadline of a stop: then jobs that run are left to the end of the process */

void database_fail(struct database *db, const struct err *e)
{
    if (!db->failed)
        db->error = *e;
    db->failed = true;
}

void database_let_go(struct database *db)
{
    if (!db->home || !db->state)
        return;
    local_let_go(&db->home->local);
    db->figures.at = LOCAL_CLOSED;
    db->rested = false;
}

void database_detach(struct database *db)
{
    struct err e;
    if (db->detached)
        return;
    db->detached = true;
    db->final_done |= db->stopping;
    err_set(&e, ERR_BUSY, 0, "detached: nothing is replicated");
    err_hint(&e, "'seawall attach' takes the database up again");
    if (complaint_text_is_news(&db->complaint, &e))
        log_warn("database '%s': %s", db->config->db_path, e.msg);
    database_let_go(db); /* what was captured is still shipped */
}

void database_attach(struct database *db)
{
    if (!db->detached)
        return;
    log_info("database '%s': attached again", db->config->db_path);
    db->active_ms = clock_mono_ms();
    db->detached = false;
    db->pace.open_at_ms = 0;
    db->signs.any = true;
    complaint_is_over(&db->complaint);
}

bool database_is_closed(const struct database *db)
{
    return !db->state || (db->home && !watch_is_open(&db->home->local.watch));
}

void database_stop(struct database *db)
{
    if (db->stopping)
        return;
    db->final_done |= db->detached; /* what was captured is all that is shipped */
    db->stop_run = db->runs;
    db->stopping = db->signs.any = true;
    atomic_store(&db->guard.cancel, true);
    lanes_stop(&db->lanes, clock_mono_ms());
}

/* The time to stop counts from the last progress: a large first copy may take as long as it takes. */
int64_t database_stop_deadline_ms(const struct database *db)
{
    int64_t timeout_ms = (int64_t)db->config->options.stop_timeout_ms;
    if (timeout_ms > STOP_UNANSWERED_MS && db->final_done && lanes_only_unanswered(&db->lanes))
        timeout_ms = STOP_UNANSWERED_MS;
    return db->lanes.progress_ms + timeout_ms;
}

static void log_requests(const struct lane *l)
{
    uint64_t n[REQUEST_FIGURES];
    if (lane_requests(l, n))
        log_info("replica '%s': requests: put %" PRIu64 ", get %" PRIu64 ", head %" PRIu64 ", list %" PRIu64
                 ", delete %" PRIu64 ", failed %" PRIu64 "; bytes: sent %" PRIu64 ", received %" PRIu64,
                 l->url, n[REQUEST_PUT], n[REQUEST_GET], n[REQUEST_HEAD], n[REQUEST_LIST], n[REQUEST_DELETE],
                 n[REQUEST_FAILED], n[REQUEST_SENT_BYTES], n[REQUEST_RECEIVED_BYTES]);
}

bool database_did_something(const struct database *db)
{
    const struct local_report *l = &db->figures;
    uint64_t objects = 0;
    for (size_t i = 0; i < db->lanes.count; i++)
        objects += db->lanes.list[i].appended + db->lanes.list[i].pieces;
    return l->commits_captured + l->frames_captured + l->resyncs + l->checkpoints.resets + objects > 0;
}

void database_log_figures(const struct database *db)
{
    const struct local_report *l = &db->figures;
    const struct checkpoint_stats *c = &l->checkpoints;
    const struct lanes *all = &db->lanes;
    uint64_t objects = 0, bytes = 0;
    for (size_t i = 0; i < all->count; i++) {
        objects += all->list[i].appended + all->list[i].pieces;
        bytes += all->list[i].appended_bytes + all->list[i].piece_bytes;
    }
    log_info("database '%s': longest write-lock hold %.2f ms; commits %" PRIu64 ", frames %" PRIu64
             ", checkpoints %" PRIu64 ", truncated %" PRIu64 ", busy %" PRIu64 ", resyncs %" PRIu64 ", objects %" PRIu64
             ", bytes %" PRIu64,
             db->config->db_path, (double)c->longest_write_hold_ns / 1e6, l->commits_captured, l->frames_captured,
             c->resets, c->truncations, c->busy, l->resyncs, objects, bytes);
    for (size_t i = 0; i < all->count; i++)
        log_requests(&all->list[i]);
}

struct replicate_summary database_summary(const struct database *db)
{
    const struct lanes *all = &db->lanes;
    struct replicate_summary s = {.txid = all->captured.txid, .replicas = all->count, .taken = db->taken};
    for (size_t i = 0; i < all->count; i++) {
        const struct lane *l = &all->list[i];
        s.objects += l->appended + l->pieces;
        s.bytes += l->appended_bytes + l->piece_bytes;
        s.durable += l->seen.state == DESTINATION_ATTACHED && lane_restorable_txid(l) == s.txid && !l->base_wanted &&
                     all->captured.proven;
    }
    return s;
}

/* ---- when the local job has ended */

static struct local_job *local_job_of(struct job *job)
{
    return CONTAINER_OF(job, struct local_job, job);
}

static void run_local(struct job *job, struct codec *codec)
{
    struct local_job *j = local_job_of(job);
    (void)codec;
    j->rc = local_run(&j->local, &j->request, &j->report, &j->err);
}

/* Nothing is wrong with the daemon, so a person has to be told what keeps it away. An empty database has no system
 * code. */
static bool locked_for_long(struct database *db, const struct err *e, int64_t now)
{
    struct err why;
    bool locked = e->code == ERR_BUSY && e->sys != 0;
    if (!locked || db->pace.locked_since_ms == 0)
        db->pace.locked_since_ms = locked ? now : 0;
    if (!locked || now - db->pace.locked_since_ms < LOCKED_MS)
        return false;
    err_set(&why, ERR_BUSY, e->sys, "nothing is replicated: an application keeps the database locked");
    err_hint(&why, "%s", candidate_locked_hint);
    if (complaint_text_is_news(&db->complaint, &why))
        log_error("database '%s': %s", db->config->db_path, why.msg);
    return true;
}

/* Errors that no waiting will mend end the daemon; the others are tried again. SQLite's do not name the file. */
static void local_failed(struct database *db, bool was_open, struct err *e)
{
    if (!strstr(e->msg, db->path))
        err_wrap(e, "database '%s'", db->path);
    int64_t now = clock_mono_ms();
    bool final = e->code == ERR_CONFIG || db->config->once || db->stopping;
    if (db->config->as_it_is && e->code == ERR_BUSY && now < db->pace.busy_until_ms) {
        db->pace.open_at_ms = now + BUSY_MS;
        return;
    }
    if (final) {
        if (e->code == ERR_CONFIG && was_open)
            log_error("database '%s': letting go of it: what is committed from now on is not replicated",
                      db->config->db_path);
        database_fail(db, e);
        return;
    }
    db->pace.open_at_ms = now + (e->code == ERR_BUSY ? BUSY_MS : REOPEN_MS);
    if (!locked_for_long(db, e, now) && complaint_text_is_news(&db->complaint, e))
        log_warn("let go of the database, trying again: %s", e->msg);
}

/* The bytes that the new commits wrote, or those of the whole database if that is not known: in a rollback-journal mode,
 * and after a gap. db->figures is still the report before. */
static uint64_t bytes_captured(const struct database *db, const struct local_report *r)
{
    const uint64_t before = db->figures.frames_captured, whole = (uint64_t)r->newest.pages * r->page_size;
    const bool by_frames = r->resyncs == db->figures.resyncs && r->frames_captured > before;
    return by_frames ? (r->frames_captured - before) * r->page_size : whole;
}

/* Before the batches are handed over: they know when the first of the new commits was made. */
static void note_captured(struct database *db, const struct local_report *r)
{
    struct lanes *all = &db->lanes;
    const struct batch *b = r->batches;
    uint64_t low = r->newest.txid;
    all->captured.newest = r->newest;
    all->captured.txid = r->newest.txid;
    all->captured.page_size = r->page_size;
    lag_note(&db->lag, r->newest.txid, commit_clock_ms(b && b->record_count > 0 ? &b->records[0] : &r->newest),
             bytes_captured(db, r));
    for (size_t i = 0; i < all->count; i++) /* what waits for the first base is still missing */
        if (lane_restorable_txid(&all->list[i]) < low)
            low = lane_restorable_txid(&all->list[i]);
    lag_trim(&db->lag, low);
}

/* When the next pass may run: a writer at full speed is not looked at after each commit. */
static void set_pace(struct database *db, const struct local_report *r, int64_t now)
{
    struct local_pace *p = &db->pace;
    if (r->commits || r->more) {
        db->signs.news = true;
        db->signs.alarm_ms = 0;
        p->pass_at_ms = now + (r->frames_new >= HEAVY_FRAMES ? PASS_HEAVY_MS : PASS_LIGHT_MS);
        p->look_ms = 0;
        return;
    }
    db->signs.news = r->torn;
    p->pass_at_ms = now + (r->torn ? PASS_TORN_MS : 0);
}

void database_note_change(struct database *db, const struct local_report *r, int64_t now_ms)
{
    struct local_pace *p = &db->pace;
    bool changed =
        r->commits || r->opened || r->moved || r->resynced || r->piece || r->cursor.failed || r->at != db->figures.at;
    if (changed)
        p->again_ms = 0;
    else if (db->woken || p->again_ms == 0) /* only jobs that nothing asked for wait longer each time */
        p->again_ms = AGAIN_MS_MIN;
    else
        p->again_ms = p->again_ms < AGAIN_MS_MAX / 2 ? 2 * p->again_ms : AGAIN_MS_MAX;
    p->again_at_ms = now_ms + p->again_ms;
}

/* A restore point may be new although no page differs. */
static const char *what_is_shipped(const struct resync_result *r)
{
    if (!r->changed)
        return "";
    return r->differing > 0 ? ", to be shipped as one restore point"
                            : "; its size or its replicas' positions do, to be shipped as one restore point";
}

static void note_resync(struct database *db, const struct local_report *r)
{
    log_info("database '%s': compared all pages: %u of %u differ%s", db->config->db_path, r->resync.differing,
             r->resync.pages, what_is_shipped(&r->resync));
    if (db->doubted && r->resync.differing > 0)
        log_error("database '%s': pages differ that nobody seems to have written, by the times of the file" TEXT_HINT
                  "they are shipped; look for a program that writes the file past the file system, or for a bad disk",
                  db->config->db_path);
    db->doubted = false;
    lanes_compared(&db->lanes);
}

/* The files were replaced, and the local job let go of them. */
static void note_moved(struct database *db, int64_t now)
{
    log_warn("database '%s': its files were replaced or overwritten, or its journal mode was changed; opening them "
             "again and comparing all pages",
             db->config->db_path);
    db->signs.news = true;
    db->pace.open_at_ms = now;
}

/* A reader that stays open pins the WAL. Then a plain copy of the database file is not a whole backup. */
static void note_unrested(struct database *db, const struct local_report *r, int64_t now)
{
    struct local_pace *p = &db->pace;
    /* a snapshot of a busy database is whole */
    bool ending = db->stopping && db->final_done && !db->written && !db->config->once;
    if (r->rested || r->commits || r->waiting || r->more || r->frames == 0) {
        p->unrested_ms = 0;
        return;
    }
    if (p->unrested_ms == 0 && now >= p->rest_at_ms)
        p->unrested_ms = now;
    if (p->unrested_ms < 0 || !(ending || (p->unrested_ms > 0 && now - p->unrested_ms >= UNREST_MS)))
        return;
    p->unrested_ms = -1;
    log_warn(
        "database '%s': a reader that stays open keeps the newest commits in the -wal: a copy of the database file "
        "alone lacks them",
        db->config->db_path);
}

static void set_rest(struct database *db, const struct local_report *r, int64_t now)
{
    if (r->commits)
        db->pace.rest_at_ms = now + (int64_t)db->config->options.rest_after_ms;
    else if (!r->rested && now >= db->pace.rest_at_ms)
        db->pace.rest_at_ms = now + REST_RETRY_MS; /* readers were in the way */
    if (!r->rested && db->pace.again_at_ms > db->pace.rest_at_ms)
        db->pace.again_at_ms = db->pace.rest_at_ms; /* that is a deadline */
}

static void set_stamp(struct database *db, const struct local_job *j, int64_t now)
{
    const struct local_report *r = &j->report;
    const bool tried = j->request.stamp && r->rested && !r->stamped;
    db->stamped = r->stamped;
    if (tried || !r->rested || db->pace.stamp_at_ms == 0)
        db->pace.stamp_at_ms = now + (tried ? STAMP_RETRY_MS : STAMP_MS);
}

/* Where an application goes on all the time, commits come after each checkpoint. Then the last capture leaves them in the
 * WAL: the next run continues in the middle of a WAL generation, and need not compare all pages. Without room for their
 * versions only a checkpoint captures them. */
static bool may_settle(const struct database *db)
{
    const bool full = db->lanes.backlog.bytes >= db->config->options.max_pending;
    return db->stopping && !db->final_done && (db->settles < (db->alone ? SETTLES_ALONE_MAX : SETTLES_MAX) || full);
}

/* After a job that ran while the database stops. One that completed the file is followed by one that only captures and
 * stamps, when the file is old enough. */
static void note_final(struct database *db, const struct local_job *j, int64_t now)
{
    struct local_pace *p = &db->pace;
    const struct local_report *r = &j->report;
    const bool settled = r->rested && !r->more, stamps = p->settled_at_ms > 0;
    if (!db->stopping || db->final_done || r->waiting || j->request.run <= db->stop_run)
        return;
    if (stamps && now < p->settled_at_ms && settled && !r->stamped) /* a copy needed a piece meanwhile */
        return;
    if (j->request.settle && r->unstamped) {
        p->settled_at_ms = now + STAMP_AGE_MS + 1;
        return;
    }
    if (!settled && (j->request.settle || stamps)) {
        db->settles++;
        db->written |= r->more || (stamps && r->commits);
    }
    db->alone = false;
    db->final_done = settled || (!may_settle(db) && (r->through > db->stop_run || r->torn));
    db->unsettled = !settled;
    p->settled_at_ms = 0;
}

/* The last capture left commits in the WAL, because an application went on. It has closed the database since, and was not the
 * last to do so: the file is completed here. */
static void settle_if_left_alone(struct database *db)
{
    if (!db->final_done || !db->unsettled || !db->home || db->settles >= SETTLES_ALONE_MAX ||
        !local_is_alone(&db->home->local))
        return;
    db->alone = true;
    db->final_done = db->unsettled = false;
}

static void local_done(struct job *job)
{
    struct local_job *j = local_job_of(job);
    struct database *db = j->owner;
    struct local_report *r = &j->report;
    int64_t now = clock_mono_ms();
    bool was_open = db->figures.at != LOCAL_CLOSED;
    db->home = j;
    note_captured(db, r);
    lanes_take_batches(&db->lanes, r->batches);
    if (db->reading)
        transfer_take_cursor(db->reading, &r->cursor, r->piece);
    db->reading = NULL;
    db->rested = r->rested;
    database_note_change(db, r, now);
    if (r->commits || r->resynced || r->opened || r->moved)
        db->active_ms = now;
    db->figures = *r;
    db->figures.batches = NULL;
    db->figures.piece = NULL;
    db->figures.cursor = (struct copy_cursor){0};
    if (db->detached) { /* while the job ran */
        db->lanes.captured.proven = j->rc == 0 && !r->waiting && !r->moved;
        database_let_go(db);
        return;
    }
    if (j->rc) {
        db->lanes.captured.proven = false; /* the map may be half-way, or empty: nothing is copied from it */
        local_failed(db, was_open, &j->err);
        db->pace.again_at_ms = db->pace.open_at_ms; /* that is a deadline: nothing protects the WAL meanwhile */
        return;
    }
    db->pace.locked_since_ms = 0;
    complaint_is_over(&db->complaint);
    db->pace.busy_until_ms = now + (int64_t)db->config->busy_ms;
    db->lanes.captured.proven = !r->waiting;
    if (r->through > 0 && !r->moved)
        db->through_run = r->through;
    if (r->opened) { /* once for each file, before anything is looked at */
        db->alarm.opened(db->alarm.context, db->path, db->wal_path);
        log_info("database '%s': opened%s", db->config->db_path, r->switched_to_wal ? ", switched to WAL mode" : "");
    }
    if (r->moved) {
        note_moved(db, now);
        return;
    }
    if (r->resynced)
        note_resync(db, r);
    if (r->rested)
        db->signs.closed = false;
    note_final(db, j, now);
    note_unrested(db, r, now);
    set_rest(db, r, now);
    set_stamp(db, j, now);
    set_pace(db, r, now);
    if ((r->watching || db->final_done) && db->pace.look_ms == 0) {
        db->pace.look_ms = LOOK_MS_MAX;
        db->pace.look_at_ms = now + LOOK_MS_MAX;
        db->pace.look_until_ms = now + LOOK_FOR_MS;
    }
}

/* ---- starting the local job */

/* Has nobody come since an application closed the database? */
static bool closed_for_long(const struct database *db, int64_t now)
{
    return db->signs.closed && now >= db->pace.closed_rest_at_ms;
}

static bool stamp_due(const struct database *db, int64_t now)
{
    return db->rested && !db->stamped && now >= db->pace.stamp_at_ms && !db->config->as_it_is;
}

static void fill_request(struct database *db, struct local_job *j)
{
    struct lanes *all = &db->lanes;
    struct local_request *r = &j->request;
    uint64_t max_pending = db->config->options.max_pending;
    bool asked = lanes_all_asked(all);
    bool settle = may_settle(db) && db->pace.settled_at_ms == 0;
    *r = (struct local_request){.run = db->runs,
                                .rest = closed_for_long(db, clock_mono_ms()) || settle,
                                .settle = settle,
                                .hold = (lanes_catch_up(all) && !db->stopping) || db->final_done,
                                .look = db->signs.touched,
                                .suspect = db->signs.suspect,
                                .stamp = stamp_due(db, clock_mono_ms()) || (db->stopping && !db->final_done),
                                .drop = asked && !lanes_any_keeps(all),
                                .may_resync = asked,
                                .room = all->backlog.bytes < max_pending ? max_pending - all->backlog.bytes : 0,
                                .tight = all->backlog.bytes > 2 * max_pending, /* of three: lanes_take_batches */
                                .needed_after = lanes_need_after(all)};
    for (size_t i = 0; i < all->count; i++) {
        struct lane *l = &all->list[i];
        l->compared = l->home && l->home->d.state == DESTINATION_RESYNC;
        if (!l->compared)
            continue;
        const struct destination *d = &l->home->d; /* no ship job starts before the pages are compared */
        r->references[r->reference_count++] =
            (struct capture_reference){.head_txid = d->entry.durable_txid,
                                       .head_time_ms = d->head_time_ms,
                                       .by_base = d->lost,
                                       .map = d->head_map.page_size ? &d->head_map : NULL};
    }
    db->reading = lanes_wanting_piece(all);
    if (db->reading)
        transfer_lend_cursor(db->reading, &r->terms, &r->cursor);
}

static bool files_are_open(const struct database *db)
{
    return watch_is_open(&db->home->local.watch);
}

/* Is there a reason to run the local job? */
static bool local_wanted(struct database *db, int64_t now)
{
    const struct local_pace *p = &db->pace;
    const struct local_report *last = &db->figures;
    struct lanes *all = &db->lanes;
    if (!files_are_open(db) && !db->final_done) /* after the last capture only replicas can need it again */
        return true;
    if (lanes_all_asked(all) && (lanes_want_resync(all) || !all->captured.proven))
        return true;
    if (lanes_wanting_piece(all))
        return true;
    if (db->stopping && !db->final_done)
        return now >= p->settled_at_ms;
    if (db->final_done || now < p->pass_at_ms)
        return false;
    bool held = lanes_catch_up(all) && !last->commits && !last->torn && now < p->pass_at_ms + HOLD_MS;
    if ((db->signs.news && !held) || db->signs.suspect || stamp_due(db, now))
        return true;
    return !db->rested && (now >= p->rest_at_ms || closed_for_long(db, now));
}

bool database_local_due(struct database *db, int64_t now_ms)
{
    const struct local_pace *p = &db->pace;
    if (!db->home || db->detached || now_ms < p->open_at_ms || (now_ms < p->again_at_ms && !db->signs.any))
        return false;
    return local_wanted(db, now_ms);
}

static void start_local(struct database *db, int64_t now)
{
    struct local_job *j = db->home;
    INVARIANT(db->pace.again_ms == 0 || db->signs.any || now >= db->pace.again_at_ms,
              "database '%s': a job that changed nothing is started again without an event", db->config->db_path);
    db->runs++;
    db->woken = db->signs.any;
    fill_request(db, j);
    db->signs.news = db->signs.touched = db->signs.suspect = db->signs.any = false;
    j->job = (struct job){.run = run_local, .done = local_done, .kind = JOB_LOCAL, .deadline_ms = LOCAL_DEADLINE_MS};
    j->local.capture.beat_ms = &j->job.beat_ms;
    db->home = NULL;
    workers_submit(db->workers, &j->job);
}

/* ---- when is it all done? */

bool database_is_running(const struct database *db)
{
    return !db->home || db->guard.busy || lanes_running(&db->lanes);
}

static void fail_with_lanes(struct database *db)
{
    if (db->lanes.failed)
        database_fail(db, &db->lanes.error);
}

/* The replicas that are not in conflict are up to date. */
static void end_with_conflicts(struct database *db)
{
    for (size_t i = 0; i < db->lanes.count; i++)
        if (db->lanes.list[i].seen.state == DESTINATION_CONFLICT)
            database_fail(db, &db->lanes.list[i].conflict);
}

/* The error of a lane, with its hint at the end. */
static void set_late(struct err *e, const char *what, const struct lane *l)
{
    const char *text = l->complaint.text, *hint = text_hint(text);
    const int front = text_front(text);
    err_set(e, ERR_TIMEOUT, 0, "%s: '%s': %.*s", what, l->url, front < LATE_MAX ? front : LATE_MAX, text);
    if (hint)
        err_hint(e, "%s", hint);
}

static void end_late(struct database *db)
{
    struct err e;
    const char *what = lanes_only_unanswered(&db->lanes)
                           ? "everything was put, but it is not known whether the replica still has it"
                           : "stopped before everything was durable";
    err_set(&e, ERR_TIMEOUT, 0, "%s", what);
    for (size_t i = 0; i < db->lanes.count; i++) {
        const struct lane *l = &db->lanes.list[i];
        if (l->complaint.text[0])
            set_late(&e, what, l);
        else if (lane_hangs(l))
            err_set(&e, ERR_TIMEOUT, 0, "%s: '%s' does not answer", what, l->url);
        else if (l->seen.durable < db->lanes.captured.txid)
            err_set(&e, ERR_TIMEOUT, 0, "%s: '%s' lacks txid %" PRIu64 " to %" PRIu64, what, l->url,
                    l->seen.durable + 1, db->lanes.captured.txid);
    }
    database_fail(db, &e);
}

void database_abandon(struct database *db)
{
    db->hung = database_is_running(db);
}

/* It was let go of before it was captured for the first time, and what was captured before is in its replicas. */
static bool was_never_looked_at(const struct database *db)
{
    bool durable = db->detached && db->runs == 0;
    for (size_t i = 0; db->state && i < db->lanes.count; i++)
        durable &= lane_restorable_txid(&db->lanes.list[i]) == db->lanes.captured.txid;
    return durable;
}

bool database_finished(struct database *db)
{
    int64_t now = clock_mono_ms();
    fail_with_lanes(db);
    if (db->failed && (db->hung || !database_is_running(db)))
        return true;
    if (db->failed)
        database_stop(db); /* what runs may take until the deadline of a stop */
    if (!db->stopping)
        return false;
    if (db->gone || was_never_looked_at(db))
        return !database_is_running(db);
    settle_if_left_alone(db);
    if (db->final_done && lanes_all_durable(&db->lanes)) {
        end_with_conflicts(db);
        return !database_is_running(db);
    }
    if (db->final_done && lanes_hopeless(&db->lanes)) {
        end_late(db);
        return db->hung || !database_is_running(db);
    }
    if (now < database_stop_deadline_ms(db))
        return false;
    if (now > database_stop_deadline_ms(db) + STOP_HANG_MS)
        db->hung = true;
    end_late(db);
    return db->hung || !database_is_running(db);
}

static int64_t earliest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- looking for news without a job */

static void look_at_sweep(struct database *db, int64_t now)
{
    if (now < db->pace.sweep_at_ms)
        return;
    db->pace.sweep_at_ms = now + SWEEP_MS;
    if (!checkpoint_files_ours(&db->home->local.checkpoint))
        db->signs.news = db->signs.any = true;
    bool no_commit = db->signs.alarm_ms > 0 && now - db->signs.alarm_ms > LOOK_FOR_MS;
    if (no_commit)
        db->signs.alarm_ms = 0;
    if (no_commit || local_suspects(&db->home->local))
        db->signs.suspect = db->signs.any = true;
}

static void look_later(struct local_pace *p, bool watching, int64_t now)
{
    if (p->look_ms == 0)
        return;
    p->look_at_ms = now + p->look_ms;
    if (p->look_ms < LOOK_MS_MAX)
        p->look_ms *= 2;
    if (now > p->look_until_ms)
        p->look_ms = watching ? LOOK_SLOW_MS : 0;
}

/* Commits are left in the WAL, for now or because the daemon stops. A checkpoint of the application must not wait for that.
 * After the last capture the database is closed for it, unless a replica still needs pages. */
static void look_at_what_is_left(struct database *db, int64_t now)
{
    struct local_pace *p = &db->pace;
    struct local *local = &db->home->local;
    if (p->look_ms == 0 || now < p->look_at_ms)
        return;
    const bool waits = local_keeps_waiting(local);
    look_later(p, true, now);
    if (local->waiting_seen)
        p->look_at_ms = earliest(p->look_at_ms, now + LOOK_MS_MAX);
    if (waits && db->final_done && !lanes_wanting_piece(&db->lanes))
        database_let_go(db);
    else
        db->signs.any |= waits;
}

static void look(struct database *db, int64_t now)
{
    struct local_pace *p = &db->pace;
    if (!db->home || !files_are_open(db))
        return;
    if (db->signs.news || db->final_done) {
        look_at_what_is_left(db, now);
        return;
    }
    const struct local *local = &db->home->local;
    bool due = now >= p->sweep_at_ms || (p->look_ms > 0 && now >= p->look_at_ms);
    db->alarm.commit(db->alarm.context, db->wal_path); /* then one more look: what came in between is not lost */
    if (db->signs.touched && !checkpoint_files_ours(&local->checkpoint))
        db->signs.news = db->signs.any = true;
    else
        db->signs.touched = false;
    /* while the database waits for replicas everything is news, and nothing can be done about it */
    if (db->lanes.captured.proven && local_has_news(local)) {
        db->signs.news = db->signs.any = true;
        db->signs.alarm_ms = 0;
        p->look_ms = 0;
        return;
    }
    if (local_should_give_way(local))
        db->signs.news = true; /* not `any`: if an application's reader prevents it, the next job waits */
    if (!due)
        return;
    look_at_sweep(db, now);
    look_later(p, db->figures.watching, now);
}

/* ---- time */

static int64_t latest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t next_local_ms(const struct database *db, int64_t now)
{
    const struct local_pace *p = &db->pace;
    int64_t at = INT64_MAX;
    if (!db->home || db->detached)
        return at;
    if (p->open_at_ms > now) /* no local job starts before */
        return p->open_at_ms;
    if (p->again_at_ms > now)
        at = earliest(at, p->again_at_ms);
    if (p->settled_at_ms > 0)
        return earliest(at, p->settled_at_ms);
    if (db->signs.news)
        at = earliest(at, latest(p->pass_at_ms, p->again_at_ms));
    if (p->look_ms > 0)
        at = earliest(at, p->look_at_ms);
    int64_t rest = db->signs.closed ? earliest(p->rest_at_ms, p->closed_rest_at_ms) : p->rest_at_ms;
    if (db->rested && !db->stamped && !db->config->as_it_is)
        at = earliest(at, latest(p->stamp_at_ms, p->again_at_ms));
    if (!db->rested && files_are_open(db))
        at = earliest(at, latest(latest(rest, p->pass_at_ms), p->again_at_ms));
    return at;
}

static int64_t next_ship_ms(const struct lanes *all, int64_t now)
{
    int64_t at = INT64_MAX;
    for (size_t i = 0; i < all->count; i++) {
        const struct lane *l = &all->list[i];
        if (lane_is_away(l) || !outage_admits(&l->outage))
            continue;
        if (l->pace.retry_at_ms > now)
            at = earliest(at, l->pace.retry_at_ms);
        else if (l->home->d.state == DESTINATION_ATTACHED && l->home->d.entry.durable_txid < all->captured.txid)
            at = earliest(at, lanes_due_ms(all, l, now));
    }
    return at;
}

/* When database_schedule can start something, if no event comes before. A job that ends is an event. */
static int64_t next_start_ms(const struct database *db, int64_t now)
{
    if (db->failed || db->lost)
        return INT64_MAX;
    if (!db->state)
        return db->pace.open_at_ms;
    return earliest(next_local_ms(db, now), next_ship_ms(&db->lanes, now));
}

int database_timeout_ms(const struct database *db)
{
    int64_t now = clock_mono_ms();
    int64_t at = db->pace.sweep_at_ms > now ? db->pace.sweep_at_ms : now + SWEEP_MS;
    at = earliest(at, next_start_ms(db, now));
    if (db->stopping)
        at = earliest(at, database_stop_deadline_ms(db));
    if (at <= now)
        return 1;
    return at - now > 60000 ? 60000 : (int)(at - now);
}

/* ---- start and end */

static void set_authors(struct database *db)
{
    for (size_t i = 0; i < db->lanes.count; i++)
        db->lanes.list[i].author = (struct author){.state = db->state,
                                                   .run = db->run,
                                                   .take_over = db->config->take_over,
                                                   .grace_ms = (int64_t)db->config->options.grace_ms,
                                                   .database = db->config->db_path,
                                                   .hide_writer = db->config->options.hide_writer};
}

/* Finds the replicas in the state file. No ship job has run yet. */
static int look_up_lanes(struct database *db, struct err *e)
{
    for (size_t i = 0; i < db->lanes.count; i++) {
        struct lane *l = &db->lanes.list[i];
        if (l->seen.store && destination_look_up(&l->home->d, db->state, e))
            return -1;
        lane_look(l);
    }
    return 0;
}

/* What was captured before the files were removed, and was not shipped, is lost with them. */
static void end_without_database(struct database *db)
{
    struct err e;
    db->gone = !db->left_behind;
    if (db->gone)
        return;
    err_set(&e, ERR_TIMEOUT, 0, "database '%s' was removed before everything was durable", db->path);
    database_fail(db, &e);
}

static void guard_done(struct job *job)
{
    struct guard *g = guard_of_job(job);
    struct database *db = CONTAINER_OF(g, struct database, guard);
    const bool appeared = db->state != NULL; /* then attach decides */
    if (guard_ended(g, clock_mono_ms()) && !appeared)
        database_fail(db, &g->err);
}

/* Nothing is here: no database, and no state file. A volume may be lost. */
static void ask_replicas(struct database *db)
{
    char path[PATH_TEXT_MAX];
    struct err e;
    const bool known = db->known || db->starts > 0 || db->config->take_over == TAKE_OVER_YES || db->stopping;
    if (!known && path_format(path, &e, "%s" STATE_SUFFIX, db->path) == 0 && access(path, F_OK) != 0)
        guard_ask(&db->guard, db->config, db->workers, guard_done, clock_mono_ms());
    else
        db->guard.answered = true;
}

bool database_is_guarded(const struct database *db)
{
    if (db->failed)
        return true;
    if (!db->state)
        return !db->guard.answered;
    return db->lanes.captured.txid == 0 && db->config->take_over == TAKE_OVER_NO && !lanes_all_asked(&db->lanes);
}

/* Another daemon has the database, and is expected to end. True: wait for it. */
static bool wait_for_lock(struct database *db, const struct err *e)
{
    const int64_t now = clock_mono_ms();
    if (e->code != ERR_BUSY || db->config->lock_wait_ms == 0 || db->starts > 0)
        return false;
    if (db->stopping) {
        db->gone = true;
        return true;
    }
    if (db->pace.lock_until_ms == 0) {
        db->pace.lock_until_ms = now + (int64_t)db->config->lock_wait_ms;
        log_info("database '%s': another seawall has it; waiting until that one ends, for %" PRIu64 " s at most",
                 db->config->db_path, (db->config->lock_wait_ms + 999) / 1000);
    }
    db->pace.open_at_ms = now + TAKEN_RETRY_MS;
    return now < db->pace.lock_until_ms;
}

static void wait_for_database(struct database *db, const struct err *e)
{
    if (wait_for_lock(db, e))
        return;
    /* a restore may have just put a database where this daemon missed it; a daemon that had it does not let go of it */
    bool patient =
        e->code == ERR_BUSY && (db->starts > 0 || db->known || db->waited) && !db->config->once && !db->stopping;
    if (patient && db->pace.taken_until_ms == 0)
        db->pace.taken_until_ms = clock_mono_ms() + TAKEN_MS;
    if (patient && clock_mono_ms() < db->pace.taken_until_ms) {
        db->pace.open_at_ms = clock_mono_ms() + TAKEN_RETRY_MS;
        return;
    }
    db->taken = e->code == ERR_BUSY;
    if (e->code == ERR_NOTFOUND && db->stopping && !db->config->once && !db->expected) {
        end_without_database(db);
        return;
    }
    if (e->code != ERR_NOTFOUND || db->config->once || db->stopping) {
        database_fail(db, e);
        return;
    }
    if (complaint_text_is_news(&db->complaint, e))
        log_warn("waiting for the database to appear: %s", e->msg);
    ask_replicas(db);
    db->waited = true;
    db->pace.open_at_ms = clock_mono_ms() + REOPEN_MS;
}

/* SQLite opens what a link leads to, and keeps -wal and -shm there. False: errno says why the link can't be looked at now. */
static bool find_path(struct database *db)
{
    errno = 0;
    const bool found = path_resolve(db->config->db_path, db->path);
    const int why = found ? 0 : errno;
    if (!found)
        snprintf(db->path, sizeof db->path, "%s", db->config->db_path);
    snprintf(db->wal_path, sizeof db->wal_path, "%s-wal", db->path);
    errno = why;
    return !io_is_passing(why);
}

static int open_local(struct database *db)
{
    struct err e;
    struct local *local = &db->home->local;
    struct stat st = {.st_mode = 0};
    const bool looked = find_path(db) && stat(db->path, &st) == 0;
    if (!looked && io_is_passing(errno)) { /* it may be a link, or have readers that no file may exceed */
        err_sys(&e, errno, "database '%s'", db->config->db_path);
        if (db->config->once || db->stopping)
            database_fail(db, &e);
        else if (complaint_text_is_news(&db->complaint, &e))
            log_warn("can't look at the database, trying again: %s", e.msg);
        db->pace.open_at_ms = clock_mono_ms() + REOPEN_MS;
        return -1;
    }
    if (looked) {
        privacy_set(privacy_of(st.st_mode));
        workers_set_privacy(db->workers, privacy());
    }
    if (folder_check_one_name(db->path, &e) ||
        (folder_check_sqlite_files(db->path, &e) && e.code != ERR_NOTFOUND)) { /* a folder that is missing may appear */
        database_fail(db, &e);
        return -1;
    }
    if (local_init(local, db->path, &db->config->options, db->starts > 0 ? &db->removed : NULL, &e)) {
        wait_for_database(db, &e);
        return -1;
    }
    db->state = &local->state;
    db->pace.busy_until_ms = clock_mono_ms() + (int64_t)db->config->busy_ms;
    local->as_it_is = db->config->as_it_is;
    local->distrust = db->doubted;
    state_end_runs(db->state, local->map_known ? IDENTITY_KEEP_PAST : IDENTITY_LOSE_PAST);
    set_authors(db);
    if (look_up_lanes(db, &e)) {
        database_fail(db, &e);
        return -1;
    }
    const struct state_position at = state_position(db->state);
    db->lanes.captured.txid = at.txid;
    const int64_t now = clock_wall_ms(); /* the time of a commit can be later, if the clock was ahead */
    const uint64_t whole = stat(db->path, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
    lag_note(&db->lag, at.txid, at.time_ms < now ? at.time_ms : now, whole);
    return 0;
}

/* What is replicated is what the given path leads to now. The state file there must be the one that is locked:
 * otherwise another process may work on that database. A link that was switched, a folder that was renamed and a mount
 * over a folder are seen at the next look; a state file that was removed, at once. */
static bool leads_to_ours(struct database *db, int64_t now)
{
    char path[PATH_TEXT_MAX];
    const char *given = db->config->db_path;
    bool sweep = now >= db->pace.path_at_ms;
    if (!sweep && !db->signs.path)
        return !state_is_lost(db->state);
    db->signs.path = false;
    if (sweep) { /* not after each event: in a busy folder they would never end */
        db->pace.path_at_ms = now + SWEEP_MS;
        db->alarm.path(db->alarm.context, given, db->path);
    }
    errno = 0;
    const bool ours = path_resolve(given, path) ? strcmp(path, db->path) == 0 : io_is_passing(errno);
    return ours && !state_is_lost(db->state);
}

static void log_lost(const struct database *db)
{
    char path[PATH_TEXT_MAX];
    const char *given = db->config->db_path;
    if (!path_resolve(given, path))
        log_warn("database '%s': its folder is not there any more: letting go of '%s' and starting over", given,
                 db->path);
    else if (strcmp(path, db->path) != 0)
        log_warn("database '%s': its path leads to '%s' now: letting go of '%s' and starting over", given, path,
                 db->path);
    else
        log_warn("database '%s': its state file was removed or replaced while it was in use: letting go of the "
                 "database and starting over",
                 given);
}

/* The lock went with the state file, so another process may work on the database: nothing of it may be held any
 * more. */
static void let_go_of_lost(struct database *db)
{
    if (!db->lost)
        log_lost(db);
    db->lost = true;
    lanes_cancel(&db->lanes, true);
    if (db->home)
        local_let_go(&db->home->local);
}

static bool is_left_behind(const struct database *db)
{
    for (size_t i = 0; i < db->lanes.count; i++) {
        const struct lane *l = &db->lanes.list[i];
        if (l->seen.state != DESTINATION_CONFLICT && lane_restorable_txid(l) < db->lanes.captured.txid)
            return true;
    }
    return false;
}

/* What this process put into the replicas stays its past: the new state file gets the identity of the old one. */
static void start_over(struct database *db)
{
    struct uid run;
    struct err e;
    db->left_behind |= is_left_behind(db);
    db->removed = state_identity(db->state);
    /* A PUT can be carried out after its object was looked for. Under the same run id it would count as another
     * writer's: of the current run only known digests are ours. As an object of an earlier run it is compared. */
    if (random_bytes(run.bytes, UID_BYTES, &e) == 0)
        db->run = run;
    db->state = NULL;
    local_release(&db->home->local);
    lanes_start_over(&db->lanes);
    lanes_cancel(&db->lanes, false);
    db->lost = db->rested = db->final_done = false;
    db->settles = 0;
    db->written = db->unsettled = db->alone = false;
    db->figures = (struct local_report){0};
    db->lag = (struct lag){.count = 0};
    db->pace = (struct local_pace){0};
    db->starts++;
}

/* Returns true while the database is lost and a job still runs. */
static bool wait_while_lost(struct database *db, int64_t now)
{
    if (db->lost || !leads_to_ours(db, now))
        let_go_of_lost(db);
    if (db->lost && !database_is_running(db))
        start_over(db);
    return db->lost;
}

void database_schedule(struct database *db)
{
    int64_t now = clock_mono_ms();
    fail_with_lanes(db);
    if (db->failed || (db->state && wait_while_lost(db, now)))
        return;
    if (!db->state && (now < db->pace.open_at_ms || open_local(db)))
        return;
    lanes_trim_batches(&db->lanes);
    look(db, now);
    if (db->config->once && db->lanes.captured.proven && lanes_all_asked(&db->lanes))
        database_stop(db);
    db->signs.any |= db->jobs_seen != db->lanes.jobs_ended;
    db->jobs_seen = db->lanes.jobs_ended;
    if (database_local_due(db, now))
        start_local(db, now);
    const struct transfer *wanting = lanes_wanting_piece(&db->lanes);
    lanes_schedule(&db->lanes, now);
    db->signs.any |= lanes_wanting_piece(&db->lanes) != wanting; /* a copy has just begun */
    if (!db->lanes.failed && lanes_wanting_piece(&db->lanes) && database_local_due(db, now))
        start_local(db, now);
}

void database_woken(struct database *db)
{
    struct local_pace *p = &db->pace;
    p->look_ms = 1;
    p->look_at_ms = clock_mono_ms();
    p->look_until_ms = p->look_at_ms + LOOK_FOR_MS;
    db->signs.any = true;
    if (db->signs.alarm_ms == 0)
        db->signs.alarm_ms = p->look_at_ms;
}

void database_touched(struct database *db)
{
    struct err e;
    db->signs.touched = db->signs.any = true;
    if (db->state && !db->failed && folder_check_one_name(db->path, &e))
        database_fail(db, &e);
}

void database_path_changed(struct database *db)
{
    db->signs.path = true;
}

void database_closed(struct database *db)
{
    int64_t wait = (int64_t)db->config->options.rest_after_ms;
    if (wait > CLOSED_REST_MS)
        wait = CLOSED_REST_MS;
    db->signs.closed = db->signs.any = true;
    db->pace.closed_rest_at_ms = clock_mono_ms() + wait * CLOSED_REST_NUM / CLOSED_REST_DEN;
}

int database_init(struct database *db, const struct replicate_config *config, const struct commons *commons,
                  struct workers *workers, struct err *e)
{
    struct retention_policy policy = prune_policy(&config->options);
    *db = (struct database){.config = config, .workers = workers, .started_ms = clock_wall_ms()};
    db->active_ms = clock_mono_ms();
    if (config->options.prune_interval_ms != OPTION_NEVER && retention_policy_check(&policy, e))
        return -1;
    if (random_bytes(db->run.bytes, UID_BYTES, e))
        return -1;
    db->home = calloc(1, sizeof *db->home);
    if (!db->home)
        return err_nomem(e, sizeof *db->home);
    db->home->owner = db;
    (void)find_path(db); /* open_local looks again */
    if (lanes_open(&db->lanes, config, commons, workers, e)) {
        free(db->home);
        db->home = NULL;
        return -1;
    }
    return 0;
}

void database_release(struct database *db)
{
    if (db->state)
        local_release(&db->home->local);
    db->state = NULL;
    lanes_close(&db->lanes);
    free(db->home);
    db->home = NULL;
}
