/* base/spawn.h - starts another program. The child inherits no blocked or ignored signals, and only the descriptors 0
 * to 2. It leads a process group of its own: kill(-pid) reaches its children too, and Ctrl-C does not reach it. */
#ifndef SEAWALL_BASE_SPAWN_H
#define SEAWALL_BASE_SPAWN_H

#include <sys/types.h>

#define SPAWN_INHERIT (-1) /* in fds[1] and fds[2]: as in this process; in fds[0]: /dev/null */

/* Starts the program at `path`, which is not searched in PATH. fds[i] becomes descriptor i of the child; this process
 * still has to close it. The caller waits for *ret_pid. Precondition: argv ends with NULL. Returns 0 or an errno. */
int spawn_program(const char *path, const char *const *argv, const int fds[3], pid_t *ret_pid);

#endif
