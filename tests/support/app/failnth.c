/* failnth.c - the n-th call of one kind fails, for LD_PRELOAD.
 *   FAIL_KIND    which calls count: `kinds` below lists them
 *   FAIL_ONLY    a pattern, as of a shell: only calls count of which "CALL PATH" is like that, as in "fsync *.db"
 *   FAIL_AT      the number of the first call that fails, counted from 1; 0 or none: calls are only counted
 *   FAIL_TIMES   how many calls fail from there on: 1 if not given; 0: all
 *   FAIL_WITH    the errno, for kind sqlite the result code; 0: a write or read does half of it. Not given: what is usual for the kind
 *   FAIL_COUNT   a file of REPORT_BYTES: the number of calls, in the machine's byte order; then a text, once a call has failed: what
 *                failed, and the addresses of its callers
 * The calls of the program and those of SQLite count, for memory and sqlite only those of one of them. What other libraries and the C
 * library do inside themselves does not. Nothing fails that concerns descriptors 1 and 2, a pipe, /proc, /sys or /dev. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "at_path.h"

#include <dirent.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <fnmatch.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

enum { REPORT_BYTES = 4096, CALLERS = 24 };

enum kind {
    MEMORY, /* allocations of the program */
    SQLITE_MEMORY,
    LIBRARY_MEMORY, /* of the other libraries, but not of the C library */
    SQLITE,         /* calls of SQLite by the program */
    READ,
    WRITE,
    SYNC,
    NAME, /* links, renames, unlinks, new folders */
    OPEN, /* whatever gives a new descriptor */
    LENGTH,
    MAP,
    STAT,
    LOCK,
    OWNER, /* modes, owners, attributes */
    WATCH, /* inotify, epoll */
    THREAD,
    SOCKET, /* send and receive */
    WAIT,   /* epoll_wait, poll */
    KINDS,
};

static const struct {
    const char *name;
    int usual;
} kinds[KINDS] = {
    [MEMORY] = {"memory", ENOMEM},
    [SQLITE_MEMORY] = {"sqlite-memory", ENOMEM},
    [LIBRARY_MEMORY] = {"library-memory", ENOMEM},
    [SQLITE] = {"sqlite", 10 /* SQLITE_IOERR */},
    [READ] = {"read", EIO},
    [WRITE] = {"write", EIO},
    [SYNC] = {"sync", EIO},
    [NAME] = {"name", EIO},
    [OPEN] = {"open", EMFILE},
    [LENGTH] = {"length", ENOSPC},
    [MAP] = {"map", ENOMEM},
    [STAT] = {"stat", EIO},
    [LOCK] = {"lock", ENOLCK},
    [OWNER] = {"owner", EPERM},
    [WATCH] = {"watch", ENOSPC},
    [THREAD] = {"thread", EAGAIN},
    [SOCKET] = {"socket", ECONNRESET},
    [WAIT] = {"wait", EINTR},
};

struct report {
    _Atomic uint64_t calls;
    char text[REPORT_BYTES - sizeof(uint64_t)];
};

static struct report *report;
static const char *only;
static enum kind chosen = KINDS;
static uint64_t first, times = 1;
static int with;
static struct {
    uintptr_t from, end;
} program, sqlite, libc, loader, sanitizer, self;
static bool begun;           /* `begin` ran: dlsym can be called */
static __thread bool inside; /* this thread is in this library: what it calls does not count */

/* ---- begin */

static int note_object(struct dl_phdr_info *info, size_t size, void *context)
{
    uintptr_t from = UINTPTR_MAX, end = 0;
    (void)size, (void)context;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_LOAD)
            continue;
        uintptr_t at = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        from = at < from ? at : from;
        end = at + info->dlpi_phdr[i].p_memsz > end ? at + info->dlpi_phdr[i].p_memsz : end;
    }
    const char *name = info->dlpi_name;
#define IS(object) ((object).from = from, (object).end = end)
    if (name[0] == 0 && program.end == 0)
        IS(program);
    else if (strstr(name, "libsqlite3"))
        IS(sqlite);
    else if (strstr(name, "/libc.so"))
        IS(libc);
    else if (strstr(name, "/ld-linux"))
        IS(loader);
    else if (strstr(name, "/libasan"))
        IS(sanitizer);
    else if (strstr(name, "failnth"))
        IS(self);
#undef IS
    return 0;
}

