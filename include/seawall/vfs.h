/* seawall/vfs.h - the shim VFS "seawall": forwards every call to the VFS below it.
 *
 * For a program that uses the functions below, the shim adds:
 *   - Reads of the database, its -wal and its wal-index through the handles that SQLite opened. POSIX advisory locks of
 *     a file are lost when the process closes any descriptor of it, so a program must not open these files itself.
 *   - A hook around each xShmLock call, and one before the -wal is truncated.
 *
 * A file for which no function below was called behaves exactly as on the VFS below. The shim may be above or below any
 * other VFS, which may pass file names of its own. It needs only SQLite and the C library. It never aborts, and returns
 * errors unchanged. As SQLite demands, only one thread at a time may make calls for one file. */
#ifndef SEAWALL_VFS_H
#define SEAWALL_VFS_H

#include <sqlite3.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SEAWALL_VFS_NAME "seawall"

/* Registers the shim over the VFS that is the default now. Later calls do nothing. make_default: 1 makes the shim the
 * default, 0 does not. Returns a SQLite result code. SQLITE_NOTFOUND: SQLite has no VFS. */
int seawall_vfs_register(int make_default);

/* The main database file of a connection. The shim owns it. It is valid until the connection closes. */
typedef struct seawall_file seawall_file;

/* The return value of a hook that lets the call go on to the VFS below. */
#define SEAWALL_FORWARD (-1)

typedef struct seawall_hooks {
    /* Called before xShmLock(offset, n, flags). Returns SEAWALL_FORWARD, or the SQLite result code for the caller. May
     * be NULL. */
    int (*before_shm_lock)(void *context, int offset, int n, int flags);
    /* Called after xShmLock of the VFS below has returned `rc`. May be NULL. */
    void (*after_shm_lock)(void *context, int offset, int n, int flags, int rc);
    /* Called before the -wal is truncated to `size` bytes. Returns as before_shm_lock. May be NULL. */
    int (*before_wal_truncate)(void *context, sqlite3_int64 size);
} seawall_hooks;

/* Finds the file of the database `schema` ("main") of a connection. `schema` is borrowed until the connection closes.
 * Returns a SQLite result code. SQLITE_NOTFOUND: the connection does not use the shim, or another VFS is above it. */
int seawall_file_of(sqlite3 *db, const char *schema, seawall_file **ret_file);

/* Sets the hooks of a file; NULL removes them. `hooks` is borrowed until it is removed or the connection closes. */
void seawall_set_hooks(seawall_file *file, const seawall_hooks *hooks, void *context);

/* Calls xShmLock of the VFS below without the hooks: same offsets, flags and result codes. */
int seawall_shm_lock(seawall_file *file, int offset, int n, int flags);

/* The first region of the wal-index, 32 KiB or more. NULL: SQLite has not mapped it. Other processes write to it. */
const volatile void *seawall_wal_index(seawall_file *file);

/* Call xRead, xFileSize and xSync of the database, and xRead and xFileSize of its -wal. Sizes and offsets are in bytes.
 * SQLITE_CANTOPEN: SQLite has not opened the -wal. */
int seawall_db_read(seawall_file *file, void *out, int n, sqlite3_int64 offset);
int seawall_db_size(seawall_file *file, sqlite3_int64 *ret_size);
int seawall_db_sync(seawall_file *file, int flags);
int seawall_wal_read(seawall_file *file, void *out, int n, sqlite3_int64 offset);
int seawall_wal_size(seawall_file *file, sqlite3_int64 *ret_size);

/* Call xWrite, xSync and xTruncate of the -wal without the hooks. Precondition: the caller holds WAL_WRITE_LOCK, and
 * the log has no frames. SQLITE_CANTOPEN: SQLite has not opened the -wal. */
int seawall_wal_write(seawall_file *file, const void *bytes, int n, sqlite3_int64 offset);
int seawall_wal_sync(seawall_file *file, int flags);
int seawall_wal_truncate(seawall_file *file, sqlite3_int64 size);

#ifdef __cplusplus
}
#endif

#endif
