/* aws/credential_process.c */
#include "aws/credential_process.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/spawn.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_MS 100  /* between looks at `cancel` */
#define REAP_US 2000 /* between looks at a program that closed its output and still runs */
#define SHELL_CANT_RUN 126
#define SHELL_NOT_FOUND 127

static int check_time(int64_t deadline_ms, const atomic_bool *cancel, struct err *e)
{
    if (cancel && atomic_load(cancel))
        return err_set(e, ERR_CANCELED, 0, "interrupted");
    if (clock_mono_ms() >= deadline_ms)
        return err_set(e, ERR_TIMEOUT, 0, "timed out, and was killed");
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
        char one_more = 0; /* the buffer is full: another byte shows that the output is too long */
        size_t room = out->cap - out->len;
        ssize_t n = room ? read(fd, out->data + out->len, room) : read(fd, &one_more, 1);
        if (n < 0 && errno != EINTR)
            return err_sys(e, errno, "read");
        if (n == 0)
            return 0;
        if (n > 0 && !room)
            return err_set(e, ERR_LIMIT, 0, "the output is longer than %u bytes", CREDENTIAL_PROCESS_OUTPUT_MAX);
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
            return err_sys(e, errno, "wait for the program");
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
        return err_hint(e, "check that the program exists and may be executed");
    }
    return code ? err_set(e, ERR_REMOTE, 0, "exit status %d", code) : 0;
}

int credential_process_run(const char *command, int64_t timeout_ms, const atomic_bool *cancel, struct buf *ret_output,
                           struct err *e)
{
    int64_t deadline_ms = clock_mono_ms() + timeout_ms;
    int ends[2] = {-1, -1}, status = 0;
    pid_t pid = -1;
    assert(command[0] && timeout_ms > 0);
    *ret_output = BUF_INIT(CREDENTIAL_PROCESS_OUTPUT_MAX);
    /* Reserve everything now: a buffer that grows would leave copies of secrets in freed memory. */
    if (buf_reserve(ret_output, CREDENTIAL_PROCESS_OUTPUT_MAX, e))
        return -1;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_sys(e, errno, "pipe");
    const char *const argv[] = {"sh", "-c", command, NULL};
    int rc = spawn_program("/bin/sh", argv, (const int[]){SPAWN_INHERIT, ends[1], SPAWN_INHERIT}, &pid);
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
