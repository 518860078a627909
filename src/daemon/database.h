/* daemon/database.h - one database of the daemon and its replicas: what it knows, and what can run now.
 *
 * database.c  the local side: events mark, the local job captures, checkpoints and reads copies; when to start it, when all is done
 * ship.c      the replicas' side: what each can do next; at most one ship job for each, and piece jobs beside it
 * history.c   the same for what is compacted, copied anew, or deleted
 *
 * Everything here runs on the scheduler's thread; jobs run elsewhere and own what they were handed until they are done. Knows no
 * event loop: time comes in, jobs go to the pool, and `alarm` asks for events. */
#ifndef SEAWALL_DAEMON_DATABASE_H
#define SEAWALL_DAEMON_DATABASE_H

#include "capture/local.h"
#include "daemon/backlog.h"
#include "daemon/lag.h"
#include "daemon/lane.h"

#define HANG_MS 5000 /* a ship job that takes longer keeps no batches waiting; a stop waits no longer for it */

struct replicate_config {
    const char *db_path;
    const char *const *urls;
    size_t url_count;
    struct options options;
    enum take_over take_over;
    bool once; /* bring the replicas up to date and stop */

    /* of a snapshot */
    bool as_it_is;    /* never switch the journal mode: any will do. Only with `once` */
    uint64_t busy_ms; /* with it: so long a lock of others is waited for */
    bool base;        /* each replica gets a new base */
};

/* What came of it. */
struct replicate_summary {
    uint64_t txid;    /* newest captured */
    size_t replicas;  /* that were given */
    size_t durable;   /* of these, at `txid` */
    uint64_t objects; /* that were put, in all replicas */
    uint64_t bytes;
    bool taken;       /* another process has the database: nothing was done */
    bool interrupted; /* by a signal */
    bool hung;        /* jobs still run, for a store that neither answers nor fails: the process has to end by _exit */
};

/* How the database asks to be told of changes of its -wal. */
struct alarm {
    void (*commit)(void *context, const char *wal_path); /* the next change of the file, once */
    /* Each time that somebody who wrote the -wal closes it, and whenever something happens to the database file. */
    void (*opened)(void *context, const char *path, const char *wal_path);
    void *context;
};

struct database {
    const struct replicate_config *config; /* borrowed */
    struct workers *workers;               /* borrowed */
    struct alarm alarm;
    struct uid run;
    char path[PATH_TEXT_MAX]; /* without links */
    char wal_path[PATH_TEXT_MAX + 8];
    struct local local;
    bool ready; /* local_init succeeded */
    struct job job;
    bool busy;
    struct local_request request;
    struct local_report report;
    struct local_report figures; /* of the last run that has ended */
    int rc;
    struct err err;
    struct lane *copying; /* whose copy the local job reads: */
    bool copying_level;   /* the compaction, or else the catch-up or base */

    struct lane *lanes; /* the replicas */
    size_t lane_count;
    struct backlog backlog;
    struct commit_record newest;
    uint32_t page_size;
    uint64_t captured_txid;
    struct lag lag;       /* when it was committed */
    uint64_t runs;        /* of the local job, that were started */
    uint64_t through_run; /* of these, the last of which all that was committed when it began is captured */
    uint64_t urgent_txid; /* somebody waits until what is up to here is durable: it leaves at once, whatever it costs */
    int64_t started_ms;   /* wall clock */

    bool news;         /* something may have been committed */
    bool touched;      /* something happened to the database file: it may be another now */
    bool closed_event; /* an application closed the WAL: complete the database file */
    bool rested, proven;
    bool final_done;       /* stopping: the last capture is done */
    int64_t busy_until_ms; /* of a snapshot: until then one that is locked is tried again */
    int64_t pass_at_ms, open_at_ms, look_at_ms, look_ms, look_until_ms, rest_at_ms, sweep_at_ms;
    char complaint[ERR_MSG_MAX];

    bool stopping, failed;
    bool taken; /* another process has the state file */
    bool hung; /* a store neither answers nor fails: jobs still run, and nothing but the end of the process ends them */
    int64_t stop_deadline_ms;
    struct err error; /* why it ends, with `failed` */
};

/* Opens the stores. On error nothing is left to be released. */
int database_init(struct database *db, const struct replicate_config *config, struct workers *workers,
                  struct err *e) MUST_CHECK;
void database_release(struct database *db); /* no job may be under way */

/* Starts what can run now. */
void database_schedule(struct database *db);
int database_timeout_ms(struct database *db); /* until there may be something to start without an event */

void database_woken(struct database *db);   /* the -wal was changed */
void database_touched(struct database *db); /* the database file was closed by a writer, moved or removed */
void database_closed(struct database *db);  /* somebody who wrote the -wal closed it */

void database_stop(struct database *db); /* ship what is captured, then end */
void database_fail(struct database *db, const struct err *e);
void database_note_progress(struct database *db);
bool database_finished(struct database *db); /* durable or failed, and no job runs */
void database_log_figures(const struct database *db);
struct replicate_summary database_summary(const struct database *db); /* at the end */

/* ---- ship.c */

void ship_schedule(struct database *db, struct lane *l, int64_t now_ms);
int64_t ship_due_ms(const struct database *db, const struct lane *l, int64_t now_ms); /* when its commits may leave */

/* Its job takes so long that nobody waits for it any more. */
bool ship_hangs(const struct lane *l);

/* Takes what is captured, now or soon. A store that hangs is as good as gone: what waits for it must not stop the others. */
bool ship_healthy(const struct lane *l);

#endif
