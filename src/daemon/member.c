/* daemon/member.c */
#include "daemon/member.h"

#include "base/clock.h"
#include "base/folder.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/privacy.h"
#include "base/units.h"
#include "capture/candidate.h"
#include "daemon/condition.h"
#include "daemon/reload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RETRY_MS_MIN 10000
#define RETRY_MS_MAX 300000
#define CLOSED_LOOK_MS 60000
#define LEAVING_LOOK_MS 1000
#define TIRED_MS 2000 /* when too many are awake: quiet for so long */
#define SLEEPLESS_MS_MAX (24 * 3600000)
#define SETTLE_MS 5000

/* Closing any descriptor of a file drops all POSIX locks of this process on it. So a file that another member has open
 * must not be opened: two paths may lead to one file. */
static int check_is_ours_alone(const struct member *m, struct err *e)
{
    struct stat st;
    const struct member *owner = stat(m->config->db_path, &st) == 0 ? m->owner_of(m, &st) : NULL;
    if (!owner)
        return 0;
    err_set(e, ERR_CONFIG, 0, "'%.200s' is the same file as '%.200s'", m->config->db_path, owner->config->db_path);
    return err_hint(e, "name each database once");
}

/* No SQLite handle of this file is open yet in this process. A database that is missing may appear later. Sets the
 * privacy of what is made for it, and *ret_stat if it exists. */
static int check_is_database(const char *path, struct stat *ret_stat, struct err *e)
{
    int rc = candidate_check(path, ret_stat, e);
    privacy_set(privacy_of(S_ISREG(ret_stat->st_mode) ? ret_stat->st_mode : 0600));
    return rc;
}

static void happened(void *context)
{
    struct member *m = context;
    m->happened(m);
}

static int open_awake(struct member *m, struct awake *a, struct err *e)
{
    const struct shared *s = m->shared;
    if (workers_open(s->pool, happened, m, &a->workers, e))
        return -1;
    workers_set_privacy(a->workers, privacy());
    if (database_init(&a->db, m->config, s->commons, a->workers, e))
        return -1;
    alarms_serve(s->alarms, &a->alarms, &a->db, happened, m);
    folders_serve(&a->folders, s->vanishing, &a->db.lanes, happened, m);
    if (verification_start(&a->verification, &a->db, s->verifier, e) == 0)
        return 0;
    folders_close(&a->folders);
    alarms_forget(&a->alarms);
    database_release(&a->db);
    return -1;
}

static void note_error(struct member *m, const struct err *e, int64_t now_ms)
{
    if (!m->error)
        m->error = calloc(1, sizeof *m->error);
    if (m->error)
        *m->error = *e;
    m->backoff_ms = m->backoff_ms == 0 ? RETRY_MS_MIN : 2 * m->backoff_ms;
    if (m->backoff_ms > RETRY_MS_MAX)
        m->backoff_ms = RETRY_MS_MAX;
    m->retry_at_ms = now_ms + m->backoff_ms;
}

/* Says it once, as long as the reason stays the same. */
static void log_closed(const struct member *m, const struct err *why)
{
    bool news = !m->error || strcmp(m->error->msg, why->msg) != 0;
    if (news && m->removed) {
        log_error("database '%s': let go of it, but not everything is durable: %s", m->config->db_path, why->msg);
    } else if (news && !m->shared->alone) { /* otherwise the daemon ends, and says it then */
        struct err told = *why;
        err_hint(&told, "'seawall doctor' with this database looks at what is wrong there");
        log_error("database '%s': nothing is replicated, trying again later: %s", m->config->db_path, told.msg);
    }
}

/* Requests count from the start of the daemon, through sleep. Without memory for that, they count from the next time. */
static void keep_requests(struct member *m)
{
    const struct lanes *all = &m->awake->db.lanes;
    uint64_t now[REQUEST_FIGURES];
    for (size_t i = 0; i < all->count; i++) {
        if (!lane_requests(&all->list[i], now))
            continue;
        if (!m->requests)
            m->requests = calloc(all->count * REQUEST_FIGURES, sizeof *m->requests);
        if (m->requests)
            memcpy(m->requests + i * REQUEST_FIGURES, now, sizeof now);
    }
}

static void recall_requests(const struct member *m, struct lanes *all)
{
    for (size_t i = 0; m->requests && i < all->count; i++)
        memcpy(all->list[i].requests_before, m->requests + i * REQUEST_FIGURES, sizeof all->list[i].requests_before);
}

