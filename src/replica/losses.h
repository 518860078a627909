/* replica/losses.h - restore points that a replica lost, and that its writer knows of.
 *
 * Objects can vanish. If the newest txid can't be restored any more, the writer puts a new base, which needs nothing
 * before it. The marker of that base says which txids can't be restored since then: from its min to the txid before its
 * max (format/segment.h). So there are two kinds of missing objects: those of a loss that was noticed, logged and
 * healed; and all others, which are damage. */
#ifndef SEAWALL_REPLICA_LOSSES_H
#define SEAWALL_REPLICA_LOSSES_H

#include "replica/catalog.h"

#define LOSSES_MAX 64 /* of one replica; the newest are kept, because retention deletes the oldest history first */

struct known_loss {
    uint64_t min;         /* as in the marker: the first txid that could not be restored */
    uint64_t start;       /* of the base: a restore needs nothing before it */
    uint64_t first, last; /* the txids that can't be restored now; first > last: all objects were put back */
    int64_t time_ms;      /* when the marker was written */
};

struct losses {
    struct known_loss list[LOSSES_MAX]; /* ascending start */
    size_t count;
    size_t open; /* losses_note_point begins its search here */
};

/* Adds the loss that a marker tells of, if it tells of one. Precondition: markers come in ascending order of start. */
void losses_add(struct losses *l, const struct segment_info *marker);

/* Notes that `txid` is a restore point: objects were put back. Precondition: txids come in ascending order, and all
 * markers were added. */
void losses_note_point(struct losses *l, uint64_t txid);

/* Whether a loss explains that no object has the txids `first` to `last`. */
bool losses_explain(const struct losses *l, uint64_t first, uint64_t last);

/* The losses that the markers of an open catalog tell of. Markers that can't be read are skipped. Reads the restore
 * points too if there is a loss. Errors: as points_each. */
int losses_read(struct catalog *c, struct losses *ret_losses, struct err *e) MUST_CHECK;

/* For the writer of a base that is needed because the state after `txid` can't be restored without it. *ret_first: the
 * first txid after the newest restore point before `txid`; or 0, if no restore point was lost: the one before `txid`
 * exists, or those before it never became complete. Precondition: txid >= 1. Errors: as points_each. */
int losses_before(struct catalog *c, uint64_t txid, uint64_t *ret_first, struct err *e) MUST_CHECK;

#endif
