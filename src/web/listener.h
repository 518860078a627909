/* web/listener.h - opens the place where the status page is served. */
#ifndef SEAWALL_WEB_LISTENER_H
#define SEAWALL_WEB_LISTENER_H

#include "base/socket.h"
#include "config/listen.h"

#define LISTENER_SEND_BYTES (64 << 10) /* that the kernel keeps for a TCP client which does not read; it doubles them */

struct listener {
    int fd;                             /* non-blocking; listens */
    struct socket_listener unix_socket; /* of a Unix socket; otherwise SOCKET_LISTENER_NONE */
};
#define LISTENER_NONE ((struct listener){.fd = -1, .unix_socket = SOCKET_LISTENER_NONE})

/* Listens. A Unix socket has mode 0600; a socket file that nobody listens at is replaced. The caller closes *ret with
 * listener_close. ERR_BUSY: another process listens there. ERR_CONFIG: this machine does not have the address, or the
 * port needs a privilege. Each has a hint. Otherwise as socket_listen. */
int listener_open(const struct listen_place *place, struct listener *ret, struct err *e) MUST_CHECK;

/* LISTENER_NONE is fine. */
void listener_close(struct listener *l);

#endif
