/* base/socket.h - unix stream sockets under a path of any length: sun_path has 108 bytes, so both sides go through /proc/self/fd.
 */
#ifndef SEAWALL_BASE_SOCKET_H
#define SEAWALL_BASE_SOCKET_H

#include "base/err.h"
#include "base/path.h"

#include <stdint.h>
#include <sys/types.h>

struct socket_listener {
    int fd; /* non-blocking */
    char path[PATH_TEXT_MAX];
    dev_t device; /* of the name, so that nobody else's is removed */
    ino_t inode;
};
#define SOCKET_LISTENER_NONE ((struct socket_listener){.fd = -1})

/* Listens at `path`, mode 0600 from the beginning. A socket that is there is replaced: the caller knows that nobody lives behind
 * it. ERR_EXISTS: something else is there. */
int socket_listen(const char *path, struct socket_listener *ret_listener, struct err *e) MUST_CHECK;
void socket_unlisten(
    struct socket_listener *l); /* removes the name, if it is still ours; SOCKET_LISTENER_NONE is fine */

/* Non-blocking once it is connected. ERR_NOTFOUND: nobody listens there. ERR_TIMEOUT: whoever does takes no connection. */
int socket_connect(const char *path, int64_t timeout_ms, int *ret_fd, struct err *e) MUST_CHECK;

#endif