int member_open(struct member *m, int64_t now_ms, struct err *e)
{
    const char *path = m->config->db_path;
    struct stat st;
    struct awake *a = calloc(1, sizeof *a);
    int rc = a ? 0 : err_nomem(e, sizeof *a);
    if (rc == 0)
        rc = folder_check_database_name(path, "-journal", e);
    if (rc == 0) /* before a folder or a state file is made for a file that is not a database */
        rc = check_is_ours_alone(m, e) || check_is_database(path, &st, e) || folder_check_one_name(path, e) ? -1 : 0;
    if (rc == 0) {
        a->member = m;
        rc = open_awake(m, a, e);
    }
    if (rc == 0) {
        a->alarms.device = st.st_dev;
        a->alarms.inode = st.st_ino;
    }
    if (rc) {
        if (a)
            workers_close(a->workers);
        free(a);
        log_closed(m, e);
        note_error(m, e, now_ms);
        return -1;
    }
    a->settling = true;
    m->shared->crowd->awake++;
    m->shared->crowd->settling++;
    m->awake = a;
    recall_requests(m, &a->db.lanes);
    return 0;
}

static void note_settled(struct member *m)
{
    if (m->awake->settling)
        m->shared->crowd->settling--;
    m->awake->settling = false;
}

/* Before: no job runs. */
static void close_awake(struct member *m)
{
    struct awake *a = m->awake;
    if (!a)
        return;
    m->summary = database_summary(&a->db);
    keep_requests(m);
    if (a->db.state && !member_is_asleep(m) && (!a->db.failed || database_did_something(&a->db)))
        database_log_figures(&a->db);
    note_settled(m);
    m->shared->crowd->awake--;
    alarms_forget(&a->alarms);
    verification_release(&a->verification);
    folders_close(&a->folders);
    database_release(&a->db);
    workers_close(a->workers);
    free(a);
    m->awake = NULL;
}

/* Jobs of a store that hangs may take for ever. Meanwhile nothing of the database is held. */
static void go_on_leaving(struct member *m)
{
    struct awake *a = m->awake;
    const bool runs = database_is_running(&a->db), last = m->stopping || m->shared->alone;
    database_let_go(&a->db);
    m->leaving = runs || a->verification.writing;
    m->ended = last && (!m->leaving || a->db.hung); /* if it hangs, only the end of the process ends it */
    if (!m->leaving)
        close_awake(m);
}

/* The database is done: stopped, or failed. */
static void leave(struct member *m, int64_t now_ms)
{
    const struct database *db = &m->awake->db;
    if (db->failed) {
        const struct err why = db->error;
        log_closed(m, &why);
        note_error(m, &why, now_ms);
    }
    m->summary = database_summary(db);
    m->leaving = true;
    go_on_leaving(m);
}

/* What kept it from working is over. */
static void note_well(struct member *m)
{
    if (!m->error || !m->awake->db.lanes.captured.proven)
        return;
    free(m->error);
    m->error = NULL;
    m->backoff_ms = 0;
    if (!m->shared->alone)
        log_info("database '%s': replicated again", m->config->db_path);
}

/* It has come as far as it can without the application, or takes long. */
static bool is_settled(const struct member *m, int64_t now_ms)
{
    const struct database *db = &m->awake->db;
    bool shipped = db->lanes.captured.proven;
    for (size_t i = 0; i < db->lanes.count; i++)
        shipped &= lane_restorable_txid(&db->lanes.list[i]) == db->lanes.captured.txid;
    return shipped || now_ms - m->begun_ms > SETTLE_MS;
}

/* ---- sleep */

static void note_asleep(struct member *m)
{
    m->woken = m->tired = false;
    m->summary = (struct replicate_summary){
        .txid = m->sleep.txid, .replicas = m->config->url_count, .durable = m->config->url_count};
}

void member_begin(struct member *m, int64_t now_ms)
{
    struct err e;
    m->begun = true;
    m->begun_ms = now_ms;
    if (m->awake || m->ended || m->config->options.sleep_after_ms == OPTION_NEVER)
        return;
    if (sleep_begin_closed(&m->sleep, m->shared->sleepers, m->config, m, now_ms, &e) == 0)
        note_asleep(m);
}

void member_woken(void *member)
{
    struct member *m = member;
    m->woken = true;
    m->happened(m);
}

/* The path leads to another file now, which goes on as the writer of the one before. */
static void take_identity_along(struct member *m, const char *path_before)
{
    char path[PATH_TEXT_MAX];
    struct database *db = &m->awake->db;
    struct err e;
    if (path_resolve(m->config->db_path, path) && strcmp(path, path_before) != 0 &&
        state_peek(path_before, &db->removed, &e) == 0)
        db->starts++;
}

