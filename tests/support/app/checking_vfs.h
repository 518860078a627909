/* checking_vfs.h - a VFS below the one under test that checks how it is called: the contract of SQLite's VFS, and the rules of
 * https://www.sqlite.org/walformat.html about locks.
 *
 *   files      each opened file is closed once; nothing is called for a closed one
 *   lock       SHARED from NONE, RESERVED from SHARED, EXCLUSIVE from SHARED or higher; unlock to SHARED or NONE, never upwards
 *   read       a page of a database only with a SHARED lock
 *   write      to a database in WAL mode only with the checkpoint lock, after a sync of the -wal under that lock; otherwise only with an
 *              EXCLUSIVE lock. To a -wal only with the write lock
 *   shm        regions are mapped before locks are taken; flags and slots are valid; a slot that is held is not locked again, and is
 *              unlocked as it was locked; nothing is held when it is unmapped; a database is unmapped before it is closed
 *
 * checking_vfs_register makes it the default VFS, so that a VFS registered later is above it. `report` gets each violation. */
#ifndef TESTS_CHECKING_VFS_H
#define TESTS_CHECKING_VFS_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHECKED_SLOTS = 8, CHECKED_NAME_MAX = 1024, SLOT_WRITE = 0, SLOT_CHECKPOINT = 1, CHECKED_HEADER_BYTES = 100 };

struct checked_file {
    sqlite3_file base;
    struct checked_file *next; /* of all that are open */
    char name[CHECKED_NAME_MAX];
    bool is_database, is_wal, immutable; /* immutable: SQLite takes no locks */
    int level;                           /* SQLITE_LOCK_... */
    char held[CHECKED_SLOTS];            /* 0, 's' or 'x' */
    bool mapped;                         /* has a wal-index */
    bool wal_synced;                     /* since the checkpoint lock was taken */
    sqlite3_file below[];                /* as many bytes as the VFS below wants */
};

static struct {
    pthread_mutex_t lock; /* guards everything below, and the records of all files */
    sqlite3_vfs vfs, *below;
    struct checked_file *open;
    unsigned long calls, opened, violations;
    void (*report)(const char *text);
} checking = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void checked_wrong(const struct checked_file *f, const char *fmt, ...)
{
    char what[256], text[CHECKED_NAME_MAX + 300];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    snprintf(text, sizeof text, "%s: %s", f && f->name[0] ? f->name : "a temporary file", what);
    checking.violations++;
    checking.report(text);
}

/* The lock is held from here until CHECKED_END. */
static struct checked_file *checked_begin(sqlite3_file *file)
{
    struct checked_file *f = (struct checked_file *)file;
    pthread_mutex_lock(&checking.lock);
    checking.calls++;
    const struct checked_file *at = checking.open;
    while (at && at != f)
        at = at->next;
    if (!at)
        checked_wrong(NULL, "a call for a file that is not open");
    return f;
}
#define CHECKED_END pthread_mutex_unlock(&checking.lock)

static bool checked_holds(const struct checked_file *f, int slot)
{
    return f->held[slot] == 'x';
}

/* Calls `take` for each open file of the database that the -wal belongs to, until one is true. */
static bool checked_any_of(const struct checked_file *wal, bool (*take)(struct checked_file *f))
{
    size_t n = strlen(wal->name) > 4 ? strlen(wal->name) - 4 : 0;
    bool found = false;
    for (struct checked_file *f = checking.open; f; f = f->next)
        if (f->is_database && strlen(f->name) == n && strncmp(f->name, wal->name, n) == 0)
            found = take(f) || found;
    return found;
}

static bool checked_may_write_wal(struct checked_file *f)
{
    return checked_holds(f, SLOT_WRITE) || f->level == SQLITE_LOCK_EXCLUSIVE;
}

static bool checked_note_wal_sync(struct checked_file *f)
{
    f->wal_synced = true;
    return true;
}

static void checked_change(struct checked_file *f, const char *what)
{
    if (f->is_wal && !checked_any_of(f, checked_may_write_wal))
        checked_wrong(f, "%s without the write lock", what);
    if (!f->is_database || f->level == SQLITE_LOCK_EXCLUSIVE)
        return;
    if (!f->mapped)
        checked_wrong(f, "%s without an EXCLUSIVE lock", what);
    else if (!checked_holds(f, SLOT_CHECKPOINT))
        checked_wrong(f, "%s without the checkpoint lock", what);
    else if (!f->wal_synced)
        checked_wrong(f, "%s by a checkpoint before the -wal was synced", what);
}

/* ---- files */

static int checked_close(sqlite3_file *file)
{
    struct checked_file *f = checked_begin(file);
    if (f->mapped)
        checked_wrong(f, "is closed while its wal-index is mapped");
    for (struct checked_file **at = &checking.open; *at; at = &(*at)->next)
        if (*at == f) {
            *at = f->next;
            break;
        }
    CHECKED_END;
    int rc = f->below->pMethods->xClose(f->below);
    f->base.pMethods = NULL;
    return rc;
}

