/* capture/local.h - the local job of one database. It owns the SQLite handles and the page map.
 *
 * One run, from top to bottom: open the database if it is not open; compare all pages if nothing proves that the
 * map matches; capture new commits; checkpoint if one is due; read a piece of a copy if one is wanted. A run does
 * what its request asks, and reports what it found.
 *
 * A database in a rollback-journal mode has no WAL to follow. It is held still once. Meanwhile all pages are
 * compared, and the pages that replicas need are copied (frozen.h). That one moment is shipped, whatever the
 * application does later. */
#ifndef SEAWALL_CAPTURE_LOCAL_H
#define SEAWALL_CAPTURE_LOCAL_H

#include "capture/checkpoint.h"
#include "capture/copy_reader.h"
#include "capture/frozen.h"
#include "capture/strangers.h"
#include "config/options.h"

/* What is known of the database. Every change is asserted. A capture that fails half-way or finds a gap leads to
 * UNPROVEN.
 *
 *   CLOSED ---open---> UNPROVEN ---position proven, or---> FOLLOWING <---a commit------- RESTING
 *     ^                |  ^        all pages compared      |   |    ---WAL emptied--->   |   |
 *     |                |  |                                |   |                         |   |
 *     |                |  +---- gap, or half-way ----------+---|-------------------------+   |
 *     +----------------+---- let go: files replaced, an error, the end ----------------------+
 *
 *   from \ to    CLOSED  UNPROVEN  FOLLOWING  RESTING
 *   CLOSED         -        yes       -          -
 *   UNPROVEN      yes        -       yes         -
 *   FOLLOWING     yes       yes       -         yes
 *   RESTING       yes       yes      yes         - */
enum local_state {
    LOCAL_CLOSED,    /* nothing is open: the application may do anything with the files */
    LOCAL_UNPROVEN,  /* the watch is open, but nothing proves that the map matches: all pages must be compared */
    LOCAL_FOLLOWING, /* the map is the database after T, and the WAL continues from there */
    LOCAL_RESTING,   /* the same; and the WAL is empty, so the database file is complete */
};

#define LOCAL_REFERENCES_MAX IDENTITY_REPLICAS_MAX

struct local {
    char path[PATH_TEXT_MAX];      /* of the database */
    const struct options *options; /* borrowed */
    struct state state;
    enum state_found found; /* what the state file held at the start */
    bool state_open;
    struct watch watch;
    struct strangers strangers;
    struct capture capture;
    struct checkpoint checkpoint;
    bool as_it_is;        /* set by the owner: never switch the journal mode; accept any */
    struct frozen frozen; /* in a rollback-journal mode: the copy that pages are read from */
    bool map_known;       /* the map describes an earlier state of the database, or the present one */
    bool distrust;        /* the files were replaced or overwritten: only a comparison of all pages is a proof */
    enum local_state at;

    /* times, monotonic; 0: never, or not now */
    int64_t torn_since_ns; /* since then the wal-index header is torn */
    int64_t checkpoint_not_before_ns;
    int64_t checkpoint_retry_ns; /* how long the last failed checkpoint waits for the next try */
    int64_t last_commit_ns;      /* when the newest commit was captured */
    int64_t last_run_ns;

    /* how fast the application writes */
    int64_t rate_since_ns;
    uint64_t rate_from, rate_from_commits; /* `frames_captured` and `commits_captured` then */
    bool heavy;

    /* of the present run */
    struct batch *batches, **batches_tail; /* that were captured; owned */
    size_t room;                           /* bytes of versions that may still be kept */
    size_t reserve;                        /* more bytes, for what a checkpoint must capture */
    bool tight;                            /* of the request */

    /* a checkpoint of another process: see local_keeps_waiting */
    bool waiting_seen;       /* the last look found one that may wait for the watch */
    uint32_t waiting_change; /* `change` of the header then */
    bool kept_waiting;       /* two looks did; the next run gives way */

    /* since the start */
    uint64_t frames_captured, commits_captured, resyncs;

    /* a writer that is always ahead: see note_through */
    struct wal_index_header goal; /* the end of the WAL when the run `goal_run` began; not captured yet */
    uint64_t goal_run;            /* 0: there is no goal */
};

