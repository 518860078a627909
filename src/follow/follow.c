/* follow/follow.c - the loop. first.c makes the copy and opens it. */
#include "follow/follow.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/trial.h"
#include "follow/first.h"
#include "follow/jump.h"
#include "follow/step.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define STEPS_IN_ROW SCALE(64, 4) /* then the replica is listed: a compacted segment may have the rest */
#define PROOF_MS 10000            /* without news, level 0 is listed behind the copy so often, */
#define PROOF_POLLS 10            /* but at most once in so many polls, */
#define PROOF_MAX_MS 120000       /* unless it was not listed for so long */
#define IDLE_SHARE 10             /* the pause while nothing comes: this part of the time since the last news */
#define FAILURE_MS 1000           /* the pause after the first failure; then twice as long each time, */
#define FAILURE_MAX_MS 30000      /* up to this */
#define PAUSE_DOUBT_MS 1000       /* a pause that lasted so much longer than planned, by any clock: level 0 is listed */
#define GONE_TRIES 3              /* an object of a listing that is gone: list again so often, then jump */
#define NOTE_MS 1000              /* a note in which only times changed is written so often */
#define LOG_STEP SCALE(250, 6)    /* frames between checkpoints that readers keep from copying all */

enum turn_end {
    TURN_NEWS,    /* the copy changed, or the replica has more */
    TURN_QUIET,   /* the next object is not there. Retention may have removed it */
    TURN_CURRENT, /* a listing says that the copy has the newest state */
};

static bool is_canceled(const struct follow *f)
{
    return f->options->cancel && atomic_load(f->options->cancel);
}

static int canceled(struct err *e)
{
    return err_set(e, ERR_CANCELED, 0, "interrupted");
}

static struct step step_of(struct follow *f)
{
    return (struct step){
        .store = f->replica.store, .codec = f->replica.codec, .copy = &f->copy, .note = &f->note, .file = &f->file};
}

/* ---- one turn */

static int check_history(const struct follow *f, const struct replica_identity *identity, struct err *e)
{
    if (uid_equal(&identity->database, &f->note.database) || f->start_over)
        return 0;
    err_set(e, ERR_CONFLICT, 0, "'%s' is the replica of another history than the copy '%s'", f->replica.store->url,
            f->options->path);
    return err_hint(e, "'seawall follow --start-over -o %s URL' makes the copy one of this replica", f->options->path);
}

static int list(struct follow *f, struct err *e)
{
    f->note.requests += 3;
    if (replica_handle_list(&f->replica, e)) {
        if (e->code == ERR_NOTFOUND || e->code == ERR_GONE)
            e->code = ERR_REMOTE; /* the replica that was there is not to be found now */
        return -1;
    }
    return check_history(f, &f->replica.catalog.identity, e);
}

/* Copies the log back if it is long. */
static int keep_log_short(struct follow *f, struct err *e)
{
    uint32_t frames = f->copy.header.mx_frame;
    if (frames < f->log_at)
        f->log_at = 0;
    if (frames < MIRROR_LOG_FRAMES || frames < f->log_at + LOG_STEP)
        return 0;
    f->log_at = frames;
    return commit_copy_back(&f->copy, &f->note, &f->file, e);
}

/* The catalog is of a listing of now. */
static int jump_listed(struct follow *f, struct err *e)
{
    struct jump j = {.catalog = &f->replica.catalog,
                     .copy = &f->copy,
                     .note = &f->note,
                     .file = &f->file,
                     .cancel = f->options->cancel,
                     .jobs = f->options->jobs,
                     .take_anything = f->start_over};
    const uint64_t txid = f->note.now.txid;
    if (jump_run(&j, e)) {
        if (e->code == ERR_NOTFOUND || e->code == ERR_GONE)
            e->code = ERR_REMOTE;
        return -1;
    }
    if (f->start_over) {
        f->note.database = f->replica.catalog.identity.database;
        f->note.phase = NOTE_FOLLOWING;
        f->note.newest = f->note.now.txid;
        f->start_over = false;
        if (note_save(&f->file, &f->note, e))
            return -1;
    }
    if (f->note.now.txid > txid)
        log_info("copy '%s': went from txid %" PRIu64 " to txid %" PRIu64 " in one transaction", f->options->path, txid,
                 f->note.now.txid);
    f->gone = 0;
    return keep_log_short(f, e);
}

