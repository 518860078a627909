/* replicate/scheduler.c */
#include "replicate/scheduler.h"

#include "base/clock.h"
#include "base/log.h"
#include "replicate/lane.h"
#include "replicate/local.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define PASS_LIGHT_MS 5
#define PASS_HEAVY_MS 20
#define HEAVY_FRAMES 100 /* new frames in one pass that make it heavy */
#define SHIP_SINGLE_MS 2 /* between two objects of one replica, while they come one by one */
#define SHIP_LIGHT_MS 10 /* while a few commits wait */
#define SHIP_HEAVY_MS 50 /* while many do */
#define HEAVY_COMMITS 40
#define SWEEP_MS 1000 /* covers lost events */
#define REST_RETRY_MS 250
#define REOPEN_MS 1000   /* after an error of the local job */
#define LOOK_MS_MAX 8    /* after an event without news: look again after 1, 2, 4, 8, 8, ... ms */
#define LOOK_FOR_MS 2000 /* for so long: a disk may take its time to sync */
#define LOCAL_DEADLINE_MS 300000
#define HANG_MS 5000                    /* a ship job that takes longer keeps no batches waiting; a stop waits no longer for it */
#define FIRST_SEGMENT_BYTES (32u << 20) /* a larger database begins with a base instead of one large segment */
#define WORKERS 4

struct database {
    struct scheduler *scheduler;
    char path[PATH_TEXT_MAX]; /* without links */
    struct local local;
    bool ready; /* local_init succeeded */
    struct job job;
    bool busy;
    struct local_request request;
    struct local_report report;
    struct local_report figures; /* of the last run that has ended */
    int rc;
    struct err err;
    struct lane *copying; /* whose copy the local job reads */

    struct batch *batches, *batches_end; /* captured and not needed any more by nobody, ascending */
    size_t batch_bytes;
    struct commit_record newest;
    uint32_t page_size;
    uint64_t captured_txid;
    bool map_intact; /* the page map describes our past: what an earlier run shipped can be in it */

    bool news;         /* something may have been committed */
    bool closed_event; /* an application closed the WAL: complete the database file */
    bool rested, proven;
    bool final_done; /* stopping: the last capture is done */
    int64_t pass_at_ms, open_at_ms, look_at_ms, look_ms, look_until_ms, rest_at_ms, sweep_at_ms;
    int wd; /* inotify watch on the -wal; -1: not armed */
    char complaint[ERR_MSG_MAX];
};

struct scheduler {
    const struct scheduler_config *config;
    struct workers *workers;
    int epoll_fd, signal_fd;
    int inotify_fd; /* one-shot: the alarm clock for commits */
    int close_fd;   /* a second one, which stays armed: an application closed the WAL */
    struct uid run;
    struct database db;
    struct lane *lanes;
    size_t lane_count;
    bool stopping, failed;
    int64_t stop_deadline_ms;
    struct err error; /* why it ends, with failed */
};

static void fail(struct scheduler *s, const struct err *e)
{
    if (!s->failed)
        s->error = *e;
    s->failed = true;
}

/* The time to stop counts from the last progress: a large first copy may take as long as it takes. */
static void note_progress(struct scheduler *s)
{
    s->stop_deadline_ms = clock_mono_ms() + (int64_t)s->config->options.stop_timeout_ms;
}

static void begin_stop(struct scheduler *s)
{
    if (s->stopping)
        return;
    s->stopping = true;
    note_progress(s);
}

static void log_figures(const struct scheduler *s)
{
    const struct local_report *l = &s->db.figures;
    const struct checkpoint_stats *c = &l->checkpoints;
    uint64_t objects = 0, bytes = 0;
    for (size_t i = 0; i < s->lane_count; i++) {
        objects += s->lanes[i].appended + s->lanes[i].pieces;
        bytes += s->lanes[i].appended_bytes + s->lanes[i].piece_bytes;
    }
    log_info("database '%s': longest write-lock hold %.2f ms; commits %" PRIu64 ", frames %" PRIu64 ", checkpoints %" PRIu64
             ", truncated %" PRIu64 ", busy %" PRIu64 ", resyncs %" PRIu64 ", objects %" PRIu64 ", bytes %" PRIu64,
             s->config->db_path, (double)c->longest_write_hold_ns / 1e6, l->commits_captured, l->frames_captured, c->resets,
             c->truncations, c->busy, l->resyncs, objects, bytes);
}

/* ---- batches: captured commits that some replica still needs */

