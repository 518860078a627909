/* extension/linked.c */
#include "extension/extension.h"

#include "base/clock.h"
#include "extension/functions.h"
#include "extension/replica_file.h"
#include "extension/trouble.h"
#include "vfs/shim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct host linked = {
    .uri_parameter = sqlite3_uri_parameter,
    .filename_wal = sqlite3_filename_wal,
    .file_control = sqlite3_file_control,
    .log = sqlite3_log,
    .mprintf = sqlite3_mprintf,
    .create_function = sqlite3_create_function,
    .context_db_handle = sqlite3_context_db_handle,
    .result_int64 = sqlite3_result_int64,
    .result_text = sqlite3_result_text,
    .result_error = sqlite3_result_error,
    .value_int64 = sqlite3_value_int64,
    .value_text = sqlite3_value_text,
    .db_filename = sqlite3_db_filename,
    .wal_hook = sqlite3_wal_hook,
    .commit_hook = sqlite3_commit_hook,
    .wal_checkpoint = sqlite3_wal_checkpoint_v2,
    .exec = sqlite3_exec,
    .create_function_for = sqlite3_create_function_v2,
};

int extension_register(void)
{
    const struct host *host = host_keep(&linked);
    if (!host)
        return SQLITE_ERROR;
    const struct shim_opener opener = {.open = replica_file_open,
                                       .is_wal_name = replica_file_is_wal_name,
                                       .file_bytes = replica_file_bytes(),
                                       .context = host};
    return shim_register_linked(&opener, 0);
}

int extension_functions(sqlite3 *db)
{
    const struct host *host = host_keep(&linked);
    return host ? functions_register(host, db) : SQLITE_ERROR;
}

/* ---- connections of this program */

/* The URI of a replica. The caller frees it. NULL: out of memory. */
static char *uri_of(const char *url, const struct moment *m)
{
    static const char head[] = "file:replica?vfs=seawall&replica=", hex[] = "0123456789ABCDEF";
    char *uri = malloc(sizeof head + 3 * strlen(url) + 64), *out = uri;
    if (!uri)
        return NULL;
    out += snprintf(out, sizeof head, "%s", head);
    for (const unsigned char *p = (const unsigned char *)url; *p; p++) {
        *out++ = '%';
        *out++ = hex[*p >> 4];
        *out++ = hex[*p & 15];
    }
    char time[CLOCK_TEXT_MAX];
    clock_format(m->time_ms, time);
    if (m->kind == MOMENT_TXID)
        snprintf(out, 64, "&txid=%" PRIu64, m->txid);
    else
        snprintf(out, 64, "%s%s", m->kind == MOMENT_TIME ? "&at=" : "", m->kind == MOMENT_TIME ? time : "");
    return uri;
}

int extension_failed(sqlite3 *db, struct err *e)
{
    const struct err *why = trouble_last();
    const int code = db ? sqlite3_errcode(db) : SQLITE_NOMEM;
    if (why->code != ERR_NONE && (code == SQLITE_CANTOPEN || code == SQLITE_IOERR || code == SQLITE_ERROR)) {
        *e = *why;
        trouble_forget(); /* it is not the reason of the next failure */
        return -1;
    }
    return err_set(e, ERR_SQLITE, code, "%s", db ? sqlite3_errmsg(db) : "out of memory");
}

int extension_open(const char *url, const struct moment *moment, sqlite3 **ret_db, struct err *e)
{
    char *uri = uri_of(url, moment);
    sqlite3 *db = NULL;
    if (!uri)
        return err_nomem(e, strlen(url));
    trouble_forget();
    int rc = sqlite3_open_v2(uri, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI, SEAWALL_VFS_NAME);
    if (rc == SQLITE_OK)
        rc = extension_functions(db);
    free(uri);
    if (rc == SQLITE_OK) {
        *ret_db = db;
        return 0;
    }
    extension_failed(db, e);
    sqlite3_close(db);
    return -1;
}

int extension_attach(sqlite3 *db, const char *schema, const char *url, const struct moment *moment, struct err *e)
{
    char *uri = uri_of(url, moment), *statement = uri ? sqlite3_mprintf("ATTACH %Q AS %Q", uri, schema) : NULL;
    free(uri);
    if (!statement)
        return err_nomem(e, strlen(url));
    trouble_forget();
    int rc = sqlite3_exec(db, statement, NULL, NULL, NULL);
    sqlite3_free(statement);
    return rc == SQLITE_OK ? 0 : extension_failed(db, e);
}

struct reader *extension_reader(sqlite3 *db, const char *schema)
{
    struct reader *r = NULL;
    return sqlite3_file_control(db, schema, REPLICA_FILE_READER, &r) == SQLITE_OK ? r : NULL;
}
