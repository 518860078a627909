/* follow/first.h - makes the first copy, opens one that is there, and finds out which state it is. */
#ifndef SEAWALL_FOLLOW_FIRST_H
#define SEAWALL_FOLLOW_FIRST_H

#include "follow/session.h"

/* Opens the note and the copy of `f`, and makes the copy if there is none. Contract: follow_open. */
int first_open(struct follow *f, struct err *e) MUST_CHECK;

/* Finds out what an open copy is now: note->now becomes that. Reads every page if its position in the log does not say it,
 * and the records of the replica if need be. ERR_CONFLICT with f->written: another process wrote to the copy. ERR_CANCELED,
 * and errors of the store. */
int first_settle(struct follow *f, struct err *e) MUST_CHECK;

#endif