static bool lies_in(uintptr_t at, uintptr_t from, uintptr_t end)
{
    return at >= from && at < end;
}
#define CALLED_FROM(object) lies_in((uintptr_t)__builtin_return_address(0), (object).from, (object).end)

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FAIL_COUNT"), *kind = getenv("FAIL_KIND"), *at = getenv("FAIL_AT");
    const char *count = getenv("FAIL_TIMES"), *code = getenv("FAIL_WITH");
    void *callers[CALLERS];
    begun = true;
    if (path == NULL || kind == NULL)
        return;
    inside = true;
    backtrace(callers, CALLERS); /* loads what it needs */
    dl_iterate_phdr(note_object, NULL);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    void *mapped =
        fd < 0 ? MAP_FAILED : (void *)syscall(SYS_mmap, NULL, REPORT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        syscall(SYS_close, fd);
    first = at != NULL ? strtoull(at, NULL, 10) : 0;
    only = getenv("FAIL_ONLY");
    times = count != NULL ? strtoull(count, NULL, 10) : 1;
    for (int k = 0; k < KINDS && mapped != MAP_FAILED; k++) {
        if (strcmp(kind, kinds[k].name) == 0) {
            with = code != NULL ? atoi(code) : kinds[k].usual;
            report = mapped;
            chosen = (enum kind)k;
        }
    }
    inside = false;
}

/* ---- the decision */

static void tell(const char *call, const char *path)
{
    void *callers[CALLERS];
    size_t n = (size_t)snprintf(report->text, sizeof report->text, "%s %s: %s\n", call, path, strerror(with));
    int depth = backtrace(callers, CALLERS);
    for (int i = 2; i < depth && n < sizeof report->text - 300; i++) {
        Dl_info info = {0};
        if (dladdr(callers[i], &info) && info.dli_fname != NULL)
            n += (size_t)snprintf(report->text + n, 300, "%.240s 0x%zx\n", info.dli_fname,
                                  (size_t)((uintptr_t)callers[i] - (uintptr_t)info.dli_fbase));
    }
}

static bool counts(const char *call, const char *path)
{
    char text[PATH_MAX + 64];
    snprintf(text, sizeof text, "%s %s", call, path);
    return only == NULL || only[0] == 0 || fnmatch(only, text, 0) == 0;
}

/* Does this call fail? Then errno is set. Otherwise errno stays what it is. */
static bool fails(enum kind kind, const char *call, const char *path)
{
    if (kind != chosen || report == NULL || inside || !counts(call, path))
        return false;
    uint64_t n = atomic_fetch_add(&report->calls, 1) + 1;
    if (first == 0 || n < first || (times > 0 && n >= first + times))
        return false;
    inside = true;
    if (n == first)
        tell(call, path);
    inside = false;
    errno = with;
    return true;
}

static bool spared(const char *path)
{
    return strncmp(path, "/proc/", 6) == 0 || strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/sys/", 5) == 0;
}

static bool fails_at(enum kind kind, const char *call, int dir, const char *name)
{
    char path[PATH_MAX];
    if (kind != chosen || inside)
        return false;
    at_path(dir, name, path);
    bool by_descriptor = strncmp(path, "/proc/self/fd/", 14) == 0; /* linkat gives a name to an open file */
    return (!spared(path) || by_descriptor) && fails(kind, call, path);
}

static bool fails_fd(enum kind kind, const char *call, int fd)
{
    char link[64], path[PATH_MAX];
    int before = errno;
    if (kind != chosen || inside || fd == STDOUT_FILENO || fd == STDERR_FILENO)
        return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    errno = before;
    if (n < 0)
        return false;
    path[n] = 0;
    return path[0] == '/' && !spared(path) && fails(kind, call, path);
}

/* ---- memory */

static char early[1 << 20]; /* for what is allocated before `begin`: a sanitizer is not ready then, nor is dlsym */
static size_t early_used;

static void *early_memory(size_t n)
{
    void *p = early + early_used;
    early_used += (n + 15) / 16 * 16;
    return early_used <= sizeof early ? p : NULL;
}

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static void (*real_free)(void *);

static bool is_early(const void *p)
{
    return lies_in((uintptr_t)p, (uintptr_t)early, (uintptr_t)early + sizeof early);
}

/* Those of the address sanitizer, which can be called before dlsym can. */
void *__interceptor_malloc(size_t) __attribute__((weak));
void *__interceptor_calloc(size_t, size_t) __attribute__((weak));
void *__interceptor_realloc(void *, size_t) __attribute__((weak));
void __interceptor_free(void *) __attribute__((weak));

