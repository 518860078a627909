/* daemon/member.c */
#include "daemon/member.h"

#include "base/clock.h"
#include "base/folder.h"
#include "base/io.h"
#include "base/log.h"
#include "base/privacy.h"
#include "base/sqlite_file.h"
#include "daemon/condition.h"
#include "daemon/reload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define RETRY_MS_MIN 10000
#define RETRY_MS_MAX 300000
#define CLOSED_LOOK_MS 60000
#define LEAVING_LOOK_MS 1000

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

static int cant_open(const char *path, int error, struct err *e)
{
    bool for_a_moment = error == EMFILE || error == ENFILE || error == ENOMEM || error == EIO || error == EINTR;
    return err_set(e, for_a_moment ? ERR_IO : ERR_CONFIG, error, "database '%s': %s", path, strerror(error));
}

/* No SQLite handle of this file is open yet in this process, so closing a descriptor of our own drops no lock. A
 * database that is missing may appear later. Sets the privacy of what is made for it, and *ret_stat if it exists. */
static int check_is_database(const char *path, struct stat *ret_stat, struct err *e)
{
    uint8_t bytes[SQLITE_FILE_MAGIC_BYTES];
    *ret_stat = (struct stat){.st_size = 0};
    privacy_set(privacy_of(0600));                          /* as long as there is no database */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* does not block if it is a FIFO */
    if (fd < 0)
        return errno == ENOENT ? 0 : cant_open(path, errno, e);
    int rc = fstat(fd, ret_stat);
    bool regular = rc == 0 && S_ISREG(ret_stat->st_mode);
    if (regular)
        privacy_set(privacy_of(ret_stat->st_mode));
    size_t n = regular && ret_stat->st_size < (off_t)sizeof bytes ? (size_t)ret_stat->st_size : sizeof bytes;
    if (rc != 0)
        err_sys(e, errno, "stat");
    else if (regular)
        rc = io_pread(fd, bytes, n, 0, e);
    close(fd);
    if (rc != 0)
        return err_wrap(e, "database '%s'", path);
    if (!regular)
        return err_set(e, ERR_CONFIG, 0, "'%s' is not a SQLite database: it is not a regular file", path);
    if (n == 0 || sqlite_file_has_magic(bytes, n))
        return 0;
    err_set(e, ERR_CONFIG, 0, "'%s' is not a SQLite database", path);
    return err_hint(e, "the database comes first, then the URLs; an encrypted database can't be replicated");
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
    if (database_init(&a->db, m->config, a->workers, e))
        return -1;
    alarms_serve(s->alarms, &a->alarms, &a->db, happened, m);
    if (verification_start(&a->verification, &a->db, s->verifier, e) == 0)
        return 0;
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
    if (news && !m->shared->alone && !m->removed) /* otherwise the daemon ends, and says it then */
        log_error("database '%s': nothing is replicated, trying again later: %s", m->config->db_path, why->msg);
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
        a->folders = FOLDERS_NONE;
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
    m->awake = a;
    return 0;
}

/* Before: no job runs. */
static void close_awake(struct member *m)
{
    struct awake *a = m->awake;
    if (!a)
        return;
    m->summary = database_summary(&a->db);
    if (a->db.state)
        database_log_figures(&a->db);
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

static void watch_folders(struct member *m)
{
    struct awake *a = m->awake;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = m};
    if (!folders_watch(&a->folders, &a->db.lanes) ||
        epoll_ctl(m->shared->folders_fd, EPOLL_CTL_ADD, a->folders.fd, &event) == 0)
        return;
    log_warn("what vanishes from a folder is noticed within the hour: epoll_ctl: %s", strerror(errno));
    folders_stop(&a->folders);
}

void member_take_folders(struct member *m, int64_t now_ms)
{
    if (!m->awake)
        return;
    folders_take_events(&m->awake->folders, &m->awake->db.lanes, now_ms);
    m->happened(m);
}

static int closed_turn(struct member *m, int64_t now_ms)
{
    struct err e;
    m->ended |= m->stopping;
    if (m->ended)
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
}

bool member_is_up(const struct member *m)
{
    const struct database *db = m->awake ? &m->awake->db : NULL;
    if (!db)
        return m->error || m->ended;
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
        return closed_turn(m, now_ms);
    struct awake *a = m->awake;
    if (m->leaving) {
        go_on_leaving(m);
        return LEAVING_LOOK_MS;
    }
    database_schedule(&a->db);
    if (a->db.failed) /* what runs may take long; nothing is captured any more, so the application must have its WAL */
        database_let_go(&a->db);
    int verification_ms = verification_run(&a->verification, now_ms), database_ms = database_timeout_ms(&a->db);
    watch_folders(m);
    note_well(m);
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
    close_awake(m);
    free(m->next);
    free(m->error);
    replicate_config_free(m->config);
    m->next = NULL;
    m->error = NULL;
    m->config = NULL;
}
