/* cli/parallel.h - works on many databases in child processes, several at a time. So no database waits for the store of
 * another one, and a process that ends early takes no other database with it.
 *
 * What a child prints on stdout is printed in the order of the databases; stderr is shared. SIGINT and SIGTERM are
 * passed on to the children, and no further child is started. */
#ifndef SEAWALL_CLI_PARALLEL_H
#define SEAWALL_CLI_PARALLEL_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define PARALLEL_MAX 64       /* child processes at a time */
#define PARALLEL_OUTPUT 60000 /* bytes that a child may print: they must fit into a pipe */

struct parallel {
    size_t count;     /* of the databases */
    size_t at_once;   /* children at a time: 1 to PARALLEL_MAX */
    const char *what; /* for the progress: "snapshot" */
    /* Works on database `index` in a child process, and returns an exit code. */
    int (*run)(void *context, size_t index);
    /* Says, in this process, that the child of database `index` could not be started, or was ended by a signal that
     * this process did not pass on. */
    void (*lost)(void *context, size_t index, const char *reason);
    void *context;
};

struct parallel_result {
    size_t failed;    /* databases whose exit code is not 0, and those without one */
    bool interrupted; /* a signal came before the work was done */
};

/* Works on all databases. Precondition: this process has no threads. ERR_NOMEM, ERR_IO: nothing was begun. */
int parallel_run(const struct parallel *p, struct parallel_result *ret, struct err *e) MUST_CHECK;

#endif