/* Takes what is captured, now or soon. A store that hangs is as good as gone: what waits for it must not stop the others. */
static bool lane_healthy(const struct lane *l)
{
    bool hangs = l->busy && clock_mono_ms() - l->started_at_ms > HANG_MS;
    return l->seen == DESTINATION_ATTACHED && l->backoff_ms == 0 && !hangs;
}

static void unlink_first_batch(struct database *db)
{
    struct batch *b = db->batches;
    db->batches = b->next;
    if (!db->batches)
        db->batches_end = NULL;
    db->batch_bytes -= batch_bytes(b);
    b->next = NULL;
    if (b->references == 0)
        batch_free(b);
    else
        b->references |= 1u << 31; /* the last job that uses it frees it */
}

static void release_batch(struct batch *b)
{
    b->references--;
    if (b->references == 1u << 31)
        batch_free(b);
}

/* Lets go of what no replica will use any more: every healthy one has it. The others catch up from the database. */
static void trim_batches(struct scheduler *s)
{
    uint64_t low = s->db.captured_txid;
    for (size_t i = 0; i < s->lane_count; i++)
        if (lane_healthy(&s->lanes[i]) && s->lanes[i].seen_durable < low)
            low = s->lanes[i].seen_durable;
    while (s->db.batches && s->db.batches->last <= low)
        unlink_first_batch(&s->db);
}

static void take_batches(struct scheduler *s, struct batch *list)
{
    struct database *db = &s->db;
    while (list) {
        struct batch *b = list;
        list = b->next;
        b->next = NULL;
        if (db->batches_end)
            db->batches_end->next = b;
        else
            db->batches = b;
        db->batches_end = b;
        db->batch_bytes += batch_bytes(b);
    }
    bool somebody = false;
    for (size_t i = 0; i < s->lane_count; i++)
        somebody |= lane_healthy(&s->lanes[i]) || !s->lanes[i].asked;
    while (db->batches &&
           (!somebody || db->batch_bytes > 3 * s->config->options.max_pending)) /* an outage costs granularity, never data */
        unlink_first_batch(db);
}

/* ---- the local job */

static void arm(struct scheduler *s)
{
    char wal[PATH_TEXT_MAX + 8];
    if (s->db.wd >= 0 || s->inotify_fd < 0)
        return;
    snprintf(wal, sizeof wal, "%s-wal", s->db.path);
    s->db.wd = inotify_add_watch(s->inotify_fd, wal, IN_MODIFY | IN_ONESHOT);
}

/* Once for each file: after it was opened, before anything is looked at. */
static void watch_for_close(struct scheduler *s)
{
    char wal[PATH_TEXT_MAX + 8];
    snprintf(wal, sizeof wal, "%s-wal", s->db.path);
    if (s->close_fd >= 0)
        inotify_add_watch(s->close_fd, wal, IN_CLOSE_WRITE);
}

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

static void after_resync(struct scheduler *s)
{
    s->db.map_intact = true;
    for (size_t i = 0; i < s->lane_count; i++) {
        struct lane *l = &s->lanes[i];
        if (!l->compared)
            continue; /* it attached while the pages were compared with the others: its turn comes */
        l->compared = false;
        if (l->d.head_map.page_size != s->db.page_size)
            l->d.from_empty = true;
        map_release(&l->d.head_map);
        l->d.since = s->db.newest.txid;
        l->d.state = l->seen = DESTINATION_ATTACHED;
        l->seen_durable = l->d.entry.durable_txid;
    }
}

/* Errors that no waiting will mend end the daemon; the others are tried again. */
static void local_failed(struct scheduler *s)
{
    struct database *db = &s->db;
    bool final = db->err.code == ERR_CONFIG || s->config->once || s->stopping;
    if (final) {
        fail(s, &db->err);
        return;
    }
    complain(db->complaint, "let go of the database, trying again", &db->err);
    db->open_at_ms = clock_mono_ms() + REOPEN_MS;
}

