/* capture/local.c */
#include "capture/local.h"

#include "base/clock.h"
#include "base/invariant.h"
#include "base/log.h"
#include "base/trial.h"
#include "capture/still.h"

#include <assert.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define TORN_LOOK_NS (10 * 1000000)             /* a header that is torn for so long has no writer: a process died */
#define QUIET_CHECK_NS (500 * INT64_C(1000000)) /* after such a pause between two runs the files are checked first */
#define STRANGERS_RETRY_NS (250 * INT64_C(1000000))
#define RETRY_MIN_NS (20 * INT64_C(1000000))
#define RETRY_MAX_NS (1000 * INT64_C(1000000))
#define RETRY_LONG_LOG_NS (100 * INT64_C(1000000)) /* when the WAL is longer than half of wal-limit */
#define LOAD_FACTOR_NUM 5                          /* without a pause the WAL may grow to 5/2 of wal-target */
#define LOAD_FACTOR_DEN 2
#define RATE_WINDOW_NS (200 * INT64_C(1000000))
#define HEAVY_FRAMES 200                   /* captured in one window: 1000 in a second */
#define HEAVY_COMMITS 15                   /* and that in so many commits: 75 in a second */
#define HOLD_FRAMES_MAX SCALE(16384u, 24u) /* frames that may wait in the WAL during a catch-up */
/* While versions wait for replicas the WAL may grow to wal-limit / ROOM_SHARE. Then commits are captured in groups, and
 * in the end versions are given up. */
#define ROOM_SHARE 2

/* The state file of another place may be an older one of this writer: the path led there before. A file of another
 * writer keeps its identity, and its replicas. */
static bool may_adopt(const struct local *l, const struct identity *removed)
{
    const struct identity found = state_identity(&l->state);
    if (l->found == STATE_NEW)
        return true;
    return uid_equal(&found.writer, &removed->writer) && found.map_seal != removed->map_seal;
}

int local_init(struct local *l, const char *path, const struct options *options, const struct identity *removed,
               struct err *e)
{
    *l = (struct local){.options = options,
                        .watch = {.active = -1, .frozen_fd = -1},
                        .frozen = FROZEN_NONE,
                        .strangers = STRANGERS_NONE};
    if (path_format(l->path, e, "%s", path))
        return -1;
    if (state_open(&l->state, path, &l->found, e))
        return -1;
    l->state_open = true;
    if (removed && may_adopt(l, removed)) {
        state_adopt(&l->state, removed);
        l->found = STATE_MAP_LOST;
        if (state_sync(&l->state, e)) { /* a power cut must not make another writer of this one */
            state_close(&l->state);
            l->state_open = false;
            return -1;
        }
    }
    l->map_known = l->found == STATE_INTACT && l->state.map.pages > 0;
    l->batches_tail = &l->batches;
    capture_init(&l->capture, &l->watch, &l->state);
    return 0;
}

static void enter(struct local *l, enum local_state to)
{
    static const bool allowed[4][4] = {
        [LOCAL_CLOSED] = {[LOCAL_UNPROVEN] = true},
        [LOCAL_UNPROVEN] = {[LOCAL_CLOSED] = true, [LOCAL_FOLLOWING] = true},
        [LOCAL_FOLLOWING] = {[LOCAL_CLOSED] = true, [LOCAL_UNPROVEN] = true, [LOCAL_RESTING] = true},
        [LOCAL_RESTING] = {[LOCAL_CLOSED] = true, [LOCAL_UNPROVEN] = true, [LOCAL_FOLLOWING] = true},
    };
    if (l->at == to)
        return;
    INVARIANT(allowed[l->at][to], "database '%s': no way leads from state %d to %d", l->path, l->at, to);
    INVARIANT((to >= LOCAL_FOLLOWING) == l->capture.proven, "database '%s': state %d does not fit what is proven",
              l->path, to);
    INVARIANT((to == LOCAL_CLOSED) == !watch_is_open(&l->watch), "database '%s': state %d does not fit the watch",
              l->path, to);
    l->at = to;
}

