/* daemon/lane.h - one replica as the main thread sees it, and all replicas of one database.
 *
 * The main thread owns everything here. What a running ship job owns is in its shipment, to which the lane has no
 * pointer meanwhile: `home` is NULL. What the main thread has to know of the replica at any time is what was last seen
 * of it. */
#ifndef SEAWALL_DAEMON_LANE_H
#define SEAWALL_DAEMON_LANE_H

#include "base/complaint.h"
#include "base/progress.h"
#include "daemon/backlog.h"
#include "daemon/hoard.h"
#include "daemon/look.h"
#include "daemon/outage.h"
#include "daemon/prune.h"
#include "daemon/ration.h"
#include "daemon/replication.h"
#include "daemon/transfer.h"
#include "web/summary.h"

/* What was last seen of a replica, when no job had its shipment. */
struct sighting {
    enum destination_state state;
    uint64_t durable;    /* txid */
    bool base_owed;      /* it can't be restored yet: its base is not complete */
    bool missed;         /* attach missed objects, and looks again before that is believed */
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
    struct workers *workers; /* owned; for its jobs; NULL: not opened yet */
    struct author author;    /* who puts its objects; for the jobs */
    struct shipment *home;   /* NULL: a ship job has it */
    enum ship_kind kind;     /* of the newest ship job */
    struct sighting seen;
    struct pace pace;
    struct outage_user outage; /* as its store sees it */
    struct ration_user ration; /* if its requests cost money */

    struct transfer copy;     /* a base or a catch-up */
    struct transfer level;    /* a segment that is being compacted */
    struct copy paused_base;  /* gave way to a catch-up, goes on afterwards; COPY_NONE: none */
    struct progress progress; /* of the base or catch-up in `copy`, if `shown` */
    uint32_t copied;          /* if so: its pages that were read, as was last seen */
    struct kept *kept;        /* owned; what the ship jobs put last, for the job that packs */
    struct prune prune;
    struct look look;
    struct check check;
    struct loss loss;

    bool shown;         /* the progress of a copy is shown */
    bool asked;         /* attach was tried at least once */
    bool introduced;    /* the log named the store */
    bool compared;      /* the local job under way compares all pages with this replica too */
    bool base_wanted;   /* a base was asked for */
    bool watched;       /* its folder is watched (folders.h) */
    bool clocks_differ; /* the log said that the store's clock is another one than this machine's */
    bool prune_owed;    /* with --once: something was compacted, or a base completed */

    unsigned refused; /* so many tries in a row failed with an error that time does not heal, or for damage */

    uint64_t requests_before
        [REQUEST_FIGURES];             /* of closed store handles of the lane, and of verifications, since the start */
    struct store_traffic beside;       /* of retention and looks, whose jobs have handles of their own */
    uint64_t appended, appended_bytes; /* level-0 objects that this run put */
    uint64_t pieces, piece_bytes;      /* other objects */

    struct complaint complaint;
    int64_t failing_since_ms; /* wall clock; 0: it works */
    bool told;                /* the log has said that it fails */
    bool told_long;           /* ... for long */
    struct err conflict;      /* if the replica is in conflict: why */
    struct rival rival;       /* and with whom */
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

/* What the replicas of all databases of a daemon share; borrowed. */
struct commons {
    struct outages *outages; /* NULL: each replica finds out by itself */
    struct ration *ration;   /* NULL: there is no limit for all */
    struct hoard *hoard;     /* likewise */
};

/* The replicas of one database, and what they need to know of it. */
struct lanes {
    const struct replicate_config *config; /* borrowed */
    const struct commons *commons;         /* borrowed */
    struct workers *workers;               /* borrowed */
    struct lane *list;                     /* owned */
    size_t count;
    struct backlog backlog;
    struct hoarder hoarder; /* of `backlog` */
    struct captured_head captured;
    uint64_t urgent_txid; /* commits up to this one leave at once, whatever that costs: a request waits for them */
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

/* The requests to the store since the start, by enum summary_request. False: they cost nothing, and are not counted. */
bool lane_requests(const struct lane *l, uint64_t out[REQUEST_FIGURES]);

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

/* Whether an error with this code means that the store can't be reached, or fails: that heals by itself. */
bool lane_is_out_of_reach(enum err_code code);

#define LANE_LONG_MS (5 * 60000)

/* Whether the replica has been failing for LANE_LONG_MS, and this is the first time that it is asked then. `now_ms`:
 * wall clock. */
bool lane_fails_for_long(struct lane *l, int64_t now_ms);

void lane_failed(struct lane *l, const struct err *e, int64_t now_ms); /* the next try has to wait */
void lane_succeeded(struct lane *l);
void lane_detoured(struct lane *l, int64_t now_ms); /* an append put nothing: the next look waits longer each time */

/* Shows how far a base or a catch-up is, as the configuration says where. */
void lane_show_progress(struct lane *l);

/* The bytes of the copy that is shown, and how many of them were read. Precondition: l->shown. */
void lane_copied(const struct lane *l, uint64_t *ret_done, uint64_t *ret_total);

/* Stops the base under way for a catch-up, and goes on with it. */
void lane_pause_base(struct lane *l);
void lane_resume_base(struct lane *l);

#endif
