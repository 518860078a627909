/* vfs/extension.c - the shim as a loadable extension. `.load build/seawall` registers the VFS "seawall", and makes it
 * the default for connections that are opened afterwards. It forwards every call. */
#include <sqlite3ext.h>

SQLITE_EXTENSION_INIT1

int seawall_vfs_register(int make_default);

#ifdef _WIN32
__declspec(dllexport)
#else
__attribute__((visibility("default"))) /* alone: the Makefile hides the rest */
#endif
    int sqlite3_seawall_init(sqlite3 *db, char **error, const sqlite3_api_routines *api);

int sqlite3_seawall_init(sqlite3 *db, char **error, const sqlite3_api_routines *api)
{
    (void)db;
    SQLITE_EXTENSION_INIT2(api);
    int rc = seawall_vfs_register(1);
    if (rc != SQLITE_OK) {
        if (error)
            *error = sqlite3_mprintf("seawall: can't register the VFS: error %d", rc);
        return rc;
    }
    return SQLITE_OK_LOAD_PERMANENTLY;
}