struct local_request {
    uint64_t run;    /* counts the runs, from 1 */
    bool rest;       /* do not wait for rest_after: an application closed the database, or this process stops */
    bool settle;     /* complete the database file and truncate the WAL, even if that was done already */
    bool hold;       /* leave commits in the WAL: a catch-up is under way and needs its txid to stay the newest */
    bool look;       /* the database file was touched: check that the files are still ours */
    bool suspect;    /* the -wal was written, and the wal-index shows no commit: look for strangers */
    bool stamp;      /* if the WAL is empty afterwards, stamp the database file (state/state.h) */
    bool drop;       /* without room, go on without versions: no replica can take them */
    size_t room;     /* bytes of versions that may be kept */
    bool tight;      /* there is no room by far: more versions are soon dropped */
    bool may_resync; /* all that can be found out about the replicas is known */
    struct capture_reference references[LOCAL_REFERENCES_MAX]; /* replicas to compare all pages with */
    size_t reference_count;                                    /* 0: no comparison is asked for */
    uint64_t needed_after;     /* replicas need the pages that changed after this txid: a frozen copy must hold them */
    struct copy_terms terms;   /* of the copy that wants a piece; COPY_NONE: no copy does */
    struct copy_cursor cursor; /* of that copy; lent: the report gives it back */
};

struct local_report {
    struct batch *batches;       /* the receiver owns them */
    struct commit_record newest; /* T */
    uint32_t page_size;
    bool opened, switched_to_wal;
    bool commits;     /* new commits were captured */
    bool more;        /* there is more to capture */
    uint64_t through; /* the latest run whose starting point is fully captured, out of our files; 0: none */
    bool torn;        /* the wal-index header can't be read now */
    bool resynced;    /* all pages were compared */
    struct resync_result resync;
    bool waiting;   /* a comparison is needed, and the request does not have may_resync */
    bool moved;     /* the files were replaced or overwritten, and closed */
    bool rested;    /* the WAL is empty and the database file complete */
    bool stamped;   /* and the state file, which is synced, has the stamp of the file */
    bool unstamped; /* a stamp was asked for, and refused: the WAL is empty, but the file was written too lately */
    /* The watch is held, and a checkpoint of the application may wait for it: see local_should_give_way. */
    bool watching;
    enum local_state at;
    uint32_t frames;           /* in the WAL */
    uint32_t frames_new;       /* captured in this run */
    struct copy_cursor cursor; /* of the request, moved on */
    struct piece *piece;       /* NULL: none was read; the receiver owns it */

    /* since the start */
    struct checkpoint_stats checkpoints;
    uint64_t frames_captured, commits_captured, resyncs;
};

/* Opens the state file; does not open the database. `removed`: the identity of a state file that this process had
 * open and that was removed since. The new state file takes that identity over. NULL: there was none. After an
 * error nothing is open.
 * ERR_BUSY: another process has the database. Other errors: those of state_open. */
int local_init(struct local *l, const char *path, const struct options *options, const struct identity *removed,
               struct err *e) MUST_CHECK;

/* Whether no other process has the database open. No run may be under way. */
bool local_is_alone(const struct local *l);

/* Closes the database files, but not the state file. No run may be under way. */
void local_let_go(struct local *l);

/* Closes everything. No run may be under way. */
void local_release(struct local *l);

/* One run. Before: local_init succeeded, and no other run is under way. *ret_report is filled in also after an
 * error. After an error the database is closed; the next run opens it again. ERR_BUSY: locked. ERR_NOTFOUND: there
 * is no database.
 * ERR_CONFIG: see watch_open. ERR_LIMIT, ERR_SQLITE, ERR_IO, ERR_NOMEM. */
int local_run(struct local *l, const struct local_request *request, struct local_report *ret_report,
              struct err *e) MUST_CHECK;

/* Does the wal-index show a commit that is not captured, or can it not be read? No run may be under way. No system
 * call. */
bool local_has_news(const struct local *l);

/* Did another process commit where the watch can't see it? The next run reports that, as ERR_CONFIG. No run may be
 * under way. */
bool local_suspects(struct local *l);

/* Is everything captured, and the watch all the same held in the way of a checkpoint by the application? The next run
 * gives way. No run may be under way. No system call. */
bool local_should_give_way(const struct local *l);

/* Commits may be left in the WAL on purpose: for want of room, during a catch-up, or after the last capture. Does a
 * checkpoint of another process wait for the watch or the guard meanwhile, and keep writers waiting? It is true at the
 * second look that finds so, with no commit in between; a few milliseconds should be between two looks. The next run
 * captures all the same, and gives way. No run may be under way. */
bool local_keeps_waiting(struct local *l);

#endif
