/* seawall/vfs.h - the shim VFS "seawall": wraps the VFS below and forwards everything.
 *
 * What it adds, for a program that asks for it:
 *   - reading the database, its -wal and its wal-index through the handles that SQLite itself opened. POSIX advisory locks vanish
 *     when any descriptor of the file is closed in the process, so nothing else may open these files;
 *   - a hook around every xShmLock call, and before the WAL is truncated.
 *
 * A file that nobody asked anything of behaves exactly as on the VFS below. The shim depends on SQLite and the C library alone,
 * never aborts, and passes errors through unchanged. All calls for one file come from one thread at a time, as SQLite demands. */
#ifndef SEAWALL_VFS_H
#define SEAWALL_VFS_H

#include <sqlite3.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SEAWALL_VFS_NAME "seawall"

/* Registers the shim over the default VFS, once; later calls do nothing.
 * make_default: 0 or 1. Returns an SQLite result code. */
int seawall_vfs_register(int make_default);

/* The main database file of a connection, seen through the shim. Not owned; valid until the connection closes. */
typedef struct seawall_file seawall_file;

/* What a hook answers instead of an SQLite result code when the request shall go to the VFS below. */
#define SEAWALL_FORWARD (-1)

typedef struct seawall_hooks {
    /* Before xShmLock(offset, n, flags) goes below. Returns SEAWALL_FORWARD, or the result code to answer. May be NULL. */
    int (*before_shm_lock)(void *context, int offset, int n, int flags);
    /* After the VFS below answered `rc`. May be NULL. */
    void (*after_shm_lock)(void *context, int offset, int n, int flags, int rc);
    /* Before the -wal is truncated to `size` bytes. Returns SEAWALL_FORWARD, or the result code to answer. May be NULL. */
    int (*before_wal_truncate)(void *context, sqlite3_int64 size);
} seawall_hooks;

/* The shim's handle of a connection's database `schema` ("main"). SQLITE_NOTFOUND: the connection does not use the shim. */
int seawall_file_of(sqlite3 *db, const char *schema, seawall_file **ret_file);

/* Sets or (NULL) removes the hooks of one connection's file. `hooks` must stay valid until then. */
void seawall_set_hooks(seawall_file *file, const seawall_hooks *hooks, void *context);

/* xShmLock on the VFS below, past the hooks: same offsets, flags and result codes. */
int seawall_shm_lock(seawall_file *file, int offset, int n, int flags);

/* First region of the wal-index (at least 32 KiB), or NULL while SQLite has not mapped it. Shared with other processes. */
const volatile void *seawall_wal_index(seawall_file *file);

/* Like xRead and xFileSize on the database and on its -wal. SQLITE_CANTOPEN: SQLite has no open handle of the -wal. */
int seawall_db_read(seawall_file *file, void *out, int n, sqlite3_int64 offset);
int seawall_db_size(seawall_file *file, sqlite3_int64 *ret_size);
int seawall_db_sync(seawall_file *file, int flags);
int seawall_wal_read(seawall_file *file, void *out, int n, sqlite3_int64 offset);
int seawall_wal_size(seawall_file *file, sqlite3_int64 *ret_size);

/* Like xWrite, xSync and xTruncate on the -wal, past the hooks. Only under WAL_WRITE_LOCK, while the log holds no frame. */
int seawall_wal_write(seawall_file *file, const void *bytes, int n, sqlite3_int64 offset);
int seawall_wal_sync(seawall_file *file, int flags);
int seawall_wal_truncate(seawall_file *file, sqlite3_int64 size);

#ifdef __cplusplus
}
#endif

#endif
