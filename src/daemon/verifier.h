/* daemon/verifier.h - the process that verifies one replica: `seawall verify [--restore] --json -` at the lowest priority.
 *
 * The URL goes by standard input, because a URL can hold secrets and arguments can be seen by everybody. Main thread only;
 * nothing waits, except verifier_stop. */
#ifndef SEAWALL_DAEMON_VERIFIER_H
#define SEAWALL_DAEMON_VERIFIER_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define VERIFIER_DEADLINE_MS (INT64_C(24) * 3600000)

/* Lines of the child, as they come. */
struct verifier_pipe {
    int fd; /* -1: closed */
    struct buf bytes;
    bool overflow; /* more came than the buffer may hold: the rest was dropped */
};

struct verifier {
    int epoll_fd;     /* readable when the child says something */
    size_t memory;    /* bytes that the child may take for what it reads from the replica */
    pid_t pid;        /* 0: none runs */
    int64_t begun_ms; /* monotonic */
    int64_t term_ms;  /* monotonic; when the child was told to end for its deadline; 0: not yet */
    struct verifier_pipe out, err;
};
#define VERIFIER_NONE ((struct verifier){.epoll_fd = -1, .out.fd = -1, .err.fd = -1})

enum verifier_restore { VERIFIER_CHECKS, VERIFIER_RESTORES };

/* `memory`: bytes that the daemon may take for what is read from replicas. The child may take as much, or the default of
 * the commands if that is more. */
int verifier_open(struct verifier *v, uint64_t memory, struct err *e) MUST_CHECK;

/* Starts a child; none may run. Returns 0 or an errno. */
int verifier_start(struct verifier *v, const char *url, enum verifier_restore restore, int64_t now_ms);

/* Takes what the child said, and ends a child that is over its deadline. Returns true if the child has ended: *ret_status is
 * its wait status, `out` and `err` hold what it said until verifier_forget. */
bool verifier_look(struct verifier *v, int64_t now_ms, int *ret_status);
void verifier_forget(struct verifier *v);

/* The child closed its output and is about to end: look again soon. */
bool verifier_is_ending(const struct verifier *v);

/* Asks the child to end; it then removes what it has restored. Does not wait. */
void verifier_abandon(const struct verifier *v);
/* Ends the child, within two seconds, and closes everything. VERIFIER_NONE is fine. */
void verifier_stop(struct verifier *v);

#endif
