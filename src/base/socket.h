/* base/socket.h - Unix stream sockets at paths of any length. sun_path has 108 bytes, so both sides use /proc/self/fd.
 */
#ifndef SEAWALL_BASE_SOCKET_H
#define SEAWALL_BASE_SOCKET_H

#include "base/err.h"
#include "base/path.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct socket_listener {
    int fd; /* non-blocking */
    char path[PATH_TEXT_MAX];
    dev_t device; /* of the socket file: they show whether the file at `path` is still ours */
    ino_t inode;
};
#define SOCKET_LISTENER_NONE ((struct socket_listener){.fd = -1})

/* Listens at `path`. The socket file has mode 0600 from the beginning. Replaces a socket file that is at `path`.
 * Precondition: no process listens there. ERR_EXISTS: a file that is not a socket is there. ERR_NOTFOUND: the folder
 * does not exist. ERR_IO. */
int socket_listen(const char *path, struct socket_listener *ret_listener, struct err *e) MUST_CHECK;

/* False: the socket file was removed or replaced. No client can connect any more. */
bool socket_is_at_its_path(const struct socket_listener *l);

/* Stops listening. Removes the socket file, unless another process has replaced it. SOCKET_LISTENER_NONE does nothing.
 */
void socket_unlisten(struct socket_listener *l);

/* Connects within timeout_ms. *ret_fd is non-blocking; the caller closes it. Precondition: timeout_ms > 0.
 * ERR_NOTFOUND: no process listens at `path`. ERR_TIMEOUT: the process there does not accept the connection.
 * ERR_CANCELED: a signal came. ERR_IO. */
int socket_connect(const char *path, int64_t timeout_ms, int *ret_fd, struct err *e) MUST_CHECK;

/* The user of the process that listens at the other end. ERR_IO. */
int socket_peer_user(int fd, uid_t *ret_user, struct err *e) MUST_CHECK;

#endif