int member_wake(struct member *m, int64_t now_ms, struct err *e)
{
    char path_before[PATH_TEXT_MAX];
    if (!member_is_asleep(m))
        return 0;
    if (path_format(path_before, e, "%s", sleeper_path(m->sleep.sleeper)))
        return -1;
    sleep_end(&m->sleep, m->shared->sleepers);
    m->woken = false;
    if (member_open(m, now_ms, e))
        return -1;
    take_identity_along(m, path_before);
    m->awake->rose = !m->doubted; /* a comparison was asked for: it says nothing of the visitor */
    m->awake->db.doubted = m->doubted;
    m->doubted = false;
    m->awake->verification.started_ms = m->begun_ms;
    m->awake->db.known = true;
    for (size_t i = 0; m->pruned_ms != 0 && i < m->awake->db.lanes.count; i++) /* else none would ever be due */
        m->awake->db.lanes.list[i].prune.ended_ms = m->pruned_ms;
    note_settled(m); /* it was written, or asked for */
    m->happened(m);
    return 0;
}

static int64_t quiet_wanted_ms(const struct member *m)
{
    const int64_t option = (int64_t)m->config->options.sleep_after_ms;
    return m->sleepless_ms > option ? m->sleepless_ms : option;
}

int64_t member_quiet_ms(const struct member *m, int64_t now_ms)
{
    const struct database *db = m->awake ? &m->awake->db : NULL;
    bool may = db && !m->leaving && !m->stopping && db->rested && m->config->options.sleep_after_ms != OPTION_NEVER &&
               !m->shared->alone;
    return may ? now_ms - db->active_ms : 0;
}

/* A database that an application opens, writes and closes again and again would be compared each time. */
static void note_risen(struct member *m)
{
    struct awake *a = m->awake;
    const int64_t least = 2 * (int64_t)m->config->options.sleep_after_ms;
    char text[OPTION_TEXT_MAX];
    if (!a->rose || a->db.figures.at < LOCAL_FOLLOWING)
        return;
    a->rose = false;
    if (a->db.figures.resyncs == 0) {
        m->sleepless_ms /= 2;
        return;
    }
    m->sleepless_ms = m->sleepless_ms > least / 2 ? 2 * m->sleepless_ms : least;
    if (m->sleepless_ms > SLEEPLESS_MS_MAX)
        m->sleepless_ms = SLEEPLESS_MS_MAX;
    units_format((uint64_t)quiet_wanted_ms(m), UNITS_MS, text);
    log_info("database '%s': it was written and closed while it slept, so that all pages were compared: from now on it "
             "sleeps when it has been quiet for %s",
             m->config->db_path, text);
}

/* Closes the database, if nothing has to be done. Returns false if it stays awake. */
static bool fall_asleep(struct member *m, int64_t now_ms)
{
    struct awake *a = m->awake;
    const int64_t quiet_ms = member_quiet_ms(m, now_ms);
    struct err e;
    if (quiet_ms < (m->tired ? TIRED_MS : quiet_wanted_ms(m)) || quiet_ms == 0 || m->next)
        return false;
    if (!sleep_may(&a->db, &a->verification, now_ms))
        return false;
    if (sleep_begin(&m->sleep, m->shared->sleepers, &a->db, m, now_ms, &e)) {
        a->db.active_ms = now_ms;
        return false;
    }
    m->pruned_ms = a->db.lanes.list[0].prune.ended_ms;
    for (size_t i = 1; i < a->db.lanes.count; i++)
        if (a->db.lanes.list[i].prune.ended_ms < m->pruned_ms)
            m->pruned_ms = a->db.lanes.list[i].prune.ended_ms;
    close_awake(m);
    note_asleep(m);
    if (!sleeper_is_as_left(m->sleep.sleeper)) { /* it was written before it was closed */
        m->woken = true;
        m->happened(m);
    }
    return true;
}

/* The proof that nobody wrote it are the times of the file. So at random, once in the interval of verifications, all
 * pages are compared: that needs no memory of when it was done last, and spreads the work. */
static bool is_doubted_today(const struct member *m)
{
    const uint64_t every_ms = m->config->options.verify_interval_ms;
    uint32_t share = 0;
    struct err e;
    if (every_ms == OPTION_NEVER || random_bytes(&share, sizeof share, &e))
        return false;
    return every_ms <= SLEEP_WORK_MS || (uint64_t)share * every_ms >> 32 < SLEEP_WORK_MS;
}

