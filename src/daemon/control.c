/* daemon/control.c */
#include "daemon/control.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/json.h"
#include "daemon/status.h"
#include "daemon/sync.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX 8 /* in one turn: the others come in the next */

struct connection {
    int fd;
    uint32_t events; /* that are waited for */
    int64_t deadline_ms;
    bool ended; /* nothing more comes from there; what was asked is still answered */
    bool syncing, closing;
    struct sync_wait sync;
    char *answer; /* owned; NULL: none is under way */
    size_t answer_len, sent;
    size_t len;
    char request[CONTROL_REQUEST_MAX]; /* what has come of it, and perhaps of the next */
};

/* ---- answers */

static void answer(struct connection *k, struct json *j_taken, int64_t now_ms)
{
    char *text = json_print_line(j_taken);
    size_t n = text ? strlen(text) : 0;
    json_free(j_taken);
    k->syncing = false;
    if (n == 0 || n > CONTROL_ANSWER_MAX) {
        free(text);
        k->closing = true;
        return;
    }
    k->answer = text;
    k->answer_len = n;
    k->sent = 0;
    k->deadline_ms = now_ms + CONTROL_PATIENCE_MS;
}

static void answer_error(struct connection *k, const char *text, int64_t now_ms)
{
    struct json *j = json_object_new();
    json_set_text(j, "error", text);
    answer(k, j, now_ms);
}

static size_t syncing(const struct control *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->count; i++)
        n += c->connections[i]->syncing;
    return n;
}

static void begin_sync(struct control *c, struct connection *k, enum sync_what what, int64_t now_ms)
{
    if (syncing(c) >= CONTROL_SYNCS_MAX) {
        answer_error(k, "too many wait for a sync already", now_ms);
        return;
    }
    k->syncing = true;
    sync_begin(c->db, &k->sync, what, now_ms);
}

static void look_at_sync(struct control *c, struct connection *k, int64_t now_ms)
{
    enum sync_state state = sync_look(c->db, &k->sync, now_ms);
    if (state == SYNC_WAITING)
        return;
    struct json *j = json_object_new();
    json_set_text(j, "state", state == SYNC_CONFLICT ? "conflict" : "durable");
    json_set_number(j, "txid", (int64_t)k->sync.txid);
    answer(k, j, now_ms);
}

static void obey(struct control *c, struct connection *k, size_t n, int64_t now_ms)
{
    struct json *j = NULL;
    struct err e;
    const char *command = json_parse(k->request, n, &j, &e) ? NULL : json_get_text(j, "command");
    if (command && strcmp(command, "status") == 0)
        answer(k, status_of(c->db, c->proof), now_ms);
    else if (command && strcmp(command, "sync") == 0)
        begin_sync(c, k, SYNC_COMMITS, now_ms);
    else if (command && strcmp(command, "base") == 0)
        begin_sync(c, k, SYNC_BASE, now_ms);
    else
        answer_error(k, j ? "there is no such command" : e.msg, now_ms);
    json_free(j);
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
    k->deadline_ms = now_ms + CONTROL_PATIENCE_MS; /* for the next request */
}

/* A whole line is in the buffer: obey it, and keep what follows. */
static bool take_request(struct control *c, struct connection *k, int64_t now_ms)
{
    const char *newline = memchr(k->request, '\n', k->len);
    if (!newline) {
        k->closing |= k->len == sizeof k->request || k->ended;
        return false;
    }
    size_t n = (size_t)(newline - k->request);
    obey(c, k, n, now_ms);
    k->len -= n + 1;
    memmove(k->request, newline + 1, k->len);
    return true;
}

/* As far as it goes without waiting, but one request in a turn: the others have their turn too. */
static void advance(struct control *c, struct connection *k, int64_t now_ms)
{
    if (k->syncing)
        look_at_sync(c, k, now_ms);
    if (!k->closing && !k->syncing && !k->answer && take_request(c, k, now_ms) && k->syncing)
        look_at_sync(c, k, now_ms);
    if (!k->closing && k->answer)
        send_answer(k, now_ms);
    if (!k->closing && !k->syncing && now_ms > k->deadline_ms)
        k->closing = true;
}

