/* restore/integrity.c - opens the file as immutable: SQLite takes no locks and makes no -wal and no -shm. */
#include "restore/integrity.h"

#include "base/path.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

/* Makes a file: URI; escapes every character that is not plain. -1: it does not fit. */
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

static int check(sqlite3 *db, struct err *e)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA integrity_check(1)", -1, &statement, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    const char *text = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    int result = 0;
    if (!text)
        result = err_set(e, ERR_CORRUPT, rc, "integrity check: %s", sqlite3_errmsg(db));
    else if (strcmp(text, "ok") != 0)
        result = err_set(e, ERR_CORRUPT, 0, "integrity check: %.200s", text);
    sqlite3_finalize(statement);
    return result;
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
