/* tests/sqlite/switch.c - a part of SQLite's own test program, testfixture, which is built with
 * SQLITE_EXTRA_INIT=seawall_switch.
 *
 * If SEAWALL_SWITCH is set in the environment, the shim takes the place of every unix VFS, under the same name. No VFS
 * without the shim stays in SQLite's list, so no test can pass without the shim. At its end, each process adds a line
 * to the file that SEAWALL_SWITCH names: "opens N databases N wals N", the numbers of files that the shim opened.
 *
 * SQLite calls seawall_switch at the end of each sqlite3_initialize(). After a sqlite3_shutdown() SQLite registers the
 * original VFSes again, and then the shims take their place again. */
#include "vfs/shim.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define N_NAMES 5

/* SQLite has "unix-flock" on some systems only. "unix", the default, comes last. */
static const char *const names[N_NAMES] = {"unix-none", "unix-dotfile", "unix-excl", "unix-flock", "unix"};
static struct {
    sqlite3_vfs *original, *shim;
} replaced[N_NAMES];
static long n_opens, n_databases, n_wals;

/* The list of VFSes that the registration of the shim sees: one VFS, the default, and none with the name "seawall". */
static sqlite3_vfs *original, *made;

static sqlite3_vfs *find_original(const char *name)
{
    return name ? NULL : original;
}

static int keep_made(sqlite3_vfs *vfs, int make_default)
{
    (void)make_default;
    made = vfs;
    return SQLITE_OK;
}

static int (*shim_open)(sqlite3_vfs *, const char *, sqlite3_file *, int, int *);

static int counted_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
    __atomic_add_fetch(&n_opens, 1, __ATOMIC_RELAXED);
    if (flags & SQLITE_OPEN_MAIN_DB)
        __atomic_add_fetch(&n_databases, 1, __ATOMIC_RELAXED);
    if (flags & SQLITE_OPEN_WAL)
        __atomic_add_fetch(&n_wals, 1, __ATOMIC_RELAXED);
    return shim_open(vfs, name, file, flags, ret_flags);
}

static void say(void)
{
    char line[128];
    int n = snprintf(line, sizeof line, "opens %ld databases %ld wals %ld\n", n_opens, n_databases, n_wals);
    int fd = open(getenv("SEAWALL_SWITCH"), O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (fd < 0 || write(fd, line, (size_t)n) != n)
        fprintf(stderr, "switch: can't write to SEAWALL_SWITCH\n");
    if (fd >= 0)
        close(fd);
}

static void must(int condition)
{
    if (condition)
        return;
    fprintf(stderr, "switch: can't put the shim in the place of SQLite's VFSes\n");
    abort();
}

static void make_shims(void)
{
    static const struct shim_sqlite sqlite = {
        .vfs_find = find_original,
        .vfs_register = keep_made,
        .mprintf = sqlite3_mprintf,
        .mutex_alloc = sqlite3_mutex_alloc,
        .mutex_enter = sqlite3_mutex_enter,
        .mutex_leave = sqlite3_mutex_leave,
        .libversion_number = sqlite3_libversion_number,
    };
    for (int i = 0; i < N_NAMES; i++) {
        original = sqlite3_vfs_find(names[i]);
        if (!original)
            continue;
        must(shim_register(&sqlite, NULL, 0) == SQLITE_OK);
        shim_open = made->xOpen;
        made->xOpen = counted_open;
        made->zName = names[i];
        replaced[i].original = original;
        replaced[i].shim = made;
    }
    must(replaced[0].shim && replaced[N_NAMES - 1].shim && atexit(say) == 0);
}

int seawall_switch(const char *unused);

int seawall_switch(const char *unused)
{
    (void)unused;
    if (!getenv("SEAWALL_SWITCH"))
        return SQLITE_OK;
    if (!replaced[0].shim)
        make_shims();
    for (int i = 0; i < N_NAMES; i++) {
        if (!replaced[i].shim)
            continue;
        must(sqlite3_vfs_unregister(replaced[i].original) == SQLITE_OK);
        must(sqlite3_vfs_register(replaced[i].shim, i == N_NAMES - 1) == SQLITE_OK);
    }
    return SQLITE_OK;
}
