/* control/place.h - the path of the control socket of a database. The socket is never beside the database,
 * because programs that copy a folder fail on a socket.
 *
 * The name is made from the name of the database, and from device and inode of the folder that holds it. So a daemon
 * and a command find the same name by any path, also by different mounts of one folder. If the database is a symbolic
 * link, the name is that of the file to which the link leads.
 *
 * The folder is the one that a person chose, otherwise the first of these that a daemon can use:
 *   /run/seawall              as root, or as the user to whom the folder was given
 *   $XDG_RUNTIME_DIR/seawall
 *   /tmp/seawall-UID
 * A folder counts only if nobody but its user and root can put a socket there. */
#ifndef SEAWALL_CONTROL_PLACE_H
#define SEAWALL_CONTROL_PLACE_H

#include "base/socket.h"

/* Listens for the database `db`. `folder`: NULL, or the folder that was chosen; it is made if it is missing.
 * ERR_EXISTS: another process listens there, or another file has the name of the socket. ERR_CONFIG: there is no folder
 * that can be trusted. ERR_IO. */
int control_place_listen(const char *db, const char *folder, struct socket_listener *ret_listener,
                         struct err *e) MUST_CHECK;

/* Connects to the daemon of the database `db`. It may be a daemon of this user, of root, or of the owner of the
 * database or of its state file. `folder`: as for control_place_listen. Other parameters and errors: as socket_connect.
 * The process there is one of this user, of root, or of an owner of the database: ERR_IO with sys EPERM otherwise.
 * ERR_NOTFOUND: no socket was found. ERR_IO with sys EACCES: this user may not open the folder, or may not connect. */
int control_place_connect(const char *db, const char *folder, int64_t timeout_ms, int *ret_fd,
                          struct err *e) MUST_CHECK;

#endif
