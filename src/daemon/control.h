/* daemon/control.h - the protocol of the control socket: what `seawall status`, `sync` and `snapshot` ask a daemon.
 * control_place.h says where the socket is, connection.h carries the lines.
 *
 * A request is a JSON object on one line, and so is its answer:
 *
 *   {"command":"status"}   ->  the document of status.h; of several databases {"databases":[...],"next":N}, from the
 *                              number "from" on, and without "next" if these are the last
 *   {"command":"sync"}     ->  {"state":"durable"|"conflict","txid":N}, as soon as that is so; see sync.h. After a
 *                              conflict also "conflict": who the other writer of the first such replica is
 *   {"command":"base"}     ->  the same, when each replica has a new base besides
 *   {"command":"detach"}   ->  {"state":"detached"}, as soon as the database is closed
 *   {"command":"attach"}   ->  {"state":"attached"}; the database is opened soon
 *   anything else          ->  {"error":"..."}
 *
 * "database" names the database by its path; it can be left out if the daemon has only one.
 *
 * At most CONTROL_SYNCS_MAX clients may wait, so that some connections are left for others; one more gets an error. */
#ifndef SEAWALL_DAEMON_CONTROL_H
#define SEAWALL_DAEMON_CONTROL_H

#include "daemon/connection.h"
#include "daemon/fleet.h"

#define CONTROL_SYNCS_MAX 12

struct control {
    struct fleet *fleet; /* borrowed */
    struct connections connections;
};
#define CONTROL_NONE ((struct control){.connections = CONNECTIONS_NONE})

/* Listens where commands look for the daemon of the file `of`: its only database, whose state file must be locked, or
 * its configuration. `folder`: as for control_place_listen. On error nothing is left to be stopped. The control must
 * stay where it is until control_stop. */
int control_start(struct control *c, struct fleet *fleet, const char *of, const char *folder, struct err *e) MUST_CHECK;

/* False: the socket was removed or replaced, so that no command finds it. To be stopped and started again. */
bool control_is_at_its_place(const struct control *c);

/* To be called at each turn of the loop, before fleet_turn: a sync asks for jobs that have to run. */
void control_run(struct control *c, int64_t now_ms);

/* Clients that still wait get an error, and the socket is removed. CONTROL_NONE is fine. */
void control_stop(struct control *c);

/* The same, but the daemon goes on and listens again: the error asks the clients to try again. */
void control_leave(struct control *c);

#endif