static int checked_read(sqlite3_file *file, void *out, int n, sqlite3_int64 offset)
{
    struct checked_file *f = checked_begin(file);
    if (f->is_database && !f->immutable && f->level < SQLITE_LOCK_SHARED && offset + n > CHECKED_HEADER_BYTES)
        checked_wrong(f, "a page is read without a lock");
    CHECKED_END;
    return f->below->pMethods->xRead(f->below, out, n, offset);
}

static int checked_write(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 offset)
{
    struct checked_file *f = checked_begin(file);
    checked_change(f, "a write");
    CHECKED_END;
    return f->below->pMethods->xWrite(f->below, bytes, n, offset);
}

static int checked_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct checked_file *f = checked_begin(file);
    checked_change(f, "a truncation");
    CHECKED_END;
    return f->below->pMethods->xTruncate(f->below, size);
}

static int checked_sync(sqlite3_file *file, int flags)
{
    struct checked_file *f = checked_begin(file);
    CHECKED_END;
    int rc = f->below->pMethods->xSync(f->below, flags);
    pthread_mutex_lock(&checking.lock);
    if (rc == SQLITE_OK && f->is_wal)
        checked_any_of(f, checked_note_wal_sync);
    CHECKED_END;
    return rc;
}

static int checked_file_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
    struct checked_file *f = checked_begin(file);
    CHECKED_END;
    return f->below->pMethods->xFileSize(f->below, ret_size);
}

static int checked_lock(sqlite3_file *file, int level)
{
    struct checked_file *f = checked_begin(file);
    bool legal = level <= f->level || (level == SQLITE_LOCK_SHARED && f->level == SQLITE_LOCK_NONE) ||
                 (level == SQLITE_LOCK_RESERVED && f->level == SQLITE_LOCK_SHARED) ||
                 (level == SQLITE_LOCK_EXCLUSIVE && f->level >= SQLITE_LOCK_SHARED);
    if (!legal)
        checked_wrong(f, "a lock of level %d at level %d", level, f->level);
    CHECKED_END;
    int rc = f->below->pMethods->xLock(f->below, level);
    pthread_mutex_lock(&checking.lock);
    if (rc == SQLITE_OK && level > f->level)
        f->level = level;
    CHECKED_END;
    return rc;
}

static int checked_unlock(sqlite3_file *file, int level)
{
    struct checked_file *f = checked_begin(file);
    if (level != SQLITE_LOCK_NONE && level != SQLITE_LOCK_SHARED)
        checked_wrong(f, "an unlock to level %d", level);
    else if (level > f->level)
        checked_wrong(f, "an unlock from level %d up to %d", f->level, level);
    f->level = level < f->level ? level : f->level;
    CHECKED_END;
    return f->below->pMethods->xUnlock(f->below, level);
}

static int checked_reserved(sqlite3_file *file, int *ret_reserved)
{
    struct checked_file *f = checked_begin(file);
    CHECKED_END;
    return f->below->pMethods->xCheckReservedLock(f->below, ret_reserved);
}

static int checked_control(sqlite3_file *file, int op, void *argument)
{
    struct checked_file *f = checked_begin(file);
    CHECKED_END;
    return f->below->pMethods->xFileControl(f->below, op, argument);
}

static int checked_sector_size(sqlite3_file *file)
{
    struct checked_file *f = checked_begin(file);
    CHECKED_END;
    return f->below->pMethods->xSectorSize(f->below);
}

static int checked_characteristics(sqlite3_file *file)
{
    struct checked_file *f = checked_begin(file);
    CHECKED_END;
    return f->below->pMethods->xDeviceCharacteristics(f->below);
}

/* ---- the wal-index */

static int checked_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **ret_memory)
{
    struct checked_file *f = checked_begin(file);
    if (!f->is_database)
        checked_wrong(f, "a wal-index of what is not a database");
    else if (f->level < SQLITE_LOCK_SHARED)
        checked_wrong(f, "the wal-index is mapped without a lock");
    f->mapped = true;
    CHECKED_END;
    return f->below->pMethods->xShmMap(f->below, region, size, extend, ret_memory);
}

