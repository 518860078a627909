/* base/privacy.h - how private new files and folders are: no more readable than the database that they are made from.
 *
 * One process may work for several databases. So the setting belongs to the thread, and is set before each
 * job. Only what users of a folder share is made with these bits (stage_begin_shared, path_make_dirs, the
 * folders of a replica). All other files are made with mode 0600. */
#ifndef SEAWALL_BASE_PRIVACY_H
#define SEAWALL_BASE_PRIVACY_H

#include <sys/types.h>

/* The permissions that new files of a database with the mode `like` must not have. If group or others may not read it,
 * they get none. If they may read and not write it, they may not write. */
mode_t privacy_of(mode_t like);

/* Permissions that this thread takes from what it makes, besides those of the umask; 0 at first. */
void privacy_set(mode_t bits);
mode_t privacy(void);

#endif
