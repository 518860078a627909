/* daemon/exec.c */
#include "daemon/exec.h"

#include "base/spawn.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

int exec_start(struct exec *x, struct err *e)
{
    const char *const argv[] = {"sh", "-c", x->command, NULL};
    const int fds[3] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
    assert(x->command && x->pid == 0 && !x->ended);
    int rc = spawn_program("/bin/sh", argv, fds, &x->pid);
    if (rc == 0)
        return 0;
    x->pid = 0;
    err_sys(e, rc, "/bin/sh");
    return err_wrap(e, "can't start the command of --exec");
}

bool exec_is_running(const struct exec *x)
{
    return x->pid > 0;
}

bool exec_has_ended(struct exec *x)
{
    if (x->pid <= 0 || waitpid(x->pid, &x->status, WNOHANG) != x->pid)
        return false;
    x->pid = 0;
    x->ended = true;
    return true;
}

void exec_signal(const struct exec *x, int number)
{
    if (x->pid > 0)
        kill(x->pid, number);
}

int exec_exit_code(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
