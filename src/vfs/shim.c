/* vfs/shim.c - the shim VFS. Its contract is in seawall/vfs.h.
 *
 * The layout is that of SQLite's own shims: `base` comes first, and the file of the VFS below follows our struct, in
 * memory that SQLite allocates for both. Each file has a method table of its own, because the file below decides which
 * methods exist: a file without shared memory must not seem to have it.
 *
 * A name is forwarded and never looked at. A VFS above may pass a file name of its own, and then the memory around the
 * name is not what sqlite3_uri_parameter(), sqlite3_database_file_object() and their kind expect: none of them may be
 * called here. So a -wal knows its database only if a program asked for it (file.c).
 *
 * A file of the replica VFS is another struct, in the same memory: src/extension opens it (struct shim_opener), and
 * SQLite calls its methods without coming here.
 *
 * One process may contain several SQLite libraries, and each may register this code. So nothing here is static but
 * constants: each registration has a `struct shim`, which is never freed, and SQLite is called through it.
 *
 * LIMITATIONS. Pages that come from xFetch bypass the shim; it has no hooks for reads. */
#include "vfs/shim.h"

#include <stdlib.h>
#include <string.h>

static seawall_file *ours(sqlite3_file *file)
{
    return (seawall_file *)file;
}

/* ---- file methods: each forwards. Those that do more come first */

static int shim_close(sqlite3_file *file)
{
    seawall_file *f = ours(file);
    int rc = f->below->pMethods->xClose(f->below);
    if (f->database && f->database->wal == f)
        f->database->wal = NULL;
    if (f->wal) /* a VFS above may close the database first */
        f->wal->database = NULL;
    file->pMethods = NULL;
    return rc;
}

static int shim_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    seawall_file *f = ours(file), *db = f->database;
    if (db && db->hooks && db->hooks->before_wal_truncate) {
        int rc = db->hooks->before_wal_truncate(db->context, size);
        if (rc != SEAWALL_FORWARD)
            return rc;
    }
    return f->below->pMethods->xTruncate(f->below, size);
}

static int shim_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **ret_region)
{
    seawall_file *f = ours(file);
    int rc = f->below->pMethods->xShmMap(f->below, region, size, extend, ret_region);
    if (region == 0 && rc == SQLITE_OK)
        f->wal_index = *ret_region; /* NULL: the region does not exist, and `extend` is 0 */
    return rc;
}

static int shim_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    seawall_file *f = ours(file);
    const seawall_hooks *hooks = f->hooks;
    if (!hooks)
        return f->below->pMethods->xShmLock(f->below, offset, n, flags);
    if (f->link) /* locks come before the -wal is truncated */
        f->link(f);
    int rc = hooks->before_shm_lock ? hooks->before_shm_lock(f->context, offset, n, flags) : SEAWALL_FORWARD;
    if (rc != SEAWALL_FORWARD)
        return rc;
    rc = f->below->pMethods->xShmLock(f->below, offset, n, flags);
    if (hooks->after_shm_lock)
        hooks->after_shm_lock(f->context, offset, n, flags, rc);
    return rc;
}

static int shim_shm_unmap(sqlite3_file *file, int delete_file)
{
    seawall_file *f = ours(file);
    f->wal_index = NULL;
    return f->below->pMethods->xShmUnmap(f->below, delete_file);
}

static int shim_file_control(sqlite3_file *file, int op, void *arg)
{
    seawall_file *f = ours(file);
    int rc = f->below->pMethods->xFileControl(f->below, op, arg);
    if (op == SQLITE_FCNTL_VFSNAME && rc == SQLITE_OK) {
        char **name = arg;
        *name = f->shim->sqlite.mprintf(SEAWALL_VFS_NAME "/%z", *name);
    }
    return rc;
}

static int shim_read(sqlite3_file *file, void *out, int n, sqlite3_int64 offset)
{
    return ours(file)->below->pMethods->xRead(ours(file)->below, out, n, offset);
}

static int shim_write(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 offset)
{
    return ours(file)->below->pMethods->xWrite(ours(file)->below, bytes, n, offset);
}

static int shim_sync(sqlite3_file *file, int flags)
{
    return ours(file)->below->pMethods->xSync(ours(file)->below, flags);
}

static int shim_file_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
    return ours(file)->below->pMethods->xFileSize(ours(file)->below, ret_size);
}

static int shim_lock(sqlite3_file *file, int level)
{
    return ours(file)->below->pMethods->xLock(ours(file)->below, level);
}

static int shim_unlock(sqlite3_file *file, int level)
{
    return ours(file)->below->pMethods->xUnlock(ours(file)->below, level);
}

static int shim_check_reserved_lock(sqlite3_file *file, int *ret_reserved)
{
    return ours(file)->below->pMethods->xCheckReservedLock(ours(file)->below, ret_reserved);
}

static int shim_sector_size(sqlite3_file *file)
{
    return ours(file)->below->pMethods->xSectorSize(ours(file)->below);
}