static bool found_memory(void)
{
    static __thread bool looking;
    if (real_free != NULL)
        return true;
    if (__interceptor_malloc && __interceptor_calloc && __interceptor_realloc && __interceptor_free) {
        real_malloc = __interceptor_malloc;
        real_calloc = __interceptor_calloc;
        real_realloc = __interceptor_realloc;
        real_free = __interceptor_free;
        return true;
    }
    if (looking || !begun)
        return false;
    looking = true;
    real_malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
    real_calloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
    real_realloc = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
    real_free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
    looking = false;
    return true;
}

static bool memory_fails(const char *call, uintptr_t caller)
{
    bool by_program = lies_in(caller, program.from, program.end), by_sqlite = lies_in(caller, sqlite.from, sqlite.end);
    bool inner = lies_in(caller, libc.from, libc.end) || lies_in(caller, loader.from, loader.end) ||
                 lies_in(caller, sanitizer.from, sanitizer.end) || lies_in(caller, self.from, self.end);
    if (inner)
        return false;
    return fails(by_program ? MEMORY : by_sqlite ? SQLITE_MEMORY : LIBRARY_MEMORY, call, "");
}
#define MEMORY_FAILS(call) memory_fails(call, (uintptr_t)__builtin_return_address(0))

void *malloc(size_t n)
{
    if (!found_memory())
        return early_memory(n);
    return MEMORY_FAILS("malloc") ? NULL : real_malloc(n);
}

void *calloc(size_t count, size_t n)
{
    if (!found_memory())
        return early_memory(count * n);
    return MEMORY_FAILS("calloc") ? NULL : real_calloc(count, n);
}

void *realloc(void *p, size_t n)
{
    if (found_memory() && !is_early(p))
        return MEMORY_FAILS("realloc") ? NULL : real_realloc(p, n);
    char *copy = found_memory() ? real_malloc(n) : early_memory(n);
    size_t most = p != NULL ? (size_t)(early + sizeof early - (char *)p) : 0;
    return copy != NULL && p != NULL ? memcpy(copy, p, n < most ? n : most) : copy;
}

void free(void *p)
{
    if (!is_early(p) && found_memory())
        real_free(p);
}

char *strdup(const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = MEMORY_FAILS("strdup") ? NULL : malloc(n);
    return copy != NULL ? memcpy(copy, text, n) : NULL;
}

/* ---- SQLite: what it returns instead of doing it */

