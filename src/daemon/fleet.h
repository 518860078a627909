/* daemon/fleet.h - all databases of a daemon: each has its turn when something happened to it, or when its time has
 * come.
 *
 * A turn costs what has to be done, not what there is: the next deadline is found in O(log n). Main thread only. */
#ifndef SEAWALL_DAEMON_FLEET_H
#define SEAWALL_DAEMON_FLEET_H

#include "base/mintree.h"
#include "daemon/member.h"

#define FLEET_LINE_MAX 256

struct fleet {
    struct member **list; /* owned; ascending by path; a member stays where it is */
    size_t count;
    struct mintree due; /* of each member: monotonic ms of its next turn */
    size_t at_work;     /* members that have not ended */
    struct shared shared;
    struct crowd crowd;
    size_t start_at;     /* members from here on may not have begun (member_begin) */
    int64_t crowd_at_ms; /* when the crowd is looked at */
    size_t crowd_before; /* how many were awake then */
    bool stopping;
    bool removable;   /* a member can be removed */
    uint64_t numbers; /* that were given to members */
    char **left_out;  /* owned; paths that fleet_remove let go of; a look does not take them up */
    size_t left_out_count;
    unsigned removals;  /* members that were removed: a pointer to one from before may lead nowhere */
    bool up;            /* as of fleet_is_up: it stays so */
    int64_t line_at_ms; /* when the line was made */
    char line[FLEET_LINE_MAX];
};

/* `configs` ascend by path, and are copied. What `shared` points to is borrowed; its crowd is made here. The fleet must
 * stay where it is. ERR_NOMEM: nothing is left to be released. */
int fleet_init(struct fleet *f, const struct replicate_config *configs, size_t count, const struct shared *shared,
               struct err *e) MUST_CHECK;
/* Before: no job runs. */
void fleet_release(struct fleet *f);

/* Gives each member its turn that has something to do. Returns in how many ms the next has. */
int fleet_turn(struct fleet *f, int64_t now_ms);

/* The member has to have a turn soon. */
void fleet_wake(struct fleet *f, struct member *m);

/* The member of this path as given, or as it was resolved; NULL: there is none. With
 * `path` NULL that of a daemon of one database. */
struct member *fleet_find(struct fleet *f, const char *path);

/* Whether `path` is that of a member, or this file is open. `fleet`: a struct fleet. For struct config_known. */
bool fleet_has(void *fleet, const char *path, const struct stat *st);

/* Whatever sleeps and was written before the call is awake afterwards, or in trouble. */
void fleet_wake_written(struct fleet *f, int64_t now_ms);

/* The verifier has written something, or ended. */
void fleet_take_verifier(struct fleet *f);

/* FLEET_RELOAD (SIGHUP): takes the options of the databases of `next` as soon as no job depends on them. FLEET_LOOK:
 * only looks who is there. Both: databases that are new are added; those that are gone are stopped, and released when
 * what was captured is shipped. A daemon of one database has none of that. What changes is logged. ERR_CONFIG: nothing
 * changed. ERR_NOMEM. `next` is not used after the call. */
enum fleet_update { FLEET_RELOAD, FLEET_LOOK };
int fleet_update(struct fleet *f, const struct daemon_config *next, enum fleet_update what, struct err *e) MUST_CHECK;

/* Adds the only database of `next`, at run time: no look and no reload lets go of it. ERR_EXISTS: it is there already.
 * ERR_CONFIG: it can't be replicated, and is not there. Other errors: it is tried again later, like every other. */
int fleet_add(struct fleet *f, const struct daemon_config *next, struct err *e) MUST_CHECK;

/* Lets go of a member when what is captured is shipped. No look takes it up again, only a reload or fleet_add.
 * ERR_NOMEM: it stays. */
int fleet_remove(struct fleet *f, struct member *m, struct err *e) MUST_CHECK;

/* Whether this is still the member that had this number, after others were removed. */
bool fleet_holds(const struct fleet *f, const struct member *m, uint64_t number);

/* Each database was opened once, or is known to be missing or in trouble. */
bool fleet_is_up(struct fleet *f);

/* Whether a database is guarded (database_is_guarded). */
bool fleet_is_guarded(const struct fleet *f);

/* How it is in one line, for the service manager. It is made again after five seconds at the earliest. */
void fleet_line(struct fleet *f, int64_t now_ms, char *out, size_t out_max);

/* The command of --exec has ended: databases that wait to be opened are opened in the next turn. */
void fleet_open_now(struct fleet *f);

/* The event loop failed: what runs is left to the end of the process (member_hangs). */
void fleet_abandon(struct fleet *f);

void fleet_stop(struct fleet *f); /* ship what is captured, then end */
static inline bool fleet_ended(const struct fleet *f)
{
    return f->at_work == 0 && (f->stopping || f->shared.alone);
}

#endif
