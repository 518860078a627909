/* daemon/control_place.h - where the control socket of a database is: never beside the database, because programs that
 * copy a folder fail on a socket.
 *
 * The name is made from the folder that holds the database (its device and inode) and the name of the database. So a
 * daemon and a command find the same name by any path, also by different mounts of one folder. A database that is a link
 * counts as what the link leads to.
 *
 * The folder is the one that a person chose, or the first of these that a daemon can use:
 *   /run/seawall              as root, or as the user to whom the folder was given
 *   $XDG_RUNTIME_DIR/seawall
 *   /tmp/seawall-UID
 * A folder counts only if nobody but its user and root can put a socket there. */
#ifndef SEAWALL_DAEMON_CONTROL_PLACE_H
#define SEAWALL_DAEMON_CONTROL_PLACE_H

#include "base/socket.h"

/* Listens for the database `db`. `folder`: NULL, or the folder that was chosen; it is made if it is missing.
 * ERR_EXISTS: another process listens there, or another file has the name of the socket. ERR_CONFIG: there is no folder
 * that can be trusted. ERR_IO. */
int control_place_listen(const char *db, const char *folder, struct socket_listener *ret_listener,
                         struct err *e) MUST_CHECK;

/* Connects to the daemon of the database `db`, wherever it may listen: a daemon of this user, of root, or of the owner of
 * the database or of its state file. Other parameters and errors: as socket_connect. ERR_NOTFOUND: no socket was found.
 * ERR_IO with sys EACCES: this user may not look, or may not connect. */
int control_place_connect(const char *db, const char *folder, int64_t timeout_ms, int *ret_fd,
                          struct err *e) MUST_CHECK;

#endif
