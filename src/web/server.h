/* web/server.h - serves the status page by HTTP.
 *
 * One thread of its own owns the listener, all connections and all answers. It asks for a report when a client wants an
 * answer and the last report is too old, and the main thread publishes one when it has the time. Neither thread ever
 * waits for a lock of the other: a report passes between them as one pointer.
 *
 * What clients can cost is bounded: SERVER_VISITS_MAX connections, each with a few kilobytes and a deadline for all of
 * the request and its answer. If there are more, the oldest is ended. A connection has one request. */
#ifndef SEAWALL_WEB_SERVER_H
#define SEAWALL_WEB_SERVER_H

#include "config/listen.h"
#include "web/report.h"

#define SERVER_VISITS_MAX 64         /* connections at a time */
#define SERVER_HEADERS_MAX 16384     /* bytes of memory for a request */
#define SERVER_VISIT_MS 30000        /* from the first byte of a connection to its end */
#define SERVER_FRESH_MS 1000         /* a report that is younger is served again */
#define SERVER_PATIENCE_MS 5000      /* without a report for so long, the answer is that the daemon does not answer */
#define SERVER_BODIES_MAX (16 << 20) /* bytes of answers to slow clients, besides the newest answers */

struct server;

/* What the server wants the next report to have. */
enum server_wish {
    WISH_REPORT = 1,
    WISH_ALL = 2, /* report.all too */
};

/* Listens and starts the thread. ERR_CONFIG, ERR_BUSY and others as listener_open; ERR_CONFIG: as mhd_load. */
int server_start(const struct listen_place *place, struct server **ret_server, struct err *e) MUST_CHECK;

/* Each wish is an edge of this descriptor, which is never read: it is waited for with EPOLLET. */
int server_fd(const struct server *s);

/* Takes the wishes since the last call: bits of enum server_wish; 0: none. */
unsigned server_take_wish(struct server *s);

/* Hands a report over. Never waits. */
void server_publish(struct server *s, struct report *taken);

/* False: the file of the Unix socket was removed or replaced, so that no client finds it. */
bool server_is_at_its_place(const struct server *s);

/* Ends the thread and all connections. NULL is fine. */
void server_stop(struct server *s);

#endif
