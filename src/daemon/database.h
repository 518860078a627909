/* daemon/database.h - one database of the daemon: its local side, and its replicas (lanes.h).
 *
 * Events mark; database_schedule decides which jobs can start; a job owns what it was handed until it is done. Main
 * thread only. Knows no event loop: time comes in, jobs go to the pool, and `alarm` asks for events. */
#ifndef SEAWALL_DAEMON_DATABASE_H
#define SEAWALL_DAEMON_DATABASE_H

#include "capture/local.h"
#include "daemon/guard.h"
#include "daemon/lag.h"
#include "daemon/lanes.h"

/* The local job: everything that it may touch. While it runs, the database has no pointer to it. */
struct local_job {
    struct job job;
    void *owner; /* the database; not looked at here */
    struct local local;
    struct local_request request;
    struct local_report report;
    int rc;
    struct err err; /* if rc is not 0 */
};

/* How the database asks for events. */
struct alarm {
    /* database_woken at the next change of the -wal, once. */
    void (*commit)(void *context, const char *wal_path);
    /* Files were opened: database_closed whenever a process that wrote the -wal closes it, database_touched whenever
     * something happens to the database file. */
    void (*opened)(void *context, const char *path, const char *wal_path);
    /* database_path_changed at the next change in a folder on the way to `given`, or to what it leads to, once. */
    void (*path)(void *context, const char *given, const char *path);
    void *context;
};

/* When the local job may run, and when to look at the wal-index again. Monotonic. */
struct local_pace {
    int64_t open_at_ms;        /* after an error: not before */
    int64_t locked_since_ms;   /* an application keeps the database locked; 0: none does */
    int64_t taken_until_ms;    /* another process has the state file: then this one ends; 0: none has */
    int64_t lock_until_ms;     /* at the start: the same, with --wait-for-lock; 0: none has */
    int64_t pass_at_ms;        /* after a pass: not before */
    int64_t rest_at_ms;        /* to complete the database file */
    int64_t closed_rest_at_ms; /* the same, after an application closed it */
    int64_t stamp_at_ms;       /* at rest, and not stamped: not before */
    int64_t settled_at_ms;     /* stopping: the file is complete, and then old enough for a stamp; 0: not now */
    int64_t unrested_ms; /* since then the file should be complete, and is not; 0: it is; -1: the log has said it */
    int64_t sweep_at_ms;
    int64_t path_at_ms;                /* to see what the given path leads to */
    int64_t look_at_ms, look_until_ms; /* after an alarm without news */
    int64_t look_ms;                   /* until the look after that; 0: the sweep is enough */
    int64_t again_at_ms;               /* after a job that changed nothing: not before, unless something happens */
    int64_t again_ms;                  /* the wait before again_at_ms; 0: the last job changed something */
    int64_t busy_until_ms;             /* snapshot: until then a database that is locked is tried again */
};

/* What happened since the last local job began. */
struct signs {
    bool news;        /* something may have been committed */
    bool touched;     /* something happened to the database file: it may be another one now */
    bool closed;      /* an application closed the -wal: complete the database file */
    int64_t alarm_ms; /* since then the -wal was written, and no commit came of it; 0: it was not */
    bool suspect;     /* the -wal was written, and no commit came of it */
    bool path;        /* the given path may lead to another place */
    bool any;         /* any event came, or a job of a replica ended */
};

struct database {
    const struct replicate_config *config; /* borrowed */
    struct workers *workers;               /* borrowed */
    struct alarm alarm;
    struct uid run;
    char path[PATH_TEXT_MAX]; /* what the given path led to when it was last opened; without links */
    char wal_path[PATH_TEXT_MAX + 8];
    int64_t started_ms; /* wall clock */
    int64_t active_ms;  /* monotonic: when something was last captured or compared, or something was asked for */

    struct local_job *home;      /* NULL: the local job runs */
    struct state *state;         /* the state file, which has a lock of its own; NULL: not opened yet */
    bool rested;                 /* as of the last local job: the log is empty and the database file complete */
    bool stamped;                /* rested, and the state file has the stamp of the database file (state/state.h) */
    struct local_report figures; /* of the last local job; its pointers are gone */
    struct transfer *reading;    /* whose piece the local job reads; NULL: none */
    struct local_pace pace;
    struct signs signs;
    bool woken; /* an event came before the newest local job began */
    struct complaint complaint;
    struct guard guard;

