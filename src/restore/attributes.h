/* restore/attributes.h - owner, permissions and extended attributes of a restored database. */
#ifndef SEAWALL_RESTORE_ATTRIBUTES_H
#define SEAWALL_RESTORE_ATTRIBUTES_H

#include "base/folder.h"

/* Gives the file `to` the owner, group, permissions and extended attributes (among them access control lists) of the
 * file `from`, which it replaces. An attribute that this process may not set is left out, with a warning in the log. If
 * the group can't be kept, the file gets no permissions for the group and no access control list: they would apply to
 * another group. If owner or group can't be kept, it gets no set-user-ID or set-group-ID bit. `path`: for messages.
 * ERR_IO: the mode can't be set. ERR_NOMEM. */
int attributes_copy(int from, int to, const char *path, struct err *e) MUST_CHECK;

/* Gives a database that replaces none its permissions and, if this process is root, the owner of its folder. ERR_IO. */
int attributes_of_new(int fd, const struct folder *f, mode_t mode, struct err *e) MUST_CHECK;

#endif
