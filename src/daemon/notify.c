/* daemon/notify.c */
#include "daemon/notify.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define STATUS_MS 1000
#define MORE_TIME_MS 5000        /* how often more time is asked for, at a start and at a stop */
#define MORE_TIME_GIVEN_S 30     /* and how much */
#define WATCHDOG_SHARE 3         /* signs of life in the time of the watchdog */
#define WATCHDOG_PERIOD_MS 10000 /* at most between two */

/* ---- start */

/* A number that the manager wrote; 0: there is none. */
static uint64_t number_of(const char *name)
{
    const char *text = getenv(name);
    char *end = NULL;
    errno = 0;
    uint64_t value = text && *text ? strtoull(text, &end, 10) : 0;
    return end && *end == 0 && errno == 0 ? value : 0;
}

/* False: no address that this machine can reach. '@' stands for the zero byte of an abstract address. */
static bool address_of(const char *name, struct sockaddr_un *ret_address, socklen_t *ret_size)
{
    size_t n = name ? strlen(name) : 0;
    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (n < 2 || (name[0] != '/' && name[0] != '@') || n >= sizeof ret_address->sun_path)
        return false;
    memcpy(ret_address->sun_path, name, n);
    if (name[0] == '@')
        ret_address->sun_path[0] = 0;
    *ret_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (name[0] == '/'));
    return true;
}

static void connect_to(struct notify *n, const char *name)
{
    struct sockaddr_un address;
    socklen_t size = 0;
    errno = EAFNOSUPPORT;
    if (address_of(name, &address, &size))
        n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (n->fd >= 0 && connect(n->fd, (const struct sockaddr *)&address, size) == 0)
        return;
    log_warn("the service manager will not be told how this daemon is: NOTIFY_SOCKET '%s': %s", name, strerror(errno));
    io_close(&n->fd);
}

void notify_open(struct notify *n)
{
    const char *name = getenv("NOTIFY_SOCKET");
    uint64_t pid = number_of("WATCHDOG_PID");
    *n = NOTIFY_NONE;
    if (name && *name)
        connect_to(n, name);
    if (n->fd >= 0 && (pid == 0 || pid == (uint64_t)getpid()))
        n->watchdog_ms = (int64_t)(number_of("WATCHDOG_USEC") / 1000);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void notify_close(struct notify *n)
{
    io_close(&n->fd);
}

int64_t notify_patience_ms(const struct notify *n)
{
    return n->watchdog_ms > 0 ? n->watchdog_ms : INT64_MAX;
}

/* ---- while it runs */

/* False: the manager's queue is full. The caller tries again at the next turn. */
static bool send_text(struct notify *n, const char *text)
{
    ssize_t sent = send(n->fd, text, strlen(text), MSG_NOSIGNAL);
    return sent >= 0 || (errno != EAGAIN && errno != ENOBUFS && errno != EINTR);
}

static void tell_status(struct notify *n, const char *status, int64_t now_ms)
{
    char text[NOTIFY_STATUS_MAX], line[NOTIFY_STATUS_MAX + 16];
    snprintf(text, sizeof text, "%.*s", (int)strcspn(status, "\n"), status);
    if (now_ms < n->status_at_ms || strcmp(text, n->status) == 0)
        return;
    snprintf(line, sizeof line, "STATUS=%s", text);
    if (!send_text(n, line))
        return;
    memcpy(n->status, text, sizeof text);
    n->status_at_ms = now_ms + STATUS_MS;
}

static void show_life(struct notify *n, int64_t now_ms)
{
    char text[64] = "WATCHDOG=1";
    bool waits = !n->ready || n->stopping; /* the manager waits for a start or a stop */
    int64_t period_ms = n->watchdog_ms > 0 ? n->watchdog_ms / WATCHDOG_SHARE : WATCHDOG_PERIOD_MS;
    if (now_ms < n->alive_at_ms || (!waits && n->watchdog_ms == 0))
        return;
    if (waits)
        snprintf(text, sizeof text, "EXTEND_TIMEOUT_USEC=%d000000%s", MORE_TIME_GIVEN_S,
                 n->watchdog_ms > 0 ? "\nWATCHDOG=1" : "");
    if (!send_text(n, text))
        return;
    if (waits && period_ms > MORE_TIME_MS)
        period_ms = MORE_TIME_MS;
    n->alive_at_ms = now_ms + (period_ms < WATCHDOG_PERIOD_MS ? period_ms : WATCHDOG_PERIOD_MS);
}

void notify_run(struct notify *n, const struct notify_state *s, int64_t now_ms)
{
    if (n->fd < 0)
        return;
    if (s->stopping && !n->stopping) {
        n->stopping = send_text(n, "STOPPING=1");
        n->alive_at_ms = 0;
    }
    if (((s->up && !n->ready) || n->reloading) && !s->stopping && send_text(n, "READY=1")) {
        n->ready = true;
        n->reloading = false;
    }
    if (s->alive)
        show_life(n, now_ms);
    tell_status(n, s->status, now_ms);
}

void notify_reloading(struct notify *n)
{
    char text[64];
    if (n->fd < 0)
        return;
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_mono_ns() / 1000);
    n->reloading = send_text(n, text);
}
