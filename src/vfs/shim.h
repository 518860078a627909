/* vfs/shim.h - the files and the registration of the shim, for the other files of this room. seawall/vfs.h is the
 * contract.
 *
 * shim.c calls no function of SQLite by its name: it is also built as an extension, which may be loaded by several
 * SQLite libraries of one process. Each registration keeps the functions of its library. */
#ifndef SEAWALL_VFS_SHIM_H
#define SEAWALL_VFS_SHIM_H

#include "seawall/vfs.h"

#include <stdbool.h>

/* The functions of one SQLite library. */
struct shim_sqlite {
    sqlite3_vfs *(*vfs_find)(const char *name);
    int (*vfs_register)(sqlite3_vfs *vfs, int make_default);
    char *(*mprintf)(const char *format, ...);
    sqlite3_mutex *(*mutex_alloc)(int kind);
    void (*mutex_enter)(sqlite3_mutex *mutex);
    void (*mutex_leave)(sqlite3_mutex *mutex);
    int (*libversion_number)(void);
};

/* What opens files that are not on the VFS below: the replica VFS of src/extension. A zeroed one opens none. */
struct shim_opener {
    /* Called with the first four arguments of xOpen for each main database. SHIM_FORWARD: the file is none of its own.
     * Otherwise it has done what xOpen must do, in memory of `file_bytes` bytes, and returns a SQLite result code. */
    int (*open)(const void *context, const char *name, sqlite3_file *file, int flags, int *ret_flags);
    /* Whether `name` is the name of the -wal of a file that `open` has opened. */
    int (*is_wal_name)(const char *name);
    int file_bytes;
    const void *context;
};
#define SHIM_FORWARD (-1)

/* One registration. Lives as long as the process. */
struct shim {
    sqlite3_vfs vfs;    /* its pAppData points to this struct */
    sqlite3_vfs *below; /* borrowed from SQLite */
    struct shim_sqlite sqlite;
    struct shim_opener opener;
};

struct seawall_file {
    sqlite3_file base;
    sqlite3_io_methods methods; /* ours, without those that the file below lacks */
    sqlite3_file *below;        /* in the memory that follows this struct */
    const struct shim *shim;
    bool is_wal;

    /* of a database for which seawall_file_of was called; otherwise NULL */
    sqlite3 *db;
    const char *schema;               /* borrowed */
    void (*link)(seawall_file *file); /* finds `wal`, if it is NULL */
    seawall_file *wal;                /* NULL while it is not open, or not found yet */
    const seawall_hooks *hooks;       /* NULL: none */
    void *context;
    void volatile *wal_index; /* region 0 of the wal-index, while mapped */

    seawall_file *database; /* of a -wal that was found: its database; otherwise NULL */
};

/* Returns `file` as a file of this shim. NULL: the shim did not open it. `file` may be NULL or not open. */
seawall_file *shim_file(sqlite3_file *file);

/* Does what seawall_vfs_register does, for one SQLite library. Several threads may call it. `opener` may be NULL; its
 * context must live as long as the process. Returns a SQLite result code; also SQLITE_NOMEM. */
int shim_register(const struct shim_sqlite *sqlite, const struct shim_opener *opener, int make_default);

/* The same for the SQLite that this program is linked with. Not in the extension. */
int shim_register_linked(const struct shim_opener *opener, int make_default);

#endif
