/* aws/credential_process.c */
#include "aws/credential_process.h"

#include "base/clock.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_MS 100  /* at `cancel`, while nothing is printed */
#define REAP_US 2000 /* between looks at a program that has closed its output and runs on */
#define SHELL_CANT_RUN 126
#define SHELL_NOT_FOUND 127

extern char **environ;

/* The threads of this program block signals, and it ignores some: the child must get neither. */
static int set_attributes(posix_spawnattr_t *a)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    sigdelset(&all, SIGKILL);
    sigdelset(&all, SIGSTOP);
    int rc = posix_spawnattr_setsigmask(a, &none);
    if (rc == 0)
        rc = posix_spawnattr_setsigdefault(a, &all);
    if (rc == 0)
        rc = posix_spawnattr_setpgroup(a, 0);
    if (rc == 0)
        rc = posix_spawnattr_setflags(a, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    return rc;
}

static int set_files(posix_spawn_file_actions_t *f, int output)
{
    int rc = posix_spawn_file_actions_addopen(f, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(f, output, STDOUT_FILENO);
#ifdef __GLIBC_PREREQ
#if __GLIBC_PREREQ(2, 34)
    if (rc == 0) /* our own are close-on-exec, sockets that libcurl opens are not */
        rc = posix_spawn_file_actions_addclosefrom_np(f, STDERR_FILENO + 1);
#endif
#endif
    return rc;
}

/* In the child's name, `sh -c command`; stdout is `output`. Returns an errno. */
static int spawn(const char *command, int output, pid_t *ret_pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    char sh[] = "sh", c[] = "-c", *argv[] = {sh, c, (char *)(uintptr_t)command, NULL};
    int rc = posix_spawn_file_actions_init(&files);
    if (rc)
        return rc;
    rc = posix_spawnattr_init(&attributes);
    if (rc == 0) {
        rc = set_attributes(&attributes);
        if (rc == 0)
            rc = set_files(&files, output);
        if (rc == 0)
            rc = posix_spawn(ret_pid, "/bin/sh", &files, &attributes, argv, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&files);
    return rc;
}

static int check_time(int64_t deadline_ms, const atomic_bool *cancel, struct err *e)
{
    if (cancel && atomic_load(cancel))
        return err_set(e, ERR_CANCELED, 0, "interrupted");
    if (clock_mono_ms() >= deadline_ms)
        return err_set(e, ERR_TIMEOUT, 0, "it took too long and was killed");
    return 0;
}

static int read_output(int fd, int64_t deadline_ms, const atomic_bool *cancel, struct buf *out, struct err *e)
{
    for (;;) {
        int64_t left = deadline_ms - clock_mono_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (check_time(deadline_ms, cancel, e))
            return -1;
        int ready = poll(&p, 1, (int)(left < LOOK_MS ? (left > 0 ? left : 0) : LOOK_MS));
        if (ready < 0 && errno != EINTR)
            return err_sys(e, errno, "poll");
        if (ready <= 0)
            continue;
        char one_more = 0; /* there is no room: read it to see whether that was all */
        size_t room = out->cap - out->len;
        ssize_t n = room ? read(fd, out->data + out->len, room) : read(fd, &one_more, 1);
        if (n < 0 && errno != EINTR)
            return err_sys(e, errno, "read");
        if (n == 0)
            return 0;
        if (n > 0 && !room)
            return err_set(e, ERR_LIMIT, 0, "it printed more than %u bytes", CREDENTIAL_PROCESS_OUTPUT_MAX);
        if (n > 0)
            out->len += (size_t)n;
    }
}

static int reap(pid_t pid, int64_t deadline_ms, const atomic_bool *cancel, int *ret_status, struct err *e)
{
    for (;;) {
        pid_t got = waitpid(pid, ret_status, WNOHANG);
        if (got == pid)
            return 0;
        if (got < 0 && errno != EINTR)
            return err_sys(e, errno, "wait for it");
        if (check_time(deadline_ms, cancel, e))
            return -1;
        clock_sleep_us(REAP_US);
    }
}

static int judge(int status, struct err *e)
{
    if (WIFSIGNALED(status))
        return err_set(e, ERR_REMOTE, 0, "ended by signal %d", WTERMSIG(status));
    int code = WEXITSTATUS(status);
    if (code == SHELL_NOT_FOUND || code == SHELL_CANT_RUN) {
        err_set(e, ERR_CONFIG, 0, "exit status %d", code);
        return err_hint(e, "there is no such program, or it may not be executed");
    }
    return code ? err_set(e, ERR_REMOTE, 0, "exit status %d", code) : 0;
}

int credential_process_run(const char *command, int64_t timeout_ms, const atomic_bool *cancel, struct buf *ret_output,
                           struct err *e)
{
    int64_t deadline_ms = clock_mono_ms() + timeout_ms;
    int ends[2] = {-1, -1}, status = 0;
    pid_t pid = -1;
    *ret_output = BUF_INIT(CREDENTIAL_PROCESS_OUTPUT_MAX);
    if (buf_reserve(ret_output, CREDENTIAL_PROCESS_OUTPUT_MAX, e)) /* at once: growing would leave copies of secrets behind */
        return -1;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_sys(e, errno, "pipe");
    int rc = spawn(command, ends[1], &pid);
    io_close(&ends[1]);
    if (rc) {
        io_close(&ends[0]);
        return err_sys(e, rc, "run /bin/sh");
    }
    rc = read_output(ends[0], deadline_ms, cancel, ret_output, e);
    if (rc == 0)
        rc = reap(pid, deadline_ms, cancel, &status, e);
    if (rc) {
        kill(-pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    io_close(&ends[0]);
    return rc ? -1 : judge(status, e);
}
