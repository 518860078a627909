/* daemon/shipment.h - one ship job of a replica: everything that it may touch, in one struct.
 *
 * While no job runs, the lane has the shipment (lane.h: `home`). shipment_send moves it to the job: from then until the
 * job's done() the lane has no pointer to it, so the main thread can't reach the destination, the batches or the pieces
 * that the job works on. done() gives it back with its outcome. */
#ifndef SEAWALL_DAEMON_SHIPMENT_H
#define SEAWALL_DAEMON_SHIPMENT_H

#include "daemon/workers.h"
#include "ship/look.h"

#define SHIPMENT_BATCHES_MAX 4096
#define SHIPMENT_BYTES_MAX SCALE(8u << 20, 4096u) /* raw bytes of commits in one object; more wait for the next */

enum ship_kind {
    SHIP_ATTACH,
    SHIP_AGAIN,    /* send the destination's outgoing object once more */
    SHIP_COMMITS,  /* build an object from batches, send it */
    SHIP_CATCH_UP, /* build an object from the last piece of a copy, send it */
    SHIP_ANCHOR,   /* build an empty first object, send it */
    SHIP_MARKER,   /* complete a base */
    SHIP_PART,     /* put one piece of a compacted segment */
    SHIP_LEVEL,    /* put the last piece, which completes the segment */
    SHIP_LOOK,     /* look whether the head is still there; puts nothing */
};

struct shipment {
    struct job job;
    void *owner; /* the lane; not looked at here */
    struct destination d;
    struct author author;

    /* what to do */
    enum ship_kind kind;
    struct batch *batches[SHIPMENT_BATCHES_MAX]; /* commits: held by a reference each */
    size_t batch_count;
    uint64_t upto;               /* commits: the last txid that may be sent */
    struct commit_record record; /* anchor: the newest commit */
    uint32_t page_size;          /* anchor: of the database */
    struct copy copy;            /* catch-up, marker, part, level: its terms and its objects */
    struct piece *piece;         /* catch-up, part, level; owned */
    enum history_seen history;   /* look */

    /* the outcome */
    int rc;
    struct err err;       /* if rc is not 0 */
    struct listed listed; /* part: the object that was put. Level: only its size */
};

/* Opens the replica at `url`, which must outlive the shipment. After an error the shipment is there all the same,
 * without a store: attach tries again. NULL: out of memory. */
struct shipment *shipment_open(const char *url, struct err *e);

/* The shipment must be home. NULL is fine. */
void shipment_close(struct shipment *s);

/* Starts the job that the shipment describes. *home becomes NULL; `done` is called on the main thread when the job
 * ended. */
void shipment_send(struct shipment **home, struct workers *workers, void (*done)(struct job *));

/* The shipment of a job that ended. */
struct shipment *shipment_of_job(struct job *job);

/* True if a job of this kind puts its object beside level 0, so that the replica's position does not move. */
bool ship_kind_puts_beside(enum ship_kind kind);
/* True if a job of this kind puts an object of level 0. */
bool ship_kind_appends(enum ship_kind kind);

#endif
