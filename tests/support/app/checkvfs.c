/* checkvfs.c - SQLite's default VFS of the process checks how it is called (checking_vfs.h), for LD_PRELOAD. CHECKED: a file to which each
 * violation is appended as a line, and at the end of the process "# CALLS calls, OPENED files". */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "checking_vfs.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

static void append(const char *text)
{
    const char *path = getenv("CHECKED");
    char line[2048];
    int n = snprintf(line, sizeof line, "%s\n", text), fd = path ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;
    ssize_t written = fd >= 0 ? write(fd, line, (size_t)n) : 0;
    (void)written;
    if (fd >= 0)
        close(fd);
}

int sqlite3_initialize(void)
{
    static bool registered;
    static __thread int depth; /* SQLite calls it again while it initializes itself */
    depth++;
    int rc = ((int (*)(void))dlsym(RTLD_NEXT, "sqlite3_initialize"))();
    depth--;
    if (rc == SQLITE_OK && !registered && depth == 0) {
        registered = true;
        rc = checking_vfs_register(append);
    }
    return rc;
}

/* A program need not call the function above. */
int sqlite3_open_v2(const char *path, sqlite3 **db, int flags, const char *vfs)
{
    typedef int open_function(const char *, sqlite3 **, int, const char *);
    int rc = sqlite3_initialize();
    return rc == SQLITE_OK ? ((open_function *)dlsym(RTLD_NEXT, "sqlite3_open_v2"))(path, db, flags, vfs) : rc;
}

__attribute__((destructor)) static void end(void)
{
    char text[100];
    checking_vfs_end();
    snprintf(text, sizeof text, "# %lu calls, %lu files", checking.calls, checking.opened);
    if (checking.calls > 0)
        append(text);
}
