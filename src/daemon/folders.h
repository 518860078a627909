/* daemon/folders.h - notices that files or folders vanish from a replica that is a folder, by inotify.
 *
 * Then it asks for a look (look.h), and decides nothing itself: retention deletes files too, and events can be lost. On
 * a network file system, deletions by another machine are not noticed. Main thread only. */
#ifndef SEAWALL_DAEMON_FOLDERS_H
#define SEAWALL_DAEMON_FOLDERS_H

#include "daemon/lanes.h"

/* Folders of all replicas of a database that are watched. If there are more, only timed looks (look.h) notice a loss
 * there. */
#define FOLDERS_MAX 256

struct folders {
    int fd;     /* inotify; -1: not opened yet, or the kernel gave none */
    bool tried; /* to open it */
    struct watched_folder {
        int wd;
        size_t lane;    /* index */
        unsigned depth; /* 0: the root of the replica */
    } list[FOLDERS_MAX];
    size_t count;
};
#define FOLDERS_NONE ((struct folders){.fd = -1})

/* Watches the folders of replicas that are attached and not watched yet. Returns true if this call opened `fd`. The
 * loop calls it at each turn. */
bool folders_watch(struct folders *f, struct lanes *all);

/* Reads the events of `fd`, and asks for looks. */
void folders_take_events(struct folders *f, struct lanes *all, int64_t now_ms);

/* Watches nothing from now on. */
void folders_stop(struct folders *f);

void folders_close(struct folders *f); /* FOLDERS_NONE is allowed */

#endif
