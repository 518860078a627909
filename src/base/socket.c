/* base/socket.c */
#include "base/socket.h"

#include "base/folder.h"
#include "base/io.h"
#include "base/stage.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 200

static int check_place(const char *path, struct err *e)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? 0 : err_sys(e, errno, "look at '%s'", path);
    if (S_ISSOCK(st.st_mode))
        return 0;
    err_set(e, ERR_EXISTS, EEXIST, "'%s' exists and is not a socket", path);
    return err_hint(e, "move the file away");
}

/* Writes an address of the file `name` in the folder `dir`. If `name` is "", `dir` is the descriptor of the file.
 * Without /proc the address has `path`, which must be short enough. */
static int set_path(struct sockaddr_un *address, int dir, const char *name, const char *path, struct err *e)
{
    const char *slash = name[0] ? "/" : "";
    int n = folder_has_proc()
                ? snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d%s%s", dir, slash, name)
                : snprintf(address->sun_path, sizeof address->sun_path, "%s%s%s", path, slash, name);
    return n < (int)sizeof address->sun_path
               ? 0
               : err_set(e, ERR_IO, ENAMETOOLONG, "/proc is not mounted, and '%s' is too long for a socket", path);
}

/* Makes the socket file with a hidden name and renames it. So a stale socket is replaced in one step, and the name may
 * be as long as the file system allows. bind gives the file the mode of the descriptor, so others can never connect. */
static int bind_at(int fd, const struct folder *f, const char *name, struct err *e)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char hidden[STAGE_NAME_MAX];
    if (stage_hidden_name(hidden, e) || set_path(&address, f->fd, hidden, f->path, e))
        return -1;
    if (fchmod(fd, 0600) != 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        return err_sys(e, errno, "make a socket");
    if (listen(fd, BACKLOG) == 0 && renameat(f->fd, hidden, f->fd, name) == 0)
        return 0;
    err_sys(e, errno, "make a socket");
    unlinkat(f->fd, hidden, 0);
    return -1;
}

int socket_listen(const char *path, struct socket_listener *ret_listener, struct err *e)
{
    struct socket_listener l = SOCKET_LISTENER_NONE;
    struct folder f;
    struct stat st;
    if (check_place(path, e) || path_format(l.path, e, "%s", path) || folder_open_parent(&f, path, e))
        return -1;
    int rc = 0;
    l.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l.fd < 0)
        rc = err_sys(e, errno, "make a socket");
    if (rc == 0)
        rc = bind_at(l.fd, &f, path_name(path), e);
    if (rc == 0 && fstatat(f.fd, path_name(path), &st, AT_SYMLINK_NOFOLLOW) != 0)
        rc = err_sys(e, errno, "look at '%s'", path);
    folder_close(&f);
    if (rc) {
        io_close(&l.fd);
        return -1;
    }
    l.device = st.st_dev;
    l.inode = st.st_ino;
    *ret_listener = l;
    return 0;
}

bool socket_is_at_its_path(const struct socket_listener *l)
{
    struct stat st;
    return lstat(l->path, &st) == 0 && st.st_dev == l->device && st.st_ino == l->inode;
}

void socket_unlisten(struct socket_listener *l)
{
    if (l->fd < 0)
        return;
    if (socket_is_at_its_path(l))
        unlink(l->path);
    io_close(&l->fd);
}

static int connect_to(int place, const char *path, int fd, int64_t timeout_ms, struct err *e)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    if (set_path(&address, place, "", path, e))
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0)
        return err_sys(e, errno, "setsockopt");
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        if (errno == ECONNREFUSED)
            return err_set(e, ERR_NOTFOUND, errno, "no process listens");
        if (errno == EAGAIN)
            return err_set(e, ERR_TIMEOUT, errno, "no connection within %lld ms", (long long)timeout_ms);
        return errno == EINTR ? err_set(e, ERR_CANCELED, errno, "interrupted") : err_sys(e, errno, "connect");
    }
    return fcntl(fd, F_SETFL, O_NONBLOCK) == 0 ? 0 : err_sys(e, errno, "fcntl");
}

int socket_connect(const char *path, int64_t timeout_ms, int *ret_fd, struct err *e)
{
    assert(timeout_ms > 0); /* 0 would mean no limit */
    int place = open(path, O_PATH | O_CLOEXEC);
    if (place < 0 && (errno == ENOENT || errno == ENOTDIR))
        return err_set(e, ERR_NOTFOUND, errno, "'%s' does not exist", path);
    if (place < 0)
        return err_sys(e, errno, "open '%s'", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = fd < 0 ? err_sys(e, errno, "make a socket") : connect_to(place, path, fd, timeout_ms, e);
    close(place);
    if (rc) {
        io_close(&fd);
        return err_wrap(e, "'%s'", path);
    }
    *ret_fd = fd;
    return 0;
}

int socket_peer_user(int fd, uid_t *ret_user, struct err *e)
{
    struct ucred peer;
    socklen_t n = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) != 0)
        return err_sys(e, errno, "getsockopt");
    *ret_user = peer.uid;
    return 0;
}