static void give_piece(struct scheduler *s, struct piece *piece)
{
    struct lane *l = s->db.copying;
    if (!l)
        return;
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

static void local_done(struct job *job)
{
    struct database *db = (struct database *)(void *)((char *)job - offsetof(struct database, job));
    struct scheduler *s = db->scheduler;
    const struct local_report *r = &db->report;
    int64_t now = clock_mono_ms();
    db->busy = false;
    db->figures = *r;
    db->newest = r->newest;
    db->captured_txid = r->newest.txid;
    db->page_size = r->page_size;
    take_batches(s, r->batches);
    give_piece(s, r->piece);
    db->copying = NULL;
    db->rested = r->rested;
    if (db->rc) {
        local_failed(s);
        return;
    }
    db->complaint[0] = 0;
    db->proven = !r->waiting;
    if (r->opened)
        watch_for_close(s);
    if (r->opened)
        log_info("database '%s': opened%s", s->config->db_path, r->switched_to_wal ? ", switched to WAL mode" : "");
    if (r->moved) {
        log_warn("database '%s': its files were replaced or overwritten; opening them anew and comparing all pages",
                 s->config->db_path);
        db->wd = -1;
        db->news = true;
        db->open_at_ms = now;
        return;
    }
    if (r->resynced) {
        log_info("database '%s': compared all pages: %s", s->config->db_path,
                 r->resync_changed ? "what differs is shipped as one restore point" : "nothing differs");
        after_resync(s);
    }
    if (r->rested)
        db->closed_event = false;
    if (s->stopping && db->request.settle && !r->waiting && !r->more)
        db->final_done = true;
    if (r->commits)
        db->rest_at_ms = now + (int64_t)s->config->options.rest_after_ms;
    else if (!r->rested && now >= db->rest_at_ms)
        db->rest_at_ms = now + REST_RETRY_MS; /* readers were in the way */
    pace(db, now);
}

static bool all_asked(const struct scheduler *s)
{
    for (size_t i = 0; i < s->lane_count; i++)
        if (!s->lanes[i].asked || (s->lanes[i].busy && s->lanes[i].kind == SHIP_ATTACH))
            return false;
    return true;
}

static bool any_healthy(const struct scheduler *s)
{
    for (size_t i = 0; i < s->lane_count; i++)
        if (lane_healthy(&s->lanes[i]))
            return true;
    return false;
}

static struct lane *lane_to_copy(struct scheduler *s)
{
    for (size_t i = 0; i < s->lane_count; i++)
        if (s->lanes[i].copy && s->lanes[i].copy->kind == COPY_CATCH_UP && lane_wants_piece(&s->lanes[i]))
            return &s->lanes[i];
    for (size_t i = 0; i < s->lane_count; i++)
        if (lane_wants_piece(&s->lanes[i]))
            return &s->lanes[i];
    return NULL;
}

static bool catching_up(const struct scheduler *s)
{
    for (size_t i = 0; i < s->lane_count; i++)
        if (s->lanes[i].copy && s->lanes[i].copy->kind == COPY_CATCH_UP && lane_healthy(&s->lanes[i]))
            return true;
    return false;
}

static void fill_request(struct scheduler *s)
{
    struct database *db = &s->db;
    struct local_request *r = &db->request;
    *r = (struct local_request){.rest = db->closed_event || s->stopping,
                                .settle = s->stopping && !db->final_done,
                                .hold = (catching_up(s) && !s->stopping) || db->final_done,
                                .drop = all_asked(s) && !any_healthy(s),
                                .may_resync = all_asked(s)};
    r->room = db->batch_bytes < s->config->options.max_pending ? s->config->options.max_pending - db->batch_bytes : 0;
    for (size_t i = 0; i < s->lane_count; i++) {
        struct destination *d = &s->lanes[i].d;
        s->lanes[i].compared = !s->lanes[i].busy && d->state == DESTINATION_RESYNC;
        if (s->lanes[i].compared)
            r->references[r->reference_count++] = (struct capture_reference){.head_txid = d->entry.durable_txid,
                                                                             .head_time_ms = d->head_time_ms,
                                                                             .map = d->head_map.page_size ? &d->head_map : NULL};
    }
    db->copying = lane_to_copy(s);
    if (db->copying)
        r->copy = db->copying->copy;
}

static bool resync_wanted(const struct scheduler *s)
{
    for (size_t i = 0; i < s->lane_count; i++)
        if (!s->lanes[i].busy && s->lanes[i].d.state == DESTINATION_RESYNC)
            return true;
    return false;
}

/* Is there a reason to run the local job now? */
static bool local_due(struct scheduler *s, int64_t now)
{
    struct database *db = &s->db;
    if (now < db->open_at_ms)
        return false;
    if (!watch_is_open(&db->local.watch))
        return true;
    if (all_asked(s) && (resync_wanted(s) || !db->proven))
        return true;
    if (lane_to_copy(s))
        return true;
    if (s->stopping && !db->final_done)
        return true;
    if (db->final_done)
        return false;
    if (now >= db->pass_at_ms && db->news &&
        !(catching_up(s) && !db->report.commits && !db->report.torn && now < db->pass_at_ms + 50))
        return true;
    return !db->rested && (now >= db->rest_at_ms || db->closed_event) && now >= db->pass_at_ms;
}

static void start_local(struct scheduler *s)
{
    struct database *db = &s->db;
    fill_request(s);
    db->busy = true;
    db->news = false;
    db->job = (struct job){.run = run_local, .done = local_done, .deadline_ms = LOCAL_DEADLINE_MS};
    db->local.capture.beat_ms = &db->job.beat_ms;
    workers_submit(s->workers, &db->job);
}

/* ---- ship jobs */

static void ship_done(struct job *job);
static void piece_done(struct job *job);

static int collect_batches(struct scheduler *s, struct lane *l)
{
    uint64_t next = l->d.entry.durable_txid + 1;
    size_t bytes = 0;
    l->batch_count = 0;
    if (l->d.entry.durable_txid < l->d.since)
        return 0;
    for (struct batch *b = s->db.batches; b && l->batch_count < LANE_BATCHES_MAX && bytes < LANE_BYTES_MAX; b = b->next) {
        if (b->last < next)
            continue;
        bool continues = l->batch_count == 0 ? b->first <= next : b->first == next;
        if (!continues || b->page_size != s->db.page_size)
            break;
        l->batches[l->batch_count++] = b;
        bytes += batch_bytes(b);
        next = b->last + 1;
    }
    return l->batch_count > 0;
}

static void start_ship(struct scheduler *s, struct lane *l, enum ship_kind kind)
{
    if (kind == SHIP_COMMITS)
        for (size_t i = 0; i < l->batch_count; i++)
            l->batches[i]->references++;
    else
        l->batch_count = 0;
    l->started_at_ms = clock_mono_ms();
    if (kind != SHIP_ATTACH && kind != SHIP_MARKER)
        l->shipped_at_ms = l->started_at_ms;
    l->page_size = s->db.page_size;
    l->record = s->db.newest;
    l->author.map_intact = s->db.map_intact;
    lane_start(l, kind, s->workers, ship_done);
}

static int64_t ship_gap_ms(const struct lane *l)
{
    return l->shipped_commits >= HEAVY_COMMITS ? SHIP_HEAVY_MS : l->shipped_commits > 1 ? SHIP_LIGHT_MS : SHIP_SINGLE_MS;
}

/* Commits wait a little for each other, so that a writer at full speed does not make an object of each. */
static bool paced(const struct scheduler *s, const struct lane *l, int64_t now)
{
    return s->stopping || now >= l->shipped_at_ms + ship_gap_ms(l);
}

/* A copy that failed, that is of another page size, or that the replica's position has left behind, is given up when its jobs are
 * done. */
static bool abandon_if_useless(struct scheduler *s, struct lane *l)
{
    bool anew = destination_starts_anew(&l->d, s->db.page_size);
    bool attached = l->d.state == DESTINATION_ATTACHED;
    if (l->paused_base && (!attached || anew)) {
        copy_free(l->paused_base);
        l->paused_base = NULL;
    }
    if (!l->copy)
        return false;
    bool useless = l->copy_failed || !attached || l->copy->page_size != s->db.page_size || (l->copy->kind == COPY_BASE && anew);
    if (!useless)
        return false;
    if (lane_pieces_busy(l) || (s->db.busy && s->db.copying == l))
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
static void start_pieces(struct scheduler *s, struct lane *l)
{
    for (unsigned k = 0; k < COPY_IN_FLIGHT; k++) {
        unsigned place = 0;
        struct piece *p = next_waiting(l, &place);
        if (!p || (l->copy->kind == COPY_BASE && l->d.entry.durable_txid < p->record.txid))
            return;
        if (l->piece_job[k].busy)
            continue;
        l->waiting[place] = NULL;
        lane_start_piece(l, &l->piece_job[k], p, s->workers, piece_done);
    }
}

static bool copy_is_put(const struct lane *l)
{
    for (unsigned i = 0; i < COPY_IN_FLIGHT; i++)
        if (l->waiting[i])
            return false;
    return l->copy && l->read_all && !lane_pieces_busy(l);
}

static void start_copy(struct scheduler *s, struct lane *l, enum copy_kind kind)
{
    struct commit_record *n = &s->db.newest;
    l->read_all = l->copy_failed = false;
    l->copy = copy_new(kind, kind == COPY_CATCH_UP ? l->d.entry.durable_txid : 0, kind == COPY_BASE ? n->txid : 0, n->pages);
    if (l->copy)
        l->copy->page_size = s->db.page_size;
    if (kind == COPY_CATCH_UP && l->d.entry.durable_txid > 0 && n->txid > l->d.entry.durable_txid + 1)
        log_info("replica '%s': txid %" PRIu64 " to %" PRIu64 " become one restore point: they could not be shipped one by one",
                 l->d.url, l->d.entry.durable_txid + 1, n->txid);
    if (kind == COPY_BASE && l->copy)
        log_info("replica '%s': writing a base of %u pages from txid %" PRIu64, l->d.url, n->pages, n->txid);
}

/* What can this replica do now? At most one ship job; pieces go beside it. */
static void schedule_lane(struct scheduler *s, struct lane *l, int64_t now)
{
    struct database *db = &s->db;
    if (l->busy || now < l->retry_at_ms || l->d.state == DESTINATION_CONFLICT || l->d.state == DESTINATION_RESYNC)
        return;
    if (l->d.state == DESTINATION_DETACHED) {
        if (!abandon_if_useless(s, l))
            start_ship(s, l, SHIP_ATTACH);
        return;
    }
    if (l->d.outgoing.bytes.len > 0) {
        start_ship(s, l, SHIP_AGAIN);
        return;
    }
    if (abandon_if_useless(s, l) || !db->proven || db->page_size == 0)
        return;
    uint64_t durable = l->d.entry.durable_txid;
    if (l->copy)
        start_pieces(s, l);
    if (l->copy && l->copy->kind == COPY_CATCH_UP) {
        if (l->last_piece && copy_is_put(l))
            start_ship(s, l, SHIP_CATCH_UP);
        return;
    }
    if (l->copy && copy_is_put(l) && l->copy->put == l->copy->pieces) {
        start_ship(s, l, SHIP_MARKER);
        return;
    }
    if (durable < db->captured_txid) {
        if (!paced(s, l, now))
            return;
        bool anew = destination_starts_anew(&l->d, db->page_size);
        if (collect_batches(s, l) && !(anew && durable > 0)) {
            start_ship(s, l, SHIP_COMMITS);
            return;
        }
        if (anew && (uint64_t)db->newest.pages * db->page_size > FIRST_SEGMENT_BYTES)
            start_ship(s, l, SHIP_ANCHOR);
        else if (!l->copy)
            start_copy(s, l, COPY_CATCH_UP);
        else if (!lane_pieces_busy(l) && !(db->busy && db->copying == l)) /* a base is under way: it goes on afterwards */
            lane_pause_base(l);
        return;
    }
    if (l->d.entry.base_owed > 0 && !l->copy && l->paused_base)
        lane_resume_base(l);
    else if (l->d.entry.base_owed > 0 && !l->copy)
        start_copy(s, l, COPY_BASE);
}

static void lane_log(struct lane *l, enum ship_kind kind)
{
    if (kind == SHIP_ATTACH && l->d.state != DESTINATION_CONFLICT)
        log_info("replica '%s': %s", l->d.url, l->d.found);
    if (kind == SHIP_CATCH_UP)
        log_info("replica '%s': up to date at txid %" PRIu64, l->d.url, l->d.entry.durable_txid);
    if (kind == SHIP_MARKER)
        log_info("replica '%s': the base is complete", l->d.url);
}

static void complain_of_replica(struct lane *l, const struct err *e)
{
    if (strncmp(l->complaint, e->msg, ERR_MSG_MAX) == 0)
        return;
    snprintf(l->complaint, sizeof l->complaint, "%s", e->msg);
    log_warn("replica '%s': %s; trying again until it works", l->d.url, e->msg);
}

static void lane_conflict(struct scheduler *s, struct lane *l)
{
    size_t left = 0;
    for (size_t i = 0; i < s->lane_count; i++)
        left += s->lanes[i].seen != DESTINATION_CONFLICT;
    if (left == 0)
        fail(s, &l->err); /* said at the end */
    else
        log_error("replica '%s': given up, the others go on: %s", l->d.url, l->err.msg);
}

static void ship_done(struct job *job)
{
    struct lane *l = lane_of_job(job);
    struct scheduler *s = (struct scheduler *)l->author.owner;
    int64_t now = clock_mono_ms();
    enum ship_kind kind = l->kind;
    l->busy = false;
    l->seen = l->d.state;
    l->seen_durable = l->d.entry.durable_txid;
    l->appended = l->d.objects;
    l->appended_bytes = l->d.bytes;
    for (size_t i = 0; i < l->batch_count; i++)
        release_batch(l->batches[i]);
    if (kind == SHIP_ATTACH)
        l->asked = true;
    if (l->rc) {
        if (l->err.code == ERR_CONFLICT) {
            lane_conflict(s, l);
        } else {
            complain_of_replica(l, &l->err);
            if (kind == SHIP_MARKER)
                lane_abandon_copy(l);
            lane_failed(l, now);
        }
        return;
    }
    note_progress(s);
    if (l->complaint[0])
        log_info("replica '%s': reachable again", l->d.url);
    lane_succeeded(l);
    l->shipped_commits = l->d.outgoing.commits;
    if (kind == SHIP_CATCH_UP || kind == SHIP_MARKER)
        lane_abandon_copy(l);
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
        lane_failed(l, clock_mono_ms());
        put_back(l, piece);
        return;
    }
    if (pj->rc) { /* its name is taken by another piece of this base: begin a new one */
        piece_free(piece);
        l->copy_failed = true;
        return;
    }
    if (copy_note(l->copy, piece->index, &pj->listed, &pj->err)) {
        complain_of_replica(l, &pj->err);
        l->copy_failed = true;
    }
    piece_free(piece);
    l->pieces++;
    l->piece_bytes += pj->listed.size;
    note_progress((struct scheduler *)l->author.owner);
    l->backoff_ms = 0;
}

/* ---- when is it all done? */

static bool all_durable(const struct scheduler *s)
{
    for (size_t i = 0; i < s->lane_count; i++) {
        const struct lane *l = &s->lanes[i];
        if (l->seen == DESTINATION_CONFLICT)
            continue;
        if (l->busy || l->d.state != DESTINATION_ATTACHED || l->d.entry.durable_txid != s->db.captured_txid ||
            l->d.entry.base_owed > 0)
            return false;
    }
    return true;
}

static bool anything_running(const struct scheduler *s)
{
    for (size_t i = 0; i < s->lane_count; i++)
        if (s->lanes[i].busy || lane_pieces_busy(&s->lanes[i]))
            return true;
    return s->db.busy;
}

static bool finished(struct scheduler *s, int64_t now)
{
    if (s->failed && !anything_running(s))
        return true;
    if (s->failed)
        begin_stop(s); /* what runs may take until the deadline of a stop */
    if (!s->stopping)
        return false;
    if (s->db.final_done && all_durable(s)) {
        for (size_t i = 0; i < s->lane_count; i++)
            if (s->lanes[i].seen == DESTINATION_CONFLICT)
                fail(s, &s->lanes[i].err); /* the others are up to date; this one is not */
        return !anything_running(s);
    }
    if (now < s->stop_deadline_ms)
        return false;
    if (now > s->stop_deadline_ms + HANG_MS) { /* a store that neither answers nor fails */
        log_error("stopped before everything was durable: a store does not answer");
        _exit(7);
    }
    struct err e;
    err_set(&e, ERR_TIMEOUT, 0, "stopped before everything was durable");
    for (size_t i = 0; i < s->lane_count; i++)
        if (s->lanes[i].complaint[0])
            err_set(&e, ERR_TIMEOUT, 0, "stopped before everything was durable: '%s': %.300s", s->lanes[i].d.url,
                    s->lanes[i].complaint);
    fail(s, &e);
    return !anything_running(s);
}

/* ---- events */

static void handle_signals(struct scheduler *s)
{
    struct signalfd_siginfo info;
    while (read(s->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGUSR1) {
            log_figures(s);
            continue;
        }
        if (s->stopping) {
            log_error("stopped at once by a second signal; what is not durable yet will be shipped after the next start");
            _exit(130);
        }
        log_info("stopping: shipping what is captured");
        begin_stop(s);
    }
}

static void handle_inotify(struct scheduler *s, int fd)
{
    char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    struct database *db = &s->db;
    ssize_t n;
    while ((n = read(fd, buffer, sizeof buffer)) > 0)
        for (char *p = buffer; p < buffer + n;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)p;
            p += sizeof *event + event->len;
            if (event->mask & IN_CLOSE_WRITE)
                db->closed_event = true;
            if (fd == s->inotify_fd && (event->mask & (IN_IGNORED | IN_Q_OVERFLOW)))
                db->wd = -1; /* one-shot: to be armed again */
            if (event->mask & IN_MODIFY) {
                db->look_ms = 1;
                db->look_at_ms = clock_mono_ms();
                db->look_until_ms = db->look_at_ms + LOOK_FOR_MS;
            }
        }
}

