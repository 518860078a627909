/* base/spawn.h - another program, as a child that inherits nothing by accident: no blocked or ignored signal, no descriptor beyond
 * the three. It leads a process group of its own, so that kill(-pid) reaches what it starts, and Ctrl-C does not. */
#ifndef SEAWALL_BASE_SPAWN_H
#define SEAWALL_BASE_SPAWN_H

#include <sys/types.h>

#define SPAWN_INHERIT (-1) /* of fds[1] and fds[2]; fds[0] is /dev/null then */

/* argv ends with NULL. Returns 0 or an errno. */
int spawn_program(const char *path, const char *const *argv, const int fds[3], pid_t *ret_pid);

#endif