/* Where no segment leads on. */
static int jump(struct follow *f, struct err *e)
{
    const uint64_t txid = f->note.now.txid;
    bool start_over = f->start_over;
    if (list(f, e) || jump_listed(f, e))
        return -1;
    if (f->note.now.txid == txid && !start_over)
        return err_set(e, ERR_REMOTE, 0,
                       "the replica goes on after txid %" PRIu64 ", and can't be restored further yet", txid);
    return 0;
}

static int applied(struct follow *f, struct err *e)
{
    f->note.steps++;
    f->gone = 0;
    return keep_log_short(f, e);
}

/* Applies the segment at `key`. *ret_there: it exists. */
static int take(struct follow *f, const char *key, bool *ret_there, struct err *e)
{
    struct step s = step_of(f);
    enum step_end end = STEP_APPLIED;
    *ret_there = true;
    if (step_run(&s, key, &end, e) == 0) {
        if (end == STEP_APPLIED)
            return applied(f, e);
        if (f->failures == 0)
            log_info("copy '%s': object '%s' does not continue txid %" PRIu64
                     ": %s; starting over from the newest state",
                     f->options->path, key, f->note.now.txid, s.why);
        return jump(f, e);
    }
    if (e->code == ERR_NOTFOUND) {
        *ret_there = false;
        return 0;
    }
    f->newer |= s.newer;
    if (e->code != ERR_CORRUPT)
        return -1;
    struct err other;
    if (f->failures == 0)
        log_warn("copy '%s': %.*s; looking for another way", f->options->path, text_front(e->msg), e->msg);
    if (jump(f, &other) == 0)
        return 0;
    if (other.code == ERR_CONFLICT || other.code == ERR_CANCELED)
        *e = other;
    return -1;
}

static void level0_key(uint64_t min, char key[NAME_MAX_BYTES])
{
    name_format(&(struct name){.kind = NAME_LEVEL0, .min = min}, key);
}

/* The segment of a level, or the pack, that leads furthest. A segment of which more is behind than before us is not worth
 * its bytes, unless level 0 has nothing. NULL: there is none. */
static const struct catalog_object *find_ahead(const struct catalog *c, uint64_t txid, bool any)
{
    const struct catalog_object *best = NULL;
    for (size_t i = 0; i < c->level_count + c->level0_count; i++) {
        const struct catalog_object *o = i < c->level_count ? &c->levels[i] : &c->level0[i - c->level_count];
        if (o->name.kind == NAME_LEVEL0 || o->name.min > txid + 1 || o->name.max <= txid + 1)
            continue;
        if ((any || txid + 1 - o->name.min <= o->name.max - txid) && (!best || o->name.max > best->name.max))
            best = o;
    }
    return best;
}

/* Goes ahead by what the listing has. The replica is known to go on after the copy. */
static int go_ahead(struct follow *f, struct err *e)
{
    const struct catalog *c = &f->replica.catalog;
    const struct name next = {.kind = NAME_LEVEL0, .min = f->note.now.txid + 1};
    const bool direct = catalog_find(c, &next) != NULL;
    const struct catalog_object *ahead = find_ahead(c, f->note.now.txid, !direct);
    char key[NAME_MAX_BYTES];
    bool there = false;
    if (f->gone >= GONE_TRIES || (!ahead && !direct)) {
        log_info("copy '%s': the replica has nothing that continues txid %" PRIu64
                 "; starting over from the newest state",
                 f->options->path, f->note.now.txid);
        return jump(f, e);
    }
    name_format(ahead ? &ahead->name : &next, key);
    if (take(f, key, &there, e))
        return -1;
    if (!there)
        f->gone++; /* retention was faster */
    return 0;
}

