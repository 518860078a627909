/* retention/verdict.h - the policy, and the verdict on each object. retention.h has the rules. */
#ifndef SEAWALL_RETENTION_VERDICT_H
#define SEAWALL_RETENTION_VERDICT_H

#include "replica/catalog.h"

struct retention_policy {
    uint64_t grace_ms, keep_all_ms, keep_levels_ms;
    uint64_t keep_hourly, keep_daily, keep_weekly, keep_monthly; /* numbers of bases */
    struct whole_packs *whole; /* borrowed; the packs that were read whole before (replica/whole.h); may be NULL */
};

/* Fails with ERR_CONFIG if the policy keeps only the newest restore point. */
int retention_policy_check(const struct retention_policy *policy, struct err *e) MUST_CHECK;

enum retention_reason {
    /* stays */
    RETENTION_IDENTITY,
    RETENTION_HEAD,
    RETENTION_YOUNG,
    RETENTION_KEEP_ALL,
    RETENTION_ALONE,
    RETENTION_COVER_YOUNG,
    RETENTION_COVER_DAMAGED,
    RETENTION_POINT_OF_BASE,
    RETENTION_BASE_NEWEST,
    RETENTION_BASE_BEFORE_ALL,
    RETENTION_BASE_ANCHOR,
    RETENTION_BASE_ANCHOR_SOON,
    RETENTION_BASE_HOURLY,
    RETENTION_BASE_DAILY,
    RETENTION_BASE_WEEKLY,
    RETENTION_BASE_MONTHLY,
    RETENTION_BASE_BRIDGE,
    RETENTION_BASE_NO_ANCHOR,
    RETENTION_BASE_INCOMPLETE,
    RETENTION_BASE_DAMAGED,
    RETENTION_CHUNK_STAYS,
    RETENTION_CHUNK_WAITS,
    RETENTION_PART_STAYS,
    RETENTION_PART_WAITS,
    RETENTION_PART_UNKNOWN,
    RETENTION_PACK_YOUNG,
    RETENTION_PACK_DAMAGED,
    /* goes */
    RETENTION_COVERED,
    RETENTION_BEFORE_ANCHOR,
    RETENTION_BASE_OUT,
    RETENTION_BASE_GIVEN_UP,
    RETENTION_CHUNK_GOES,
    RETENTION_CHUNK_GIVEN_UP,
    RETENTION_INTERIOR_UNNAMED,
    RETENTION_INTERIOR_LEFT,
    RETENTION_PART_GOES,
    RETENTION_PART_GIVEN_UP,
    RETENTION_PACKED,
    RETENTION_LEVEL_PACKED,
};
const char *retention_reason_text(enum retention_reason reason); /* for people: "younger than grace" */

struct retention_verdict {
    struct name name; /* NAME_OTHER: seawall.json */
    uint64_t size;
    int64_t time_ms; /* when the store received it, by the store's clock; later if the object itself says so */
    bool goes;
    enum retention_reason reason;
};

struct retention_plan {
    /* Owned. Level 0, levels, markers, chunks, parts, each in the order of keys; then seawall.json. */
    struct retention_verdict *verdicts;
    size_t count;
    uint64_t keep_count, keep_bytes, delete_count, delete_bytes;
    struct uid head_writer; /* the writer of the newest object of level 0 */
    int64_t now_ms;         /* when the decision was made, by the store's clock */
    int64_t valid_ms;       /* how long after now_ms this decision may be carried out; later ones may contradict it */

    /* Set by the owner: called while the objects are deleted. NULL: not called. */
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
};
void retention_plan_release(struct retention_plan *p); /* a zeroed plan is allowed */

#endif
