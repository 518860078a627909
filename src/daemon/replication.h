/* daemon/replication.h - what is asked of a daemon, and what came of it. */
#ifndef SEAWALL_DAEMON_REPLICATION_H
#define SEAWALL_DAEMON_REPLICATION_H

#include "base/progress.h"
#include "config/members.h"
#include "ship/destination.h"

struct replicate_config {
    const char *db_path;
    const char *const *urls; /* of the replicas, as given */
    size_t url_count;
    struct options options;
    enum take_over take_over;
    uint64_t lock_wait_ms;        /* how long to wait for another daemon or restore that has the database */
    bool once;                    /* bring the replicas up to date, then end */
    const char *control;          /* folder of the control socket; NULL: see control/place.h */
    enum progress_place progress; /* where the progress of a base or a catch-up is shown */

    /* for a snapshot; only with `once` */
    bool as_it_is;    /* take the database in whatever journal mode it is, and never switch it */
    uint64_t busy_ms; /* how long to wait while the database is locked */
    bool base;        /* each replica gets a new base */
};

/* A copy with its texts, which the caller frees with replicate_config_free. ERR_NOMEM. */
int replicate_config_copy(const struct replicate_config *c, struct replicate_config **ret_copy,
                          struct err *e) MUST_CHECK;
void replicate_config_free(struct replicate_config *copy); /* NULL is fine */

struct replicate_summary {
    uint64_t txid;    /* newest captured */
    size_t replicas;  /* that were given */
    size_t durable;   /* replicas that are durable at `txid` */
    uint64_t objects; /* that were put, in all replicas */
    uint64_t bytes;   /* of these objects */
    bool taken;       /* another process has the database: nothing was done */
};

/* A database that is to be added. */
struct one_database {
    const char *path;
    const char *urls[CONFIG_DB_REPLICAS_MAX]; /* of its replicas */
    size_t url_count;                         /* 0: those that the configuration has for this path */
};

struct daemon_config {
    const struct replicate_config *databases; /* borrowed; copied at the start; ascending by path */
    size_t count;                             /* 0 only with socket_of */
    bool incomplete;                          /* a folder could not be read: databases may be missing in the list */
    bool once;                                /* that of the only database */
    struct options shared;                    /* only those that count for the whole daemon (option_is_of_daemon) */
    const char *control;                      /* folder of the control socket; NULL: see control/place.h */
    const char *listen;                       /* where the status page is served, see config/listen.h; NULL: nowhere */
    const char *exec; /* run this command beside the replication, and end with it; NULL: none. Not with `once` */

    /* NULL: a daemon of one database. It ends with it, and commands find the socket by its path. Otherwise commands
     * find the socket by the path of this file, the configuration; a database in trouble is tried again; and databases
     * come and go. */
    const char *socket_of;

    /* `read` reads the configuration again, as at the start, for SIGHUP. `look` finds the databases of the
     * configuration that was read last. What `known` knows is not opened. On success `release` frees what *ret_config
     * points into. `each_folder` calls `fn` for each folder in which a new name could be a database of it. `one` gives a
     * single database on request; ERR_CONFIG: the configuration does not have it, or another one has its place. NULL:
     * no file was given, or no databases come. */
    struct {
        int (*read)(void *context, const struct config_known *known, struct daemon_config *ret_config, struct err *e);
        int (*look)(void *context, const struct config_known *known, struct daemon_config *ret_config, struct err *e);
        void (*release)(void *context);
        int (*one)(void *context, const struct one_database *wanted, const struct config_known *known,
                   struct daemon_config *ret_config, struct err *e);
        int (*each_folder)(void *context, int (*fn)(void *to, const char *folder, struct err *e), void *to,
                           struct err *e);
        void *context;
    } again;
};

struct daemon_summary {
    struct replicate_summary first; /* of the first database */
    size_t databases, failed;       /* at the end; of them not durable */
    bool interrupted;               /* by a signal */
    bool commanded;                 /* the command of `exec` was started, and has ended */
    int command_code;               /* if so: its exit code */
    bool hung; /* jobs still wait for a store that neither answers nor fails: the process has to end by _exit */
};

#endif
