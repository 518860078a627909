/* ship/look.h - two looks of different depth, which check that the objects that were put still exist.
 *
 * destination_look asks for the newest object alone: one listing request. `seawall sync` and the end of the daemon wait
 * for it. look_at_history asks whether a restore of the newest txid would find all that it reads. It runs beside ship
 * jobs, with a store handle of its own, so that a long listing delays no commit. */
#ifndef SEAWALL_SHIP_LOOK_H
#define SEAWALL_SHIP_LOOK_H

#include "replica/presence.h"
#include "ship/destination.h"

/* What is known before destination_look. */
enum history_seen {
    HISTORY_BELIEVED, /* nothing speaks against it */
    HISTORY_MISSED,   /* two looks in a row found no way to the newest txid */
};

/* Looks for the head, and for objects behind it. Before: ATTACHED, something is durable, and no object is built.
 * Returns 0:
 *   ATTACHED  the head is there and is the newest object. With HISTORY_MISSED the replica owes a base from now on.
 *   DETACHED  the head is gone, or others are behind it, or (with HISTORY_MISSED) seawall.json is gone: attach decides.
 * ERR_CONFLICT: one of our newest objects was overwritten, and the state is CONFLICT. Other errors are those of the
 * store; the state is still ATTACHED. */
int destination_look(struct destination *d, const struct author *a, enum history_seen history,
                     struct err *e) MUST_CHECK;

/* How long after a loss was seen another look must confirm it, in ms: a listing can lag, and a proxy can give a wrong
 * answer for a moment. NULL: the store is not open. */
int64_t look_confirm_ms(const struct store *store);

struct look_terms {
    const char *url;               /* of the replica */
    uint64_t txid;                 /* durable before the look */
    struct codec *codec;           /* borrowed */
    const atomic_bool *cancel;     /* ends a wait for the store */
    struct store_traffic *traffic; /* gets the requests; may be NULL */
};

/* Lists the replica as presence_look does. ERR_CANCELED. */
int look_at_history(const struct look_terms *terms, struct presence *ret_presence, struct err *e) MUST_CHECK;

#endif
