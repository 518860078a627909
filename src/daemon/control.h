/* daemon/control.h - the control socket of a database, <db>-seawall.sock: what `seawall status` and `seawall sync` ask.
 *
 * A request is a JSON object on one line, and so is its answer; a connection takes several, one after the other.
 *
 *   {"command":"status"}   ->  what status.h says
 *   {"command":"sync"}     ->  {"state":"durable"|"conflict","txid":N}, when it is; see sync.h
 *   {"command":"base"}     ->  the same, when each replica has a new base besides
 *   anything else          ->  {"error":"..."}
 *
 * Nobody who connects can hold up the scheduler: nothing here waits. A request that is longer than CONTROL_REQUEST_MAX, or is not
 * complete in time, and a reader that does not take its answer in time end the connection. While an answer is under way, or a sync
 * waits, nothing is read: whoever floods fills his own socket. When all places are taken, the next one waits in the kernel; a sync
 * may wait for long, so some places are kept for others. */
#ifndef SEAWALL_DAEMON_CONTROL_H
#define SEAWALL_DAEMON_CONTROL_H

#include "base/socket.h"
#include "daemon/verification.h"

#define CONTROL_SUFFIX "-seawall.sock"
#define CONTROL_REQUEST_MAX 4096
#define CONTROL_ANSWER_MAX (128u << 10) /* 16 replicas with the longest URLs and errors there can be */
#define CONTROL_CONNECTIONS_MAX 16
#define CONTROL_SYNCS_MAX 12     /* of the connections, that may wait for a sync; one more gets an error */
#define CONTROL_PATIENCE_MS 5000 /* for a request to be complete, and for an answer to be taken */

struct connection;

struct control {
    struct database *db; /* borrowed, like the next */
    const struct proof *proof;
    struct socket_listener listener;
    int epoll_fd; /* readable when somebody connects, sends, or takes */
    struct connection *connections[CONTROL_CONNECTIONS_MAX];
    size_t count;
    bool full; /* nobody is let in for the moment */
};
#define CONTROL_NONE ((struct control){.listener.fd = -1, .epoll_fd = -1})

/* Once the database is known to be ours alone: the lock on its state file is held. */
int control_start(struct control *c, struct database *db, const struct proof *proof, struct err *e) MUST_CHECK;

/* Takes what came and gives what can be given; to be called at each turn of the loop, before database_schedule: a sync asks for
 * what has to run. */
void control_run(struct control *c, int64_t now_ms);

/* Tells those who still wait that it is over, and removes the socket. CONTROL_NONE is fine. */
void control_stop(struct control *c);

#endif
