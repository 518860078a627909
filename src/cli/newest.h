/* cli/newest.h - which of several replicas of a database has the newest restore point: any of them can have been away
 * for a while, also the first one of the file. */
#ifndef SEAWALL_CLI_NEWEST_H
#define SEAWALL_CLI_NEWEST_H

#include "replica/identity.h"
#include "restore/restore.h"

#include <stddef.h>

enum newest_state {
    NEWEST_USABLE,
    NEWEST_NONE,   /* there is no replica */
    NEWEST_LATER,  /* RESTORE_BY_TIME: it began after that moment */
    NEWEST_FAILED, /* it can't be asked, or has no restore point: `error` says why */
};

struct newest_replica {
    const char *url;
    size_t number; /* in the order of the file, from 0 */
    /* results */
    enum newest_state state;
    struct replica_identity identity; /* unless NEWEST_NONE and NEWEST_FAILED */
    struct commit_record record;      /* NEWEST_USABLE, and `compared`: of the restore point that it would give */
    bool compared;                    /* a single replica is not compared with others */
    struct err error;                 /* NEWEST_FAILED */
};

/* Asks each replica for the restore point that the options mean: the newest, or the newest not after a moment. Lists
 * each once, unless there is only one. Sorts them: those that can be used first, and of these the newest first: by its
 * time, then by its txid. `url` and `path` of the options do not count. */
void newest_ask(const struct restore_options *o, struct newest_replica *list, size_t count);

/* Says on stderr, after `head`, what was found beside list[used]: replicas that are behind it, and those that could not
 * be used. */
void newest_tell(const char *head, const struct newest_replica *list, size_t count, size_t used);

#endif
