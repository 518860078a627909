/* extension/extension.c - the shim and the replica VFS as a loadable extension. `.load build/seawall` registers the
 * VFS "seawall", and makes it the default for connections that are opened afterwards. It forwards every call, unless a
 * file name or the environment asks for a replica. The connection that loads it, and those that are opened afterwards,
 * have the SQL functions.
 *
 * It stays in memory to the end of the process, even if another part of the process unloads it: SQLite's list of VFS
 * points into it. SQLite knows that from SQLITE_OK_LOAD_PERMANENTLY, and the linker from -z nodelete. */
#include <sqlite3ext.h> /* before the headers of the room, which must not call SQLite by name */

#include "extension/functions.h"
#include "extension/log.h"
#include "extension/replica_file.h"
#include "vfs/shim.h"

#ifdef _WIN32
__declspec(dllexport)
#else
__attribute__((visibility("default"))) /* alone: the Makefile hides the rest */
#endif
    int sqlite3_seawall_init(sqlite3 *db, char **error, const sqlite3_api_routines *api);

/* SQLite before 3.31 has a shorter table. */
#define FILENAME_WAL_SINCE 3031000

/* A library that lacks one of these functions can't read replicas. */
static const struct host *keep_host(const sqlite3_api_routines *api)
{
    const struct host host = {
        .uri_parameter = api->uri_parameter,
        .filename_wal = api->libversion_number() >= FILENAME_WAL_SINCE ? api->filename_wal : NULL,
        .file_control = api->file_control,
        .log = api->log,
        .mprintf = api->mprintf,
        .create_function = api->create_function,
        .context_db_handle = api->context_db_handle,
        .result_int64 = api->result_int64,
        .result_text = api->result_text,
        .result_error = api->result_error,
        .value_int64 = api->value_int64,
        .value_text = api->value_text,
        .db_filename = api->db_filename,
        .wal_hook = api->wal_hook,
        .commit_hook = api->commit_hook,
        .wal_checkpoint = api->wal_checkpoint_v2,
        .exec = api->exec,
        .create_function_for = api->create_function_v2,
    };
    if (!host.uri_parameter || !host.file_control || !host.log || !host.mprintf || !host.create_function ||
        !host.context_db_handle || !host.result_int64 || !host.result_text || !host.result_error || !host.value_int64 ||
        !host.commit_hook || !host.wal_checkpoint || !host.exec || !host.create_function_for)
        return NULL;
    const struct host *kept = host_keep(&host);
    if (kept)
        log_to(kept->log);
    return kept;
}

/* SQLite calls it for each new connection. */
static int init_connection(sqlite3 *db, char **error, const sqlite3_api_routines *api)
{
    const struct host *host = keep_host(api);
    (void)error;
    return host ? functions_register(host, db) : SQLITE_OK;
}

int sqlite3_seawall_init(sqlite3 *db, char **error, const sqlite3_api_routines *api)
{
    const struct shim_sqlite sqlite = {
        .vfs_find = api->vfs_find,
        .vfs_register = api->vfs_register,
        .mprintf = api->mprintf,
        .mutex_alloc = api->mutex_alloc,
        .mutex_enter = api->mutex_enter,
        .mutex_leave = api->mutex_leave,
        .libversion_number = api->libversion_number,
    };
    const struct host *host = keep_host(api);
    const struct shim_opener opener = {.open = replica_file_open,
                                       .is_wal_name = replica_file_is_wal_name,
                                       .file_bytes = replica_file_bytes(),
                                       .context = host};
    int rc = shim_register(&sqlite, host ? &opener : NULL, 1);
    if (rc == SQLITE_OK && host && db)
        rc = functions_register(host, db);
    if (rc == SQLITE_OK && host && api->auto_extension)
        rc = api->auto_extension((void (*)(void))(void *)init_connection);
    if (rc != SQLITE_OK) {
        if (error)
            *error = api->mprintf("seawall: can't register the VFS: error %d", rc);
        return rc;
    }
    return SQLITE_OK_LOAD_PERMANENTLY;
}
