/* daemon/exec.h - the command of --exec: an application that the daemon starts, and with which it ends.
 *
 * The command is run by /bin/sh, with the standard files of this process, in a process group of its own: a signal
 * reaches it once, through exec_signal, and not from the terminal as well. It is never killed: whatever happens to the
 * replication, the application goes on. Main thread only.
 *
 * A signal goes to one process: the shell, or the program that took its place. dash, the shell of Debian, starts a
 * program even for a command like "node server.mjs", and would be ended by a signal of which that program hears nothing.
 * So the shell gets an `exec` where it changes nothing else. */
#ifndef SEAWALL_DAEMON_EXEC_H
#define SEAWALL_DAEMON_EXEC_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct exec {
    const char *command; /* borrowed; NULL: there is none */
    pid_t pid;           /* 0: not started yet, or ended */
    bool ended;
    int status; /* if it ended: as waitpid gave it */
};

#define EXEC_KEEPS_SHELL SIZE_MAX

/* The offset in a command at which `exec ` can be inserted: before a simple command, or before the last of several that
 * are joined by &&, if it is a program in PATH or a path. EXEC_KEEPS_SHELL: it has other syntax, or sets a trap. */
size_t exec_replaces_shell(const char *command);

/* Preconditions: there is a command, and it was not started. ERR_IO: no process could be made. */
int exec_start(struct exec *x, struct err *e) MUST_CHECK;

bool exec_is_running(const struct exec *x);
/* True once: the command has ended since the last call. Call it after SIGCHLD. */
bool exec_has_ended(struct exec *x);

/* Passes a signal on. Does nothing if the command does not run. */
void exec_signal(const struct exec *x, int number);

/* The exit code of the command; 128 and the number of a signal that ended it. Precondition: it has ended. */
int exec_exit_code(int status);

#endif
