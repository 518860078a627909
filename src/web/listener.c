/* web/listener.c */
#include "web/listener.h"

#include "base/io.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define BACKLOG 64
#define LOOK_MS 200 /* how long another process that listens may take to accept */

static int refused(const struct listen_place *p, int sys, struct err *e)
{
    const char *shown = p->address;
    switch (sys) {
    case EADDRINUSE:
        err_set(e, ERR_BUSY, sys, "port %u of %s is in use by another process", p->port, shown);
        return err_hint(e, "'ss -ltnp sport = :%u' shows which; choose another port with listen =", p->port);
    case EADDRNOTAVAIL:
        err_set(e, ERR_CONFIG, sys, "this machine does not have the address %s", shown);
        return err_hint(e, "'ip address' shows those that it has");
    case EACCES:
    case EPERM:
        err_set(e, ERR_CONFIG, sys, "this user may not listen at port %u of %s", p->port, shown);
        return err_hint(e, "choose a port from 1024 on with listen =");
    default:
        return err_sys(e, sys, "listen at port %u of %s", p->port, shown);
    }
}

static int listen_tcp(const struct listen_place *p, struct listener *ret, struct err *e)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(p->port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(p->port)};
    const bool is_six = inet_pton(AF_INET, p->address, &four.sin_addr) != 1;
    const int one = 1, all = 0, send_bytes = LISTENER_SEND_BYTES;
    if (is_six && inet_pton(AF_INET6, p->address, &six.sin6_addr) != 1)
        return err_set(e, ERR_CONFIG, 0, "'%s' is not an address", p->address);
    int fd = socket(is_six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(e, errno, "make a socket");
    const struct sockaddr *to = is_six ? (const struct sockaddr *)&six : (const struct sockaddr *)&four;
    const socklen_t size = is_six ? sizeof six : sizeof four;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof send_bytes) != 0 || /* connections inherit it */
        (is_six && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &all, sizeof all) != 0) || bind(fd, to, size) != 0 ||
        listen(fd, BACKLOG) != 0) {
        const int sys = errno;
        io_close(&fd);
        return refused(p, sys, e);
    }
    ret->fd = fd;
    return 0;
}

static int listen_unix(const char *path, struct listener *ret, struct err *e)
{
    int fd = -1;
    if (socket_connect(path, LOOK_MS, &fd, e) == 0 || e->code == ERR_TIMEOUT) {
        io_close(&fd);
        err_set(e, ERR_BUSY, 0, "another process listens at '%s'", path);
        return err_hint(e, "'ss -lxp' shows which; choose another path with listen = unix:PATH");
    }
    if (socket_listen(path, &ret->unix_socket, e))
        return -1;
    ret->fd = ret->unix_socket.fd;
    return 0;
}

int listener_open(const struct listen_place *place, struct listener *ret, struct err *e)
{
    *ret = LISTENER_NONE;
    return place->path[0] ? listen_unix(place->path, ret, e) : listen_tcp(place, ret, e);
}

void listener_close(struct listener *l)
{
    if (l->unix_socket.fd >= 0)
        socket_unlisten(&l->unix_socket);
    else
        io_close(&l->fd);
    *l = LISTENER_NONE;
}