/* A capture or a checkpoint may have ended the proof. */
static void note_proof(struct local *l)
{
    if (!l->capture.proven && l->at >= LOCAL_FOLLOWING)
        enter(l, LOCAL_UNPROVEN);
}

static void let_go(struct local *l)
{
    watch_close(&l->watch);
    strangers_close(&l->strangers); /* afterwards: it costs the process its locks */
    frozen_release(&l->frozen);
    l->capture.proven = false;
    l->capture.reader_ready = false;
    l->goal_run = 0;
    enter(l, LOCAL_CLOSED);
}

void local_let_go(struct local *l)
{
    let_go(l);
}

static void drop_batches(struct local *l)
{
    while (l->batches) {
        struct batch *next = l->batches->next;
        batch_free(l->batches);
        l->batches = next;
    }
    l->batches_tail = &l->batches;
}

void local_release(struct local *l)
{
    if (!l->state_open)
        return;
    let_go(l);
    drop_batches(l);
    capture_release(&l->capture);
    state_close(&l->state);
    l->state_open = false;
}

bool local_has_news(const struct local *l)
{
    struct wal_index_header header;
    if (!watch_is_open(&l->watch))
        return false;
    return !watch_header(&l->watch, &header) || !capture_is_current(&l->capture, &header);
}

bool local_suspects(struct local *l)
{
    return watch_is_open(&l->watch) && strangers_suspect(&l->strangers, clock_mono_ns());
}

bool local_is_alone(const struct local *l)
{
    return watch_is_open(&l->watch) && !l->watch.rollback && !strangers_any(&l->strangers);
}

/* Does the watch keep a checkpoint of the application waiting, although nothing needs it? */
static bool is_in_the_way(const struct local *l, const struct wal_index_header *header)
{
    const struct watch *w = &l->watch;
    if (w->active < 0 || w->rollback || w->kept || (l->capture.proven && !capture_is_current(&l->capture, header)))
        return false;
    return watch_backfilled(w) == header->mx_frame || w->begun_change != header->change;
}

bool local_should_give_way(const struct local *l)
{
    struct wal_index_header header;
    return watch_is_open(&l->watch) && watch_header(&l->watch, &header) && is_in_the_way(l, &header);
}

bool local_keeps_waiting(struct local *l)
{
    struct wal_index_header header;
    const struct watch *w = &l->watch;
    const bool in_the_way = watch_is_open(w) && !w->rollback && (w->active >= 0 || w->guarded) && !w->kept;
    const bool waits = in_the_way && watch_header(w, &header) && strangers_keep_writers_out(&l->strangers);
    l->kept_waiting = waits && l->waiting_seen && l->waiting_change == header.change;
    l->waiting_seen = waits;
    l->waiting_change = waits ? header.change : 0;
    return l->kept_waiting;
}

/* ---- capture */

static void add_batch(struct local *l, struct batch *b)
{
    if (b->record_count == 0) {
        batch_free(b);
        return;
    }
    size_t bytes = batch_bytes(b);
    size_t *left = l->room > 0 ? &l->room : &l->reserve;
    *left = bytes < *left ? *left - bytes : 0;
    *l->batches_tail = b;
    l->batches_tail = &b->next;
}

enum capture_urge {
    CAPTURE_WITH_VERSIONS, /* without room for versions stop: the WAL keeps them */
    CAPTURE_ALL, /* for a checkpoint: without room go on without versions, and replicas catch up from the database */
};

/* Will versions be dropped soon? */
static bool is_tight(const struct local *l)
{
    return l->room == 0 && (l->tight || l->reserve < l->options->max_pending / 2);
}

