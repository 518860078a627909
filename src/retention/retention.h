/* retention/retention.h - what of a replica stays and what goes, and why.
 *
 * Ages are those of objects, by the clock of the store. An object is never older than what it holds, so that is on the safe side.
 *
 *   A. Nothing goes that is younger than `grace`, nor the newest object of level 0, nor seawall.json, nor what is not ours.
 *
 *   B. A segment goes when one of a higher level has all its txids and is older than `keep_all`, and that one is sound: it can be
 *      read, and its parts are there.
 *
 *   C. The anchor is the newest base that is older than the window, the longer of `keep_all` and `keep_levels`, and from which one
 *      can restore. Without an anchor nothing goes by this rule. These bases stay:
 *        - the newest, those younger than `keep_all`, the newest older than that, the anchor;
 *        - as restic does it, of the last so many hours, days, weeks (from Monday) and months that have one the last, in UTC, by
 *          when the marker was written;
 *        - each after the anchor whose restore point is not reached from those before it.
 *      All others go, and all segments that end at or before the anchor's start.
 *
 *   D. Left-overs go: chunks without a marker, if a later base is complete; a base that lacks chunks, or what follows on it, if it
 *      is older than the window and begins before the anchor; parts that no segment names, nor will name.
 *
 *   E. Each base that stays keeps one restore point, the first at or after its `max`, with the segments that this takes from the
 *      base on. They stay whatever B and C say.
 *
 * So promised are, as far as they could be restored before: every point in an object younger than `keep_all`; the end of every
 * segment after the anchor that no older one of a higher level has; one point for each base that stays; the newest point.
 *
 * Before anything goes the planner has to find a way to the newest point, to those of the bases and to a sample of the others,
 * among what stays; and a second listing has to show what the first did.
 *
 * Order of deletion: markers, level 0 oldest first, higher levels lowest first, chunks, parts. What names others is gone before
 * they go, so it can end at any moment. What is left of it goes the next time. */
#ifndef SEAWALL_RETENTION_RETENTION_H
#define SEAWALL_RETENTION_RETENTION_H

#include "replica/handle.h"
#include "retention/verdict.h"

/* `c`: just opened; `now_ms`: the store's clock, read before that. Loads markers, the segments on which it relies, and trailers of
 * parts, if there are parts.
 * ERR_CONFIG: see above. ERR_BUSY: the replica changed meanwhile, open the catalog again. ERR_NOTFOUND: no object of level 0.
 * ERR_REMOTE: the listing is out of order, has a key twice, or leaves out what is there. ERR_CORRUPT: a restore point that stays
 * could not be restored from what stays. In all of these nothing may be deleted. */
int retention_decide(struct catalog *c, const struct retention_policy *policy, int64_t now_ms,
                     struct retention_plan *ret_plan, struct err *e) MUST_CHECK;
/* Reads the store's clock, lists the replica and decides. Also returns the errors of replica_handle_list. The catalog of `r` is
 * empty afterwards. */
int retention_decide_now(struct replica_handle *r, const struct retention_policy *policy,
                         struct retention_plan *ret_plan, struct err *e) MUST_CHECK;

struct retention_figures {
    uint64_t objects, bytes; /* that were deleted for certain */
};

/* Deletes what goes. The first error ends it. ERR_CANCELED: store->cancel. ERR_TIMEOUT: the decision is too old. `ret_figures` is
 * filled in any case. */
int retention_apply(struct store *store, const struct retention_plan *p, struct retention_figures *ret_figures,
                    struct err *e) MUST_CHECK;

#endif