static int shim_device_characteristics(sqlite3_file *file)
{
    return ours(file)->below->pMethods->xDeviceCharacteristics(ours(file)->below);
}

static void shim_shm_barrier(sqlite3_file *file)
{
    ours(file)->below->pMethods->xShmBarrier(ours(file)->below);
}

static int shim_fetch(sqlite3_file *file, sqlite3_int64 offset, int n, void **ret_page)
{
    return ours(file)->below->pMethods->xFetch(ours(file)->below, offset, n, ret_page);
}

static int shim_unfetch(sqlite3_file *file, sqlite3_int64 offset, void *page)
{
    return ours(file)->below->pMethods->xUnfetch(ours(file)->below, offset, page);
}

static const sqlite3_io_methods shim_methods = {
    .xClose = shim_close,
    .xRead = shim_read,
    .xWrite = shim_write,
    .xTruncate = shim_truncate,
    .xSync = shim_sync,
    .xFileSize = shim_file_size,
    .xLock = shim_lock,
    .xUnlock = shim_unlock,
    .xCheckReservedLock = shim_check_reserved_lock,
    .xFileControl = shim_file_control,
    .xSectorSize = shim_sector_size,
    .xDeviceCharacteristics = shim_device_characteristics,
    .xShmMap = shim_shm_map,
    .xShmLock = shim_shm_lock,
    .xShmBarrier = shim_shm_barrier,
    .xShmUnmap = shim_shm_unmap,
    .xFetch = shim_fetch,
    .xUnfetch = shim_unfetch,
};

/* Our methods, without those that the file below lacks. A table of a lower version is shorter: fields beyond it must
 * not be read. */
static void inherit_methods(sqlite3_io_methods *m, const sqlite3_io_methods *below)
{
    *m = shim_methods;
    m->iVersion = below->iVersion < 3 ? below->iVersion : 3;
    if (m->iVersion < 2 || !below->xShmMap) {
        m->xShmMap = NULL;
        m->xShmLock = NULL;
        m->xShmBarrier = NULL;
        m->xShmUnmap = NULL;
    }
    if (m->iVersion < 3 || !below->xFetch) {
        m->xFetch = NULL;
        m->xUnfetch = NULL;
    }
    if (!below->xSectorSize)
        m->xSectorSize = NULL;
}

/* ---- VFS methods */

/* `vfs` may be a copy of our struct, made by a VFS above. */
static struct shim *shim_of(sqlite3_vfs *vfs)
{
    return vfs->pAppData;
}

static sqlite3_vfs *below_of(sqlite3_vfs *vfs)
{
    return shim_of(vfs)->below;
}

seawall_file *shim_file(sqlite3_file *file)
{
    return file && file->pMethods && file->pMethods->xClose == shim_close ? ours(file) : NULL;
}

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
    seawall_file *f = ours(file);
    const struct shim_opener *opener = &shim_of(vfs)->opener;
    if (opener->open && name && (flags & SQLITE_OPEN_MAIN_DB)) {
        int opened = opener->open(opener->context, name, file, flags, ret_flags);
        if (opened != SHIM_FORWARD)
            return opened;
    }
    memset(f, 0, sizeof *f);
    f->below = (sqlite3_file *)(f + 1);
    f->below->pMethods = NULL;
    int rc = below_of(vfs)->xOpen(below_of(vfs), name, f->below, flags, ret_flags);
    if (!f->below->pMethods) /* the file below is not open, so SQLite must not close ours */
        return rc;
    inherit_methods(&f->methods, f->below->pMethods);
    f->base.pMethods = &f->methods;
    f->shim = shim_of(vfs);
    f->is_wal = (flags & SQLITE_OPEN_WAL) != 0;
    return rc;
}

static int shim_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
    return below_of(vfs)->xDelete(below_of(vfs), name, sync_dir);
}

static int shim_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret_yes)
{
    const struct shim_opener *opener = &shim_of(vfs)->opener;
    if (opener->is_wal_name && flags == SQLITE_ACCESS_EXISTS && opener->is_wal_name(name)) {
        *ret_yes = 0; /* a database of the same name on the disk may have one: it is not that of the replica */
        return SQLITE_OK;
    }
    return below_of(vfs)->xAccess(below_of(vfs), name, flags, ret_yes);
}

static int shim_full_pathname(sqlite3_vfs *vfs, const char *name, int n, char *out)
{
    return below_of(vfs)->xFullPathname(below_of(vfs), name, n, out);
}

static void *shim_dl_open(sqlite3_vfs *vfs, const char *name)
{
    return below_of(vfs)->xDlOpen(below_of(vfs), name);
}

static void shim_dl_error(sqlite3_vfs *vfs, int n, char *out)
{
    below_of(vfs)->xDlError(below_of(vfs), n, out);
}

static void (*shim_dl_sym(sqlite3_vfs *vfs, void *library, const char *symbol))(void)
{
    return below_of(vfs)->xDlSym(below_of(vfs), library, symbol);
}

