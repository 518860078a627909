/* property/sim_child.h - processes of their own, for code that needs SQLite's locks: a follower, and readers of its copy.
 *
 * A child is forked from the test, and runs only while the test waits for it. It stops at its points: before each call
 * that changes a file, maps or locks one, before each request, and when it sleeps. There the test leaves it for a while,
 * lets the world go on, or kills it with SIGKILL. Clocks, stores and random numbers are those of the world. The test
 * itself never opens a file with SQLite: a fork would inherit locks that it does not have. */
#ifndef PROPERTY_SIM_CHILD_H
#define PROPERTY_SIM_CHILD_H

#include "sim.h"

#include <sys/types.h>

enum {
    CHILD_BYTES_MAX = 1 << 19,
    CHILD_POINTS_ALL = 1 << 30, /* it does not stop before it sleeps, says something or ends */
};

enum child_stop {
    CHILD_ENDED,  /* it returned from its main function */
    CHILD_POINT,  /* it used up its points */
    CHILD_SLEEPS, /* until wake_ms */
    CHILD_SAYS,   /* it called child_say */
};

/* Shared by the test and the child. The child's side is written while the test waits, and the other way round. */
struct child_page {
    int64_t time_ms, wake_ms;
    int points;           /* how many points it may pass */
    unsigned store;       /* of its requests */
    uint32_t command;     /* what child_say returns; set by the test */
    int rc;               /* of the last request, or of what the child did */
    struct err error;     /* if rc is not 0 */
    uint64_t numbers[4];  /* what the child says */
    size_t size;          /* of `bytes` */
    uint64_t object_size; /* the answer to a request */
    char key[STORE_KEY_MAX], after[STORE_KEY_MAX];
    uint64_t offset;
    unsigned ask;
    uint8_t bytes[CHILD_BYTES_MAX];
};

struct child {
    pid_t pid; /* 0: none */
    int fd;
    enum child_stop stop; /* where it is */
    struct child_page *page;
};

/* Starts a process that runs `main`, which stops before it begins. `page`: stays until child_kill. */
typedef void child_main(struct child_page *page, void *context);
void child_start(struct child *c, child_main *main, void *context);

/* Lets it go on to its next stop. Its requests go to stores[page->store]. */
enum child_stop child_go_on(struct child *c, int points);
void child_kill(struct child *c); /* does nothing if there is none */

/* ---- in the child */

bool child_is_one(void);
uint32_t child_say(void); /* stops. Returns the command of the test */
void child_point(void);   /* stops if its points are used up. Does nothing in the test */
void child_sleep_ms(int64_t ms);
int child_open_store(const char *url, struct store **ret_store, struct err *e);

/* Makes the VFS of SQLite one with points, which never really sleeps. */
void child_use_points_in_sqlite(void);

#endif