static int head_failed(struct follow *f, const struct catalog_object *head, struct err *e)
{
    struct step s = step_of(f);
    char key[NAME_MAX_BYTES];
    name_format(&head->name, key);
    if (e->code == ERR_CORRUPT)
        step_look_for_newer(&s, key, e);
    f->newer |= s.newer;
    return -1;
}

/* Whether the head of the listing is what the copy has. */
static int survey(struct follow *f, enum turn_end *ret_end, struct err *e)
{
    const struct note_point *now = &f->note.now;
    if (list(f, e))
        return -1;
    struct catalog_object *head = catalog_head(&f->replica.catalog);
    if (!head)
        return err_set(e, ERR_REMOTE, 0, "the replica has no object of level 0");
    if (catalog_load(&f->replica.catalog, head, e))
        return head_failed(f, head, e);
    const struct segment *s = head->segment;
    const uint64_t newest = s->trailer.info.max;
    const struct commit_record *last = s->trailer.record_count ? &s->records[s->trailer.record_count - 1] : NULL;
    f->note.newest = newest;
    *ret_end = newest > now->txid ? TURN_NEWS : TURN_CURRENT;
    if (newest > now->txid)
        return go_ahead(f, e);
    if (newest < now->txid) {
        err_set(e, ERR_REMOTE, 0, "the replica ends at txid %" PRIu64 ", and the copy has txid %" PRIu64, newest,
                now->txid);
        return err_hint(e,
                        "if it was put back to an older state for good, 'seawall follow --start-over -o %s URL' makes "
                        "the copy that state",
                        f->options->path);
    }
    if (!last || last->checksum == now->checksum)
        return 0;
    log_info("copy '%s': txid %" PRIu64 " of the replica is another state; starting over", f->options->path, newest);
    *ret_end = TURN_NEWS;
    f->start_over = true;
    int rc = jump(f, e);
    f->start_over = false; /* the checks that it leaves out are for a replica that someone chose */
    return rc;
}

/* That the next object is missing means nothing where the replica is missing: in a folder that is not mounted, or was
 * removed. */
static int prove_place(struct follow *f, struct err *e)
{
    struct replica_identity identity;
    f->note.requests++;
    if (replica_identity_read(f->replica.store, &identity, e) == 0)
        return check_history(f, &identity, e);
    if (e->code == ERR_NOTFOUND)
        e->code = ERR_REMOTE;
    return -1;
}

static int note_later(void *context, const struct store_entry *entry)
{
    bool *later = context;
    *later |= name_parse(entry->key).kind == NAME_LEVEL0;
    return *later;
}

/* Whether level 0 has an object behind the copy, by one short listing: retention never removes the newest one. */
static int look_behind(struct follow *f, bool *ret_later, struct err *e)
{
    char key[NAME_MAX_BYTES];
    *ret_later = false;
    f->note.requests++;
    level0_key(f->note.now.txid, key);
    if (store_list(f->replica.store, NAME_LEVEL0_PREFIX, key, note_later, ret_later, e) == 0)
        return prove_place(f, e);
    if (e->code == ERR_NOTFOUND)
        e->code = ERR_REMOTE;
    return -1;
}

/* The next object is missing: retention may have removed it. A listing must say so when something waits for the newest state,
 * and otherwise from time to time. */
static bool proof_is_due(const struct follow *f)
{
    int64_t quiet = clock_boot_ms() - f->proof_ms;
    if (f->chasing)
        return false;
    return (f->options->flags & FOLLOW_UNTIL_CURRENT) || !f->said_current || f->doubt || f->woken ||
           quiet >= PROOF_MAX_MS || (quiet >= PROOF_MS && quiet >= PROOF_POLLS * f->wait_ms);
}