/* Captures up to the header. *ret_end: DONE, MORE (no room), LARGE (stopped after a large commit) or GAP. */
static int capture_up_to(struct local *l, const struct wal_index_header *header, enum capture_urge urge,
                         enum capture_end *ret_end, struct err *e)
{
    do {
        bool keep = l->room > 0 || (urge == CAPTURE_ALL && l->reserve > 0);
        if (!keep && urge == CAPTURE_WITH_VERSIONS && !capture_is_current(&l->capture, header)) {
            *ret_end = CAPTURE_MORE;
            return 0;
        }
        const uint64_t txid_before = l->capture.txid;
        const uint32_t frame_before = l->capture.pos.frame, commits_before = l->capture.commits;
        /* More versions than there is room for are dropped at last, and all of their commits become one. */
        const enum capture_grain grain = keep && is_tight(l) ? CAPTURE_GROUPS : CAPTURE_EACH;
        struct batch *b = keep ? batch_new(txid_before + 1, l->state.map.page_size) : NULL;
        if (keep && !b)
            return err_nomem(e, sizeof *b);
        int rc = capture_pass(&l->capture, header, b, grain, ret_end, e);
        if (b)
            add_batch(l, b); /* also after an error: the commits in it are whole */
        l->commits_captured += l->capture.commits - commits_before;
        if (l->capture.pos.frame > frame_before)
            l->frames_captured += l->capture.pos.frame - frame_before;
        note_proof(l);
        if (l->capture.txid != txid_before) {
            l->last_commit_ns = clock_mono_ns();
            if (l->at == LOCAL_RESTING)
                enter(l, LOCAL_FOLLOWING);
        }
        if (rc)
            return rc;
    } while (*ret_end == CAPTURE_MORE || (*ret_end == CAPTURE_LARGE && urge == CAPTURE_ALL));
    return 0;
}

static int capture_for_checkpoint(void *context, const struct wal_index_header *header, struct err *e)
{
    enum capture_end end;
    if (capture_up_to(context, header, CAPTURE_ALL, &end, e))
        return -1;
    return end == CAPTURE_GAP ? err_set(e, ERR_BUSY, 0, "the WAL does not continue what was captured") : 0;
}

/* ---- opening */

/* At the start: is the database file the one that it was when the position was recorded, with the same size and
 * time? */
static bool files_as_left(const struct local *l)
{
    struct state_position left = state_position(&l->state);
    return l->watch.db_file.inode == left.db_inode && (uint64_t)l->watch.db_file.size == left.db_size &&
           l->watch.db_file.mtime_ns == left.db_mtime_ns;
}

static int open_watch(struct local *l, struct local_report *report, struct err *e)
{
    enum watch_wal_mode mode = l->as_it_is ? WATCH_AS_IT_IS : l->options->set_wal ? WATCH_SET_WAL : WATCH_REQUIRE_WAL;
    struct checkpoint_stats stats = l->checkpoint.stats;
    if (watch_open(&l->watch, l->path, mode, &report->switched_to_wal, e))
        return err_wrap(e, "database '%s'", l->path);
    l->checkpoint = (struct checkpoint){.watch = &l->watch,
                                        .capture = &l->capture,
                                        .wal_target = (uint32_t)l->options->wal_target,
                                        .wal_limit = l->options->wal_limit,
                                        .capture_up_to = capture_for_checkpoint,
                                        .context = l,
                                        .stats = stats};
    checkpoint_stamp(&l->checkpoint);
    if (!l->watch.rollback)
        strangers_open(&l->strangers, &l->watch);
    report->opened = true;
    enter(l, LOCAL_UNPROVEN);
    if (l->watch.rollback || !l->map_known || (l->distrust && RULE(halfway)) ||
        (!files_as_left(l) && RULE(files_as_left)))
        return 0;
    if (capture_resume(&l->capture, e))
        return -1;
    if (l->capture.proven)
        enter(l, LOCAL_FOLLOWING);
    return 0;
}

/* ---- resync */

static int compare_all(struct local *l, const struct wal_index_header *now, const struct local_request *request,
                       struct local_report *report, struct err *e)
{
    const struct resync_request compare = {
        .references = request->references, .reference_count = request->reference_count, .lost = !l->map_known};
    if (capture_resync(&l->capture, now, &compare, &report->resync, e)) {
        note_proof(l);
        return -1;
    }
    enter(l, LOCAL_FOLLOWING);
    l->map_known = true;
    l->distrust = false;
    l->resyncs++;
    report->resynced = true;
    l->last_commit_ns = clock_mono_ns();
    return 0;
}

