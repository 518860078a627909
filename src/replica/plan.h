/* replica/plan.h - the planner: from the names and records of a replica and a target to the objects that give the database at that
 * target.
 *
 * One plan for restore, list, attach and verify:
 *   1. The target t must be a commit record.
 *   2. Start at the newest complete base with max <= t, then at older ones, then at the empty state 0.
 *   3. While pos < t: of the segments with min <= pos + 1, max > pos, and (max <= t, or full level 0 that records t) take the one
 *      that reaches furthest, of these the one of the highest level. None: start at an older base.
 *   4. Where a segment begins right after pos, its checksum_before must be the checksum of the state at pos.
 * An object of which the listing lacks a part or a chunk is taken only if no plan is found without such objects.
 * A segment that is from_empty makes everything before it count for nothing; one that is base_only can't be passed, only skipped by
 * a base that starts at or after it.
 *
 * Of each page then count the newest image or zero version not after t, and the patches after it in ascending order. */
#ifndef SEAWALL_REPLICA_PLAN_H
#define SEAWALL_REPLICA_PLAN_H

#include "replica/catalog.h"
#include "state/map.h"

struct plan_source {
    char key[NAME_MAX_BYTES];
    struct digest digest; /* zeros: not known */
    enum object_kind kind;
    uint64_t max;
    uint64_t size;
    uint32_t first_page, last_page; /* of a chunk or part, all the pages that it can hold; 0, 0: not known */
};

struct plan {
    struct commit_record record; /* of the target */
    uint32_t page_size;
    struct plan_source *sources; /* owned; chunks first, then segments in ascending order, each after its parts */
    size_t source_count, source_cap;
    uint64_t bytes;      /* of all sources */
    struct uid database; /* id of the replica */
};

#define PLAN_NEWEST UINT64_MAX

/* `txid` 0 is the empty state; PLAN_NEWEST the newest restore point.
 * ERR_NOTFOUND: no such restore point, or none at all; the message names the nearest. ERR_CORRUPT: objects contradict each other.
 */
int plan_make(struct catalog *c, uint64_t txid, struct plan *ret_plan, struct err *e) MUST_CHECK;
void plan_release(struct plan *p);

/* The newest restore point that has a plan and is not after this moment, by the times of commit records. ERR_NOTFOUND: the first is
 * later; the message names it. */
int plan_find_time(struct catalog *c, int64_t time_ms, uint64_t *ret_txid, struct err *e) MUST_CHECK;

/* The map of the target: hash and txid of each page, from the indexes alone; checks the database checksum. */
int plan_map(struct catalog *c, const struct plan *p, struct map *ret_map, struct err *e) MUST_CHECK;

/* Restore points that have a plan, ascending. `fn` returns non-zero to stop. Objects that can't be read are passed over. */
typedef int plan_point_fn(void *context, const struct commit_record *record);
int plan_points(struct catalog *c, plan_point_fn *fn, void *context, struct err *e) MUST_CHECK;

/* Restore points side by side. Either every commit from first_txid to last_txid is one, or each stands for several commits that
 * were stored as one. Between two ranges there can be commits that can't be restored. */
struct plan_range {
    uint64_t first_txid, last_txid; /* commits; the last is a restore point */
    uint64_t first_point;           /* the first restore point */
    int64_t first_ms, last_ms;      /* of the first and the last restore point */
    uint64_t points;
};
bool plan_range_every(const struct plan_range *r); /* is every commit a restore point? */

/* All of them, ascending. Memory by the number of objects, not by that of points. */
typedef int plan_range_fn(void *context, const struct plan_range *range);
int plan_ranges(struct catalog *c, plan_range_fn *fn, void *context, struct err *e) MUST_CHECK;

#endif