static int prove_current(struct follow *f, enum turn_end *ret_end, struct err *e)
{
    if (RULE(follow_lists) && look_behind(f, &f->survey, e))
        return -1;
    f->proof_ms = clock_boot_ms();
    f->doubt = false;
    *ret_end = f->survey ? TURN_NEWS : TURN_CURRENT;
    return 0;
}

/* Applies what comes next. */
static int follow_level0(struct follow *f, enum turn_end *ret_end, struct err *e)
{
    char key[NAME_MAX_BYTES];
    bool there = true;
    *ret_end = TURN_QUIET;
    for (int i = 0; i < STEPS_IN_ROW; i++) {
        if (is_canceled(f))
            return canceled(e);
        level0_key(f->note.now.txid + 1, key);
        if (take(f, key, &there, e))
            return -1;
        if (!there)
            return i == 0 && f->replica.store->folder ? prove_place(f, e) : 0;
        *ret_end = TURN_NEWS;
    }
    f->survey = true;
    return 0;
}

static int open_replica(struct follow *f, struct err *e)
{
    const struct replica_options o = {
        .mode = STORE_READ, .cancel = f->options->cancel, .retrying = f->options->retrying};
    if (f->replica.store)
        return 0;
    if (replica_handle_open(&f->replica, f->options->url, &o, e)) {
        f->replica = (struct replica_handle){.store = NULL};
        if (e->code == ERR_NOTFOUND)
            e->code = ERR_REMOTE;
        return -1;
    }
    snprintf(f->note.url, sizeof f->note.url, "%s", f->replica.store->url);
    return 0;
}

static int turn(struct follow *f, enum turn_end *ret_end, struct err *e)
{
    if (mirror_in_place(&f->copy, e) || open_replica(f, e))
        return -1;
    if (!mirror_is_ours(&f->copy) && !f->start_over && first_settle(f, e))
        return -1;
    *ret_end = TURN_NEWS;
    if (f->start_over)
        return jump(f, e);
    if (f->survey) {
        f->survey = false;
        if (survey(f, ret_end, e)) {
            f->survey = true;
            return -1;
        }
        f->proof_ms = clock_boot_ms();
        f->doubt = false;
        f->survey = *ret_end == TURN_NEWS && f->gone > 0;
        return 0;
    }
    if (follow_level0(f, ret_end, e))
        return -1;
    return *ret_end == TURN_QUIET && proof_is_due(f) ? prove_current(f, ret_end, e) : 0;
}

/* ---- what a turn leaves */

static int save_times(struct follow *f, bool at_once, struct err *e)
{
    int64_t now = clock_mono_ms();
    if (!at_once && now - f->saved_ms < NOTE_MS)
        return 0;
    f->saved_ms = now;
    return note_save(&f->file, &f->note, e);
}

/* Whether following goes on after this error. */
static bool can_wait(const struct follow *f, const struct err *e)
{
    return e->code != ERR_CONFLICT && e->code != ERR_CANCELED && !f->newer && !f->moved;
}

static int after_failure(struct follow *f, const struct err *failure, struct err *e)
{
    if (f->failures++ == 0 || f->failed != failure->code)
        log_warn("copy '%s' stays at txid %" PRIu64 ": %s", f->options->path, f->note.now.txid, failure->msg);
    if (f->note.failing_ms == 0)
        f->note.failing_ms = clock_wall_ms();
    snprintf(f->note.error, sizeof f->note.error, "%.*s", text_front(failure->msg), failure->msg);
    f->failed = failure->code;
    f->said_current = false;
    int64_t ms = FAILURE_MS;
    for (unsigned i = 1; i < f->failures && ms < FAILURE_MAX_MS; i++)
        ms *= 2;
    f->wait_ms = ms < FAILURE_MAX_MS ? ms : FAILURE_MAX_MS;
    return save_times(f, true, e);
}