/* ---- all of them */

/* While an answer or a sync is under way nothing is read. That the other side is gone is told whatever is waited for. */
static void wait_for_events(struct control *c, struct connection *k)
{
    bool waiting_request = memchr(k->request, '\n', k->len) != NULL; /* its turn comes without an event of its own */
    uint32_t wanted = k->answer || waiting_request ? EPOLLOUT : k->syncing || k->ended ? 0 : EPOLLIN;
    struct epoll_event event = {.events = wanted, .data.ptr = k};
    if (k->syncing)
        event.events = 0;
    if (event.events == k->events)
        return;
    k->events = event.events;
    k->closing |= epoll_ctl(c->epoll_fd, EPOLL_CTL_MOD, k->fd, &event) != 0;
}

static void let_in(struct control *c, bool yes)
{
    struct epoll_event event = {.events = yes ? EPOLLIN : 0, .data.ptr = NULL};
    if (c->full == !yes)
        return;
    c->full = !yes;
    if (epoll_ctl(c->epoll_fd, EPOLL_CTL_MOD, c->listener.fd, &event) != 0)
        c->full = true; /* never: it is registered, and modifying takes no memory */
}

static void drop(struct control *c, size_t index)
{
    struct connection *k = c->connections[index];
    io_close(&k->fd); /* which takes it out of the epoll */
    free(k->answer);
    free(k);
    c->connections[index] = c->connections[--c->count];
}

static void accept_one(struct control *c, int64_t now_ms)
{
    int fd = accept4(c->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct connection *k = calloc(1, sizeof *k);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = k};
    if (!k || epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        close(fd);
        free(k);
        return;
    }
    k->fd = fd;
    k->events = EPOLLIN;
    k->deadline_ms = now_ms + CONTROL_PATIENCE_MS;
    c->connections[c->count++] = k;
}

static void take_events(struct control *c, int64_t now_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(c->epoll_fd, events, EVENTS_MAX, 0);
    for (int i = 0; i < n; i++) {
        struct connection *k = events[i].data.ptr;
        if (!k && c->count < CONTROL_CONNECTIONS_MAX)
            accept_one(c, now_ms);
        if (!k)
            continue;
        if (events[i].events & EPOLLIN)
            receive(k);
        else if (events[i].events & (EPOLLHUP | EPOLLERR))
            k->closing = true;
    }
}

void control_run(struct control *c, int64_t now_ms)
{
    if (c->epoll_fd < 0)
        return;
    take_events(c, now_ms);
    for (size_t i = 0; i < c->count; i++) {
        struct connection *k = c->connections[i];
        if (!k->closing)
            advance(c, k, now_ms);
        if (!k->closing)
            wait_for_events(c, k);
    }
    for (size_t i = c->count; i > 0; i--)
        if (c->connections[i - 1]->closing)
            drop(c, i - 1);
    let_in(c, c->count < CONTROL_CONNECTIONS_MAX);
}

/* ---- start and end */

int control_start(struct control *c, struct database *db, const struct proof *proof, struct err *e)
{
    char path[PATH_TEXT_MAX];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    *c = CONTROL_NONE;
    c->db = db;
    c->proof = proof;
    if (path_format(path, e, "%s" CONTROL_SUFFIX, db->path) || socket_listen(path, &c->listener, e))
        return -1;
    c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (c->epoll_fd >= 0 && epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, c->listener.fd, &event) == 0)
        return 0;
    err_sys(e, errno, "epoll");
    control_stop(c);
    return -1;
}

void control_stop(struct control *c)
{
    int64_t now_ms = clock_mono_ms();
    for (size_t i = c->count; i > 0; i--) {
        struct connection *k = c->connections[i - 1];
        if (k->syncing)
            look_at_sync(c, k, now_ms);
        if (k->syncing)
            answer_error(k, "the daemon ended before everything was durable", now_ms);
        if (k->answer && !k->closing)
            send_answer(k, now_ms);
        drop(c, i - 1);
    }
    socket_unlisten(&c->listener);
    io_close(&c->epoll_fd);
}