struct sqlite3;
static __thread bool sqlite_failed; /* what sqlite3_errmsg says next is about that */
#define REAL(name, type) ((type)dlsym(RTLD_NEXT, name))
#define SQLITE_CALL(name, parameters, arguments)                                                                       \
    int name parameters;                                                                                               \
    int name parameters                                                                                                \
    {                                                                                                                  \
        if (CALLED_FROM(program) && fails(SQLITE, #name, ""))                                                          \
            return sqlite_failed = true, with;                                                                         \
        return REAL(#name, int(*) parameters) arguments;                                                               \
    }

SQLITE_CALL(sqlite3_open_v2, (const char *path, struct sqlite3 **db, int flags, const char *vfs),
            (path, db, flags, vfs))
SQLITE_CALL(sqlite3_prepare_v2, (struct sqlite3 * db, const char *text, int n, void **statement, const char **rest),
            (db, text, n, statement, rest))
SQLITE_CALL(sqlite3_step, (void *statement), (statement))
SQLITE_CALL(sqlite3_wal_checkpoint_v2, (struct sqlite3 * db, const char *name, int mode, int *log, int *copied),
            (db, name, mode, log, copied))
SQLITE_CALL(sqlite3_file_control, (struct sqlite3 * db, const char *name, int op, void *argument),
            (db, name, op, argument))
SQLITE_CALL(sqlite3_initialize, (void), ())
SQLITE_CALL(sqlite3_busy_handler, (struct sqlite3 * db, int (*handler)(void *, int), void *context),
            (db, handler, context))
SQLITE_CALL(sqlite3_busy_timeout, (struct sqlite3 * db, int ms), (db, ms))
SQLITE_CALL(sqlite3_wal_autocheckpoint, (struct sqlite3 * db, int frames), (db, frames))
SQLITE_CALL(sqlite3_vfs_register, (void *vfs, int make_default), (vfs, make_default))

const char *sqlite3_errmsg(struct sqlite3 *db);
const char *sqlite3_errmsg(struct sqlite3 *db)
{
    if (!sqlite_failed)
        return REAL("sqlite3_errmsg", const char *(*)(struct sqlite3 *))(db);
    sqlite_failed = false;
    return REAL("sqlite3_errstr", const char *(*)(int))(with);
}

/* ---- reads and writes */

/* The bytes to do when a call fails with 0: half of them. */
static size_t half(size_t n)
{
    return n > 1 ? n / 2 : n;
}

#define OR_FAIL(kind, call, fd, failed, done)                                                                          \
    do {                                                                                                               \
        if (fails_fd(kind, call, fd))                                                                                  \
            return with == 0 ? (failed) : -1;                                                                          \
        return (done);                                                                                                 \
    } while (0)

ssize_t read(int fd, void *out, size_t n)
{
    OR_FAIL(READ, "read", fd, syscall(SYS_read, fd, out, half(n)), syscall(SYS_read, fd, out, n));
}

ssize_t pread(int fd, void *out, size_t n, off_t at)
{
    OR_FAIL(READ, "pread", fd, syscall(SYS_pread64, fd, out, half(n), at), syscall(SYS_pread64, fd, out, n, at));
}

ssize_t write(int fd, const void *bytes, size_t n)
{
    OR_FAIL(WRITE, "write", fd, syscall(SYS_write, fd, bytes, half(n)), syscall(SYS_write, fd, bytes, n));
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    OR_FAIL(WRITE, "pwrite", fd, syscall(SYS_pwrite64, fd, bytes, half(n), at),
            syscall(SYS_pwrite64, fd, bytes, n, at));
}

ssize_t send(int fd, const void *bytes, size_t n, int flags)
{
    bool failed = fails(SOCKET, "send", "");
    return failed && with != 0 ? -1 : syscall(SYS_sendto, fd, bytes, failed ? half(n) : n, flags, NULL, 0);
}

ssize_t recv(int fd, void *out, size_t n, int flags)
{
    bool failed = fails(SOCKET, "recv", "");
    return failed && with != 0 ? -1 : syscall(SYS_recvfrom, fd, out, failed ? half(n) : n, flags, NULL, NULL);
}

struct dirent *readdir(DIR *folder)
{
    bool failed = with != 0 && fails_fd(READ, "readdir", dirfd(folder));
    return failed ? NULL : REAL("readdir", struct dirent * (*)(DIR *))(folder);
}

#undef OR_FAIL
#define OR_FAIL(failing, done)                                                                                         \
    do {                                                                                                               \
        if (failing)                                                                                                   \
            return -1;                                                                                                 \
        return (done);                                                                                                 \
    } while (0)

int fsync(int fd)
{
    OR_FAIL(fails_fd(SYNC, "fsync", fd), (int)syscall(SYS_fsync, fd));
}

int fdatasync(int fd)
{
    OR_FAIL(fails_fd(SYNC, "fdatasync", fd), (int)syscall(SYS_fdatasync, fd));
}

int msync(void *at, size_t n, int flags)
{
    OR_FAIL(fails(SYNC, "msync", ""), (int)syscall(SYS_msync, at, n, flags));
}

int ftruncate(int fd, off_t n)
{
    OR_FAIL(fails_fd(LENGTH, "ftruncate", fd), (int)syscall(SYS_ftruncate, fd, n));
}

int fallocate(int fd, int mode, off_t at, off_t n)
{
    OR_FAIL(fails_fd(LENGTH, "fallocate", fd), (int)syscall(SYS_fallocate, fd, mode, at, n));
}

int posix_fallocate(int fd, off_t at, off_t n)
{
    if (fails_fd(LENGTH, "posix_fallocate", fd))
        return with;
    return syscall(SYS_fallocate, fd, 0, at, n) == 0 ? 0 : errno;
}

void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    if (fd >= 0 && fails_fd(MAP, "mmap", fd))
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset);
}

void *mremap(void *at, size_t old, size_t n, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    void *to = (flags & MREMAP_FIXED) != 0 ? va_arg(more, void *) : NULL;
    va_end(more);
    if (fails(MAP, "mremap", ""))
        return MAP_FAILED;
    return (void *)syscall(SYS_mremap, at, old, n, flags, to);
}

/* ---- names and descriptors */

static int open_or_fail(int dir, const char *path, int flags, mode_t mode)
{
    OR_FAIL(fails_at(OPEN, "open", dir, path), (int)syscall(SYS_openat, dir, path, flags, mode));
}

#define MODE_OF(flags)                                                                                                 \
    mode_t mode = 0;                                                                                                   \
    if (at_creates(flags)) {                                                                                           \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode = va_arg(more, mode_t);                                                                                   \
        va_end(more);                                                                                                  \
    }

int open(const char *path, int flags, ...)
{
    MODE_OF(flags)
    return open_or_fail(AT_FDCWD, path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
    MODE_OF(flags)
    return open_or_fail(dir, path, flags, mode);
}

int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags)
{
    return open_or_fail(AT_FDCWD, path, flags, 0);
}

DIR *opendir(const char *path)
{
    return fails_at(OPEN, "opendir", AT_FDCWD, path) ? NULL : REAL("opendir", DIR * (*)(const char *))(path);
}

DIR *fdopendir(int fd)
{
    return fails_fd(OPEN, "fdopendir", fd) ? NULL : REAL("fdopendir", DIR * (*)(int))(fd);
}

int socket(int domain, int type, int protocol)
{
    OR_FAIL(fails(OPEN, "socket", ""), (int)syscall(SYS_socket, domain, type, protocol));
}

int accept4(int fd, struct sockaddr *from, socklen_t *n, int flags)
{
    OR_FAIL(fails(OPEN, "accept4", ""), (int)syscall(SYS_accept4, fd, from, n, flags));
}

int epoll_create1(int flags)
{
    OR_FAIL(fails(OPEN, "epoll_create1", ""), (int)syscall(SYS_epoll_create1, flags));
}

int inotify_init1(int flags)
{
    OR_FAIL(fails(OPEN, "inotify_init1", ""), (int)syscall(SYS_inotify_init1, flags));
}

int eventfd(unsigned value, int flags)
{
    OR_FAIL(fails(OPEN, "eventfd", ""), (int)syscall(SYS_eventfd2, value, flags));
}

int pipe2(int out[2], int flags)
{
    OR_FAIL(fails(OPEN, "pipe2", ""), (int)syscall(SYS_pipe2, out, flags));
}

int signalfd(int fd, const sigset_t *signals, int flags)
{
    OR_FAIL(fails(OPEN, "signalfd", ""), REAL("signalfd", int (*)(int, const sigset_t *, int))(fd, signals, flags));
}

int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
    OR_FAIL(fails(WATCH, "epoll_ctl", ""), (int)syscall(SYS_epoll_ctl, epoll, op, fd, event));
}