static void say_current(struct follow *f, int64_t asked_ms)
{
    f->note.current_ms = asked_ms;
    if (!f->said_current)
        log_info("copy '%s' has the newest transaction, txid %" PRIu64, f->options->path, f->note.now.txid);
    f->said_current = true;
}

static int after_turn(struct follow *f, enum turn_end end, int64_t asked_ms, struct err *e)
{
    int64_t now = clock_mono_ms();
    struct note *n = &f->note;
    if (f->failures > 0)
        log_info("copy '%s': the replica answers again", f->options->path);
    bool changed = f->failures > 0 || f->had_news;
    f->failures = 0;
    n->failing_ms = 0;
    memset(n->error, 0, sizeof n->error);
    n->looked_ms = asked_ms;
    if (n->newest < n->now.txid)
        n->newest = n->now.txid;
    if (end == TURN_NEWS) {
        f->news_ms = now;
        f->wait_ms = 0;
        f->had_news = true;
        return save_times(f, false, e);
    }
    if (end == TURN_CURRENT)
        say_current(f, asked_ms);
    f->had_news = false;
    int64_t idle = (now - f->news_ms) / IDLE_SHARE;
    f->wait_ms = idle < f->options->interval_ms       ? f->options->interval_ms
                 : idle > f->options->interval_max_ms ? f->options->interval_max_ms
                                                      : idle;
    return save_times(f, changed, e);
}

/* ---- waiting */

/* New objects in a folder are noticed at once. The folder of level 0 may not exist yet. */
static void watch_folder(struct follow *f)
{
    char path[PATH_TEXT_MAX];
    struct err ignored;
    if (!f->replica.store || !f->replica.store->folder || f->watched >= 0)
        return;
    if (f->inotify < 0)
        f->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (f->inotify >= 0 && path_format(path, &ignored, "%s/0", f->replica.store->folder) == 0)
        f->watched = inotify_add_watch(f->inotify, path, IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF);
}

static void drain(struct follow *f)
{
    char events[4096] __attribute__((aligned(8)));
    ssize_t n;
    while ((n = read(f->inotify, events, sizeof events)) > 0)
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)(events + at);
            if (event->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF))
                f->watched = -1;
            at += (ssize_t)(sizeof *event + event->len);
        }
}

static bool is_longer(int64_t ms, int64_t than)
{
    return ms > than + PAUSE_DOUBT_MS || ms < -PAUSE_DOUBT_MS;
}

