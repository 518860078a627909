/* daemon/alarms.h - inotify for all databases of a daemon: events of the kernel become marks of a database.
 *
 *   the next change of the -wal, once                          database_woken
 *   each time that a process that wrote the -wal closes it     database_closed
 *   whatever happens to the database file                      database_touched
 *   the next change in a folder on the way to it, once         database_path_changed
 *
 * What is lost, the sweep of the database finds within a second. Main thread only. */
#ifndef SEAWALL_DAEMON_ALARMS_H
#define SEAWALL_DAEMON_ALARMS_H

#include "daemon/database.h"

#define ALARMS_FDS 3

struct alarms;

/* What one database wants to know. It must stay where it is until alarms_forget. */
struct alarm_user {
    struct alarms *alarms;
    struct database *db;
    void (*happened)(void *context); /* called behind each mark */
    void *context;
    bool wal_armed, path_armed;
    int file_wd; /* on the database file; -1: none */

    /* The file that is open, or that is about to be. */
    dev_t device;
    ino_t inode;
};

/* Without inotify the daemon works, and sees commits once a second. ERR_NOMEM. */
int alarms_open(struct alarms **ret_alarms, struct err *e) MUST_CHECK;
void alarms_close(struct alarms *a); /* NULL is fine */

/* The descriptors to wait for. An entry is -1 if the kernel gave none. */
void alarms_fds(const struct alarms *a, int ret_fds[ALARMS_FDS]);

/* Takes the events of one of these descriptors. */
void alarms_take(struct alarms *a, int fd);

/* Fills in `u`, and gives the database its alarm. */
void alarms_serve(struct alarms *a, struct alarm_user *u, struct database *db, void (*happened)(void *context),
                  void *context);
/* No mark is set for this database any more. */
void alarms_forget(struct alarm_user *u);

#endif
