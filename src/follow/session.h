/* follow/session.h - what a run of `seawall follow` has: its options, the replica, the copy, the note. */
#ifndef SEAWALL_FOLLOW_SESSION_H
#define SEAWALL_FOLLOW_SESSION_H

#include "follow/note.h"
#include "replica/handle.h"

enum follow_flags {
    FOLLOW_UNTIL_CURRENT = 1, /* end when the copy is the newest state */
    FOLLOW_START_OVER = 2,    /* the copy may have been written to, or be of another replica */
};

struct follow_options {
    const char *url, *path;
    int64_t interval_ms, interval_max_ms; /* between polls: while something comes; and at most, while nothing comes */
    unsigned flags;                       /* enum follow_flags */
    mode_t mode;                          /* of the database when it is promoted; 0: 0600, or as it was */
    unsigned jobs;                        /* threads of restores and jumps; 0: by the kind of store */
    const atomic_bool *cancel;            /* when it becomes true, follow_run ends with ERR_CANCELED */
    int wake_fd;                          /* readable when a signal came; the caller drains it; -1: none */
    void (*retrying)(const struct err *e);
    void (*progress)(void *context, uint64_t done, uint64_t total); /* of the first copy; may be NULL */
    /* Called after each turn. `current`: a listing said a moment ago that the copy is the newest state. Non-zero: follow_run ends with 0. */
    int (*turn)(void *context, bool current);
    void *context;
};

struct follow {
    const struct follow_options *options;
    struct replica_handle replica; /* store NULL: not open yet */
    struct mirror copy;
    struct note note;
    struct note_file file;
    bool newer;   /* an object was made by a newer version of seawall */
    bool written; /* another process wrote to the copy: it is not followed */
    bool moved;   /* the files of the copy are not at their paths any more */

    /* private */
    bool survey, settled_again, start_over, said_current, had_news;
    bool doubt; /* a pause lasted longer than planned: a listing must say whether the copy is current */
    bool
        chasing; /* a promotion wants the next key of level 0: the next object's absence is enough, the put will prove it */
    bool woken; /* something changed in the folder of level 0: if it is not the next object, the same */
    unsigned failures, gone;
    enum err_code failed;
    uint32_t log_at;                    /* frames at the last checkpoint that could not copy all */
    int64_t news_ms, saved_ms, wait_ms; /* monotonic */
    int64_t proof_ms;                   /* by clock_boot_ms: when a listing last said what the replica has */
    int inotify, watched;
};

#endif
