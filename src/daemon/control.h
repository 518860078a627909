/* daemon/control.h - the protocol of the control socket: what `seawall status`, `sync` and `snapshot` ask a daemon.
 * control/place.h says where the socket is, connection.h carries the lines.
 *
 * A request is a JSON object on one line, and so is its answer:
 *
 *   {"command":"status"}   ->  the document of status.h; of several databases {"databases":[...],"next":N}, from the
 *                              number "from" on, and without "next" if these are the last
 *   {"command":"sync"}     ->  {"state":"durable"|"conflict","txid":N}, as soon as that is so; see sync.h. After a
 *                              conflict also "conflict": who the other writer of the first such replica is
 *   {"command":"base"}     ->  the same, when each replica has a new base besides
 *   {"command":"wait"}     ->  as sync, as soon as the stores have acknowledged everything; they are not asked again. For
 *                              commits that wait: it costs no request. "wait any": one replica is enough. With "device" and
 *                              "inode" of the file that the client has open: as soon as that file is the one that is followed
 *   {"command":"detach"}   ->  {"state":"detached"}, as soon as the database is closed
 *   {"command":"attach"}   ->  {"state":"attached"}; the database is opened soon
 *   {"command":"look"}     ->  {"state":"looked"}: databases that sleep, and were written before the request, are awake
 *   {"command":"add"}      ->  {"state":"added"}; "replicas" has the URLs, as a list of {"url":"..."}, or is left out
 *   {"command":"remove"}   ->  {"state":"removed"}, when everything captured is shipped, and the database is closed
 *   {"command":"reload"}   ->  {"state":"reloaded"}, or why the configuration stays as it was
 *   anything else          ->  {"error":"..."}
 *
 * "database" names the database by its path; it can be left out if the daemon has only one.
 *
 * At most CONTROL_SYNCS_MAX clients may wait, so that some connections are left for others; one more gets an error. */
#ifndef SEAWALL_DAEMON_CONTROL_H
#define SEAWALL_DAEMON_CONTROL_H

#include "daemon/connection.h"
#include "daemon/fleet.h"

#define CONTROL_SYNCS_MAX 128
#define CONTROL_UNKNOWN "the daemon does not have this database"

struct control {
    struct fleet *fleet; /* borrowed */
    /* What the owner does for clients; set after control_start. `reload` reads the configuration again, as SIGHUP does;
     * NULL: there is none. `add` adds a database; NULL: the daemon has only one. */
    int (*reload)(void *context, struct err *e);
    int (*add)(void *context, const struct one_database *wanted, struct err *e);
    void *context; /* of both */
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