static int resync(struct local *l, const struct wal_index_header *header, const struct local_request *request,
                  struct local_report *report, struct err *e)
{
    if (watch_hand_over(&l->watch, e)) /* so that the pages are read under the newest possible watch */
        return -1;
    struct wal_index_header now = *header;
    if (!checkpoint_read_header(&l->watch, &now))
        return err_set(e, ERR_BUSY, 0, "the wal-index header is torn");
    return compare_all(l, &now, request, report, e);
}

/* ---- a rollback-journal mode */

/* Nobody can commit while the pages are compared and copied. Afterwards the application goes on, and the copy is
 * shipped. */
static int freeze(struct local *l, const struct local_request *request, struct local_report *report, struct err *e)
{
    const struct wal_index_header no_log = {.mx_frame = 0};
    l->watch.frozen_fd = -1;
    frozen_release(&l->frozen);
    if (watch_hold_still(&l->watch, e)) {
        report->moved = e->code == ERR_GONE;
        l->distrust |= report->moved;
        return report->moved ? 0 : err_wrap(e, "database '%s'", l->path);
    }
    int rc = compare_all(l, &no_log, request, report, e);
    if (rc == 0)
        rc = frozen_take(&l->frozen, &l->capture, request->needed_after, e);
    watch_go_on(&l->watch);
    if (rc != 0)
        return err_wrap(e, "database '%s'", l->path);
    l->watch.frozen_fd = l->frozen.file.fd;
    l->watch.active = 0; /* from now on pages can be read */
    return 0;
}

/* A replica that was away may need more pages than the copy holds. Then the database is held still again. */
static int freeze_if_needed(struct local *l, const struct local_request *request, struct local_report *report,
                            struct err *e)
{
    bool enough = request->terms.kind == COPY_NONE || request->terms.after >= l->frozen.after;
    if (l->capture.proven && request->reference_count == 0 && enough) {
        enter(l, LOCAL_RESTING);
        return 0;
    }
    report->waiting = !request->may_resync;
    return report->waiting ? 0 : freeze(l, request, report, e);
}

/* ---- giving way */

/* At the end of a run. A checkpoint of the application waits for a watch with an older mark, to copy frames back, and
 * for any watch, to reset the WAL. So the watch moves to the newest commit; and when everything is copied back, the
 * guard takes its place. */
static int give_way(struct local *l, struct err *e)
{
    struct watch *w = &l->watch;
    struct wal_index_header header;
    if (!watch_is_open(w) || !watch_header(w, &header) || !is_in_the_way(l, &header))
        return 0;
    if (w->begun_change != header.change && watch_hand_over(w, e))
        return e->code == ERR_BUSY ? 0 : -1; /* the next look tries again */
    if (watch_backfilled(w) != header.mx_frame || !checkpoint_files_ours(&l->checkpoint) || !watch_take_guard(w))
        return 0;
    bool same = watch_header(w, &header) && watch_backfilled(w) == header.mx_frame &&
                (!l->capture.proven || capture_is_current(&l->capture, &header));
    if (!same) {
        watch_drop_guard(w);
        return 0;
    }
    watch_let_go(w);
    if (l->capture.proven) {
        checkpoint_stamp(&l->checkpoint);
        capture_commit_state(&l->capture);
    }
    return 0;
}

/* The WAL is guarded. If another process reset it, the position follows. False: the database file was written, which no
 * checkpoint can have done under the guard. */
static bool follow_reset(struct local *l, const struct wal_index_header *header, struct local_report *report)
{
    if (!l->capture.proven)
        return true;
    if (!watch_db_untouched(&l->watch)) {
        report->moved = true;
        l->distrust = true;
        return false;
    }
    capture_follow_reset(&l->capture, header);
    checkpoint_stamp(&l->checkpoint); /* with the salts of now */
    return true;
}

/* The watch instead of the guard. *ret_header: as it is then. False: the header is torn, or the watch can't begin; then
 * the guard stays. Also false with report->moved. */
static bool watch_again(struct local *l, struct wal_index_header *ret_header, struct local_report *report)
{
    struct err e;
    if (l->watch.active < 0 && watch_begin_other(&l->watch, &e))
        return false;
    if (!checkpoint_read_header(&l->watch, ret_header) || !follow_reset(l, ret_header, report))
        return false;
    watch_drop_guard(&l->watch);
    return true;
}

