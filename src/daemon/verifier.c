/* daemon/verifier.c */
#include "daemon/verifier.h"

#include "base/claim.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/spawn.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define TERM_MS 2000       /* from SIGTERM to SIGKILL */
#define REAP_MS 20         /* verifier_stop looks this often whether the child has ended */
#define OUT_MAX (2u << 20) /* verify reports at most 1000 problems */
#define ERR_TEXT_MAX 4096
#define NICEST 19

int verifier_open(struct verifier *v, uint64_t memory, struct err *e)
{
    *v = VERIFIER_NONE;
    v->memory = memory > CLAIM_LIMIT_DEFAULT ? (size_t)memory : CLAIM_LIMIT_DEFAULT;
    v->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return v->epoll_fd < 0 ? err_sys(e, errno, "epoll_create1") : 0;
}

/* ---- start */

/* The file of this program. Without /proc it is the path by which it was started, which may be that of a newer version. */
static const char *own_program(void)
{
    static const char linked[] = "/proc/self/exe";
    const char *started = (const char *)getauxval(AT_EXECFN); // NOLINT(performance-no-int-to-ptr)
    return access(linked, X_OK) == 0 || !started ? linked : started;
}

static int spawn_verify(const struct verifier *v, enum verifier_restore restore, const int fds[3], pid_t *ret_pid)
{
    char memory[32];
    const char *const restores[] = {"seawall", "verify", "--json", "--memory", memory, "--restore", "-", NULL};
    const char *const checks[] = {"seawall", "verify", "--json", "--memory", memory, "-", NULL};
    snprintf(memory, sizeof memory, "%zu", v->memory);
    return spawn_program(own_program(), restore == VERIFIER_RESTORES ? restores : checks, fds, ret_pid);
}

static int add_pipe(struct verifier *v, struct verifier_pipe *pipe, int *fd, size_t ceiling)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = pipe};
    buf_release(&pipe->bytes);
    *pipe = (struct verifier_pipe){.fd = *fd, .bytes = BUF_INIT(ceiling)};
    *fd = -1;
    bool added =
        fcntl(pipe->fd, F_SETFL, O_NONBLOCK) == 0 && epoll_ctl(v->epoll_fd, EPOLL_CTL_ADD, pipe->fd, &event) == 0;
    return added ? 0 : errno;
}

static void close_pipe(struct verifier_pipe *pipe)
{
    io_close(&pipe->fd); /* this removes it from the epoll set */
}

/* Does not wait for the child: a URL fits into the buffer of a pipe. */
static int hand_over_url(int fd, const char *url)
{
    struct err e;
    bool written = fcntl(fd, F_SETFL, O_NONBLOCK) == 0 && io_write(fd, url, strlen(url), &e) == 0 &&
                   io_write(fd, "\n", 1, &e) == 0;
    return written ? 0 : EIO;
}

/* `theirs` and `ours`: the child's ends of its three pipes, and ours. */
static int start_with(struct verifier *v, const char *url, enum verifier_restore restore, int theirs[3], int ours[3])
{
    for (int i = 0; i < 3; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0)
            return errno;
        theirs[i] = ends[i == 0 ? 0 : 1];
        ours[i] = ends[i == 0 ? 1 : 0];
    }
    int rc = hand_over_url(ours[0], url);
    if (rc == 0)
        rc = add_pipe(v, &v->out, &ours[1], OUT_MAX);
    if (rc == 0)
        rc = add_pipe(v, &v->err, &ours[2], ERR_TEXT_MAX);
    return rc ? rc : spawn_verify(v, restore, theirs, &v->pid);
}

int verifier_start(struct verifier *v, const char *url, enum verifier_restore restore, int64_t now_ms)
{
    int theirs[3] = {-1, -1, -1}, ours[3] = {-1, -1, -1};
    assert(v->pid == 0 && v->epoll_fd >= 0);
    v->begun_ms = now_ms;
    v->term_ms = 0;
    int rc = start_with(v, url, restore, theirs, ours);
    for (int i = 0; i < 3; i++) {
        io_close(&theirs[i]);
        io_close(&ours[i]);
    }
    if (rc == 0) {
        setpriority(PRIO_PROCESS, (id_t)v->pid, NICEST);
        return 0;
    }
    verifier_forget(v);
    return rc;
}

/* ---- while it runs */

static void take(struct verifier_pipe *pipe)
{
    char bytes[16384];
    ssize_t n;
    struct err e;
    while ((n = read(pipe->fd, bytes, sizeof bytes)) > 0)
        pipe->overflow |= buf_append(&pipe->bytes, bytes, (size_t)n, &e) != 0;
    if (n == 0 || (errno != EAGAIN && errno != EINTR))
        close_pipe(pipe);
}

static bool reap(const struct verifier *v, int *ret_status)
{
    return waitpid(v->pid, ret_status, WNOHANG) == v->pid;
}

bool verifier_look(struct verifier *v, int64_t now_ms, int *ret_status)
{
    struct epoll_event events[2];
    int n = epoll_wait(v->epoll_fd, events, 2, 0);
    for (int i = 0; i < n; i++)
        take(events[i].data.ptr);
    if (reap(v, ret_status)) {
        if (v->out.fd >= 0) /* reads what is left; another process may keep the pipe open */
            take(&v->out);
        if (v->err.fd >= 0)
            take(&v->err);
        v->pid = 0;
        return true;
    }
    if (v->term_ms == 0 && now_ms - v->begun_ms > VERIFIER_DEADLINE_MS) {
        v->term_ms = now_ms;
        kill(-v->pid, SIGTERM);
    } else if (v->term_ms > 0 && now_ms - v->term_ms > TERM_MS) {
        kill(-v->pid, SIGKILL);
    }
    return false;
}

void verifier_reap_orphan(struct verifier *v, int64_t now_ms)
{
    int status = 0;
    if (v->pid == 0 || v->user)
        return;
    if (v->term_ms == 0)
        v->term_ms = now_ms; /* it was asked to end */
    if (verifier_look(v, now_ms, &status))
        verifier_forget(v);
}

bool verifier_is_ending(const struct verifier *v)
{
    return v->pid > 0 && v->out.fd < 0 && v->err.fd < 0;
}

/* ---- the end */

void verifier_forget(struct verifier *v)
{
    v->pid = 0;
    close_pipe(&v->out);
    close_pipe(&v->err);
    buf_release(&v->out.bytes);
    buf_release(&v->err.bytes);
}

void verifier_abandon(const struct verifier *v)
{
    if (v->pid > 0)
        kill(-v->pid, SIGTERM);
}

void verifier_stop(struct verifier *v)
{
    int64_t until = clock_mono_ms() + TERM_MS;
    int status = 0;
    verifier_abandon(v);
    while (v->pid > 0 && !reap(v, &status)) {
        if (clock_mono_ms() > until)
            kill(-v->pid, SIGKILL);
        clock_sleep_us(1000 * REAP_MS);
    }
    verifier_forget(v);
    io_close(&v->epoll_fd);
}
