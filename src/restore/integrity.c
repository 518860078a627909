/* restore/integrity.c - opens the file as immutable: SQLite takes no locks and makes no -wal and no -shm. */
#include "restore/integrity.h"

#include "base/log.h"
#include "base/path.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Writes a file: URI, with every character escaped that is not plain. -1: it does not fit. */
static int uri_of(const char *path, char *out, size_t size)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-";
    size_t n = (size_t)snprintf(out, size, "file:");
    for (; *path; path++) {
        if (n + 4 >= size)
            return -1;
        if (strchr(plain, *path))
            out[n++] = *path;
        else
            n += (size_t)snprintf(out + n, size - n, "%%%02X", (unsigned)(unsigned char)*path);
    }
    return snprintf(out + n, size - n, "?immutable=1") < (int)(size - n) ? 0 : -1;
}

/* The answer of SQLite to a pragma that checks. */
struct answer {
    int rc;         /* of SQLite; SQLITE_ROW: `text` is the answer */
    char text[300]; /* "ok", or the first fault; without an answer, the message of SQLite */
};

static struct answer ask(sqlite3 *db, const char *pragma)
{
    sqlite3_stmt *statement = NULL;
    struct answer a = {.rc = sqlite3_prepare_v2(db, pragma, -1, &statement, NULL)};
    if (a.rc == SQLITE_OK)
        a.rc = sqlite3_step(statement);
    const char *text = a.rc == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    if (!text && a.rc == SQLITE_ROW)
        a.rc = SQLITE_NOMEM;
    snprintf(a.text, sizeof a.text, "%s", text ? text : sqlite3_errmsg(db));
    sqlite3_finalize(statement);
    return a;
}

/* Runs the whole check. If that needs a function, a collation or a module of the application, runs quick_check. */
static struct answer ask_what_can_be_checked(sqlite3 *db)
{
    struct answer whole = ask(db, "PRAGMA integrity_check(1)");
    if (whole.rc != SQLITE_ERROR)
        return whole;
    log_warn("SQLite can't check all of the content here: %s", whole.text);
    struct answer part = ask(db, "PRAGMA quick_check(1)");
    if (part.rc == SQLITE_ERROR)
        part = (struct answer){.rc = SQLITE_ROW, .text = "ok"};
    return part;
}

/* The errno of a read that failed, or 0. SQLite 3.40.1 takes a page that the disk does not give for one that is not
 * right, and reports "malformed". */
static int read_errno(sqlite3 *db)
{
    int sys = 0;
    return sqlite3_file_control(db, NULL, SQLITE_FCNTL_LAST_ERRNO, &sys) == SQLITE_OK ? sys : 0;
}

static int check(sqlite3 *db, struct err *e)
{
    struct answer a = ask_what_can_be_checked(db);
    const int sys = read_errno(db);
    if (a.rc == SQLITE_ROW && strcmp(a.text, "ok") == 0)
        return 0;
    if (sys != 0)
        return err_sys(e, sys, "integrity check: SQLite can't read the restored file");
    bool content = a.rc == SQLITE_ROW || (a.rc & 0xff) == SQLITE_CORRUPT || (a.rc & 0xff) == SQLITE_NOTADB;
    if (!content)
        return err_set(e, a.rc == SQLITE_NOMEM ? ERR_NOMEM : ERR_SQLITE, a.rc, "integrity check: %s", a.text);
    err_set(e, ERR_CONTENT, a.rc,
            "integrity check: every page is that of the restore point; SQLite reports of the database itself: %s",
            a.text);
    return err_hint(e, "the database had this fault when it was replicated; to restore it as it was, leave out "
                       "--integrity-check");
}

int integrity_check(const char *path, struct err *e)
{
    char uri[3 * PATH_TEXT_MAX];
    sqlite3 *db = NULL;
    if (uri_of(path, uri, sizeof uri))
        return err_set(e, ERR_CONFIG, 0, "integrity check: path too long");
    int rc = sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
    int result = rc == SQLITE_OK ? check(db, e) : err_set(e, ERR_SQLITE, rc, "integrity check: %s", sqlite3_errstr(rc));
    sqlite3_close(db);
    return result;
}
