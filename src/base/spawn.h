/* base/spawn.h - starts another program. The child inherits no blocked or ignored signals, and no descriptors but the
 * three. It leads a process group of its own: kill(-pid) reaches its children too, and Ctrl-C does not reach it. */
#ifndef SEAWALL_BASE_SPAWN_H
#define SEAWALL_BASE_SPAWN_H

#include <sys/types.h>

#define SPAWN_INHERIT (-1) /* for fds[1] and fds[2]: as in this process; for fds[0]: /dev/null */

/* Starts the program. Precondition: argv ends with NULL. Returns 0 or an errno. */
int spawn_program(const char *path, const char *const *argv, const int fds[3], pid_t *ret_pid);

#endif
