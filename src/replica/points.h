/* replica/points.h - the restore points of a replica: all of them, the one that a person asked for, the last one
 * before a moment.
 *
 * A restore point is a txid for which plan.h finds a plan. */
#ifndef SEAWALL_REPLICA_POINTS_H
#define SEAWALL_REPLICA_POINTS_H

#include "replica/plan.h"

#define POINT_NEWEST UINT64_MAX /* instead of a txid: the newest restore point */

/* Makes the plan for `txid`, or for the newest restore point. Errors are those of plan_make, with these additions.
 * ERR_NOTFOUND: the hint names the nearest restore points. ERR_CORRUPT with POINT_NEWEST: the replica has txids after
 * its newest restore point, and no incomplete base explains that; the hint names that point. */
int points_plan(struct catalog *c, uint64_t txid, struct plan *ret_plan, struct err *e) MUST_CHECK;

/* Finds the last restore point that is not later than `time_ms`, by the times of commit records.
 * ERR_NOTFOUND: the first restore point is later, and the hint names it; or there is none. */
int points_at_time(struct catalog *c, int64_t time_ms, uint64_t *ret_txid, struct err *e) MUST_CHECK;

/* Calls `fn` for each restore point, in ascending order, until it returns non-zero. Skips objects that can't be
 * read. */
typedef int points_fn(void *context, const struct commit_record *record);
int points_each(struct catalog *c, points_fn *fn, void *context, struct err *e) MUST_CHECK;

/* Neighbouring restore points. Either each commit from first_txid to last_txid is a restore point; or several commits
 * were stored as one, and only the last of them is a restore point. Between two ranges there can be commits that can't
 * be restored. */
struct point_range {
    uint64_t first_txid, last_txid; /* commits; the last is a restore point */
    uint64_t first_point;           /* txid of the first restore point */
    int64_t first_ms, last_ms;      /* times of the first and of the last restore point */
    uint64_t points;
    /* Txids of the first and last restore point whose time was clamped (format/segment.h); 0: there is none. Most times
     * between them are clamped too. */
    uint64_t clamped_first, clamped_last;
};
bool point_range_every(const struct point_range *r); /* whether each commit is a restore point */

/* Calls `fn` for each range, in ascending order, until it returns non-zero. Memory grows with the number of
 * objects, not with the number of restore points. */
typedef int point_range_fn(void *context, const struct point_range *range);
int points_ranges(struct catalog *c, point_range_fn *fn, void *context, struct err *e) MUST_CHECK;

#endif