/* Arms the alarm and looks once more: what came in between is not lost. */
static void look(struct scheduler *s, int64_t now)
{
    struct database *db = &s->db;
    if (db->busy || !watch_is_open(&db->local.watch) || db->news || db->final_done)
        return;
    arm(s);
    bool due = now >= db->sweep_at_ms || (db->look_ms > 0 && now >= db->look_at_ms);
    if (local_has_news(&db->local)) {
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

static int next_timeout(struct scheduler *s, int64_t now)
{
    struct database *db = &s->db;
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
    for (size_t i = 0; i < s->lane_count; i++) {
        struct lane *l = &s->lanes[i];
        if (l->busy)
            continue;
        if (l->retry_at_ms > now)
            at = earliest(at, l->retry_at_ms);
        else if (l->d.state == DESTINATION_ATTACHED && l->d.entry.durable_txid < db->captured_txid)
            at = earliest(at, l->shipped_at_ms + ship_gap_ms(l));
    }
    if (s->stopping)
        at = earliest(at, s->stop_deadline_ms);
    if (at <= now)
        return 1;
    return at - now > 60000 ? 60000 : (int)(at - now);
}

/* A job that hangs holds locks that the application waits for: the kernel frees them when we end. */
static void watch_over_jobs(struct scheduler *s, int64_t now)
{
    if (workers_overdue(s->workers, now)) {
        log_error("database '%s': a job has been running for over %d s; ending so that its locks are freed", s->config->db_path,
                  LOCAL_DEADLINE_MS / 1000);
        _exit(1);
    }
}

static int open_local(struct scheduler *s)
{
    struct database *db = &s->db;
    struct err e;
    if (db->ready)
        return 0;
    if (!realpath(s->config->db_path, db->path)) /* SQLite opens what a link leads to, and keeps -wal and -shm there */
        snprintf(db->path, sizeof db->path, "%s", s->config->db_path);
    if (local_init(&db->local, db->path, &s->config->options, &e)) {
        if (e.code != ERR_NOTFOUND || s->config->once || s->stopping) {
            fail(s, &e);
        } else {
            complain(db->complaint, "waiting for the database to appear", &e);
            db->open_at_ms = clock_mono_ms() + REOPEN_MS;
        }
        return -1;
    }
    enum identity_past past = db->local.map_known ? IDENTITY_KEEP_PAST : IDENTITY_LOSE_PAST;
    state_begin_run(&db->local.state, &s->run, past);
    for (size_t i = 0; i < s->lane_count; i++) {
        struct lane *l = &s->lanes[i];
        struct identity_replica *entry;
        if (identity_replica_get(&db->local.state.identity, l->d.url, &entry, &e)) {
            fail(s, &e);
            return -1;
        }
        l->d.index = (uint32_t)(entry - db->local.state.identity.replicas);
        l->d.entry = *entry;
        l->author = (struct author){.owner = s, .state = &db->local.state, .run = s->run, .take_over = s->config->take_over};
    }
    db->captured_txid = db->local.state.identity.txid;
    db->map_intact = db->local.map_known;
    db->ready = true;
    return 0;
}

static void schedule(struct scheduler *s)
{
    int64_t now = clock_mono_ms();
    if (s->failed)
        return;
    if (now >= s->db.open_at_ms && open_local(s))
        return;
    if (!s->db.ready)
        return;
    trim_batches(s);
    look(s, now);
    if (s->config->once && s->db.proven && all_asked(s))
        begin_stop(s);
    if (!s->db.busy && local_due(s, now))
        start_local(s);
    for (size_t i = 0; i < s->lane_count; i++)
        schedule_lane(s, &s->lanes[i], now);
    if (!s->db.busy && !s->failed && lane_to_copy(s)) /* a copy that has just begun */
        start_local(s);
    watch_over_jobs(s, now);
}

static int loop(struct scheduler *s, struct err *e)
{
    struct epoll_event events[8];
    for (;;) {
        schedule(s);
        int64_t now = clock_mono_ms();
        if (finished(s, now))
            return 0;
        int n = epoll_wait(s->epoll_fd, events, 8, next_timeout(s, now));
        if (n < 0 && errno != EINTR)
            return err_sys(e, errno, "epoll_wait");
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == s->signal_fd)
                handle_signals(s);
            else if (fd == s->inotify_fd || fd == s->close_fd)
                handle_inotify(s, fd);
            else
                workers_reap(s->workers);
        }
    }
}

