/* retention/retention.h - decides which objects of a replica stay and which go, and says why.
 *
 * The age of an object is the time since the store received it, by the store's clock. The contents are older than
 * that, so an object is never deleted too early. But the time of a file can be lost or set, and some servers keep
 * objects in files. So an object that is read is also asked: for the time in its trailer, and the time of its newest
 * commit. The younger age counts; a time after that of the store does not count.
 * These are read: markers, the segments because of which others go, chunks and parts that nothing names. No other
 * object is read for its age. What goes because of one of these is older than it: the segments that a compacted segment
 * covers, what ends before an anchor starts, the chunks of a marker, the parts of a segment.
 *
 *   A. These never go: objects younger than `grace`, the newest object of level 0, seawall.json, objects that do
 *      not belong to a replica.
 *
 *   B. A segment goes if a segment of a higher level has all its txids. The segment of the higher level must be older
 *      than `keep_all`, and sound: it can be read, and all its parts exist.
 *
 *   C. The window is the longer of `keep_all` and `keep_levels`. The anchor is the newest base that is older than
 *      the window and from which a restore can start. Without an anchor, nothing goes by this rule. These bases
 *      stay:
 *        - the newest one, all that are younger than `keep_all`, the newest one that is older than `keep_all`, the
 *          anchor, and all that can become the anchor of another prune while this decision is carried out;
 *        - as restic does it: the last base of each of the last `keep_hourly` hours that have a base, and so on
 *          for days, weeks (from Monday) and months. Hours and days are those of UTC, by the time at which the
 *          marker was written;
 *        - each base after the anchor whose restore point can't be reached from the bases before it that stay.
 *      All other bases go. So do all segments that end at or before the anchor's start.
 *
 *   D. Left-overs go:
 *        - the chunks and interior pages of a base without a marker, if a later base is complete;
 *        - interior pages that the marker of their base does not name: a marker never changes;
 *        - a base that lacks chunks, or the segments that follow it, if it is older than the window and begins
 *          before the anchor;
 *        - parts that no segment names, if no segment will name them.
 *
 *   E. Each base that stays keeps one restore point: the first one at or after its `max`. The segments that lead
 *      from the base to this point stay, whatever B and C say.
 *
 *   F. A pack has every restore point of what lies in it (replica/packs.h). So these go, when the pack is older than
 *      pack_settle_ms, which can be shorter than `grace`:
 *        - what lies in a sound pack: objects of level 0, and smaller packs;
 *        - segments that lie in a sound pack, if a sound segment of a higher level has all their txids too. The pack
 *          has their restore points, and restores find a way through the higher level;
 *      Before anything goes because of a pack, the pack is read whole: every block of it.
 *      A pack itself is judged like an object of level 0. It goes as a whole: by B only when one segment of a higher
 *      level has all its txids.
 *      Of a pack and a segment that has the same txids, each may go because of the other. Two prunes at a time could
 *      delete both. So the pack goes because of that segment only if no other segment of a level has these txids, and
 *      the segment because of the pack only if that other segment is older than `grace`: both prunes know it.
 *
 * So retention promises these restore points, as far as they could be restored before: every point in an object
 * younger than `keep_all`; the end of every segment after the anchor, unless an older segment of a higher level
 * has its txids; one point for each base that stays; the newest point.
 *
 * Two proofs come before any deletion. The planner must find a plan, among the objects that stay, for the newest
 * point, for the points of the bases, and for a sample of the others. And a second listing must have every object of
 * the first one.
 *
 * Objects are deleted in this order: markers; level 0, the oldest first; packs; higher levels, the lowest first; chunks;
 * interior pages; parts. So an object that names another one is deleted before it. A deletion may be interrupted at any moment: the
 * next one deletes the rest. */
#ifndef SEAWALL_RETENTION_RETENTION_H
#define SEAWALL_RETENTION_RETENTION_H

#include "replica/handle.h"
#include "retention/verdict.h"

/* Decides about each object of the replica. Preconditions: `c` was opened for this decision; `now_ms` is the store's
 * clock, read before that, in ms since 1970. Loads markers, the segments that it relies on, and the trailers of parts.
 * The caller releases *ret_plan with retention_plan_release.
 *
 * After any error, nothing may be deleted:
 * ERR_CONFIG: as from retention_policy_check. ERR_NOTFOUND: level 0 has no object. ERR_BUSY: the replica changed
 * meanwhile; open the catalog again. ERR_REMOTE: the listing lacks an object that exists. ERR_CORRUPT: a restore point
 * that stays could not be restored from the objects that stay.
 * ERR_LIMIT: the restore points of the bases can't be found in the steps that decision.h allows. */
int retention_decide(struct catalog *c, const struct retention_policy *policy, int64_t now_ms,
                     struct retention_plan *ret_plan, struct err *e) MUST_CHECK;

/* Reads the store's clock, lists the replica and decides. Also returns the errors of replica_handle_list. The
 * catalog of `r` is empty afterwards. */
int retention_decide_now(struct replica_handle *r, const struct retention_policy *policy,
                         struct retention_plan *ret_plan, struct err *e) MUST_CHECK;

struct retention_figures {
    uint64_t objects, bytes; /* deleted; the store has confirmed it */
};

/* Deletes the objects that go. Stops at the first error. *ret_figures is set in any case. Precondition: `p` comes from
 * retention_decide.
 * ERR_CANCELED: store->cancel is set. ERR_TIMEOUT: the decision is older than p->valid_ms. Other errors are those
 * of the store. */
int retention_apply(struct store *store, const struct retention_plan *p, struct retention_figures *ret_figures,
                    struct err *e) MUST_CHECK;

#endif
