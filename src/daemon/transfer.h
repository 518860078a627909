/* daemon/transfer.h - a copy under way from the local database to one replica: what is read, and what is being put.
 *
 *   local job   reads the next piece: has the copy's cursor meanwhile
 *   piece jobs  put pieces of a base or a catch-up, up to COPY_IN_FLIGHT at a time
 *   ship job    puts the piece or marker that completes the copy, and each piece of a level: has the piece and the list
 *   of
 *               objects meanwhile
 *
 * Main thread only. What a job has is not here while the job runs. */
#ifndef SEAWALL_DAEMON_TRANSFER_H
#define SEAWALL_DAEMON_TRANSFER_H

#include "daemon/shipment.h"

struct piece_job {
    struct job job;
    void *owner; /* the lane; not looked at here */
    bool busy;

    /* what to do; the job's while it is busy */
    struct destination_place place;
    struct author author;
    struct copy_terms terms;
    struct piece *piece; /* owned */

    /* the outcome */
    int rc;
    struct err err;
    struct listed listed; /* the object that was put */
};

struct transfer {
    struct copy copy;                      /* COPY_NONE: none is under way */
    bool failed;                           /* the copy is useless: to be abandoned when no job has a part of it */
    bool reading;                          /* the local job has the cursor */
    bool closing;                          /* a ship job has a piece, or the objects */
    struct piece *waiting[COPY_IN_FLIGHT]; /* read, not handed to a job yet */
    struct piece *last;                    /* the piece that completes the copy; waits for those before it */
    struct piece_job jobs[COPY_IN_FLIGHT];
};

/* Takes over what `copy` holds. No copy may be under way. */
void transfer_begin(struct transfer *t, const struct copy *copy);

/* Frees the copy and its pieces. No job may have a part of it. */
void transfer_abandon(struct transfer *t);

bool transfer_under_way(const struct transfer *t);
bool transfer_is(const struct transfer *t, enum copy_kind kind);
bool transfer_pieces_busy(const struct transfer *t); /* piece jobs run */
bool transfer_is_lent(const struct transfer *t);     /* any job has a part of it */

/* ---- reading */

/* True if one more piece may be read: there is room for it, and something is left. */
bool transfer_wants_piece(const struct transfer *t);
/* The local job gets the cursor. */
void transfer_lend_cursor(struct transfer *t, struct copy_terms *ret_terms, struct copy_cursor *ret_cursor);
/* The local job ended. `piece`: what it read; NULL: nothing. */
void transfer_take_cursor(struct transfer *t, const struct copy_cursor *cursor, struct piece *piece);

/* ---- putting */

/* The piece with the lowest index that waits, but not the last one; NULL: none. It stays. */
const struct piece *transfer_next(const struct transfer *t);
/* Starts a piece job for it. False: all piece jobs are busy, or no piece waits. */
bool transfer_start_piece(struct transfer *t, const struct destination_place *place, const struct author *a,
                          void *owner, struct workers *workers, void (*done)(struct job *));
struct piece_job *piece_job_of(struct job *job);
/* A piece that could not be put waits for another try. */
void transfer_put_back(struct transfer *t, struct piece *piece);

/* Everything is read and every piece but the last one is put. */
bool transfer_all_put(const struct transfer *t);

/* Hands the objects to a ship job, with a piece: the last one if all before it are put, otherwise the next. */
void transfer_load(struct transfer *t, struct shipment *s);
/* The ship job ended: the objects come back. The piece stays in the shipment; the caller frees it or gives it back. */
void transfer_unload(struct transfer *t, struct shipment *s);

/* ---- a base that gives way to a catch-up */

/* Takes the base out of the transfer: chunks that were put stay good, pieces that were not are read again. No job may
 * have a part of it, and it must not have failed. */
struct copy transfer_pause(struct transfer *t);

#endif
