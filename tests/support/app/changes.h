/* changes.h - intercepts every call by which this process changes something on a disk, for libraries of LD_PRELOAD.
 *
 * The library that includes this file defines change_concerns(), change_begins() and change_ends(). They see the calls
 * of the program and those of SQLite in it. A store to mapped memory is not a call, so it is not seen. */
#ifndef SEAWALL_TESTS_CHANGES_H
#define SEAWALL_TESTS_CHANGES_H

#include "at_path.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum change_kind {
    CHANGE_CREATE, /* open with O_CREAT or O_TMPFILE; `fd` is known at the end */
    CHANGE_WRITE,
    CHANGE_LENGTH, /* `offset` is the new length; with `grow` a shorter length changes nothing */
    CHANGE_SYNC,
    CHANGE_LINK,
    CHANGE_RENAME,
    CHANGE_UNLINK,
    CHANGE_MKDIR,
    CHANGE_LOCK,
    CHANGE_MAP,
    CHANGE_CLOSE, /* changes nothing on the disk, but shows that the process has finished with a file */
};

struct change {
    enum change_kind kind;
    int fd;
    char path[PATH_MAX]; /* the path behind `fd`, or the path that was passed */
    const char *to;      /* CHANGE_LINK, CHANGE_RENAME: points to to_path; otherwise NULL */
    char to_path[PATH_MAX];
    const void *bytes; /* CHANGE_WRITE */
    size_t n;
    off_t offset;
    bool grow;
};

static bool change_concerns(const char *path);
static void change_begins(struct change *c);
static void change_ends(struct change *c, bool done);

/* True if `path` is `folder` or lies below it. */
static bool change_is_below(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == 0 || path[n] == '/');
}

/* The path behind a descriptor or a link; errno stays what it is. */
static bool change_read_link(const char *link, char out[PATH_MAX])
{
    int before = errno;
    ssize_t n = readlink(link, out, PATH_MAX - 1);
    errno = before;
    if (n < 0)
        return false;
    out[n] = 0;
    return true;
}

static bool change_of_fd(struct change *c, enum change_kind kind, int fd)
{
    char link[64];
    *c = (struct change){.kind = kind, .fd = fd};
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return change_read_link(link, c->path) && change_concerns(c->path);
}

static bool change_of_path(struct change *c, enum change_kind kind, int dir, const char *path)
{
    *c = (struct change){.kind = kind, .fd = -1};
    if (strncmp(path, "/proc/self/fd/", 14) != 0)
        at_path(dir, path, c->path);
    else if (!change_read_link(path, c->path))
        return false;
    return change_concerns(c->path);
}

/* Calls change_begins(), then the call itself, then change_ends(). Returns what the call returned. */
#define AROUND(concerned, change, call)                                                                                \
    do {                                                                                                               \
        if (!(concerned))                                                                                              \
            return (call);                                                                                             \
        change_begins(&(change));                                                                                      \
        long result_ = (call);                                                                                         \
        int errno_ = errno;                                                                                            \
        change_ends(&(change), result_ >= 0);                                                                          \
        errno = errno_;                                                                                                \
        return result_;                                                                                                \
    } while (0)

ssize_t write(int fd, const void *bytes, size_t n)
{
    struct change c;
    bool concerned = change_of_fd(&c, CHANGE_WRITE, fd);
    c.bytes = bytes;
    c.n = n;
    c.offset = concerned ? (off_t)syscall(SYS_lseek, fd, 0, SEEK_CUR) : 0;
    AROUND(concerned, c, syscall(SYS_write, fd, bytes, n));
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t offset)
{
    struct change c;
    bool concerned = change_of_fd(&c, CHANGE_WRITE, fd);
    c.bytes = bytes;
    c.n = n;
    c.offset = offset;
    AROUND(concerned, c, syscall(SYS_pwrite64, fd, bytes, n, offset));
}

int ftruncate(int fd, off_t length)
{
    struct change c;
    bool concerned = change_of_fd(&c, CHANGE_LENGTH, fd);
    c.offset = length;
    AROUND(concerned, c, (int)syscall(SYS_ftruncate, fd, length));
}

int fallocate(int fd, int mode, off_t offset, off_t n)
{
    struct change c;
    bool concerned = change_of_fd(&c, CHANGE_LENGTH, fd);
    c.offset = offset + n;
    c.grow = true;
    AROUND(concerned, c, (int)syscall(SYS_fallocate, fd, mode, offset, n));
}

int posix_fallocate(int fd, off_t offset, off_t n)
{
    int before = errno, rc = fallocate(fd, 0, offset, n) == 0 ? 0 : errno;
    errno = before;
    return rc;
}

int fsync(int fd)
{
    struct change c;
    bool concerned = change_of_fd(&c, CHANGE_SYNC, fd);
    AROUND(concerned, c, (int)syscall(SYS_fsync, fd));
}

