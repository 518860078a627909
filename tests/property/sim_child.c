/* property/sim_child.c */
#include "sim_child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FILES_MAX = 256 };

static struct child_page *ours; /* in a child */
static int ours_fd = -1;

/* What a child asks the test to do, besides its stops. */
enum { ASK_NOTHING, ASK_READ, ASK_TAIL, ASK_LIST, ASK_TIME };

bool child_is_one(void)
{
    return ours != NULL;
}

/* ---- handing over */

static bool pass_on(int fd, uint8_t what)
{
    return send(fd, &what, 1, MSG_NOSIGNAL) == 1;
}

static bool wait_for(int fd, uint8_t *ret_what)
{
    ssize_t n;
    do
        n = read(fd, ret_what, 1);
    while (n < 0 && errno == EINTR);
    return n == 1;
}

static void stop_at(enum child_stop stop)
{
    uint8_t go;
    if (!pass_on(ours_fd, (uint8_t)stop) || !wait_for(ours_fd, &go))
        _exit(0); /* the test has ended */
    true_ms = ours->time_ms;
}

uint32_t child_say(void)
{
    ours->ask = ASK_NOTHING;
    stop_at(CHILD_SAYS);
    return ours->command;
}

void child_point(void)
{
    if (!ours || ours->points-- > 0)
        return;
    ours->ask = ASK_NOTHING;
    stop_at(CHILD_POINT);
}

void child_sleep_ms(int64_t ms)
{
    ours->wake_ms = true_ms + ms;
    ours->ask = ASK_NOTHING;
    stop_at(CHILD_SLEEPS);
}

/* A copy of a descriptor would keep the lock on a state file. */
static void close_inherited(void)
{
    for (int fd = STDERR_FILENO + 1; fd < FILES_MAX; fd++)
        if (fd != ours_fd && fcntl(fd, F_GETFD) == FD_CLOEXEC)
            close(fd);
}

void child_start(struct child *c, child_main *main, void *context)
{
    int fds[2];
    struct child_page *page =
        c->page ? c->page : mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        abort();
    *c = (struct child){.page = page, .fd = fds[0], .pid = fork(), .stop = CHILD_POINT};
    if (c->pid < 0)
        abort();
    if (c->pid > 0) {
        uint8_t stop;
        close(fds[1]);
        if (!wait_for(c->fd, &stop))
            broken("a process of the test did not start");
        return;
    }
    close(fds[0]);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    running = NULL;
    ours = page;
    ours_fd = fds[1];
    close_inherited();
    ours->ask = ASK_NOTHING;
    stop_at(CHILD_POINT);
    main(page, context);
    pass_on(ours_fd, CHILD_ENDED);
    _exit(0);
}

static int how_it_ended(struct child *c)
{
    int status = 0;
    waitpid(c->pid, &status, 0);
    close(c->fd);
    c->pid = 0;
    c->stop = CHILD_ENDED;
    return status;
}

void child_kill(struct child *c)
{
    if (c->pid == 0)
        return;
    kill(c->pid, SIGKILL);
    how_it_ended(c);
}

/* ---- requests: the test makes them, with the faults of its stores */

static int append_entry(void *context, const struct store_entry *entry)
{
    struct child_page *p = context;
    const size_t key = strlen(entry->key) + 1;
    NEED(p->size + 16 + key <= sizeof p->bytes, "a listing is too long for the test");
    memcpy(p->bytes + p->size, &entry->size, 8);
    memcpy(p->bytes + p->size + 8, &entry->time_ms, 8);
    memcpy(p->bytes + p->size + 16, entry->key, key);
    p->size += 16 + key;
    return 0;
}

static void serve(struct child_page *p)
{
    struct store *s = NULL;
    struct buf tail = BUF_INIT(CHILD_BYTES_MAX);
    if (store_open(stores[p->store].url, STORE_READ, &s, &p->error))
        abort();
    const size_t n = p->size;
    NEED(n <= sizeof p->bytes, "an object is too large for the test");
    p->size = 0;
    if (p->ask == ASK_READ) {
        p->rc = s->ops->read(s, p->key, p->offset, p->bytes, n, &p->error);
    } else if (p->ask == ASK_TAIL) {
        p->rc = s->ops->read_tail(s, p->key, n, &tail, &p->object_size, &p->error);
        if (p->rc == 0 && tail.len > 0)
            memcpy(p->bytes, tail.data, tail.len);
        p->size = tail.len;
    } else if (p->ask == ASK_LIST) {
        p->rc = s->ops->list(s, p->key, p->after, append_entry, p, &p->error);
    } else {
        p->rc = s->ops->time(s, (int64_t *)&p->object_size, &p->error);
    }
    buf_release(&tail);
    s->ops->close(s);
}