int epoll_wait(int epoll, struct epoll_event *events, int n, int ms)
{
    OR_FAIL(fails(WAIT, "epoll_wait", ""), (int)syscall(SYS_epoll_pwait, epoll, events, n, ms, NULL, 0));
}

int ppoll(struct pollfd *list, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
    typedef int call(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);
    OR_FAIL(fails(WAIT, "ppoll", ""), REAL("ppoll", call *)(list, n, timeout, mask));
}

int poll(struct pollfd *list, nfds_t n, int ms)
{
    OR_FAIL(fails(WAIT, "poll", ""), REAL("poll", int (*)(struct pollfd *, nfds_t, int))(list, n, ms));
}

int inotify_add_watch(int fd, const char *path, uint32_t mask)
{
    OR_FAIL(fails(WATCH, "inotify_add_watch", path), (int)syscall(SYS_inotify_add_watch, fd, path, mask));
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    OR_FAIL(fails_at(NAME, "linkat", to_dir, to), (int)syscall(SYS_linkat, from_dir, from, to_dir, to, flags));
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    OR_FAIL(fails_at(NAME, "rename", to_dir, to), (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags));
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return renameat2(from_dir, from, to_dir, to, 0);
}

int unlinkat(int dir, const char *path, int flags)
{
    OR_FAIL(fails_at(NAME, "unlink", dir, path), (int)syscall(SYS_unlinkat, dir, path, flags));
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
    OR_FAIL(fails_at(NAME, "mkdir", dir, path), (int)syscall(SYS_mkdirat, dir, path, mode));
}

int mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}

/* ---- what is known of files */

int fstatat(int dir, const char *path, struct stat *out, int flags)
{
    OR_FAIL(fails_at(STAT, "stat", dir, path), (int)syscall(SYS_newfstatat, dir, path, out, flags));
}

int stat(const char *path, struct stat *out)
{
    return fstatat(AT_FDCWD, path, out, 0);
}

int lstat(const char *path, struct stat *out)
{
    return fstatat(AT_FDCWD, path, out, AT_SYMLINK_NOFOLLOW);
}

int fstat(int fd, struct stat *out)
{
    OR_FAIL(fails_fd(STAT, "fstat", fd), (int)syscall(SYS_fstat, fd, out));
}