/* ---- checkpoints */

/* Is the writer so fast that a checkpoint of its own, after each commit, would cost it much? A few large commits are not:
 * after those applications ask for a checkpoint themselves. */
static void note_rate(struct local *l)
{
    int64_t now = clock_mono_ns(), passed = now - l->rate_since_ns;
    uint64_t windows = passed < RATE_WINDOW_NS ? 1 : (uint64_t)(passed / RATE_WINDOW_NS);
    bool heavy = l->frames_captured - l->rate_from >= HEAVY_FRAMES * windows &&
                 l->commits_captured - l->rate_from_commits >= HEAVY_COMMITS * windows;
    if (passed < RATE_WINDOW_NS) {
        l->heavy |= heavy;
        return;
    }
    l->heavy = heavy;
    l->rate_since_ns = now;
    l->rate_from = l->frames_captured;
    l->rate_from_commits = l->commits_captured;
}

/* The length of a WAL at which the daemon checkpoints although the application does not pause, in frames. */
static uint64_t long_frames(const struct local *l)
{
    const struct options *o = l->options;
    const uint64_t frames = o->wal_target * LOAD_FACTOR_NUM / LOAD_FACTOR_DEN;
    const uint64_t most = o->wal_limit / 4 / (l->state.map.page_size + WAL_FRAME_HEADER_BYTES);
    return frames < most ? frames : most;
}

static bool checkpoint_due(const struct local *l, const struct local_request *request,
                           const struct local_report *report, enum checkpoint_kind *ret_kind)
{
    const struct options *o = l->options;
    int64_t now = clock_mono_ns();
    uint64_t bytes = (uint64_t)report->frames * (l->state.map.page_size + WAL_FRAME_HEADER_BYTES);
    bool quiet = now - l->last_commit_ns >= (int64_t)o->rest_after_ms * 1000000;
    if (request->settle || (l->at != LOCAL_RESTING && (quiet || (request->rest && !report->commits)))) {
        *ret_kind = CHECKPOINT_REST;
        return request->settle || now >= l->checkpoint_not_before_ns;
    }
    *ret_kind = CHECKPOINT_LOAD;
    if (now < l->checkpoint_not_before_ns)
        return false;
    if (request->hold && bytes < o->wal_limit)
        return false;
    if (l->room == 0 && !request->drop && bytes < o->wal_limit / ROOM_SHARE)
        return false; /* a checkpoint now would lose versions; let the WAL grow first */
    if (!l->heavy && report->frames >= o->lock_at)
        return true; /* before the application checkpoints */
    if (report->frames >= long_frames(l))
        return true;
    return report->frames >= o->wal_target && !report->commits;
}

/* A checkpoint of another process kept ours from beginning. It may be waiting for the slot of the watch, and then waits
 * until that slot is free, although the watch is as new as can be. So the guard takes turns with the watch. */
static void take_turns(struct local *l, bool was_guarded, struct local_report *report)
{
    struct watch *w = &l->watch;
    struct wal_index_header header;
    if (was_guarded && w->guarded)
        (void)watch_again(l, &header, report);
    if (was_guarded || w->active < 0 || !l->capture.proven || !watch_take_guard(w))
        return;
    bool same = watch_header(w, &header) && capture_is_current(&l->capture, &header);
    if (!same || !checkpoint_files_ours(&l->checkpoint)) {
        watch_drop_guard(w);
        return;
    }
    watch_let_go(w);
    checkpoint_stamp(&l->checkpoint); /* with what that checkpoint copied: under the guard nobody writes the file */
    capture_commit_state(&l->capture);
}