enum child_stop child_go_on(struct child *c, int points)
{
    uint8_t stop = CHILD_ENDED;
    c->page->points = points;
    for (;;) {
        c->page->time_ms = true_ms;
        const bool answered = pass_on(c->fd, 0) && wait_for(c->fd, &stop);
        if (!answered || stop == CHILD_ENDED) {
            const int status = how_it_ended(c);
            if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
                _exit(1); /* it has said what is broken */
            NEED(answered && WIFEXITED(status), "a process of the test ended by signal %d", WTERMSIG(status));
            return CHILD_ENDED;
        }
        if (c->page->ask == ASK_NOTHING)
            return c->stop = (enum child_stop)stop;
        serve(c->page);
    }
}

/* ---- the store of a child */

static int ask(unsigned what, const char *key, size_t n, struct err *e)
{
    child_point();
    ours->ask = what;
    ours->size = n;
    snprintf(ours->key, sizeof ours->key, "%s", key);
    stop_at(CHILD_POINT);
    ours->ask = ASK_NOTHING;
    if (ours->rc)
        *e = ours->error;
    return ours->rc;
}

static int read_range(struct store *s, const char *key, uint64_t offset, void *out, size_t n, struct err *e)
{
    (void)s;
    ours->offset = offset;
    if (ask(ASK_READ, key, n, e))
        return -1;
    memcpy(out, ours->bytes, n);
    return 0;
}

static int read_tail(struct store *s, const char *key, size_t n, struct buf *out, uint64_t *ret_size, struct err *e)
{
    (void)s;
    if (ask(ASK_TAIL, key, n < CHILD_BYTES_MAX ? n : CHILD_BYTES_MAX, e))
        return -1;
    *ret_size = ours->object_size;
    return buf_append(out, ours->bytes, ours->size, e);
}

static int list(struct store *s, const char *prefix, const char *start_after, store_entry_fn *fn, void *context,
                struct err *e)
{
    (void)s;
    snprintf(ours->after, sizeof ours->after, "%s", start_after);
    if (ask(ASK_LIST, prefix, 0, e))
        return -1;
    const size_t size = ours->size;
    uint8_t *entries = malloc(size + 1); /* `fn` may make requests */
    if (!entries)
        abort();
    memcpy(entries, ours->bytes, size);
    for (size_t at = 0; at < size;) {
        struct store_entry entry = {.key = (const char *)entries + at + 16};
        memcpy(&entry.size, entries + at, 8);
        memcpy(&entry.time_ms, entries + at + 8, 8);
        at += 16 + strlen(entry.key) + 1;
        if (fn(context, &entry))
            break;
    }
    free(entries);
    return 0;
}

static int clock_of(struct store *s, int64_t *ret_time_ms, struct err *e)
{
    (void)s;
    if (ask(ASK_TIME, "", 0, e))
        return -1;
    *ret_time_ms = (int64_t)ours->object_size;
    return 0;
}

static void close_store(struct store *s)
{
    free(s);
}

static const struct store_ops ops = {
    .read = read_range, .read_tail = read_tail, .list = list, .time = clock_of, .close = close_store};

int child_open_store(const char *url, struct store **ret_store, struct err *e)
{
    struct store *s = calloc(1, sizeof *s);
    if (!s)
        return err_nomem(e, sizeof *s);
    s->ops = &ops;
    s->fencing = STORE_FENCING_STRONG;
    s->costs = stores[ours->store].costs;
    snprintf(s->url, sizeof s->url, "%s", url);
    *ret_store = s;
    return 0;
}

/* ---- points in system calls */

int __real_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    if (!ours)
        return __real_poll(fds, n, timeout_ms);
    for (nfds_t i = 0; i < n; i++)
        fds[i].revents = 0;
    child_sleep_ms(timeout_ms);
    return 0;
}

int __real_io_pwrite(int fd, const void *bytes, size_t n, uint64_t offset, struct err *e);
int __wrap_io_pwrite(int fd, const void *bytes, size_t n, uint64_t offset, struct err *e);
int __wrap_io_pwrite(int fd, const void *bytes, size_t n, uint64_t offset, struct err *e)
{
    child_point();
    return __real_io_pwrite(fd, bytes, n, offset, e);
}

int __real_io_fsync(int fd, const char *path, struct err *e);
int __wrap_io_fsync(int fd, const char *path, struct err *e);
int __wrap_io_fsync(int fd, const char *path, struct err *e)
{
    child_point();
    return __real_io_fsync(fd, path, e);
}

