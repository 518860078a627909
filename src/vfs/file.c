/* vfs/file.c - the functions of seawall/vfs.h, for a program that is linked with SQLite.
 *
 * SQLite itself says which file is the -wal of a connection. The names that are passed to xOpen would say it too, but a
 * VFS above may have replaced them (shim.c). */
#include "vfs/shim.h"

#include <stddef.h>

int shim_register_linked(const struct shim_opener *opener, int make_default)
{
    static const struct shim_sqlite linked = {
        .vfs_find = sqlite3_vfs_find,
        .vfs_register = sqlite3_vfs_register,
        .mprintf = sqlite3_mprintf,
        .mutex_alloc = sqlite3_mutex_alloc,
        .mutex_enter = sqlite3_mutex_enter,
        .mutex_leave = sqlite3_mutex_leave,
        .libversion_number = sqlite3_libversion_number,
    };
    int rc = sqlite3_initialize(); /* before it SQLite has no mutexes */
    return rc == SQLITE_OK ? shim_register(&linked, opener, make_default) : rc;
}

int seawall_vfs_register(int make_default)
{
    return shim_register_linked(NULL, make_default);
}

/* The file that SQLite names is a rollback journal if the connection has no -wal. */
static void link_wal(seawall_file *database)
{
    sqlite3_file *file = NULL;
    if (database->wal || !database->db ||
        sqlite3_file_control(database->db, database->schema, SQLITE_FCNTL_JOURNAL_POINTER, &file) != SQLITE_OK)
        return;
    seawall_file *wal = shim_file(file);
    if (!wal || !wal->is_wal)
        return;
    wal->database = database;
    database->wal = wal;
}

int seawall_file_of(sqlite3 *db, const char *schema, seawall_file **ret_file)
{
    sqlite3_file *file = NULL;
    int rc = sqlite3_file_control(db, schema, SQLITE_FCNTL_FILE_POINTER, &file);
    if (rc != SQLITE_OK)
        return rc;
    seawall_file *f = shim_file(file);
    if (!f)
        return SQLITE_NOTFOUND;
    f->db = db;
    f->schema = schema;
    f->link = link_wal;
    link_wal(f);
    *ret_file = f;
    return SQLITE_OK;
}

void seawall_set_hooks(seawall_file *file, const seawall_hooks *hooks, void *context)
{
    file->hooks = hooks;
    file->context = context;
}

int seawall_shm_lock(seawall_file *file, int offset, int n, int flags)
{
    if (!file->methods.xShmLock)
        return SQLITE_IOERR_SHMLOCK;
    return file->below->pMethods->xShmLock(file->below, offset, n, flags);
}

const volatile void *seawall_wal_index(seawall_file *file)
{
    return file->wal_index;
}

int seawall_db_read(seawall_file *file, void *out, int n, sqlite3_int64 offset)
{
    return file->below->pMethods->xRead(file->below, out, n, offset);
}

int seawall_db_size(seawall_file *file, sqlite3_int64 *ret_size)
{
    return file->below->pMethods->xFileSize(file->below, ret_size);
}

int seawall_db_sync(seawall_file *file, int flags)
{
    return file->below->pMethods->xSync(file->below, flags);
}

int seawall_wal_read(seawall_file *file, void *out, int n, sqlite3_int64 offset)
{
    link_wal(file);
    return file->wal ? file->wal->below->pMethods->xRead(file->wal->below, out, n, offset) : SQLITE_CANTOPEN;
}

int seawall_wal_size(seawall_file *file, sqlite3_int64 *ret_size)
{
    link_wal(file);
    return file->wal ? file->wal->below->pMethods->xFileSize(file->wal->below, ret_size) : SQLITE_CANTOPEN;
}

int seawall_wal_write(seawall_file *file, const void *bytes, int n, sqlite3_int64 offset)
{
    link_wal(file);
    return file->wal ? file->wal->below->pMethods->xWrite(file->wal->below, bytes, n, offset) : SQLITE_CANTOPEN;
}

int seawall_wal_sync(seawall_file *file, int flags)
{
    link_wal(file);
    return file->wal ? file->wal->below->pMethods->xSync(file->wal->below, flags) : SQLITE_CANTOPEN;
}

int seawall_wal_truncate(seawall_file *file, sqlite3_int64 size)
{
    link_wal(file);
    return file->wal ? file->wal->below->pMethods->xTruncate(file->wal->below, size) : SQLITE_CANTOPEN;
}
