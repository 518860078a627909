/* restore/attributes.h - owner, permissions and extended attributes of a restored database. */
#ifndef SEAWALL_RESTORE_ATTRIBUTES_H
#define SEAWALL_RESTORE_ATTRIBUTES_H

#include "base/folder.h"

/* Gives the file `to` what the file `from`, which it replaces, has: owner and group, permissions, and extended
 * attributes, among them access control lists. What this process may not set stays as it is, and a warning in the log
 * says so. If the owner or the group can't be kept, the permissions of group and others are not widened: those of `from`
 * are kept only as far as they name the same people. `path`: for messages. ERR_IO: the mode can't be set. ERR_NOMEM. */
int attributes_copy(int from, int to, const char *path, struct err *e) MUST_CHECK;

/* Gives a database that replaces none its permissions and, if this process is root, the owner of its folder. ERR_IO. */
int attributes_of_new(int fd, const struct folder *f, mode_t mode, struct err *e) MUST_CHECK;

#endif