int fdatasync(int fd)
{
    struct change c;
    bool concerned = change_of_fd(&c, CHANGE_SYNC, fd);
    AROUND(concerned, c, (int)syscall(SYS_fdatasync, fd));
}

int close(int fd)
{
    struct change c;
    bool concerned = change_of_fd(&c, CHANGE_CLOSE, fd);
    AROUND(concerned, c, (int)syscall(SYS_close, fd));
}

static int change_open(int dir, const char *path, int flags, mode_t mode)
{
    struct change c;
    bool there = (flags & O_TMPFILE) != O_TMPFILE && syscall(SYS_faccessat, dir, path, F_OK) == 0;
    if (!at_creates(flags) || there || !change_of_path(&c, CHANGE_CREATE, dir, path))
        return (int)syscall(SYS_openat, dir, path, flags, mode);
    change_begins(&c);
    c.fd = (int)syscall(SYS_openat, dir, path, flags, mode);
    int before = errno;
    change_ends(&c, c.fd >= 0);
    errno = before;
    return c.fd;
}

int open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = at_creates(flags) ? va_arg(more, mode_t) : 0;
    va_end(more);
    return change_open(AT_FDCWD, path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = at_creates(flags) ? va_arg(more, mode_t) : 0;
    va_end(more);
    return change_open(dir, path, flags, mode);
}

static bool change_of_two(struct change *c, enum change_kind kind, int from_dir, const char *from, int to_dir,
                          const char *to)
{
    bool concerned = change_of_path(c, kind, from_dir, from);
    at_path(to_dir, to, c->to_path);
    c->to = c->to_path;
    return concerned || change_concerns(c->to);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    struct change c;
    bool concerned = change_of_two(&c, CHANGE_LINK, from_dir, from, to_dir, to);
    if (concerned && strncmp(from, "/proc/self/fd/", 14) == 0)
        c.fd = atoi(from + 14);
    AROUND(concerned, c, (int)syscall(SYS_linkat, from_dir, from, to_dir, to, flags));
}

int link(const char *from, const char *to)
{
    return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    struct change c;
    bool concerned = change_of_two(&c, CHANGE_RENAME, from_dir, from, to_dir, to);
    AROUND(concerned, c, (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags));
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return renameat2(from_dir, from, to_dir, to, 0);
}

int rename(const char *from, const char *to)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlinkat(int dir, const char *path, int flags)
{
    struct change c;
    bool concerned = change_of_path(&c, CHANGE_UNLINK, dir, path);
    AROUND(concerned, c, (int)syscall(SYS_unlinkat, dir, path, flags));
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
    struct change c;
    bool concerned = change_of_path(&c, CHANGE_MKDIR, dir, path);
    AROUND(concerned, c, (int)syscall(SYS_mkdirat, dir, path, mode));
}

int mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}

int fcntl(int fd, int command, ...)
{
    struct change c;
    va_list more;
    va_start(more, command);
    void *argument = va_arg(more, void *);
    va_end(more);
    bool concerned = (command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW) &&
                     change_of_fd(&c, CHANGE_LOCK, fd);
    AROUND(concerned, c, (int)syscall(SYS_fcntl, fd, command, argument));
}

int flock(int fd, int operation)
{
    struct change c;
    bool concerned = change_of_fd(&c, CHANGE_LOCK, fd);
    AROUND(concerned, c, (int)syscall(SYS_flock, fd, operation));
}

void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    struct change c;
    if (fd < 0 || (flags & MAP_SHARED) == 0 || (protection & PROT_WRITE) == 0 || !change_of_fd(&c, CHANGE_MAP, fd))
        return (void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset);
    change_begins(&c);
    void *mapped = (void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset);
    int before = errno;
    change_ends(&c, mapped != MAP_FAILED);
    errno = before;
    return mapped;
}

int msync(void *at, size_t n, int flags)
{
    struct change c = {.kind = CHANGE_SYNC, .fd = -1};
    AROUND(true, c, (int)syscall(SYS_msync, at, n, flags)); /* the file is not known */
}

/* The same functions under their other names. */
ssize_t pwrite64(int, const void *, size_t, off64_t) __attribute__((alias("pwrite")));
int ftruncate64(int, off64_t) __attribute__((alias("ftruncate")));
int fallocate64(int, int, off64_t, off64_t) __attribute__((alias("fallocate")));
int posix_fallocate64(int, off64_t, off64_t) __attribute__((alias("posix_fallocate")));
int open64(const char *, int, ...) __attribute__((alias("open")));
int openat64(int, const char *, int, ...) __attribute__((alias("openat")));
int fcntl64(int, int, ...) __attribute__((alias("fcntl")));
void *mmap64(void *, size_t, int, int, int, off64_t) __attribute__((alias("mmap")));

#endif
