/* vfs/extension.c - the shim as a loadable extension. `.load build/seawall` registers the VFS "seawall", and makes it
 * the default for connections that are opened afterwards. It forwards every call.
 *
 * It stays in memory to the end of the process, even if another part of the process unloads it: SQLite's list of VFS
 * points into it. SQLite knows that from SQLITE_OK_LOAD_PERMANENTLY, and the linker from -z nodelete. */
#include <sqlite3ext.h> /* before the header of the room, which must not call SQLite by name */

#include "vfs/shim.h"

#ifdef _WIN32
__declspec(dllexport)
#else
__attribute__((visibility("default"))) /* alone: the Makefile hides the rest */
#endif
    int sqlite3_seawall_init(sqlite3 *db, char **error, const sqlite3_api_routines *api);

int sqlite3_seawall_init(sqlite3 *db, char **error, const sqlite3_api_routines *api)
{
    const struct shim_sqlite host = {
        .vfs_find = api->vfs_find,
        .vfs_register = api->vfs_register,
        .mprintf = api->mprintf,
        .mutex_alloc = api->mutex_alloc,
        .mutex_enter = api->mutex_enter,
        .mutex_leave = api->mutex_leave,
        .libversion_number = api->libversion_number,
    };
    (void)db;
    int rc = shim_register(&host, 1);
    if (rc != SQLITE_OK) {
        if (error)
            *error = api->mprintf("seawall: can't register the VFS: error %d", rc);
        return rc;
    }
    return SQLITE_OK_LOAD_PERMANENTLY;
}