/* For work that comes once a day it is opened like at a start, but falls asleep after the same time. */
static int asleep_turn(struct member *m, int64_t now_ms)
{
    struct err e;
    const bool work = now_ms >= m->sleep.work_at_ms;
    if (m->stopping && (m->woken || !sleeper_is_as_left(m->sleep.sleeper)) && member_wake(m, now_ms, &e) == 0) {
        database_stop(&m->awake->db); /* what was written is shipped first */
        return 0;
    }
    if (m->stopping) {
        sleep_end(&m->sleep, m->shared->sleepers);
        m->ended = true;
        return CLOSED_LOOK_MS;
    }
    m->doubted |= work && is_doubted_today(m);
    if ((m->woken || work) && member_wake(m, now_ms, &e) == 0)
        return 0;
    return CLOSED_LOOK_MS;
}

static int closed_turn(struct member *m, int64_t now_ms)
{
    struct err e;
    m->ended |= m->stopping;
    if (m->ended || !m->begun)
        return CLOSED_LOOK_MS;
    if (now_ms >= m->retry_at_ms && member_open(m, now_ms, &e) == 0)
        return 0;
    int64_t ms = m->retry_at_ms - now_ms;
    return ms < 1 ? 1 : ms > CLOSED_LOOK_MS ? CLOSED_LOOK_MS : (int)ms;
}

int member_reload(struct member *m, const struct replicate_config *next, struct err *e)
{
    if (!m->next)
        m->next = malloc(sizeof *m->next);
    if (!m->next)
        return err_nomem(e, sizeof *m->next);
    *m->next = next->options;
    m->told_fixed = reload_tell_fixed(m->config, next) > 0;
    m->happened(m);
    return 0;
}

static void take_options(struct member *m)
{
    struct database *db = m->awake ? &m->awake->db : NULL;
    if (!m->next || (db && !db->home))
        return;
    if (reload_options(m->config, m->next, db) == 0 && !m->told_fixed)
        log_info("database '%s': SIGHUP: the configuration has not changed", m->config->db_path);
    free(m->next);
    m->next = NULL;
    m->woken |= m->config->options.sleep_after_ms == OPTION_NEVER;
}

bool member_is_up(const struct member *m)
{
    const struct database *db = m->awake ? &m->awake->db : NULL;
    if (!db)
        return m->error || m->ended || member_is_asleep(m);
    return condition_of_database(db) != CONDITION_STARTING && (db->home || db->figures.at != LOCAL_CLOSED);
}

bool member_is_well(const struct member *m)
{
    const struct awake *a = m->awake;
    if (m->error || !member_is_open(m))
        return !m->error;
    bool well = condition_is_well(condition_of_database(&a->db), 0);
    for (size_t i = 0; i < a->db.lanes.count; i++) {
        int64_t for_ms = 0;
        enum condition c = condition_of_replica(&a->db, &a->db.lanes.list[i], &a->verification.records.list[i],
                                                clock_wall_ms(), &for_ms);
        well &= condition_is_well(c, for_ms);
    }
    return well;
}

int member_turn(struct member *m, int64_t now_ms)
{
    take_options(m);
    if (!m->awake)
        return member_is_asleep(m) ? asleep_turn(m, now_ms) : closed_turn(m, now_ms);
    struct awake *a = m->awake;
    if (m->leaving) {
        go_on_leaving(m);
        return LEAVING_LOOK_MS;
    }
    database_schedule(&a->db);
    if (a->db.failed) /* what runs may take long; nothing is captured any more, so the application must have its WAL */
        database_let_go(&a->db);
    int verification_ms = verification_run(&a->verification, now_ms), database_ms = database_timeout_ms(&a->db);
    folders_watch(&a->folders);
    note_well(m);
    note_risen(m);
    if (a->settling && is_settled(m, now_ms))
        note_settled(m);
    if (fall_asleep(m, now_ms))
        return CLOSED_LOOK_MS;
    if (database_finished(&a->db)) {
        leave(m, now_ms);
        return m->ended ? CLOSED_LOOK_MS : LEAVING_LOOK_MS;
    }
    return verification_ms < database_ms ? verification_ms : database_ms;
}

void member_stop(struct member *m)
{
    m->stopping = true;
    if (m->awake && !m->leaving)
        database_stop(&m->awake->db);
    m->happened(m);
}

void member_abandon(struct member *m)
{
    struct awake *a = m->awake;
    database_abandon(&a->db);
    m->summary = database_summary(&a->db);
    m->leaving = a->db.hung || a->verification.writing;
}

void member_release(struct member *m)
{
    sleep_end(&m->sleep, m->shared->sleepers);
    close_awake(m);
    free(m->next);
    free(m->error);
    free(m->requests);
    replicate_config_free(m->config);
    m->requests = NULL;
    m->next = NULL;
    m->error = NULL;
    m->config = NULL;
}
