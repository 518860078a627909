/* daemon/folders.h - notices that files or folders vanish from replicas that are folders, by inotify: one instance for
 * all databases of the daemon.
 *
 * Then it asks for a look (look.h), and decides nothing itself: retention deletes files too, and events can be lost. On
 * a network file system, deletions by another machine are not noticed. Main thread only. */
#ifndef SEAWALL_DAEMON_FOLDERS_H
#define SEAWALL_DAEMON_FOLDERS_H

#include "daemon/lanes.h"

/* Folders of all replicas of a database that are watched. If there are more, only timed looks (look.h) notice a loss
 * there. */
#define FOLDERS_MAX 256

/* The instance. */
struct vanishing;

/* Without inotify only timed looks notice a loss, which the log says once. ERR_NOMEM. */
int vanishing_open(struct vanishing **ret_vanishing, struct err *e) MUST_CHECK;
void vanishing_close(struct vanishing *v);   /* before: all folders were closed. NULL is fine */
int vanishing_fd(const struct vanishing *v); /* to wait for; -1: there is none */
/* Takes the events of the descriptor, and asks for looks. */
void vanishing_take(struct vanishing *v, int64_t now_ms);

/* The folders of one database. It must stay where it is until folders_close. */
struct folders {
    struct vanishing *of; /* borrowed; NULL: not served */
    struct lanes *all;
    void (*happened)(void *context); /* called behind each event */
    void *context;
    struct folders *next, **link; /* in the list of all */
    struct watched_folder {
        int wd;
        size_t lane;    /* index */
        unsigned depth; /* 0: the root of the replica */
    } list[FOLDERS_MAX];
    size_t count;
};

/* Fills in `f`. Everything is borrowed. */
void folders_serve(struct folders *f, struct vanishing *of, struct lanes *all, void (*happened)(void *context),
                   void *context);

/* Watches the folders of replicas that are attached and not watched yet. The loop calls it at each turn. */
void folders_watch(struct folders *f);

void folders_close(struct folders *f); /* one that is not served is fine */

#endif
