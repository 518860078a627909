/* daemon/hoard.h - the captured commits that all databases of a daemon keep for their replicas: one limit for all.
 *
 * If they are more, the database that keeps most drops its oldest ones, which costs restore points, never data: its
 * replica gets their pages by a catch-up. Main thread only. */
#ifndef SEAWALL_DAEMON_HOARD_H
#define SEAWALL_DAEMON_HOARD_H

#include "daemon/backlog.h"

struct hoard {
    uint64_t limit; /* bytes; UINT64_MAX: none */
    uint64_t bytes;
    struct hoarder *first;
};

/* A backlog that counts. */
struct hoarder {
    struct hoard *of; /* NULL: it does not count */
    struct hoarder *next, *previous;
    struct backlog *backlog;
    size_t counted; /* its bytes as of the last hoard_count */
};

void hoard_join(struct hoard *h, struct hoarder *u, struct backlog *backlog);
void hoard_leave(struct hoarder *u);

/* The backlog has changed. If they are too many together, drops what has to go. */
void hoard_count(struct hoarder *u);

/* The limit is reached: nothing may be kept for a replica that is away. */
bool hoard_is_full(const struct hoarder *u);

#endif
