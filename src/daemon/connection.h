/* daemon/connection.h - a unix socket on which requests and answers are lines. What a line says is the service's
 * business.
 *
 * A connection takes several requests, one after the other. Nothing here waits, so a client can't hold up the main
 * thread:
 *
 *   - a request that is longer than CONNECTION_REQUEST_MAX, or not complete within CONNECTION_PATIENCE_MS, ends the
 *     connection; so does a client that does not take its answer in that time;
 *   - while an answer is under way, or the service lets the client wait, nothing is read: a client that floods fills
 *     its own socket;
 *   - when CONNECTIONS_MAX clients are connected, the next one waits in the kernel. */
#ifndef SEAWALL_DAEMON_CONNECTION_H
#define SEAWALL_DAEMON_CONNECTION_H

#include "base/json.h"
#include "base/socket.h"
#include "control/exchange.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONNECTION_REQUEST_MAX 32768                    /* the longest path, escaped */
#define CONNECTION_ANSWER_MAX (EXCHANGE_ANSWER_MAX / 2) /* 16 replicas with the longest URLs and errors there can be */
#define CONNECTIONS_MAX 144
#define CONNECTION_PATIENCE_MS 5000

struct connection;

struct connection_service {
    /* A request of n bytes, without its newline. Calls connection_answer or connection_wait, once. */
    void (*request)(void *context, struct connection *k, const char *line, size_t n, int64_t now_ms);
    /* At each turn while the client waits, and once more before the socket is removed: calls connection_answer if the
     * answer is known. */
    void (*look)(void *context, struct connection *k, int64_t now_ms);
    size_t session_bytes; /* the service's own data of a connection, zero at first */
};

struct connections {
    const struct connection_service *service; /* borrowed, like the context of its calls */
    void *context;
    struct socket_listener listener;
    int epoll_fd; /* readable when a client connects, sends, or takes */
    struct connection *list[CONNECTIONS_MAX];
    size_t count;
    bool full; /* no client is let in for the moment */
};
#define CONNECTIONS_NONE ((struct connections){.listener.fd = -1, .epoll_fd = -1})

/* Takes an open listener, also after an error. On error nothing is left to be closed. */
int connections_open(struct connections *c, const struct socket_listener *taken,
                     const struct connection_service *service, void *context, struct err *e) MUST_CHECK;

/* Takes what came and gives what can be given. To be called at each turn of the loop. */
void connections_run(struct connections *c, int64_t now_ms);

/* Clients that still wait get the answer `too_late` as an error. Removes the socket. CONNECTIONS_NONE is fine. */
void connections_close(struct connections *c, const char *too_late, int64_t now_ms);

size_t connections_waiting(const struct connections *c); /* clients that the service lets wait */

/* ---- for the service */

void *connection_session(struct connection *k); /* session_bytes, the service's own */
void connection_answer(struct connection *k, struct json *j_taken, int64_t now_ms);
void connection_answer_error(struct connection *k, const char *text, int64_t now_ms); /* {"error": text} */
void connection_wait(struct connection *k);

#endif
