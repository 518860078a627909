/* daemon/member.h - one of the databases of a daemon.
 *
 *   closed   nothing of it is open: it is tried again at retry_at_ms
 *   awake    a struct database works on it
 *   asleep   nothing of it is open, because nothing has to be done (sleep.h)
 *
 * A database in trouble stops no other one: where a daemon of one database would end, its member is closed and tried
 * again later, after 10 s, then twice as long each time, up to 5 minutes. Main thread only. */
#ifndef SEAWALL_DAEMON_MEMBER_H
#define SEAWALL_DAEMON_MEMBER_H

#include "daemon/alarms.h"
#include "daemon/folders.h"
#include "daemon/sleep.h"

#include <sys/stat.h>

/* How many databases are open. */
struct crowd {
    size_t awake;
    size_t settling; /* of these: opened for the first time, and not yet as far as they come without the application */
};

/* What the databases of a daemon share; borrowed. */
struct shared {
    struct pool *pool;
    struct alarms *alarms;
    struct verifier *verifier;
    struct sleepers *sleepers;
    struct crowd *crowd;
    const struct commons *commons;
    uint64_t awake_max; /* if more are awake, those that have been quiet for longest sleep early */
    struct vanishing *vanishing;
    bool alone; /* the daemon has one database: it ends with it */
};

/* What is open while a member is awake. It stays where it is. */
struct awake {
    struct member *member;
    struct database db;
    struct verification verification;
    struct folders folders;
    struct alarm_user alarms;
    struct workers *workers;
    bool settling; /* counted in the crowd */
    bool rose;     /* it was asleep before, and its first local job has not ended */
};

struct member {
    struct replicate_config *config; /* owned; its options can change (member_reload) */
    struct options *next;            /* owned; options that count from the next turn without a local job; NULL: none */
    const struct shared *shared;
    void (*happened)(struct member *m); /* it has to have a turn soon */
    const struct member *(*owner_of)(const struct member *m,
                                     const struct stat *st); /* another one that has this file */
    void *fleet;                                             /* borrowed; for these two */
    struct awake *awake;                                     /* owned; NULL: closed, or asleep */
    struct sleep sleep;
    bool doubted;                    /* it is to be compared when it wakes, whatever the stamp of its file says */
    bool woken;                      /* it must not sleep any longer */
    bool tired;                      /* too many are awake: it sleeps as soon as it may */
    bool begun;                      /* it was asleep or awake once, or was tried */
    int64_t begun_ms;                /* monotonic */
    int64_t pruned_ms;               /* monotonic: when retention last ended; 0: not known */
    int64_t sleepless_ms;            /* so long it has to be quiet, if that is longer */
    int64_t retry_at_ms, backoff_ms; /* monotonic; if it is closed */
    bool told_fixed;                 /* the log said that something of `next` counts from the next start */
    size_t index;                    /* of the fleet */
    uint64_t number;                 /* of the fleet: no two members ever have the same */
    int64_t absent_ms;               /* monotonic: since then no look has found the database; 0: it was found */
    bool by_hand;                    /* it was added at run time */
    bool removed; /* it is not in the configuration any more, or its file is gone: it is stopped, then released */
    bool stopping;
    bool leaving;                     /* it ended, but its jobs have not: they keep it awake */
    bool ended;                       /* not to be tried again */
    struct err *error;                /* owned; why it was closed, or why it ended; NULL: it is well */
    struct replicate_summary summary; /* of the last time it was awake */
    uint64_t *requests; /* owned; REQUEST_FIGURES for each replica, until it was last awake; NULL: there were none */
};

/* Opens what has to be open. An error says why not; it is in m->error too. ERR_CONFIG: the file is not a database, or
 * its path can't be used. */
int member_open(struct member *m, int64_t now_ms, struct err *e) MUST_CHECK;

/* For the first time: it falls asleep if its state file proves that nothing has to be done; otherwise it has to be
 * opened in its next turn. */
void member_begin(struct member *m, int64_t now_ms);

/* For sleepers_open: it was written while it slept. */
void member_woken(void *member);

/* If it sleeps, it is opened. Errors: as member_open. */
int member_wake(struct member *m, int64_t now_ms, struct err *e) MUST_CHECK;

static inline bool member_is_asleep(const struct member *m)
{
    return m->sleep.sleeper != NULL;
}

/* How long it has been quiet, in ms; 0: it has to stay awake. */
int64_t member_quiet_ms(const struct member *m, int64_t now_ms);

/* Does what is due. Returns in how many ms it has to have its next turn, if nothing happens before. */
int member_turn(struct member *m, int64_t now_ms);

/* Takes the options of `next` as soon as no local job runs, and logs what changed. ERR_NOMEM. */
int member_reload(struct member *m, const struct replicate_config *next, struct err *e) MUST_CHECK;

/* It was opened once, or it is known to be missing or in trouble. A database that does not exist yet may be what the
 * command of --exec makes. */
bool member_is_up(const struct member *m);

/* The database and each of its replicas: nobody has to act. */
bool member_is_well(const struct member *m);

/* Ship what is captured, then end: m->ended becomes true. */
void member_stop(struct member *m);

/* The event loop failed: member_hangs says whether jobs of it run. Precondition: it is awake. */
void member_abandon(struct member *m);

/* A struct database works on it, and has not ended. */
static inline bool member_is_open(const struct member *m)
{
    return m->awake && !m->leaving;
}

/* Whether jobs of it still run although it ended: a store neither answers nor fails. */
static inline bool member_hangs(const struct member *m)
{
    return m->leaving;
}

/* Frees everything. Before: no job of it runs, and the pool still exists. */
void member_release(struct member *m);

#endif
