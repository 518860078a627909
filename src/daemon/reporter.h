/* daemon/reporter.h - the status page: opens its place, makes its reports, and notes how far the replicas are behind.
 *
 * A report of many databases is made in slices: no turn of the loop takes long because a person looks at the page. The
 * databases stay as they are; one that sleeps goes on sleeping. While nobody asks, nothing is made. Main thread only. */
#ifndef SEAWALL_DAEMON_REPORTER_H
#define SEAWALL_DAEMON_REPORTER_H

#include "config/listen.h"
#include "daemon/fleet.h"
#include "web/server.h"

/* A report that is being made. */
struct making {
    struct report *report; /* owned; NULL: none is */
    unsigned wish;         /* for which it is */
    size_t next;           /* member */
    size_t count;          /* of the fleet, when it began */
    unsigned removals;     /* the same */
    int64_t spent_ms;      /* in its slices */
    struct worst worst;
    FILE *all; /* open while report.all is written */
};

struct reporter {
    struct fleet *fleet; /* borrowed */
    int epoll_fd;        /* borrowed; of the loop */
    char *listen;        /* owned; the value; NULL: nothing is served */
    struct listen_place place;
    struct server *server; /* NULL: it is not open */
    int64_t look_at_ms;    /* when it is looked at, or tried again; monotonic */
    struct complaint complaint;
    int64_t started_ms; /* wall clock */
    struct samples samples;
    int64_t sample_at_ms;
    unsigned wish;      /* that is not served yet */
    int64_t trim_at_ms; /* monotonic; when what a large document took is given back to the system; 0: nothing is */
    int64_t rest_ms;    /* no report before; monotonic */
    struct making making;
};

/* Nothing is served yet. `fleet` must outlive the reporter; the descriptor of the server is added to `epoll_fd`. */
void reporter_init(struct reporter *r, struct fleet *fleet, int epoll_fd);

/* Serves at `listen` from now on, a value that listen_parse takes; NULL: nowhere. If it differs from what is served,
 * that ends, and its place is free. Out of memory: nothing is served. */
void reporter_set(struct reporter *r, const char *listen);

/* To be called at each turn of the loop. A place that can't be opened is a line in the log, and is tried again: it stops
 * no replication. Returns in how many ms the next turn is needed. */
int reporter_run(struct reporter *r, int64_t now_ms);

void reporter_release(struct reporter *r);

#endif