    struct lanes lanes;
    struct lag lag;
    uint64_t runs;        /* local jobs that were started */
    uint64_t through_run; /* the latest of them whose starting point is fully captured */

    bool lost;               /* the given path does not lead to our state file any more: start over when no job runs */
    struct identity removed; /* of the last state file that was lost; if `starts` is not 0 */
    unsigned starts;         /* how often the database started over */
    bool left_behind;        /* at one of these times a replica did not have everything that was captured */
    bool gone;               /* at the stop there is no database, so nothing is left to ship */

    uint64_t jobs_seen; /* value of lanes.jobs_ended when signs.any was last updated from it */

    bool doubted;  /* set by the owner before it is opened: the stamp proves nothing, all pages are compared */
    bool known;    /* it was replicated before in this process: it is not new, and its volume may only be away */
    bool detached; /* on request: no local job starts */
    bool expected; /* the command of --exec has ended, and should have made the database: a stop without it fails */
    bool waited;   /* the database was missing when it should have been opened */
    bool stopping;
    bool final_done;   /* stopping: the last capture is done */
    unsigned settles;  /* stopping: how often the database file was completed, or could not be */
    bool written;      /* stopping: an application went on meanwhile */
    bool unsettled;    /* stopping: the last capture left commits in the WAL */
    bool alone;        /* and then the last application closed the database: it is completed after all */
    uint64_t stop_run; /* value of `runs` when the stop began */
    bool taken;        /* another process has the state file */
    bool hung; /* jobs still run, and only the end of the process ends them: a store neither answers nor fails, or
                        the event loop failed */
    bool failed;
    struct err error; /* if failed: why the daemon has to end */
};

/* Opens the stores. The pointers are borrowed. On error nothing is left to be released. */
int database_init(struct database *db, const struct replicate_config *config, const struct commons *commons,
                  struct workers *workers, struct err *e) MUST_CHECK;
void database_release(struct database *db); /* no job may be under way */

/* Whether it is not known yet if this database may begin: it is new here, or missing, and its replicas were not asked
 * whether they have a history; or it has failed. Then nothing may start that would begin it. */
bool database_is_guarded(const struct database *db);

/* Starts what can run now. */
void database_schedule(struct database *db);
/* True if there is a reason to run the local job, and it may run now. */
bool database_local_due(struct database *db, int64_t now_ms);
/* Notes in `pace` how long the next local job waits, if no event comes. A job that changed nothing is not started again
 * at once: the first waits, and so does each that an event woke; without an event the wait doubles up to a limit. `r`:
 * what the job that just ended reported; db->figures is still the report before it. */
void database_note_change(struct database *db, const struct local_report *r, int64_t now_ms);
/* In how many ms something may have to be started without an event; 1..60000. */
int database_timeout_ms(const struct database *db);

void database_woken(struct database *db);        /* the -wal was changed */
void database_touched(struct database *db);      /* the database file was closed by a writer, moved or removed */
void database_path_changed(struct database *db); /* the given path may lead to another place */
void database_closed(struct database *db);       /* a process that wrote the -wal closed it */

/* Lets go of the database as soon as the local job is home, and holds no lock on it until database_attach. The state
 * file stays locked. Does not outlive the process. */
void database_detach(struct database *db);
void database_attach(struct database *db);
bool database_is_closed(const struct database *db); /* after database_detach: no file of it is open */

/* It has failed, and jobs of stores may run yet: if no local job runs, no lock on it is held any more. */
void database_let_go(struct database *db);

void database_stop(struct database *db); /* ship what is captured, then end */

/* When a stop gives up, monotonic, if nothing moves until then. */
int64_t database_stop_deadline_ms(const struct database *db);
/* The event loop failed: sets `hung` if a job runs, because nobody takes its result any more. */
void database_abandon(struct database *db);

/* Ends the daemon because of this error, unless an earlier one did. */
void database_fail(struct database *db, const struct err *e);
bool database_finished(struct database *db);            /* durable or failed, and no job runs */
bool database_is_running(const struct database *db);    /* a job of it runs */
bool database_did_something(const struct database *db); /* since the start: captured, checkpointed or put */
void database_log_figures(const struct database *db);
struct replicate_summary database_summary(const struct database *db); /* at the end */

#endif