static int checkpoint(struct local *l, enum checkpoint_kind kind, bool settle, struct local_report *report,
                      struct err *e)
{
    enum checkpoint_end end = CHECKPOINT_BUSY;
    uint64_t txid = l->capture.txid, passes = l->checkpoint.stats.passes;
    bool was_guarded = l->watch.guarded;
    if (kind == CHECKPOINT_REST && strangers_look(&l->strangers, &l->watch, e)) /* it would take their -wal away */
        return -1;
    if (kind == CHECKPOINT_REST && !settle && strangers_may_write(&l->strangers)) {
        l->checkpoint_not_before_ns = clock_mono_ns() + STRANGERS_RETRY_NS;
        return 0;
    }
    int rc = checkpoint_run(&l->checkpoint, kind, &end, e);
    note_proof(l);
    if (rc)
        return -1;
    if (end == CHECKPOINT_BUSY && kind == CHECKPOINT_REST && l->checkpoint.stats.passes == passes)
        take_turns(l, was_guarded, report);
    report->commits |= l->capture.txid != txid;
    if (end == CHECKPOINT_MOVED) {
        report->moved = true;
        l->distrust = true;
        return 0;
    }
    if (end == CHECKPOINT_RESET) {
        l->checkpoint_retry_ns = RETRY_MIN_NS;
        if (kind == CHECKPOINT_REST && l->capture.txid == txid && l->capture.proven)
            enter(l, LOCAL_RESTING);
        return 0;
    }
    l->checkpoint_retry_ns = l->checkpoint_retry_ns ? 2 * l->checkpoint_retry_ns : RETRY_MIN_NS;
    uint64_t bytes = (uint64_t)report->frames * (l->state.map.page_size + WAL_FRAME_HEADER_BYTES);
    int64_t most = bytes > l->options->wal_limit / 2 ? RETRY_LONG_LOG_NS : RETRY_MAX_NS;
    if (l->checkpoint_retry_ns > most)
        l->checkpoint_retry_ns = most;
    l->checkpoint_not_before_ns = clock_mono_ns() + l->checkpoint_retry_ns;
    return 0;
}

/* While the WAL of a fast writer is long, checkpoints that applications try after each commit must fail fast: that takes
 * the kept lock. The WAL of others gets so long when a reader is in the way. */
static void keep_lock_if_long(struct local *l, uint32_t frames)
{
    const uint64_t lock_at = l->options->lock_at, slow = long_frames(l) > 2 * lock_at ? long_frames(l) : 2 * lock_at;
    if (frames >= (l->heavy ? lock_at : slow) && !l->watch.kept)
        watch_keep_lock(&l->watch); /* refused while another process checkpoints: the next run tries again */
}

/* ---- a torn header */

/* A process died while it wrote the header. A recovery needs the checkpoint lock, so that lock is given back. Then
 * a reader of ours begins, which recovers the header if no other process does. */
static int face_torn_header(struct local *l, struct err *e)
{
    int64_t now = clock_mono_ns();
    if (l->torn_since_ns == 0)
        l->torn_since_ns = now;
    if (now - l->torn_since_ns < TORN_LOOK_NS)
        return 0;
    if (l->watch.keep)
        log_warn(
            "database '%s': the wal-index header is torn: a process died while writing it; letting it be recovered",
            l->path);
    watch_give_lock_back(&l->watch);
    if (watch_hand_over(&l->watch, e))
        return e->code == ERR_BUSY ? 0 : -1;
    return 0;
}

/* ---- the run */

static void fill_report(struct local *l, struct local_report *report)
{
    struct wal_index_header header;
    report->newest = capture_record(&l->capture);
    report->page_size = l->state.map.page_size;
    report->batches = l->batches;
    l->batches = NULL;
    l->batches_tail = &l->batches;
    report->rested = l->at == LOCAL_RESTING;
    report->stamped = report->rested && l->capture.stamped;
    report->at = l->at;
    report->checkpoints = l->checkpoint.stats;
    report->frames_captured = l->frames_captured;
    report->commits_captured = l->commits_captured;
    report->resyncs = l->resyncs;
    report->watching = l->watch.active >= 0 && !l->watch.kept && !l->watch.rollback;
    if (watch_is_open(&l->watch) && watch_header(&l->watch, &header)) {
        report->frames = header.mx_frame;
        report->more |= !report->torn && l->capture.proven && !capture_is_current(&l->capture, &header);
    }
}

