/* daemon/newcomers.h - watches the folders in which databases of a pattern appear and go, so that the daemon need not
 * wait for its next look. Main thread only. */
#ifndef SEAWALL_DAEMON_NEWCOMERS_H
#define SEAWALL_DAEMON_NEWCOMERS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define NEWCOMERS_MAX 4096 /* folders; in more than these, databases are found by the regular look */

struct newcomers {
    int fd;       /* inotify; -1: there is none */
    int last_wd;  /* the greatest number of a watch */
    size_t count; /* of watches */
    bool told;    /* the log said that watches are missing */
};
#define NEWCOMERS_NONE ((struct newcomers){.fd = -1})

void newcomers_open(struct newcomers *n); /* without inotify it watches nothing, and the log says so */
void newcomers_close(struct newcomers *n);

/* Watches a folder, if it is not watched yet, and if it is there. */
void newcomers_watch(struct newcomers *n, const char *folder);

/* Takes the events. True: a name came or went that can be a database or lead to one. */
bool newcomers_take(struct newcomers *n);

#endif
