/* cli/restore_all.h - `seawall restore --all`: brings back all databases of a configuration. */
#ifndef SEAWALL_CLI_RESTORE_ALL_H
#define SEAWALL_CLI_RESTORE_ALL_H

#include "config/file.h"
#include "restore/restore.h"

#define RESTORE_ALL_JOBS                                                                                               \
    16 /* databases at a time, if the caller does not say how many: most wait for a disk or a store */

struct restore_all {
    const struct config *config;
    const char *to;                 /* folder for all databases; NULL: each goes to its own path */
    struct restore_options options; /* for each database; url, path, jobs and progress do not count */
    unsigned at_once;               /* databases at a time, 1 to EACH_MAX */
    bool json;                      /* print one JSON object, not lines */
};

/* Restores each database whose replica the stores have, and prints what came of it. Returns an exit code. */
int restore_all(const struct restore_all *r);

/* Writes the path below the folder `to` where the database at `path` goes: what the wildcards of the first pattern that
 * matches it are in its path, and everything after them; without one, the whole path. ERR_CONFIG: it is too long. */
int restore_all_target(const struct config *c, const char *to, const char *path, char out[PATH_TEXT_MAX],
                       struct err *e) MUST_CHECK;

#endif
