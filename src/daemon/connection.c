/* daemon/connection.c */
#include "daemon/connection.h"

#include "base/io.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX 32 /* in one turn: the others come in the next */

struct connection {
    int fd;
    uint32_t events; /* that are waited for */
    int64_t deadline_ms;
    bool ended; /* the client sends nothing more; its requests are still answered */
    bool waiting, closing;
    char *answer; /* owned; NULL: none is under way */
    size_t answer_len, sent;
    void *session; /* owned */
    size_t len;
    char request[CONNECTION_REQUEST_MAX]; /* as far as it came, and perhaps the beginning of the next */
};

/* ---- for the service */

void *connection_session(struct connection *k)
{
    return k->session;
}

void connection_wait(struct connection *k)
{
    assert(!k->answer);
    k->waiting = true;
}

void connection_answer(struct connection *k, struct json *j_taken, int64_t now_ms)
{
    assert(!k->answer);
    char *text = json_print_line(j_taken);
    size_t n = text ? strlen(text) : 0;
    json_free(j_taken);
    k->waiting = false;
    if (n == 0 || n > CONNECTION_ANSWER_MAX) {
        free(text);
        k->closing = true;
        return;
    }
    k->answer = text;
    k->answer_len = n;
    k->sent = 0;
    k->deadline_ms = now_ms + CONNECTION_PATIENCE_MS;
}

void connection_answer_error(struct connection *k, const char *text, int64_t now_ms)
{
    struct json *j = json_object_new();
    json_set_text(j, "error", text);
    connection_answer(k, j, now_ms);
}

size_t connections_waiting(const struct connections *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->count; i++)
        n += c->list[i]->waiting;
    return n;
}

/* ---- one connection */

static void receive(struct connection *k)
{
    ssize_t n = recv(k->fd, k->request + k->len, sizeof k->request - k->len, 0);
    if (n > 0)
        k->len += (size_t)n;
    else if (n == 0)
        k->ended = true;
    else if (errno != EAGAIN && errno != EINTR)
        k->closing = true;
}

static void send_answer(struct connection *k, int64_t now_ms)
{
    ssize_t n = send(k->fd, k->answer + k->sent, k->answer_len - k->sent, MSG_NOSIGNAL);
    if (n < 0) {
        k->closing |= errno != EAGAIN && errno != EINTR;
        return;
    }
    k->sent += (size_t)n;
    if (k->sent < k->answer_len)
        return;
    free(k->answer);
    k->answer = NULL;
    k->deadline_ms = now_ms + CONNECTION_PATIENCE_MS; /* for the next request */
}

/* Gives a whole line to the service, and keeps what follows. Returns false if there is no whole line. */
static bool take_request(struct connections *c, struct connection *k, int64_t now_ms)
{
    const char *newline = memchr(k->request, '\n', k->len);
    if (!newline) {
        k->closing |= k->len == sizeof k->request || k->ended;
        return false;
    }
    size_t n = (size_t)(newline - k->request);
    c->service->request(c->context, k, k->request, n, now_ms);
    k->len -= n + 1;
    memmove(k->request, newline + 1, k->len);
    return true;
}

/* As far as it goes without waiting, but one request in a turn: the other clients have their turn too. */
static void advance(struct connections *c, struct connection *k, int64_t now_ms)
{
    bool idle = !k->waiting && !k->answer;
    if (idle)
        take_request(c, k, now_ms);
    if (k->waiting)
        c->service->look(c->context, k, now_ms);
    if (!k->closing && k->answer)
        send_answer(k, now_ms);
    if (!k->closing && !k->waiting && now_ms > k->deadline_ms)
        k->closing = true;
}

/* ---- all of them */

/* While an answer is under way, or a client waits, nothing is read. The end of a connection is always seen. */
static void wait_for_events(struct connections *c, struct connection *k)
{
    bool request_waits = memchr(k->request, '\n', k->len) != NULL; /* its turn comes without an event of its own */
    uint32_t wanted = k->answer || request_waits ? EPOLLOUT : k->ended ? 0 : EPOLLIN;
    struct epoll_event event = {.events = k->waiting ? 0 : wanted, .data.ptr = k};
    if (event.events == k->events)
        return;
    k->events = event.events;
    k->closing |= epoll_ctl(c->epoll_fd, EPOLL_CTL_MOD, k->fd, &event) != 0;
}

static void let_in(struct connections *c, bool yes)
{
    struct epoll_event event = {.events = yes ? EPOLLIN : 0, .data.ptr = NULL};
    if (c->full == !yes)
        return;
    c->full = !yes;
    if (epoll_ctl(c->epoll_fd, EPOLL_CTL_MOD, c->listener.fd, &event) != 0)
        c->full = true; /* never: the listener is registered, and modifying takes no memory */
}

static void drop(struct connections *c, size_t index)
{
    struct connection *k = c->list[index];
    io_close(&k->fd); /* which takes it out of the epoll */
    free(k->answer);
    free(k->session);
    free(k);
    c->list[index] = c->list[--c->count];
}

static void accept_one(struct connections *c, int64_t now_ms)
{
    int fd = accept4(c->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct connection *k = calloc(1, sizeof *k);
    void *session = calloc(1, c->service->session_bytes);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = k};
    if (!k || !session || epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        close(fd);
        free(session);
        free(k);
        return;
    }
    k->fd = fd;
    k->session = session;
    k->events = EPOLLIN;
    k->deadline_ms = now_ms + CONNECTION_PATIENCE_MS;
    c->list[c->count++] = k;
}

static void take_events(struct connections *c, int64_t now_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(c->epoll_fd, events, EVENTS_MAX, 0);
    for (int i = 0; i < n; i++) {
        struct connection *k = events[i].data.ptr;
        if (!k && c->count < CONNECTIONS_MAX)
            accept_one(c, now_ms);
        if (!k)
            continue;
        if (events[i].events & EPOLLIN)
            receive(k);
        else if (events[i].events & (EPOLLHUP | EPOLLERR))
            k->closing = true;
    }
}

void connections_run(struct connections *c, int64_t now_ms)
{
    if (c->epoll_fd < 0)
        return;
    take_events(c, now_ms);
    for (size_t i = 0; i < c->count; i++) {
        struct connection *k = c->list[i];
        if (!k->closing)
            advance(c, k, now_ms);
        if (!k->closing)
            wait_for_events(c, k);
    }
    for (size_t i = c->count; i > 0; i--)
        if (c->list[i - 1]->closing)
            drop(c, i - 1);
    let_in(c, c->count < CONNECTIONS_MAX);
}

/* ---- start and end */

int connections_open(struct connections *c, const struct socket_listener *taken,
                     const struct connection_service *service, void *context, struct err *e)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    assert(service->session_bytes > 0);
    *c = CONNECTIONS_NONE;
    c->service = service;
    c->context = context;
    c->listener = *taken;
    c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (c->epoll_fd >= 0 && epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, c->listener.fd, &event) == 0)
        return 0;
    err_sys(e, errno, "epoll");
    connections_close(c, "", 0);
    return -1;
}

void connections_close(struct connections *c, const char *too_late, int64_t now_ms)
{
    for (size_t i = c->count; i > 0; i--) {
        struct connection *k = c->list[i - 1];
        if (k->waiting)
            c->service->look(c->context, k, now_ms);
        if (k->waiting)
            connection_answer_error(k, too_late, now_ms);
        if (k->answer && !k->closing)
            send_answer(k, now_ms);
        drop(c, i - 1);
    }
    socket_unlisten(&c->listener);
    io_close(&c->epoll_fd);
}
