/* daemon/verification.h - the daemon's own verification: every `verify-interval` each replica is verified, and restored to a
 * temporary folder, by another process: `seawall verify --restore --json -`, with the URL on its stdin, because a URL can hold
 * secrets and arguments are seen by everybody. It runs at the lowest priority, one at a time, and a stop ends it.
 *
 * What was found is kept in <db>-seawall-proof.json, because an interval is longer than most runs of a daemon. A replica that was
 * never verified is due when the daemon has run for min(interval, 1 h): not at each start, and not only after a week. One that has
 * failed is due again after a day at the latest.
 *
 * Lives on the scheduler's thread; only the file is written by a job. It never waits, but in proof_stop. */
#ifndef SEAWALL_DAEMON_VERIFICATION_H
#define SEAWALL_DAEMON_VERIFICATION_H

#include "daemon/database.h"

#include <sys/types.h>

#define PROOF_SUFFIX "-seawall-proof.json"
#define PROOF_TEXT_MAX 400

/* What is on record of one replica. */
struct proof_record {
    int64_t verified_ms; /* wall clock; 0: never */
    bool ok;
    uint64_t problems;
    char text[PROOF_TEXT_MAX];  /* the first of them */
    int64_t proven_ms;          /* wall clock of the last restore that succeeded; 0: none */
    uint64_t proven_txid;       /* what it restored */
    char error[PROOF_TEXT_MAX]; /* why the last try to verify came to no result; "": it did. Not kept in the file */
    int error_code;             /* its exit code: texts differ in names and times */
    int64_t retry_at_ms;        /* monotonic; after such a try */
};

/* Lines of the child, as they come. */
struct proof_pipe {
    int fd;
    struct buf bytes; /* what is more than its ceiling is read and dropped */
    bool overflow;
};

struct proof {
    struct database *db; /* borrowed */
    int epoll_fd;        /* readable when the child says something */
    bool loaded;
    int64_t started_ms;           /* monotonic */
    struct proof_record *records; /* one for each lane */

    pid_t pid;        /* 0: none runs */
    size_t index;     /* whose replica */
    bool restoring;   /* not only verifying */
    bool told_room;   /* that there is too little for a restore was said */
    int64_t begun_ms; /* monotonic */
    int64_t term_ms;  /* it was told to end then; 0: not yet */
    struct proof_pipe out, err;

    struct job job; /* writes the file */
    bool writing, dirty;
    char *document; /* what it writes */
    char path[PATH_TEXT_MAX];
    int rc;
    struct err error;
};
#define PROOF_NONE ((struct proof){.epoll_fd = -1, .out.fd = -1, .err.fd = -1})

int proof_start(struct proof *p, struct database *db, struct err *e) MUST_CHECK;

/* Takes what the child said and begins the next; to be called at each turn of the loop. Returns in how many ms it wants to be
 * called again at the latest. */
int proof_run(struct proof *p, int64_t now_ms);

/* Ends the child, within two seconds. Nothing begins any more. */
void proof_stop(struct proof *p);

/* Asks the child to end and does not wait: the process is about to end. */
void proof_abandon(const struct proof *p);

/* No job may be under way any more. */
void proof_release(struct proof *p);

#endif