/* A process that was stopped, or a machine that was suspended, may have missed what retention removed. */
static void wait_for_news(struct follow *f)
{
    const int64_t boot_ms = clock_boot_ms(), wall_ms = clock_wall_ms();
    struct pollfd fds[2] = {{.fd = f->options->wake_fd, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
    if (f->wait_ms == 0 || is_canceled(f))
        return;
    watch_folder(f);
    fds[1].fd = f->failures == 0 && f->watched >= 0 ? f->inotify : -1;
    poll(fds, 2, (int)f->wait_ms);
    f->doubt |= is_longer(clock_boot_ms() - boot_ms, f->wait_ms) || is_longer(clock_wall_ms() - wall_ms, f->wait_ms);
    f->woken = fds[1].revents != 0;
    if (f->woken)
        drain(f);
}

/* ---- the loop */

/* Files that are not at their paths any more explain any other failure. */
static void look_at_place(struct follow *f, struct err *failure)
{
    struct err place;
    if (mirror_in_place(&f->copy, &place) == 0 || place.code != ERR_GONE)
        return;
    place.code = ERR_IO; /* ERR_GONE is about objects */
    f->moved = true;
    *failure = place;
}

static bool is_full(const struct err *e)
{
    return (e->code == ERR_SQLITE && (e->sys & 0xff) == SQLITE_FULL) || (e->code == ERR_IO && e->sys == ENOSPC);
}

/* A log that is copied back starts again, and needs no room. */
static void make_room(struct follow *f)
{
    struct err ignored;
    if (mirror_pos(&f->copy).frame > 0 && commit_copy_back(&f->copy, &f->note, &f->file, &ignored))
        log_warn("copy '%s': %.*s", f->options->path, text_front(ignored.msg), ignored.msg);
}

static int one_turn(struct follow *f, bool *ret_current, struct err *e)
{
    enum turn_end end = TURN_NEWS;
    struct err failure;
    int64_t asked_ms = clock_wall_ms();
    *ret_current = false;
    if (is_canceled(f))
        return canceled(e);
    if (turn(f, &end, &failure) == 0) {
        f->settled_again = f->woken = false;
        *ret_current = end == TURN_CURRENT || (f->chasing && end == TURN_QUIET);
        return after_turn(f, end, asked_ms, e);
    }
    look_at_place(f, &failure);
    if (!f->moved && is_full(&failure))
        make_room(f);
    if (failure.code == ERR_CONFLICT && !f->written && !f->settled_again) {
        f->settled_again = true; /* another process may have emptied the log, which does no harm */
        f->wait_ms = 0;
        if (first_settle(f, &failure) == 0)
            return 0;
    }
    if (is_canceled(f) && failure.code != ERR_CONFLICT)
        return canceled(e);
    if (can_wait(f, &failure))
        return after_failure(f, &failure, e);
    if (failure.code == ERR_CONFLICT || f->newer) {
        snprintf(f->note.error, sizeof f->note.error, "%.*s", text_front(failure.msg), failure.msg);
        f->note.failing_ms = clock_wall_ms();
        struct err unsaved;
        if (note_save(&f->file, &f->note, &unsaved))
            log_warn("%s", unsaved.msg);
    }
    *e = failure;
    return -1;
}

int follow_open(struct follow *f, const struct follow_options *options, struct err *e)
{
    assert(options->url && options->path);
    *f = (struct follow){
        .options = options, .copy = MIRROR_NONE, .file = NOTE_FILE_NONE, .inotify = -1, .watched = -1, .survey = true};
    return first_open(f, e);
}

int follow_run(struct follow *f, struct err *e)
{
    const struct follow_options *o = f->options;
    f->news_ms = clock_mono_ms();
    f->proof_ms = clock_boot_ms();
    f->survey = !f->chasing;
    for (;;) {
        bool current = false;
        if (one_turn(f, &current, e))
            return -1;
        if (is_canceled(f))
            return canceled(e);
        if ((o->turn && o->turn(o->context, current) != 0) || (current && (o->flags & FOLLOW_UNTIL_CURRENT)))
            return save_times(f, true, e);
        wait_for_news(f);
    }
}

void follow_close(struct follow *f)
{
    struct err ignored;
    if (f->copy.db && f->file.fd >= 0 && f->note.phase != NOTE_MAKING && note_save(&f->file, &f->note, &ignored))
        log_warn("%s", ignored.msg);
    mirror_close(&f->copy);
    note_close(&f->file);
    replica_handle_close(&f->replica);
    if (f->inotify >= 0)
        close(f->inotify);
    f->inotify = -1;
}

int follow_status(const char *path, struct follow_status *ret_status, struct err *e)
{
    if (note_peek(path, &ret_status->note, &ret_status->running, e) == 0) {
        const uint64_t boot = clock_boot_id();
        ret_status->proven = boot != 0 && ret_status->note.boot == boot;
        return 0;
    }
    if (e->code != ERR_NOTFOUND)
        return -1;
    err_set(e, ERR_NOTFOUND, 0, "'%s' is not a copy of 'seawall follow'", path);
    return err_hint(e, "'seawall follow -o %s URL' makes one, if nothing is there", path);
}
