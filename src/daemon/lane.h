/* daemon/lane.h - one replica as the main thread sees it, and all replicas of one database.
 *
 * The main thread owns everything here. What a running ship job owns is in its shipment, to which the lane has no
 * pointer meanwhile: `home` is NULL. What the main thread has to know of the replica at any time is what was last seen
 * of it. */
#ifndef SEAWALL_DAEMON_LANE_H
#define SEAWALL_DAEMON_LANE_H

#include "base/complaint.h"
#include "daemon/backlog.h"
#include "daemon/budget.h"
#include "daemon/look.h"
#include "daemon/prune.h"
#include "daemon/replication.h"
#include "daemon/transfer.h"

/* What was last seen of a replica, when no job had its shipment. */
struct sighting {
    enum destination_state state;
    uint64_t durable;    /* txid */
    bool base_owed;      /* it can't be restored yet: its base is not complete */
    bool lost;           /* it lost its newest object, and is begun again */
    bool known;          /* the state file has a place for it: */
    uint32_t index;      /* which */
    struct store *store; /* NULL: not opened yet. Only its atomic and constant fields may be read while a job runs */
    struct {
        uint64_t max, bytes;
        int64_t at_ms; /* monotonic */
    } base;            /* the newest base, or the first object of the history */
};

/* When the replica may be put to again. Times are monotonic. */
struct pace {
    struct budget budget;     /* of PUTs, if they cost money */
    int64_t retry_at_ms;      /* after a failure: no ship job before */
    int64_t backoff_ms;       /* 0: the last job succeeded */
    unsigned detours;         /* appends in a row that ended where the store has to be looked at again */
    int64_t started_at_ms;    /* start of the newest ship job */
    int64_t shipped_at_ms;    /* start of the newest append */
    unsigned shipped_commits; /* in it */
};

/* The question to the store whether the head is still there: `seawall sync` and the end of the daemon wait for the
 * answer. */
struct check {
    enum history_seen history; /* what the looks at the history have found */
    uint64_t started;          /* number of the newest question; attach asks too */
    uint64_t done;             /* number of the newest question that was answered; those before count as answered */
    uint64_t asked;            /* the number that a request waits for; not above `done`: none does */
    int64_t done_ms;           /* monotonic: when it was answered */
};

/* A replica that lost objects, until it can be restored again. */
struct loss {
    int64_t since_ms; /* wall clock; 0: it lost nothing, as far as is known */
    char text[220];   /* what is missing, for people */
};

struct lanes;

struct lane {
    struct lanes *all;       /* that it is one of; borrowed */
    const char *given;       /* the URL as it was given; borrowed; may hold secrets */
    char url[STORE_URL_MAX]; /* as it is shown */
    struct author author;    /* who puts its objects; for the jobs */
    struct shipment *home;   /* NULL: a ship job has it */
    enum ship_kind kind;     /* of the newest ship job */
    struct sighting seen;
    struct pace pace;

    struct transfer copy;    /* a base or a catch-up */
    struct transfer level;   /* a segment that is being compacted */
    struct copy paused_base; /* gave way to a catch-up, goes on afterwards; COPY_NONE: none */
    struct prune prune;
    struct look look;
    struct check check;
    struct loss loss;

    bool asked;         /* attach was tried at least once */
    bool introduced;    /* the log named the store */
    bool compared;      /* the local job under way compares all pages with this replica too */
    bool base_wanted;   /* a base was asked for */
    bool watched;       /* its folder is watched (folders.h) */
    bool clocks_differ; /* the log said that the store's clock is another one than this machine's */
    bool prune_owed;    /* with --once: something was compacted, or a base completed */

    uint64_t appended, appended_bytes; /* level-0 objects that this run put */
    uint64_t pieces, piece_bytes;      /* other objects */

    struct complaint complaint;
    int64_t failing_since_ms; /* wall clock; 0: it works */
    struct err conflict;      /* if the replica is in conflict: why */
};

/* The txid up to which a restore from the replica gives every commit, as far as was last seen. 0: nothing can be
 * restored yet, since the base is not complete that the newest commits need. Only this counts as durable for people. */
static inline uint64_t lane_restorable_txid(const struct lane *l)
{
    return l->seen.base_owed ? 0 : l->seen.durable;
}

/* What the local side has captured, as of its last run. */
struct captured_head {
    struct commit_record newest;
    uint32_t page_size; /* 0: not known yet */
    uint64_t txid;      /* of the newest commit */
    bool proven;        /* the page map describes the database, and what was captured continues it */
};

/* The replicas of one database, and what they need to know of it. */
struct lanes {
    const struct replicate_config *config; /* borrowed */
    struct workers *workers;               /* borrowed */
    struct lane *list;                     /* owned */
    size_t count;
    struct backlog backlog;
    struct captured_head captured;
    uint64_t urgent_txid; /* commits up to this one leave at once, whatever that costs: somebody waits for them */
    bool stopping;

    /* what came of it, for the database */
    uint64_t jobs_ended;
    int64_t progress_ms; /* monotonic; when a replica last came nearer to being up to date */
    bool failed;
    struct err error; /* if failed: why the daemon has to end */
};

/* Opens the replica at `url`, which must outlive the lane. ERR_NOMEM. Other errors: the lane is there, without a
 * store. */
int lane_open(struct lane *l, const char *url, struct err *e) MUST_CHECK;
/* Forgets what is under way and the position of the replica, and opens its store again. No job may be under way. An
 * error leaves the lane without a store: attach tries again. */
int lane_start_over(struct lane *l, struct err *e) MUST_CHECK;
void lane_close(struct lane *l); /* no job may be under way */

/* Asks the store whether the head is still there, unless it was asked within the last `age_ms`. Returns the number that
 * check.done has to reach; what was answered before counts if it is young enough. */
#define LANE_ASK_AGAIN (-1) /* as age_ms: no answer is young enough */
uint64_t lane_ask(struct lane *l, int64_t age_ms, int64_t now_ms);

/* Notes what can be seen of the replica now. The shipment must be home. */
void lane_look(struct lane *l);

/* A ship job runs. */
static inline bool lane_is_away(const struct lane *l)
{
    return !l->home;
}

/* The last ship job of the lane takes so long that nobody waits for it any more. */
bool lane_hangs(const struct lane *l);

/* The replica takes what is captured, now or soon. A store that hangs counts as gone. */
bool lane_is_healthy(const struct lane *l);

/* Errors that come again until a person changes the configuration or a limit. */
bool lane_needs_a_person(const struct err *e);

void lane_failed(struct lane *l, const struct err *e, int64_t now_ms); /* the next try has to wait */
void lane_succeeded(struct lane *l);
void lane_detoured(struct lane *l, int64_t now_ms); /* an append put nothing: the next look waits longer each time */

/* Stops the base under way for a catch-up, and goes on with it. */
void lane_pause_base(struct lane *l);
void lane_resume_base(struct lane *l);

#endif
