/* replica/plan.h - finds the objects of a replica that give the database after one txid. Restore, attach, retention and
 * verify use the same plan.
 *
 * The plan for txid t:
 *   1. t must have a commit record, in level 0 or at the end of a compacted segment.
 *   2. Start at the newest base with max <= t. If no way leads from it to t, start at the next older base; then at
 *      the empty state 0; then at each from_empty segment, the newest first.
 *   3. `pos` is the txid reached so far; at a base, its start. While pos < t, take a segment with min <= pos + 1
 *      and max > pos. It must have max <= t, or be a full segment of level 0 that records t. If there are several,
 *      take the one with the greatest max; if several have that, the one of the highest level. If there is none, go
 *      back to 2. A pack counts as a segment of level 0. It may follow in its middle only if nothing that was taken
 *      reaches across its begin, or if that is a pack too.
 *   4. If the segment begins right after pos, its checksum_before must be the checksum of the state at pos.
 *   5. First look for a plan whose objects have all their parts and chunks in the listing. Only if there is none,
 *      allow others too: the restore then fails and names the missing object.
 * A from_empty segment drops everything that the plan has so far. A base_only segment holds no pages. So no plan has
 * it, and a txid after it needs a base that starts at or after its end.
 *
 * The sources give the target as follows. Of each page take the newest image or zero version that is not after t,
 * then the patches after that version in ascending order. */
#ifndef SEAWALL_REPLICA_PLAN_H
#define SEAWALL_REPLICA_PLAN_H

#include "replica/catalog.h"
#include "state/map.h"

struct plan_source {
    char key[NAME_MAX_BYTES];
    struct digest digest; /* as a marker or segment names it; zeros for a segment, whose digest is not known */
    enum object_kind kind;
    uint64_t max;
    uint64_t size;
    uint32_t first_page, last_page; /* the range of pages of a chunk or part; 0, 0 if not known */
};

struct plan {
    struct commit_record record; /* of the target */
    uint32_t page_size;
    struct plan_source *sources; /* owned; chunks first, then segments in ascending order, each after its parts */
    size_t source_count, source_cap;
    uint64_t bytes;      /* of all sources */
    size_t charged;      /* bytes that `sources` takes from the budget */
    struct uid database; /* id of the replica */
};

/* Makes the plan for `txid`. 0 is the empty state, whose plan has no sources. Loads the segments and markers that
 * it looks at.
 * ERR_NOTFOUND: `txid` is not a restore point, or no way leads to it. ERR_CORRUPT: objects on the way are damaged
 * or contradict each other. Damaged objects are skipped where another way exists. ERR_CLAIM: what the objects claim
 * needs more memory than is allowed; none is skipped for that.
 * An object that the store does not give now is skipped too. If there is no way without it, the error is that of the
 * store: ERR_NOTFOUND and ERR_CORRUPT are true of the replica, whatever the store does. */
int plan_make(struct catalog *c, uint64_t txid, struct plan *ret_plan, struct err *e) MUST_CHECK;
void plan_release(struct plan *p); /* a zeroed plan is allowed */

/* The same, for code that makes many plans: an error has only its code, and no message. */
int plan_try(struct catalog *c, uint64_t txid, struct plan *ret_plan, struct err *e) MUST_CHECK;

/* Builds the map of the plan's target, hash and txid of each page, from the indexes of the sources alone.
 * ERR_CORRUPT: the hashes do not give the database checksum of the target. ERR_GONE: a source was listed, but no
 * longer exists. */
int plan_map(struct catalog *c, const struct plan *p, struct map *ret_map, struct err *e) MUST_CHECK;

/* Finds the commit record of `txid`. Precondition: txid > 0. ERR_NOTFOUND: no object has it. Other errors are those of
 * catalog_load. */
int plan_find_record(struct catalog *c, uint64_t txid, struct commit_record *ret_record, struct err *e) MUST_CHECK;

/* Whether a segment has a record of each of its commits. Otherwise it has only the record of its last one. */
bool plan_records_all(const struct segment_info *i);

/* Whether this error ends the search for a way. Otherwise the search skips the object that caused it. */
bool plan_must_stop(const struct err *e);

#endif