static bool same_generation(const struct wal_pos *pos, const struct wal_index_header *header)
{
    return memcmp(pos->salt, header->salt, sizeof pos->salt) == 0;
}

/* Sets report->through. A run that captured everything it found is done. With a writer that is always ahead no run
 * ever is. So the end that one run found becomes the goal. Some later run passes it, in its WAL generation, or
 * because the position is in a later one. `header`: as this run found it. */
static void note_through(struct local *l, uint64_t run, const struct wal_index_header *header, bool done,
                         struct local_report *report)
{
    const struct wal_pos *pos = &l->capture.pos;
    if (done || !l->capture.proven) {
        report->through = done ? run : 0;
        l->goal_run = 0;
        return;
    }
    if (l->goal_run == 0) {
        l->goal = *header;
        l->goal_run = run;
    }
    if (same_generation(pos, &l->goal) ? pos->frame < l->goal.mx_frame : !same_generation(pos, header))
        return;
    report->through = l->goal_run;
    l->goal_run = 0;
}

static bool wants_piece(const struct local_request *request)
{
    return request->terms.kind != COPY_NONE && !request->cursor.read_all;
}

/* Can the database file be newer than the map? The watch sees commits that are not captured, so a checkpoint of the
 * application can copy them back. Commits come between the last capture and a watch that begins. */
static bool may_outrun_map(const struct local *l)
{
    return watch_sees_beyond(&l->watch, l->capture.pos.frame);
}

/* Is there nothing to do that needs the watch? `header`: NULL if it is torn. */
static bool may_stay_guarded(const struct local *l, const struct local_request *request,
                             const struct wal_index_header *header)
{
    if (!header || wants_piece(request) || request->reference_count > 0)
        return false;
    return l->capture.proven ? capture_is_current(&l->capture, header) : !request->may_resync;
}

static int capture_and_checkpoint(struct local *l, const struct local_request *request, struct local_report *report,
                                  struct err *e)
{
    struct wal_index_header header;
    enum capture_end end = CAPTURE_DONE;
    enum checkpoint_kind kind;
    uint64_t txid = l->capture.txid, frames = l->frames_captured;
    bool readable = checkpoint_read_header(&l->watch, &header);
    bool empty = readable && l->watch.guarded && header.mx_frame == 0; /* then no watch is needed to follow */
    if (empty && !capture_is_current(&l->capture, &header) && !follow_reset(l, &header, report))
        return 0;
    if (l->watch.guarded && !may_stay_guarded(l, request, readable ? &header : NULL) &&
        !watch_again(l, &header, report)) {
        if (report->moved)
            return 0;
        report->torn = !watch_header(&l->watch, &header);
        report->more = !report->torn;
        return report->torn && l->watch.active >= 0 ? face_torn_header(l, e) : 0;
    }
    if (!readable && !checkpoint_read_header(&l->watch, &header)) {
        report->torn = true;
        return face_torn_header(l, e);
    }
    l->torn_since_ns = 0;
    if (l->watch.rollback)
        return freeze_if_needed(l, request, report, e);
    if (request->reference_count > 0 || !l->capture.proven) {
        if (!request->may_resync) {
            report->waiting = true;
            return 0;
        }
        if (resync(l, &header, request, report, e) || !checkpoint_read_header(&l->watch, &header))
            return report->resynced ? 0 : -1;
        txid = l->capture.txid;
    }
    const bool beyond = may_outrun_map(l);
    bool hold = request->hold && !beyond && !l->kept_waiting &&
                header.mx_frame - l->capture.pos.frame < HOLD_FRAMES_MAX && header.mx_frame >= l->capture.pos.frame;
    const bool all = request->drop || (beyond && wants_piece(request)) || l->kept_waiting;
    l->kept_waiting = l->waiting_seen = false;
    if (!hold && capture_up_to(l, &header, all ? CAPTURE_ALL : CAPTURE_WITH_VERSIONS, &end, e))
        return -1;
    if (end == CAPTURE_GAP) { /* the next run compares all pages */
        report->more = true;
        return 0;
    }
    report->commits = l->capture.txid != txid;
    note_through(l, request->run, &header, !hold && end == CAPTURE_DONE, report);
    report->frames = header.mx_frame;
    report->frames_new = (uint32_t)(l->frames_captured - frames);
    note_rate(l);
    keep_lock_if_long(l, header.mx_frame);
    if (checkpoint_due(l, request, report, &kind))
        return checkpoint(l, kind, request->settle, report, e);
    return 0;
}

