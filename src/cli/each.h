/* cli/each.h - works on many databases in threads, several at a time, and shows how far that is.
 *
 * The threads share the memory for what replicas claim (base/claim.h), so it has one ceiling for all. A database that
 * finds too little left is done again at the end, alone. */
#ifndef SEAWALL_CLI_EACH_H
#define SEAWALL_CLI_EACH_H

#include "base/err.h"
#include "base/progress.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define EACH_MAX 64 /* threads */

enum each_answer {
    EACH_DONE,
    EACH_AGAIN, /* not enough memory beside the others: to be called again, alone. Not allowed if it is alone */
};

struct each {
    size_t count;              /* of the databases */
    size_t at_once;            /* threads: 1 to EACH_MAX */
    const atomic_bool *cancel; /* when it becomes true, no other database is begun */
    /* Works on database `index`, in any thread. `alone`: no other one is being worked on. */
    enum each_answer (*run)(void *context, size_t index, bool alone);
    void *context;

    /* private */
    struct progress progress;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t next, ended, running, again_count;
    bool *again; /* of each database: to be done alone */
};

/* Works on all databases. `unit` and `what`: for the progress. Databases that were not begun because of `cancel` are left out.
 * ERR_NOMEM: nothing was begun. */
int each_run(struct each *a, const char *unit, const char *what, struct err *e) MUST_CHECK;

/* Between these two calls a database may print; other threads wait, and the line of the progress is away. */
void each_begin_output(struct each *a);
void each_end_output(struct each *a);

#endif