/* ---- start and end */

static int add_fd(struct scheduler *s, int fd, struct err *e)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? err_sys(e, errno, "epoll_ctl") : 0;
}

static int open_fds(struct scheduler *s, struct err *e)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before any thread starts */
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    s->signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    s->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (s->epoll_fd < 0 || s->signal_fd < 0)
        return err_sys(e, errno, "start the event loop");
    s->close_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (s->inotify_fd < 0 || s->close_fd < 0)
        log_warn("no inotify (%s): commits are seen once a second", strerror(errno));
    if (add_fd(s, s->signal_fd, e) || (s->inotify_fd >= 0 && add_fd(s, s->inotify_fd, e)) ||
        (s->close_fd >= 0 && add_fd(s, s->close_fd, e)))
        return -1;
    if (workers_start(WORKERS, &s->workers, e))
        return -1;
    return add_fd(s, workers_fd(s->workers), e);
}

/* No SQLite handle of this file is open yet in this process: so a descriptor of our own harms no lock. One that is not there may
 * come. */
static int check_is_database(const char *path, struct err *e)
{
    static const char magic[16] = "SQLite format 3";
    char bytes[16];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : err_set(e, ERR_CONFIG, errno, "database '%s': %s", path, strerror(errno));
    ssize_t n = read(fd, bytes, sizeof bytes);
    close(fd);
    if (n == 0 || (n == (ssize_t)sizeof bytes && memcmp(bytes, magic, sizeof bytes) == 0))
        return 0;
    err_set(e, ERR_CONFIG, 0, "'%s' is not a SQLite database", path);
    return err_hint(e, "the database comes first, then the URLs; an encrypted database can't be replicated");
}