static int read_piece(struct local *l, const struct local_request *request, struct local_report *report, struct err *e)
{
    if (!wants_piece(request) || !l->capture.proven || l->watch.active < 0 || report->torn || may_outrun_map(l))
        return 0;
    int rc = copy_read(&request->terms, &report->cursor, &l->capture, &report->piece, e);
    if (rc != 0 && e->code == ERR_CORRUPT) { /* a page is not as the map says: nothing is proven any more */
        log_warn("database '%s': %.*s; comparing all pages", l->path, text_front(e->msg), e->msg);
        report->cursor.failed = true;
        l->capture.proven = false;
        note_proof(l);
        report->more = true;
        return 0;
    }
    return rc;
}

/* ---- the stamp */

/* The WAL can be empty although commits were captured in this run. */
static int stamp(struct local *l, struct local_report *report, struct err *e)
{
    struct wal_index_header header;
    const bool empty = watch_header(&l->watch, &header) && header.mx_frame == 0 && l->capture.proven;
    if (l->watch.rollback || l->capture.stamped || !empty)
        return 0;
    if (watch_sync_db(&l->watch, e)) /* a power cut must not take back what the stamp is of */
        return -1;
    if (!capture_stamp(&l->capture)) {
        report->unstamped = watch_header(&l->watch, &header) && header.mx_frame == 0;
        return 0;
    }
    enter(l, LOCAL_RESTING);
    return state_sync(&l->state, e);
}

int local_run(struct local *l, const struct local_request *request, struct local_report *ret_report, struct err *e)
{
    int64_t now = clock_mono_ns();
    bool was_resting = l->at == LOCAL_RESTING;
    assert(l->state_open && !l->batches && request->run > 0 && request->reference_count <= LOCAL_REFERENCES_MAX);
    *ret_report = (struct local_report){.cursor = request->cursor};
    l->room = request->room;
    l->tight = request->tight;
    l->reserve = request->drop ? 0 : l->options->max_pending;
    int rc = 0;
    bool look_at_files = request->look || now - l->last_run_ns > QUIET_CHECK_NS;
    if (watch_is_open(&l->watch) && look_at_files && !checkpoint_files_ours(&l->checkpoint)) {
        ret_report->moved = true;
        l->distrust = true;
        let_go(l);
    }
    l->last_run_ns = now;
    if (!watch_is_open(&l->watch))
        rc = open_watch(l, ret_report, e);
    if (rc == 0 && (ret_report->opened || request->look || request->suspect))
        rc = strangers_look(&l->strangers, &l->watch, e);
    if (rc == 0)
        rc = capture_and_checkpoint(l, request, ret_report, e);
    if (rc == 0)
        rc = read_piece(l, request, ret_report, e);
    if (rc == 0 && !ret_report->moved)
        rc = give_way(l, e);
    if (rc == 0 && l->at == LOCAL_RESTING) /* what is written from now on is compared with this */
        rc = strangers_look(&l->strangers, &l->watch, e);
    if (rc == 0 && request->stamp && !ret_report->moved && watch_is_open(&l->watch))
        rc = stamp(l, ret_report, e);
    const bool locked = rc != 0 && strangers_have_lock(&l->strangers);
    if (rc != 0 || (ret_report->moved && watch_is_open(&l->watch)))
        let_go(l);
    if (locked)
        rc = strangers_look_again(l->path, e);
    if (l->map_known && !l->capture.proven &&
        !ret_report->waiting) /* the map may have half of a commit, so the position proves nothing */
        l->distrust = true;
    if (l->at == LOCAL_RESTING && !was_resting) {
        capture_shrink(&l->capture);
        malloc_trim(0);
    }
    fill_report(l, ret_report);
    return rc;
}
