/* base/spawn.c */
#include "base/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <unistd.h>

extern char **environ;

/* Resets signals: threads of this process block some, and it ignores some. */
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

static int set_files(posix_spawn_file_actions_t *f, const int fds[3])
{
    int rc = fds[0] == SPAWN_INHERIT ? posix_spawn_file_actions_addopen(f, STDIN_FILENO, "/dev/null", O_RDONLY, 0) : 0;
    for (int i = 0; i < 3 && rc == 0; i++)
        if (fds[i] != SPAWN_INHERIT)
            rc = posix_spawn_file_actions_adddup2(f, fds[i], i);
#ifdef __GLIBC_PREREQ
#if __GLIBC_PREREQ(2, 34)
    if (rc == 0) /* sockets that libcurl opens are not close-on-exec */
        rc = posix_spawn_file_actions_addclosefrom_np(f, STDERR_FILENO + 1);
#endif
#endif
    return rc;
}

int spawn_program(const char *path, const char *const *argv, const int fds[3], pid_t *ret_pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    int rc = posix_spawn_file_actions_init(&files);
    if (rc)
        return rc;
    rc = posix_spawnattr_init(&attributes);
    if (rc == 0) {
        rc = set_attributes(&attributes);
        if (rc == 0)
            rc = set_files(&files, fds);
        if (rc == 0)
            rc = posix_spawn(ret_pid, path, &files, &attributes, (char *const *)(uintptr_t)argv, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&files);
    return rc;
}
