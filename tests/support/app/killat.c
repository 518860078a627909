/* killat.c - kill -9 between two system calls, for LD_PRELOAD.
 *   KILL_BELOW   a folder: counts calls that change something in it, and each lock, mapping and sync of a file in it
 *   KILL_COUNT   a file outside that folder, which has the count: 8 bytes in the byte order of the machine
 *   KILL_AT      n: the process is killed just before call number n; 0 or not set: never */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "changes.h"

#include <signal.h>
#include <stdatomic.h>

static _Atomic uint64_t *count;
static uint64_t kill_at;
static const char *folder;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("KILL_COUNT"), *at = getenv("KILL_AT");
    int fd = path != NULL ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0) : -1;
    if (fd < 0)
        return;
    void *mapped = (void *)syscall(SYS_mmap, NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    kill_at = at != NULL ? strtoull(at, NULL, 10) : 0;
    folder = getenv("KILL_BELOW");
    if (mapped != MAP_FAILED)
        count = mapped;
}

static bool change_concerns(const char *path)
{
    return folder != NULL && count != NULL && change_is_below(path, folder);
}

static void change_begins(struct change *c)
{
    if (count != NULL && c->kind != CHANGE_CLOSE && atomic_fetch_add(count, 1) + 1 == kill_at)
        kill(getpid(), SIGKILL);
}

static void change_ends(struct change *c, bool done)
{
    (void)c;
    (void)done;
}