int statx(int dir, const char *path, int flags, unsigned mask, struct statx *out)
{
    OR_FAIL(fails_at(STAT, "statx", dir, path), (int)syscall(SYS_statx, dir, path, flags, mask, out));
}

int fstatvfs(int fd, struct statvfs *out)
{
    OR_FAIL(fails_fd(STAT, "fstatvfs", fd), REAL("fstatvfs", int (*)(int, struct statvfs *))(fd, out));
}

int access(const char *path, int mode)
{
    OR_FAIL(fails_at(STAT, "access", AT_FDCWD, path), (int)syscall(SYS_faccessat, AT_FDCWD, path, mode));
}

char *realpath(const char *path, char *out)
{
    return fails_at(STAT, "realpath", AT_FDCWD, path) ? NULL
                                                      : REAL("realpath", char *(*)(const char *, char *))(path, out);
}

char *__realpath_chk(const char *path, char *out, size_t n);
char *__realpath_chk(const char *path, char *out, size_t n)
{
    (void)n;
    return realpath(path, out);
}

int fchmod(int fd, mode_t mode)
{
    OR_FAIL(fails_fd(OWNER, "fchmod", fd), (int)syscall(SYS_fchmod, fd, mode));
}

int fchown(int fd, uid_t user, gid_t group)
{
    OR_FAIL(fails_fd(OWNER, "fchown", fd), (int)syscall(SYS_fchown, fd, user, group));
}

int fsetxattr(int fd, const char *name, const void *value, size_t n, int flags)
{
    OR_FAIL(fails_fd(OWNER, "fsetxattr", fd), (int)syscall(SYS_fsetxattr, fd, name, value, n, flags));
}

ssize_t flistxattr(int fd, char *out, size_t n)
{
    OR_FAIL(fails_fd(OWNER, "flistxattr", fd), syscall(SYS_flistxattr, fd, out, n));
}

ssize_t fgetxattr(int fd, const char *name, void *out, size_t n)
{
    OR_FAIL(fails_fd(OWNER, "fgetxattr", fd), syscall(SYS_fgetxattr, fd, name, out, n));
}

/* ---- locks and threads */

int fcntl(int fd, int command, ...)
{
    va_list more;
    va_start(more, command);
    void *argument = va_arg(more, void *);
    va_end(more);
    if ((command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW) &&
        ((struct flock *)argument)->l_type != F_UNLCK && fails_fd(LOCK, "fcntl", fd))
        return -1;
    if ((command == F_DUPFD || command == F_DUPFD_CLOEXEC) && fails_fd(OPEN, "dup", fd))
        return -1;
    return (int)syscall(SYS_fcntl, fd, command, argument);
}

int flock(int fd, int operation)
{
    OR_FAIL(fails_fd(LOCK, "flock", fd), (int)syscall(SYS_flock, fd, operation));
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context)
{
    if (CALLED_FROM(program) && fails(THREAD, "pthread_create", ""))
        return with;
    return REAL("pthread_create", int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))(
        thread, attributes, run, context);
}

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[])
{
    typedef int spawn(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                      char *const[], char *const[]);
    if (fails(THREAD, "posix_spawn", path))
        return with;
    return REAL("posix_spawn", spawn *)(pid, path, actions, attributes, arguments, environment);
}

/* The same under their other names. */
ssize_t pread64(int, void *, size_t, off64_t) __attribute__((alias("pread")));
ssize_t pwrite64(int, const void *, size_t, off64_t) __attribute__((alias("pwrite")));
struct dirent64 *readdir64(DIR *) __attribute__((alias("readdir")));
int ftruncate64(int, off64_t) __attribute__((alias("ftruncate")));
int fallocate64(int, int, off64_t, off64_t) __attribute__((alias("fallocate")));
int posix_fallocate64(int, off64_t, off64_t) __attribute__((alias("posix_fallocate")));
int open64(const char *, int, ...) __attribute__((alias("open")));
int openat64(int, const char *, int, ...) __attribute__((alias("openat")));
int fcntl64(int, int, ...) __attribute__((alias("fcntl")));
int stat64(const char *, struct stat64 *) __attribute__((alias("stat")));
int lstat64(const char *, struct stat64 *) __attribute__((alias("lstat")));
int fstat64(int, struct stat64 *) __attribute__((alias("fstat")));
int fstatat64(int, const char *, struct stat64 *, int) __attribute__((alias("fstatat")));
void *mmap64(void *, size_t, int, int, int, off64_t) __attribute__((alias("mmap")));
