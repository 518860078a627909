/* daemon/folders.h - notices that something vanishes from a replica that is a folder: inotify on the folder and on those in it.
 *
 * It only asks for a look (look.h): deletions by retention are noticed too, and events can be lost. Deletions by another
 * machine, on a network file system, are not noticed. Main thread only. */
#ifndef SEAWALL_DAEMON_FOLDERS_H
#define SEAWALL_DAEMON_FOLDERS_H

#include "daemon/lanes.h"

#define FOLDERS_MAX                                                                                                    \
    256 /* watched, of all replicas of a database; objects in further ones are looked at as in a bucket */

struct folders {
    int fd; /* inotify; -1: none was needed yet, or the kernel gave none */
    bool tried;
    struct watched_folder {
        int wd;
        size_t lane;
        unsigned depth; /* 0: the root of the replica */
    } list[FOLDERS_MAX];
    size_t count;
};
#define FOLDERS_NONE ((struct folders){.fd = -1})

/* Watches the folders of replicas that are attached and not watched yet. Returns true if `fd` was opened by this call. To be
 * called at each turn of the loop. */
bool folders_watch(struct folders *f, struct lanes *all);

/* Takes the events of `fd`. */
void folders_take_events(struct folders *f, struct lanes *all, int64_t now_ms);

void folders_close(struct folders *f); /* FOLDERS_NONE is fine */

#endif
