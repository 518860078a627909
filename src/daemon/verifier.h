/* daemon/verifier.h - the process that verifies one replica: `seawall verify [--restore] --json -` at the lowest
 * priority.
 *
 * The child reads the URL from its standard input, because a URL can hold secrets, and every user can see arguments.
 * Main thread only. No function waits, except verifier_stop. */
#ifndef SEAWALL_DAEMON_VERIFIER_H
#define SEAWALL_DAEMON_VERIFIER_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define VERIFIER_DEADLINE_MS (INT64_C(24) * 3600000)

/* The output of the child so far. */
struct verifier_pipe {
    int fd; /* -1: closed */
    struct buf bytes;
    bool overflow; /* the child wrote more than the buffer may hold, and the rest was dropped */
};

struct verifier {
    int epoll_fd;     /* readable when the child has written something */
    size_t memory;    /* bytes that the child may take for what it reads from the replica */
    pid_t pid;        /* 0: none runs */
    void *user;       /* of the caller: who takes the result of the child; NULL: nobody does */
    int64_t begun_ms; /* monotonic */
    int64_t term_ms;  /* monotonic; when the child got SIGTERM because its deadline had passed; 0: it did not */
    struct verifier_pipe out, err;
};
#define VERIFIER_NONE ((struct verifier){.epoll_fd = -1, .out.fd = -1, .err.fd = -1})

enum verifier_restore { VERIFIER_CHECKS, VERIFIER_RESTORES };

/* `memory`: bytes that the daemon may take for what is read from replicas. The child may take as much, or the default
 * of the commands if that is more. */
int verifier_open(struct verifier *v, uint64_t memory, struct err *e) MUST_CHECK;

/* Starts a child; none may run. Returns 0 or an errno. */
int verifier_start(struct verifier *v, const char *url, enum verifier_restore restore, int64_t now_ms);

/* Reads the output of the child, and ends a child whose deadline has passed. Returns true if the child has ended:
 * *ret_status is its wait status, and `out` and `err` hold its output until verifier_forget. */
bool verifier_look(struct verifier *v, int64_t now_ms, int *ret_status);

/* Frees the output, and closes the pipes. Before: no child runs. */
void verifier_forget(struct verifier *v);

/* Takes leave of a child whose result nobody takes any more, as soon as it has ended. To be called at each turn. */
void verifier_reap_orphan(struct verifier *v, int64_t now_ms);

/* Whether the child has closed its output, so that it ends soon. */
bool verifier_is_ending(const struct verifier *v);

/* Sends SIGTERM to the child, which then removes the file that it restored. Does not wait. */
void verifier_abandon(const struct verifier *v);

/* Ends the child, within two seconds, and closes everything. VERIFIER_NONE is allowed. */
void verifier_stop(struct verifier *v);

#endif