static int open_lanes(struct scheduler *s, struct err *e)
{
    s->lanes = calloc(s->config->url_count, sizeof *s->lanes);
    if (!s->lanes)
        return err_nomem(e, s->config->url_count * sizeof *s->lanes);
    for (; s->lane_count < s->config->url_count; s->lane_count++) {
        if (lane_open(&s->lanes[s->lane_count], s->config->urls[s->lane_count], e))
            return -1;
        for (size_t i = 0; i < s->lane_count; i++)
            if (strcmp(s->lanes[i].d.url, s->lanes[s->lane_count].d.url) == 0) {
                lane_close(&s->lanes[s->lane_count]);
                return err_set(e, ERR_CONFIG, 0, "the replica '%s' is given twice", s->lanes[i].d.url);
            }
    }
    return 0;
}

static void save_memory(void)
{
    struct rlimit limit;
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 4 << 20);  /* buffers of a megabyte come and go under load: fresh pages each time would be dear */
    mallopt(M_TRIM_THRESHOLD, 64 << 20); /* given back at rest, by malloc_trim */
    sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0); /* an open watch then costs 53 KiB instead of 131 */
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            log_warn("can't raise the limit of open files: %s", strerror(errno));
    }
}

static void close_all(struct scheduler *s)
{
    if (s->db.ready)
        local_release(&s->db.local);
    while (s->db.batches)
        unlink_first_batch(&s->db);
    for (size_t i = 0; i < s->lane_count; i++)
        lane_close(&s->lanes[i]);
    free(s->lanes);
    workers_stop(s->workers);
    if (s->inotify_fd >= 0)
        close(s->inotify_fd);
    if (s->close_fd >= 0)
        close(s->close_fd);
    if (s->signal_fd >= 0)
        close(s->signal_fd);
    if (s->epoll_fd >= 0)
        close(s->epoll_fd);
}

int scheduler_run(const struct scheduler_config *config, struct err *e)
{
    struct scheduler *s = calloc(1, sizeof *s);
    if (!s)
        return err_nomem(e, sizeof *s);
    s->config = config;
    s->epoll_fd = s->signal_fd = s->inotify_fd = s->close_fd = -1;
    s->db.scheduler = s;
    s->db.wd = -1;
    save_memory();
    int rc = open_fds(s, e); /* first: from here on a signal is an event */
    if (rc == 0)
        rc = random_bytes(s->run.bytes, UID_BYTES, e);
    if (rc == 0 && seawall_vfs_register(0) != SQLITE_OK)
        rc = err_set(e, ERR_SQLITE, 0, "can't register the VFS");
    if (rc == 0) /* before a folder or a state file is made for something that is no database */
        rc = check_is_database(config->db_path, e);
    if (rc == 0)
        rc = open_lanes(s, e);
    if (rc == 0)
        rc = loop(s, e);
    if (rc == 0 && s->failed) {
        *e = s->error;
        rc = -1;
    }
    if (s->db.ready)
        log_figures(s);
    close_all(s);
    free(s);
    return rc;
}