static void shim_dl_close(sqlite3_vfs *vfs, void *library)
{
    below_of(vfs)->xDlClose(below_of(vfs), library);
}

static int shim_randomness(sqlite3_vfs *vfs, int n, char *out)
{
    return below_of(vfs)->xRandomness(below_of(vfs), n, out);
}

static int shim_sleep(sqlite3_vfs *vfs, int microseconds)
{
    return below_of(vfs)->xSleep(below_of(vfs), microseconds);
}

static int shim_current_time(sqlite3_vfs *vfs, double *ret_days)
{
    return below_of(vfs)->xCurrentTime(below_of(vfs), ret_days);
}

static int shim_get_last_error(sqlite3_vfs *vfs, int n, char *out)
{
    return below_of(vfs)->xGetLastError(below_of(vfs), n, out);
}

static int shim_current_time_int64(sqlite3_vfs *vfs, sqlite3_int64 *ret_ms)
{
    return below_of(vfs)->xCurrentTimeInt64(below_of(vfs), ret_ms);
}

static int shim_set_system_call(sqlite3_vfs *vfs, const char *name, sqlite3_syscall_ptr call)
{
    return below_of(vfs)->xSetSystemCall(below_of(vfs), name, call);
}

static sqlite3_syscall_ptr shim_get_system_call(sqlite3_vfs *vfs, const char *name)
{
    return below_of(vfs)->xGetSystemCall(below_of(vfs), name);
}

static const char *shim_next_system_call(sqlite3_vfs *vfs, const char *name)
{
    return below_of(vfs)->xNextSystemCall(below_of(vfs), name);
}

static void fill(struct shim *s)
{
    const sqlite3_vfs *below = s->below;
    int version = below->iVersion < 3 ? below->iVersion : 3, bytes = (int)sizeof(seawall_file) + below->szOsFile;
    s->vfs = (sqlite3_vfs){
        .iVersion = version,
        .szOsFile = bytes > s->opener.file_bytes ? bytes : s->opener.file_bytes,
        .mxPathname = below->mxPathname,
        .zName = SEAWALL_VFS_NAME,
        .pAppData = s,
        .xOpen = shim_open,
        .xDelete = below->xDelete ? shim_delete : NULL,
        .xAccess = below->xAccess ? shim_access : NULL,
        .xFullPathname = below->xFullPathname ? shim_full_pathname : NULL,
        .xDlOpen = below->xDlOpen ? shim_dl_open : NULL,
        .xDlError = below->xDlError ? shim_dl_error : NULL,
        .xDlSym = below->xDlSym ? shim_dl_sym : NULL,
        .xDlClose = below->xDlClose ? shim_dl_close : NULL,
        .xRandomness = below->xRandomness ? shim_randomness : NULL,
        .xSleep = below->xSleep ? shim_sleep : NULL,
        .xCurrentTime = below->xCurrentTime ? shim_current_time : NULL,
        .xGetLastError = below->xGetLastError ? shim_get_last_error : NULL,
        .xCurrentTimeInt64 = version >= 2 && below->xCurrentTimeInt64 ? shim_current_time_int64 : NULL,
        .xSetSystemCall = version >= 3 && below->xSetSystemCall ? shim_set_system_call : NULL,
        .xGetSystemCall = version >= 3 && below->xGetSystemCall ? shim_get_system_call : NULL,
        .xNextSystemCall = version >= 3 && below->xNextSystemCall ? shim_next_system_call : NULL,
    };
}

/* SQLite's list keeps the struct for as long as the process lives, also after sqlite3_shutdown(): so its memory is the
 * C library's, and is never freed. */
static int register_once(const struct shim_sqlite *sqlite, const struct shim_opener *opener, int make_default)
{
    if (sqlite->vfs_find(SEAWALL_VFS_NAME))
        return SQLITE_OK;
    sqlite3_vfs *below = sqlite->vfs_find(NULL);
    if (!below)
        return SQLITE_NOTFOUND;
    struct shim *s = calloc(1, sizeof *s);
    if (!s)
        return SQLITE_NOMEM;
    s->below = below;
    s->sqlite = *sqlite;
    if (opener)
        s->opener = *opener;
    fill(s);
    int rc = sqlite->vfs_register(&s->vfs, make_default);
    if (rc != SQLITE_OK)
        free(s);
    return rc;
}

int shim_register(const struct shim_sqlite *sqlite, const struct shim_opener *opener, int make_default)
{
    /* SQLite has this mutex for VFS, and does not use it itself; older versions do not have it */
    sqlite3_mutex *mutex =
        sqlite->libversion_number() >= 3010000 ? sqlite->mutex_alloc(SQLITE_MUTEX_STATIC_VFS3) : NULL;
    if (mutex)
        sqlite->mutex_enter(mutex);
    int rc = register_once(sqlite, opener, make_default);
    if (mutex)
        sqlite->mutex_leave(mutex);
    return rc;
}