/* Checks the call, and for an unlock notes what is not held any more. */
static void checked_slots(struct checked_file *f, int offset, int n, int flags)
{
    bool unlock = (flags & SQLITE_SHM_UNLOCK) != 0, exclusive = (flags & SQLITE_SHM_EXCLUSIVE) != 0;
    int kinds = (SQLITE_SHM_LOCK | SQLITE_SHM_UNLOCK), modes = (SQLITE_SHM_SHARED | SQLITE_SHM_EXCLUSIVE);
    if ((flags & kinds) == kinds || (flags & kinds) == 0 || (flags & modes) == modes || (flags & modes) == 0 ||
        (flags & ~(kinds | modes)) != 0 || offset < 0 || n < 1 || offset + n > CHECKED_SLOTS || (n > 1 && !exclusive)) {
        checked_wrong(f, "xShmLock(%d, %d, %d) is not valid", offset, n, flags);
        return;
    }
    if (!f->mapped)
        checked_wrong(f, "xShmLock before the wal-index is mapped");
    for (int i = offset; i < offset + n; i++) {
        if (!unlock && f->held[i])
            checked_wrong(f, "slot %d is locked (%c) while it is held (%c)", i, exclusive ? 'x' : 's', f->held[i]);
        if (unlock && f->held[i] != (exclusive ? 'x' : 's'))
            checked_wrong(f, "slot %d is unlocked (%c) and was held as '%c'", i, exclusive ? 'x' : 's',
                          f->held[i] ? f->held[i] : '-');
        if (unlock)
            f->held[i] = 0;
    }
}

static int checked_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    struct checked_file *f = checked_begin(file);
    checked_slots(f, offset, n, flags);
    CHECKED_END;
    int rc = f->below->pMethods->xShmLock(f->below, offset, n, flags);
    pthread_mutex_lock(&checking.lock);
    for (int i = offset; rc == SQLITE_OK && (flags & SQLITE_SHM_LOCK) && i < offset + n && i < CHECKED_SLOTS; i++) {
        f->held[i] = (flags & SQLITE_SHM_EXCLUSIVE) ? 'x' : 's';
        f->wal_synced = f->wal_synced && i != SLOT_CHECKPOINT;
    }
    CHECKED_END;
    return rc;
}

static void checked_shm_barrier(sqlite3_file *file)
{
    struct checked_file *f = checked_begin(file);
    CHECKED_END;
    f->below->pMethods->xShmBarrier(f->below);
}

static int checked_shm_unmap(sqlite3_file *file, int delete_it)
{
    struct checked_file *f = checked_begin(file);
    for (int i = 0; i < CHECKED_SLOTS; i++)
        if (f->held[i])
            checked_wrong(f, "slot %d is held (%c) when the wal-index is unmapped", i, f->held[i]);
    memset(f->held, 0, sizeof f->held);
    f->mapped = false;
    CHECKED_END;
    return f->below->pMethods->xShmUnmap(f->below, delete_it);
}

/* ---- the VFS */

static int checked_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
    /* version 2: pages are read, not mapped, so that each read is seen */
    static const sqlite3_io_methods methods = {2,
                                               checked_close,
                                               checked_read,
                                               checked_write,
                                               checked_truncate,
                                               checked_sync,
                                               checked_file_size,
                                               checked_lock,
                                               checked_unlock,
                                               checked_reserved,
                                               checked_control,
                                               checked_sector_size,
                                               checked_characteristics,
                                               checked_shm_map,
                                               checked_shm_lock,
                                               checked_shm_barrier,
                                               checked_shm_unmap,
                                               NULL,
                                               NULL};
    struct checked_file *f = (struct checked_file *)file;
    (void)vfs;
    memset(f, 0, sizeof *f);
    int rc = checking.below->xOpen(checking.below, name, f->below, flags, ret_flags);
    if (rc != SQLITE_OK) {
        if (f->below->pMethods)
            f->below->pMethods->xClose(f->below);
        return rc;
    }
    snprintf(f->name, sizeof f->name, "%s", name ? name : "");
    f->is_database = (flags & SQLITE_OPEN_MAIN_DB) != 0;
    f->immutable = f->is_database && sqlite3_uri_boolean(name, "immutable", 0);
    f->is_wal = (flags & SQLITE_OPEN_WAL) != 0;
    f->base.pMethods = &methods;
    pthread_mutex_lock(&checking.lock);
    f->next = checking.open;
    checking.open = f;
    checking.opened++;
    CHECKED_END;
    return SQLITE_OK;
}

/* Each file that is still open is a violation. To be called when nothing should be open any more. */
static void checking_vfs_end(void)
{
    pthread_mutex_lock(&checking.lock);
    for (struct checked_file *f = checking.open; f; f = f->next)
        checked_wrong(f, "was not closed");
    CHECKED_END;
}

/* To be called once, after sqlite3_initialize. */
static int checking_vfs_register(void (*report)(const char *text))
{
    checking.report = report;
    checking.below = sqlite3_vfs_find(NULL);
    if (!checking.below)
        return SQLITE_NOTFOUND;
    checking.vfs = *checking.below;
    checking.vfs.zName = "checking";
    checking.vfs.pNext = NULL;
    checking.vfs.szOsFile = (int)sizeof(struct checked_file) + checking.below->szOsFile;
    checking.vfs.xOpen = checked_open;
    return sqlite3_vfs_register(&checking.vfs, 1);
}

#endif
