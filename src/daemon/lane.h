/* daemon/lane.h - one replica as the scheduler sees it: its destination, the job under way, and what waits. */
#ifndef SEAWALL_DAEMON_LANE_H
#define SEAWALL_DAEMON_LANE_H

#include "daemon/budget.h"
#include "daemon/prune.h"
#include "daemon/workers.h"
#include "ship/destination.h"

#define LANE_BATCHES_MAX 4096
#define LANE_BYTES_MAX SCALE(8u << 20, 4096u) /* raw bytes of commits in one object; more wait for the next */

enum ship_kind {
    SHIP_ATTACH,
    SHIP_AGAIN,    /* send d.outgoing once more */
    SHIP_COMMITS,  /* build from batches, send */
    SHIP_CATCH_UP, /* build from the last piece of a copy, send */
    SHIP_ANCHOR,   /* build an empty first object, send */
    SHIP_MARKER,   /* complete a base */
    SHIP_PART,     /* a piece of a compacted segment */
    SHIP_LEVEL,    /* the last one, which makes it count */
};

struct lane;

struct piece_job {
    struct job job;
    struct lane *lane;
    struct author author;
    struct piece *piece; /* owned */
    struct listed listed;
    bool busy;
    int rc;
    struct err err;
};

struct lane {
    struct destination d;
    enum destination_state seen; /* its state when no job had it last: while one runs, `d` is the job's alone */
    uint64_t seen_durable;       /* its position then */
    bool seen_base_owed;         /* then it could not be restored: its base was not complete */
    struct store *store;         /* its store then; NULL: not opened yet */
    struct budget budget;        /* of puts, if the requests of the store cost money */
    struct {
        uint64_t max, bytes;
        int64_t at_ms;  /* monotonic */
    } seen_base;        /* the newest base then, or what stands for it */
    bool base_was_owed; /* when the last job began */
    bool introduced;    /* the log said what kind of store it is */
    struct author author;
    struct job job; /* attach, append, marker */
    enum ship_kind kind;
    bool busy;
    int rc;
    struct err err;

    struct batch *batches[LANE_BATCHES_MAX]; /* referenced while the job runs */
    size_t batch_count;
    uint64_t upto;               /* of these, not beyond this txid */
    struct commit_record record; /* for an anchor */
    uint32_t page_size;

    struct copy *copy;                     /* under way; NULL: none */
    struct copy *paused_base;              /* goes on after a catch-up: the chunks that were put stay good */
    bool read_all, copy_failed;            /* what the local job said of it */
    struct piece *last_piece;              /* of a catch-up; waits for the parts before it */
    struct piece *waiting[COPY_IN_FLIGHT]; /* read, not handed to a job yet */
    struct piece_job piece_job[COPY_IN_FLIGHT];

    struct copy *level;                /* being compacted; NULL: nothing is. One piece at a time, by ship jobs */
    struct piece *level_piece;         /* of it, read; waits to be put */
    struct listed listed;              /* what it became; of the last one only the size */
    bool level_read_all, level_failed; /* what the local job said of it */

    struct prune prune;
    bool prune_owed; /* with --once: something was compacted, or a base completed */

    bool base_wanted;    /* once: a base, whatever it owes */
    bool compared;       /* the local job under way compares all pages with this replica too */
    bool asked;          /* attach was tried at least once */
    int64_t retry_at_ms; /* monotonic; after a failure */
    int64_t backoff_ms;
    unsigned detours;      /* appends in a row that ended where the store has to be looked at again */
    int64_t started_at_ms; /* of the last job */
    int64_t shipped_at_ms; /* start of the last append */
    unsigned shipped_commits;
    uint64_t appended, appended_bytes; /* level-0 objects of this run */
    uint64_t pieces, piece_bytes;      /* parts, chunks */
    char complaint[ERR_MSG_MAX];       /* last failure that was logged: said once */
    enum err_code complaint_code;      /* and what kind it was: texts differ in times and request ids */
    int complaint_sys;
    int64_t failing_since_ms; /* wall clock; 0: it does not fail */
};

int lane_open(struct lane *l, const char *url, struct err *e) MUST_CHECK;
void lane_close(struct lane *l); /* no job may be under way */

/* Starts a job of this kind; what it needs is set in the lane. `owner_done` is called when it has ended. */
void lane_start(struct lane *l, enum ship_kind kind, struct workers *workers, void (*done)(struct job *));
void lane_start_piece(struct lane *l, struct piece_job *pj, struct piece *piece, struct workers *workers,
                      void (*done)(struct job *));

struct lane *lane_of_job(struct job *job);
struct piece_job *piece_job_of(struct job *job);

bool lane_pieces_busy(const struct lane *l);
bool lane_wants_piece(const struct lane *l);
bool lane_wants_level_piece(const struct lane *l);
void lane_abandon_level(struct lane *l); /* no ship job may be under way */
void lane_abandon_copy(struct lane *l);  /* no piece job may be under way */
void lane_pause_base(struct lane *l);    /* the same */
void lane_resume_base(struct lane *l);
void lane_failed(struct lane *l, const struct err *e, int64_t now_ms);
void lane_succeeded(struct lane *l);
void lane_detoured(struct lane *l, int64_t now_ms); /* an append put nothing: the next look waits longer each time */

#endif
