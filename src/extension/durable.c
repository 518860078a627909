/* extension/durable.c */
#include "extension/durable.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/text.h"
#include "control/exchange.h"
#include "control/place.h"
#include "extension/replica_file.h"
#include "extension/trouble.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CONNECT_MS 10000
#define STATUS_MS 10000
#define WAITER "seawall_commit_waiter" /* the SQL function that owns what the hook needs */

/* ---- asking the daemon */

/* The file that the connection has open is the one at its path: otherwise the daemon, which follows the path, would answer for
 * another file. A VFS that can't tell is believed. */
static int check_place(const struct durable_target *t, const char *path, struct stat *ret_stat, struct err *e)
{
    int moved = 0;
    const bool looked = stat(path, ret_stat) == 0;
    if (!looked && io_is_passing(errno))
        return err_sys(e, errno, "stat '%s'", path);
    if (!looked || (t->host->file_control(t->db, t->schema, SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved)) {
        err_set(e, ERR_GONE, 0,
                "the file was replaced or removed: this connection writes to one that is replicated no more");
        return err_hint(e, "open the database again");
    }
    return 0;
}

static int path_of(const struct durable_target *t, const char **ret_path, struct err *e)
{
    struct reader *replica = NULL;
    const char *path = t->host->db_filename(t->db, t->schema);
    if (!path || !path[0])
        return err_set(e, ERR_CONFIG, 0, "database '%s' has no file", t->schema);
    if (t->host->file_control(t->db, t->schema, REPLICA_FILE_READER, &replica) == SQLITE_OK && replica)
        return err_set(e, ERR_CONFIG, 0, "database '%s' is a replica: nothing is written to it", t->schema);
    *ret_path = path;
    return 0;
}

static const char *from_environment(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

/* Connects to the daemon that has this database alone, or to that of the configuration. *ret_named: the request has to name
 * the database. */
static int connect_to(const char *path, int64_t until_ms, int *ret_fd, bool *ret_named, struct err *e)
{
    const char *folder = from_environment("SEAWALL_CONTROL"), *config = from_environment("SEAWALL_CONFIG");
    const int64_t left = until_ms - clock_mono_ms();
    const int64_t patience = left > CONNECT_MS ? CONNECT_MS : left > 0 ? left : 1;
    int rc = control_place_connect(path, folder, patience, ret_fd, e);
    *ret_named = rc != 0;
    if (rc && e->code == ERR_NOTFOUND && config)
        rc = control_place_connect(config, folder, patience, ret_fd, e);
    if (rc == 0)
        return 0;
    const int sys = e->sys;
    if (e->code == ERR_NOTFOUND) {
        err_set(e, ERR_BUSY, sys, "no daemon runs on it");
        return err_hint(
            e, "start one with 'seawall replicate'; SEAWALL_CONTROL is the folder of its --control, and SEAWALL_CONFIG "
               "the configuration of a daemon of several databases");
    }
    if (sys == EACCES || sys == EPERM) {
        e->code = ERR_BUSY;
        err_wrap(e, "a daemon may run on it, but this user may not ask");
    }
    return -1;
}

static int ask_by(const struct durable_target *t, const char *command, int64_t until_ms, struct json **ret_answer,
                  struct err *e)
{
    const char *path = NULL;
    bool named = false;
    struct stat before, now;
    int fd = -1;
    if (path_of(t, &path, e))
        return -1;
    int rc = check_place(t, path, &before, e) || connect_to(path, until_ms, &fd, &named, e) ? -1 : 0;
    if (rc == 0) {
        struct json *request = json_object_new();
        const struct exchange x = {.fd = fd, .until_ms = until_ms};
        json_set_text(request, "command", command);
        if (named)
            json_set_text(request, "database", path);
        json_set_number(request, "device", (int64_t)before.st_dev);
        json_set_number(request, "inode", (int64_t)before.st_ino);
        rc = exchange_run(&x, request, ret_answer, e);
        json_free(request);
        io_close(&fd);
        if (rc == 0)
            rc = check_place(t, path, &now, e);
        if (rc == 0 && (now.st_dev != before.st_dev || now.st_ino != before.st_ino))
            rc = err_set(e, ERR_GONE, 0, "the file was replaced meanwhile");
        if (rc) {
            json_free(*ret_answer);
            *ret_answer = NULL;
        }
    }
    return rc ? err_wrap(e, "database '%s'", path) : 0;
}

int durable_wait(const struct durable_target *t, enum durable_where where, int64_t ms, uint64_t *ret_txid,
                 struct err *e)
{
    struct json *answer = NULL;
    int64_t txid = 0;
    if (ask_by(t, where == DURABLE_ANYWHERE ? "wait any" : "wait", clock_mono_ms() + ms, &answer, e))
        return e->code == ERR_TIMEOUT ? err_wrap(e, "not durable after %lld ms", (long long)ms) : -1;
    const char *state = json_get_text(answer, "state"), *other = json_get_text(answer, "conflict");
    int rc = 0;
    if (state && strcmp(state, "conflict") == 0)
        rc = err_set(e, ERR_CONFLICT, 0, "another writer has a replica: %.*s", other ? text_front(other) : 0,
                     other ? other : "");
    else if (!state || strcmp(state, "durable") != 0 || !json_get_number(answer, "txid", &txid))
        rc = err_set(e, ERR_REMOTE, 0, "malformed answer from the daemon");
    *ret_txid = (uint64_t)txid;
    json_free(answer);
    return rc;
}

int durable_txid(const struct durable_target *t, uint64_t *ret_txid, struct err *e)
{
    struct json *answer = NULL;
    int64_t least = INT64_MAX, txid = 0;
    if (ask_by(t, "status", clock_mono_ms() + STATUS_MS, &answer, e))
        return -1;
    const struct json *replicas = json_get(answer, "replicas");
    for (size_t i = 0; i < json_count(replicas); i++) {
        const bool has = json_get_number(json_at(replicas, i), "durable_txid", &txid);
        least = !has ? 0 : txid < least ? txid : least;
    }
    *ret_txid = json_count(replicas) > 0 && least > 0 ? (uint64_t)least : 0;
    json_free(answer);
    return 0;
}

/* ---- on each commit */

/* Of one connection, to its end. SQLite frees it with the function WAITER, whose user data it is. */
struct waiter {
    struct waiter *next;
    sqlite3 *db;
    const struct host *host;
    bool on;
    bool owed; /* a commit went on that no WAL hook has waited for */
    enum durable_where where;
    int64_t ms;
    int checkpoint_frames; /* the automatic checkpoint of before; 0: there was none */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct waiter *waiters; /* under the lock. What is in one is under the mutex of its connection */

static struct waiter *waiter_of(const sqlite3 *db)
{
    pthread_mutex_lock(&lock);
    struct waiter *w = waiters;
    while (w && w->db != db)
        w = w->next;
    pthread_mutex_unlock(&lock);
    return w;
}

static void forget(void *user)
{
    struct waiter **at = &waiters;
    pthread_mutex_lock(&lock);
    while (*at && *at != user)
        at = &(*at)->next;
    if (*at)
        *at = (*at)->next;
    pthread_mutex_unlock(&lock);
    free(user);
}

static void no_function(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)context;
    (void)count;
    (void)values;
}

static struct waiter *make_waiter(const struct durable_target *t)
{
    struct waiter *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    *w = (struct waiter){.db = t->db, .host = t->host};
    if (t->host->create_function_for(t->db, WAITER, -1, SQLITE_UTF8, w, no_function, NULL, NULL, forget) != SQLITE_OK)
        return NULL; /* SQLite has called forget() */
    pthread_mutex_lock(&lock);
    w->next = waiters;
    waiters = w;
    pthread_mutex_unlock(&lock);
    return w;
}

/* Before a commit, with the write lock. SQLite calls no WAL hook for some commits: a statement that is reset before its end, a
 * blob that is closed, another journal mode, the hook of another in the place of ours. Then the next commit waits for
 * what went on before, or is refused. */
static int before_commit(void *context)
{
    struct waiter *w = context;
    const struct durable_target t = {w->host, w->db, "main"};
    uint64_t txid = 0;
    struct err e;
    if (w->on && w->owed && durable_wait(&t, w->where, w->ms, &txid, &e)) {
        err_wrap(&e, "a commit before this one is done, but it is not known to be durable, and this one is refused");
        trouble_note(w->host, SQLITE_CONSTRAINT_COMMITHOOK, &e);
        return 1;
    }
    w->owed = w->on;
    return 0;
}

static int on_commit(void *context, sqlite3 *db, const char *schema, int frames)
{
    struct waiter *w = context;
    const struct durable_target t = {w->host, db, schema};
    uint64_t txid = 0;
    struct err e;
    int rc = SQLITE_OK;
    if (w->on && durable_wait(&t, w->where, w->ms, &txid, &e)) {
        err_wrap(&e, "the commit is done, but it is not known to be durable");
        rc = trouble_note(w->host, SQLITE_IOERR_FSYNC, &e);
    }
    w->owed = false;
    if (w->checkpoint_frames > 0 && frames >= w->checkpoint_frames)
        w->host->wal_checkpoint(db, schema, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    return rc;
}

struct cell {
    char text[32];
};

static int take_cell(void *context, int count, char **values, char **names)
{
    struct cell *c = context;
    (void)names;
    snprintf(c->text, sizeof c->text, "%s", count > 0 && values[0] ? values[0] : "");
    return 0;
}

static int check_wal_mode(const struct durable_target *t, struct err *e)
{
    struct cell mode = {""};
    if (t->host->exec(t->db, "PRAGMA main.journal_mode", take_cell, &mode, NULL) == SQLITE_OK &&
        strcmp(mode.text, "wal") == 0)
        return 0;
    err_set(e, ERR_CONFIG, 0, "the database is not in WAL mode, so no commit can be waited for");
    return err_hint(e, "'PRAGMA journal_mode = WAL' switches it");
}

int durable_wait_on_commit(const struct durable_target *t, enum durable_where where, int64_t ms, struct err *e)
{
    struct cell frames = {""};
    uint64_t txid = 0;
    if (check_wal_mode(t, e) || durable_wait(t, where, ms, &txid, e))
        return -1;
    struct waiter *w = waiter_of(t->db);
    w = w ? w : make_waiter(t);
    if (!w)
        return err_nomem(e, sizeof *w);
    /* With a hook of another kind, also with ours, the answer is 0. */
    if (t->host->exec(t->db, "PRAGMA wal_autocheckpoint", take_cell, &frames, NULL) == SQLITE_OK &&
        strtol(frames.text, NULL, 10) > 0)
        w->checkpoint_frames = (int)strtol(frames.text, NULL, 10);
    w->on = true;
    w->where = where;
    w->ms = ms;
    w->owed = false;
    t->host->wal_hook(t->db, on_commit, w);
    t->host->commit_hook(t->db, before_commit, w);
    return 0;
}

/* The hook stays, for the checkpoints: a hook that the application has set meanwhile could not be put back. */
void durable_wait_no_more(const struct durable_target *t)
{
    struct waiter *w = waiter_of(t->db);
    if (w)
        w->on = false;
}
