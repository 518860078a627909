/* capture/connection.c */
#include "capture/connection.h"

#include "base/clock.h"
#include "base/path.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define BUSY_MS 100 /* how long watch_connection_begin_patiently waits */
/* A writer that commits without a pause leaves gaps of milliseconds. SQLite's own waits are longer and would miss
 * them. */
#define BUSY_STEP_US 2000
#define PERMISSION_LOOKS 5
#define PERMISSION_WAIT_US 20000

const char *watch_sqlite_text(int rc)
{
    if ((rc & 0xff) == SQLITE_READONLY) /* so it opens a file after any failure: too many open files, for example */
        return "SQLite could open a file only for reading";
    return sqlite3_errstr(rc);
}

int watch_sqlite_error(struct err *e, sqlite3 *db, int rc, const char *step)
{
    int primary = rc & 0xff;
    const char *text = db && primary != SQLITE_READONLY ? sqlite3_errmsg(db) : watch_sqlite_text(rc);
    if (primary == SQLITE_BUSY || primary == SQLITE_LOCKED || primary == SQLITE_PROTOCOL)
        return err_set(e, ERR_BUSY, rc, "%s: %s", step, text);
    if (primary == SQLITE_NOTADB) {
        err_set(e, ERR_CONFIG, rc, "%s: %s", step, text);
        return err_hint(e, "check the path; an encrypted database can't be replicated");
    }
    return err_set(e, ERR_SQLITE, rc, "%s: %s", step, text);
}

void watch_connection_close(struct watch_connection *c)
{
    sqlite3_finalize(c->begin);
    sqlite3_finalize(c->read);
    sqlite3_finalize(c->commit);
    sqlite3_close(c->db);
    c->db = NULL;
    c->file = NULL;
    c->begin = c->read = c->commit = NULL;
    c->slot = -1;
}

/* The first read transaction must already obey the rules of the hooks: so they are set before any statement runs. */
int watch_connection_open(struct watch_connection *c, const char *path, const seawall_hooks *hooks, struct err *e)
{
    assert(!c->db && c->watch);
    c->slot = -1;
    int rc = sqlite3_open_v2(path, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE,
                             SEAWALL_VFS_NAME);
    if (rc == SQLITE_OK)
        rc = seawall_file_of(c->db, "main", &c->file);
    if (rc != SQLITE_OK)
        return watch_sqlite_error(e, c->db, rc, "open database");
    if (sqlite3_db_readonly(c->db, "main") == 1) {
        /* SQLite tries to open it for reading after any failure: too many open files, for example */
        if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0)
            return err_set(e, ERR_IO, 0, "SQLite could open the database file only for reading");
        err_set(e, ERR_CONFIG, 0, "no permission to write the database file");
        return err_hint(e, "seawall checkpoints on the application's behalf: run it as the same user");
    }
    seawall_set_hooks(c->file, hooks, c);
    sqlite3_busy_timeout(c->db, 0);
    sqlite3_wal_autocheckpoint(c->db, 0);
    rc = sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(c->db, "BEGIN", -1, &c->begin, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(c->db, "COMMIT", -1, &c->commit, NULL);
    if (rc == SQLITE_OK) /* reads page 1 and loads no schema */
        rc = sqlite3_prepare_v2(c->db, "PRAGMA user_version", -1, &c->read, NULL);
    return rc == SQLITE_OK ? 0 : watch_sqlite_error(e, c->db, rc, "prepare the watch");
}

static bool is_kept_out(const char *path, const char *suffix)
{
    char full[PATH_TEXT_MAX + 8];
    snprintf(full, sizeof full, "%s%s", path, suffix);
    return faccessat(AT_FDCWD, full, R_OK | W_OK, AT_EACCESS) != 0 && errno == EACCES;
}

/* SQLite opens the -wal for reading if it may not write it, and says no more of the -shm than that it can't open a file. A
 * process of root makes these files, and then gives them to the owner of the database: so one look proves nothing. */
int watch_connection_check_files(const char *path, struct err *e)
{
    static const char *const suffixes[] = {"-wal", "-shm"};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        bool kept_out = is_kept_out(path, suffixes[i]);
        for (int looks = 1; kept_out && looks < PERMISSION_LOOKS; looks++) {
            clock_sleep_us(PERMISSION_WAIT_US);
            kept_out = is_kept_out(path, suffixes[i]);
        }
        if (!kept_out)
            continue;
        err_set(e, ERR_IO, EACCES, "no permission to write '%s%s'", path, suffixes[i]);
        return err_hint(e, "the process that made it is of another user: run seawall as the user of the application");
    }
    return 0;
}

static int run(sqlite3_stmt *statement)
{
    int rc = sqlite3_step(statement);
    int reset = sqlite3_reset(statement); /* says more than an error of the step, if it says anything */
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : reset != SQLITE_OK ? reset : rc;
}

bool watch_connection_reads(const struct watch_connection *c)
{
    return c->db && !sqlite3_get_autocommit(c->db);
}

int watch_connection_begin(struct watch_connection *c, struct err *e)
{
    assert(c->db);
    int rc = run(c->begin);
    if (rc != SQLITE_OK)
        return watch_sqlite_error(e, c->db, rc, "begin the watch");
    rc = run(c->read);
    if (rc == SQLITE_OK)
        return 0;
    watch_sqlite_error(e, c->db, rc, "begin the watch");
    run(c->commit);
    return -1;
}

static int keep_trying(void *deadline_ns, int count)
{
    (void)count;
    if (clock_mono_ns() >= *(const int64_t *)deadline_ns)
        return 0;
    clock_sleep_us(BUSY_STEP_US);
    return 1;
}

int watch_connection_begin_patiently(struct watch_connection *c, struct err *e)
{
    int64_t deadline_ns = clock_mono_ns() + (int64_t)BUSY_MS * 1000000;
    sqlite3_busy_handler(c->db, keep_trying, &deadline_ns);
    int rc = watch_connection_begin(c, e);
    sqlite3_busy_handler(c->db, NULL, NULL);
    if (rc != 0 && e->code == ERR_BUSY)
        err_hint(e, "an application keeps the database locked: a long transaction, or PRAGMA locking_mode=EXCLUSIVE");
    return rc;
}

void watch_connection_end(struct watch_connection *c)
{
    for (int tries = 0; tries < 2 && watch_connection_reads(c); tries++) /* too little memory, for a moment */
        run(c->commit);
}