/* ---- points in SQLite */

struct file {
    sqlite3_file base;
    sqlite3_file *real; /* behind this struct */
};

static sqlite3_file *real(sqlite3_file *f)
{
    return ((struct file *)f)->real;
}

static int file_close(sqlite3_file *f)
{
    return real(f)->pMethods ? real(f)->pMethods->xClose(real(f)) : SQLITE_OK;
}
static int file_read(sqlite3_file *f, void *out, int n, sqlite3_int64 at)
{
    return real(f)->pMethods->xRead(real(f), out, n, at);
}
static int file_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 at)
{
    child_point();
    return real(f)->pMethods->xWrite(real(f), bytes, n, at);
}
static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    child_point();
    return real(f)->pMethods->xTruncate(real(f), size);
}
static int file_sync(sqlite3_file *f, int flags)
{
    child_point();
    return real(f)->pMethods->xSync(real(f), flags);
}
static int file_size(sqlite3_file *f, sqlite3_int64 *ret_size)
{
    return real(f)->pMethods->xFileSize(real(f), ret_size);
}
static int file_lock(sqlite3_file *f, int level)
{
    return real(f)->pMethods->xLock(real(f), level);
}
static int file_unlock(sqlite3_file *f, int level)
{
    return real(f)->pMethods->xUnlock(real(f), level);
}
static int file_check_lock(sqlite3_file *f, int *ret_is)
{
    return real(f)->pMethods->xCheckReservedLock(real(f), ret_is);
}
static int file_control(sqlite3_file *f, int op, void *arg)
{
    return real(f)->pMethods->xFileControl(real(f), op, arg);
}
static int file_sector(sqlite3_file *f)
{
    return real(f)->pMethods->xSectorSize(real(f));
}
static int file_is(sqlite3_file *f)
{
    return real(f)->pMethods->xDeviceCharacteristics(real(f));
}
static int file_shm_map(sqlite3_file *f, int block, int size, int extend, void volatile **ret_at)
{
    child_point();
    return real(f)->pMethods->xShmMap(real(f), block, size, extend, ret_at);
}
static int file_shm_lock(sqlite3_file *f, int first, int n, int flags)
{
    child_point();
    return real(f)->pMethods->xShmLock(real(f), first, n, flags);
}
static void file_shm_barrier(sqlite3_file *f)
{
    child_point();
    real(f)->pMethods->xShmBarrier(real(f));
}
static int file_shm_unmap(sqlite3_file *f, int remove)
{
    return real(f)->pMethods->xShmUnmap(real(f), remove);
}

static const sqlite3_io_methods methods = {.iVersion = 2,
                                           .xClose = file_close,
                                           .xRead = file_read,
                                           .xWrite = file_write,
                                           .xTruncate = file_truncate,
                                           .xSync = file_sync,
                                           .xFileSize = file_size,
                                           .xLock = file_lock,
                                           .xUnlock = file_unlock,
                                           .xCheckReservedLock = file_check_lock,
                                           .xFileControl = file_control,
                                           .xSectorSize = file_sector,
                                           .xDeviceCharacteristics = file_is,
                                           .xShmMap = file_shm_map,
                                           .xShmLock = file_shm_lock,
                                           .xShmBarrier = file_shm_barrier,
                                           .xShmUnmap = file_shm_unmap};

static sqlite3_vfs *system_vfs;

static int open_file(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *f, int flags, int *ret_flags)
{
    struct file *file = (struct file *)(void *)f;
    (void)vfs;
    file->real = (sqlite3_file *)(void *)(file + 1);
    int rc = system_vfs->xOpen(system_vfs, name, file->real, flags, ret_flags);
    file->base.pMethods = rc == SQLITE_OK ? &methods : NULL;
    return rc;
}

/* A reader that finds a lock tries again and again, and the process with the lock does not run meanwhile. */
static int never_sleep(sqlite3_vfs *vfs, int us)
{
    (void)vfs;
    return us;
}

void child_use_points_in_sqlite(void)
{
    static sqlite3_vfs vfs;
    system_vfs = sqlite3_vfs_find(NULL);
    vfs = *system_vfs;
    vfs.zName = "points";
    vfs.pNext = NULL;
    vfs.szOsFile = (int)sizeof(struct file) + system_vfs->szOsFile;
    vfs.xOpen = open_file;
    vfs.xSleep = never_sleep;
    sqlite3_vfs_register(&vfs, 1);
}
