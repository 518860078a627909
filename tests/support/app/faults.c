/* faults.c - disks that fail or hang, for LD_PRELOAD. A fault is on while the folder FAULTS has a file with its name.
 * The text in that file is a shell pattern: the fault meets files whose path matches it.
 *   read-fails   the next large read that is not at the beginning of the file fails, once
 *   read-hangs   a large read of the file waits
 *   open-fails   the file can't be opened
 *   link-hangs   linking a file to a path that matches waits
 *   disk-full    no space can be reserved in the file
 * When a call meets a fault, a file NAME.met is made in the folder. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "at_path.h"

#include <fnmatch.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    LARGE = 64 << 10,      /* bytes: more than a header, less than a chunk of frames */
    BEGINNING = 400 << 10, /* bytes */
};

static bool fault_path(char out[PATH_MAX], const char *name, const char *suffix)
{
    const char *folder = getenv("FAULTS");
    return folder != NULL && snprintf(out, PATH_MAX, "%s/%s%s", folder, name, suffix) < PATH_MAX;
}

static int open_plainly(const char *path, int flags, mode_t mode)
{
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static void tell_met(const char *name)
{
    char path[PATH_MAX];
    int fd = fault_path(path, name, ".met") ? open_plainly(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644) : -1;
    if (fd >= 0)
        close(fd);
}

/* Does this fault meet that path now? errno stays what it is. */
static bool meets(const char *name, const char *path)
{
    char file[PATH_MAX], text[PATH_MAX];
    int before = errno;
    int fd = fault_path(file, name, "") ? open_plainly(file, O_RDONLY | O_CLOEXEC, 0) : -1;
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        close(fd);
    errno = before;
    if (n < 0)
        return false;
    text[n] = 0;
    if (fnmatch(text, path, 0) != 0)
        return false;
    tell_met(name);
    return true;
}

static bool meets_fd(const char *name, int fd)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0)
        return false;
    path[n] = 0;
    return meets(name, path);
}

static bool take(const char *name)
{
    char path[PATH_MAX];
    return fault_path(path, name, "") && unlink(path) == 0;
}

static void wait_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

ssize_t pread(int fd, void *out, size_t n, off_t offset)
{
    if (n >= LARGE && offset > BEGINNING && meets_fd("read-fails", fd) && take("read-fails")) {
        errno = EIO;
        return -1;
    }
    while (n >= LARGE && meets_fd("read-hangs", fd))
        wait_a_little();
    return syscall(SYS_pread64, fd, out, n, offset);
}

ssize_t pread64(int fd, void *out, size_t n, off64_t offset)
{
    return pread(fd, out, n, offset);
}

static int open_or_fail(int dir, const char *name, int flags, mode_t mode)
{
    char path[PATH_MAX];
    at_path(dir, name, path);
    if (meets("open-fails", path)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_openat, dir, name, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = at_creates(flags) ? va_arg(more, mode_t) : 0;
    va_end(more);
    return open_or_fail(AT_FDCWD, path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = at_creates(flags) ? va_arg(more, mode_t) : 0;
    va_end(more);
    return open_or_fail(dir, path, flags, mode);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    char path[PATH_MAX];
    at_path(to_dir, to, path);
    while (meets("link-hangs", path))
        wait_a_little();
    return (int)syscall(SYS_linkat, from_dir, from, to_dir, to, flags);
}

int posix_fallocate(int fd, off_t offset, off_t n)
{
    if (meets_fd("disk-full", fd))
        return ENOSPC;
    return syscall(SYS_fallocate, fd, 0, offset, n) == 0 ? 0 : errno;
}

int posix_fallocate64(int fd, off64_t offset, off64_t n)
{
    return posix_fallocate(fd, offset, n);
}

/* The same functions under their other names. */
int open64(const char *, int, ...) __attribute__((alias("open")));
int openat64(int, const char *, int, ...) __attribute__((alias("openat")));
