/* capture/local.h - the local job of one database: owns its SQLite handles and its page map.
 *
 * A run reads from top to bottom: open if it is not open; compare all pages if continuity is not proven; capture what was
 * committed; checkpoint if it is time; read a piece of a copy if one is wanted. Every run works on what it is asked, and reports
 * what it found.
 *
 * A database in a rollback-journal mode can't be followed. It is held still once, while all pages are compared and what replicas
 * need of them is copied (frozen.h). From then on that moment is what is shipped, whatever the application does. */
#ifndef SEAWALL_CAPTURE_LOCAL_H
#define SEAWALL_CAPTURE_LOCAL_H

#include "capture/checkpoint.h"
#include "capture/copy_reader.h"
#include "capture/frozen.h"
#include "config/options.h"

/* What is known of the database. Moves are asserted; a capture that fails half-way or meets a gap leads to UNPROVEN.
 *
 *   CLOSED --open--> UNPROVEN --position proven, or all pages compared--> FOLLOWING <--commit / log emptied--> RESTING
 *      ^                |  ^                                                |    |                                |
 *      |                |  +-------------------- gap, half-way ------------+----|--------------------------------+
 *      +-- let go: files replaced, error, end --------------------------------- +
 *
 *   from \ to    CLOSED  UNPROVEN  FOLLOWING  RESTING
 *   CLOSED         -        yes       -          -
 *   UNPROVEN      yes        -       yes         -
 *   FOLLOWING     yes       yes       -         yes
 *   RESTING       yes       yes      yes         -                                                                          */
enum local_state {
    LOCAL_CLOSED,   /* no handle, no watch: the application may do what it likes */
    LOCAL_UNPROVEN, /* under watch, but nothing proves that the map leads to what is there: all pages must be compared */
    LOCAL_FOLLOWING, /* the map is the database after T, and the log goes on from there */
    LOCAL_RESTING,   /* and the log is empty, the database file complete: nothing to do until something is committed */
};

#define LOCAL_REFERENCES_MAX IDENTITY_REPLICAS_MAX

struct local {
    char path[PATH_TEXT_MAX];
    const struct options *options; /* borrowed */
    struct state state;
    enum state_found found; /* at start */
    bool state_open;
    struct watch watch;
    struct capture capture;
    struct checkpoint checkpoint;
    bool as_it_is;         /* set by the owner: the journal mode of the database is never switched, and any will do */
    struct frozen frozen;  /* in a rollback-journal mode: what pages are read from */
    bool map_known;        /* the map describes a state that was seen: T means something */
    int64_t torn_since_ns; /* the header is torn since then; 0: it is not */
    int64_t checkpoint_not_before_ns;
    int64_t checkpoint_retry_ns;
    int64_t last_commit_ns; /* when the newest commit was captured */
    int64_t last_run_ns;
    enum local_state at;
    bool distrust; /* the files were replaced or overwritten: only a comparison of all pages is a proof */
    struct batch *batches, **batches_tail; /* of this run */
    size_t room;                           /* bytes of versions that this run may still keep */
    size_t reserve;                        /* beyond it, for what a checkpoint has to capture */
    uint64_t frames_captured, commits_captured, resyncs;
    struct wal_index_header
        goal; /* the end of the log when goal_run began, which has not been reached yet; goal_run 0: none */
    uint64_t goal_run;
};

struct local_request {
    uint64_t run; /* counts the runs, from 1 */
    bool rest;    /* do not wait for rest_after: an application closed, or we stop */
    bool settle;  /* complete and truncate even if that was done already */
    bool hold;    /* leave commits in the WAL: a catch-up is under way and wants its txid to stand still */
    bool look;    /* something happened to the database file: is it still ours? */
    bool drop;    /* when there is no room, go on without versions: no replica is there to take them */
    size_t room;
    bool may_resync; /* all that can be known about the replicas is known */
    struct capture_reference references[LOCAL_REFERENCES_MAX];
    size_t reference_count;    /* > 0: compare all pages with these */
    uint64_t needed_after;     /* replicas need pages that changed after this txid: what a frozen copy has to hold */
    struct copy_terms terms;   /* of the copy that wants a piece; COPY_NONE: none does */
    struct copy_cursor cursor; /* of it, lent: the report has it back */
};

struct local_report {
    struct batch *batches;       /* ownership moves */
    struct commit_record newest; /* T */
    uint32_t page_size;
    bool opened, switched_to_wal;
    bool commits; /* new ones were captured */
    bool more;    /* there are more already */
    uint64_t
        through; /* all that was committed when this run began is captured, out of files that are the database's; 0: of none */
    bool torn; /* the header can't be read just now */
    bool resynced;
    struct resync_result resync;
    bool waiting; /* for may_resync */
    bool moved;   /* the files were replaced; it was let go */
    bool rested;  /* the log is empty and the database file complete */
    enum local_state at;
    uint32_t frames; /* in the log */
    uint32_t frames_new;
    struct copy_cursor cursor;           /* that the request lent, moved on */
    struct piece *piece;                 /* NULL: none was read; owned by the receiver */
    struct checkpoint_stats checkpoints; /* since the start, like the next three */
    uint64_t frames_captured, commits_captured, resyncs;
};

/* Opens the state file. `removed`: the identity of the state file that this process had open and that somebody removed, for
 * the new one that takes its place; NULL: there was none. ERR_BUSY: another process has the database. */
int local_init(struct local *l, const char *path, const struct options *options, const struct identity *removed,
               struct err *e) MUST_CHECK;

/* Lets go of the database files, but not of the state file. No run may be under way. */
void local_let_go(struct local *l);

/* Lets go and closes everything. */
void local_release(struct local *l);

/* After an error the database was let go; the next run opens it anew. */
int local_run(struct local *l, const struct local_request *request, struct local_report *ret_report,
              struct err *e) MUST_CHECK;

/* A look at the wal-index without a job: has something been committed? Only while no run is under way. */
bool local_has_news(const struct local *l);

#endif
