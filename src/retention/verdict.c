/* retention/verdict.c */
#include "retention/verdict.h"

#include <assert.h>
#include <stdlib.h>

const char *retention_reason_text(enum retention_reason reason)
{
    static const char *const texts[] = {
        [RETENTION_IDENTITY] = "says which database the replica is of",
        [RETENTION_HEAD] = "the newest object of level 0",
        [RETENTION_YOUNG] = "younger than grace",
        [RETENTION_KEEP_ALL] = "younger than keep-all",
        [RETENTION_ALONE] = "no segment of a higher level has all its txids",
        [RETENTION_COVER_YOUNG] = "the segment of a higher level that has its txids is younger than keep-all",
        [RETENTION_COVER_DAMAGED] = "the segment of a higher level that has its txids is damaged or lacks parts",
        [RETENTION_POINT_OF_BASE] = "the restore point of a base that stays needs it",
        [RETENTION_BASE_NEWEST] = "the newest base",
        [RETENTION_BASE_BEFORE_ALL] = "the newest base that is older than keep-all",
        [RETENTION_BASE_ANCHOR] = "the newest base that is older than keep-all and keep-levels",
        [RETENTION_BASE_ANCHOR_SOON] = "older than keep-all and keep-levels soon, while other bases are deleted",
        [RETENTION_BASE_HOURLY] = "keep-hourly",
        [RETENTION_BASE_DAILY] = "keep-daily",
        [RETENTION_BASE_WEEKLY] = "keep-weekly",
        [RETENTION_BASE_MONTHLY] = "keep-monthly",
        [RETENTION_BASE_BRIDGE] = "no older base leads to its restore point",
        [RETENTION_BASE_NO_ANCHOR] = "no base is older than keep-all and keep-levels yet",
        [RETENTION_BASE_INCOMPLETE] = "it is not complete, or the segments after it are missing",
        [RETENTION_BASE_DAMAGED] = "its marker can't be read",
        [RETENTION_CHUNK_STAYS] = "its base stays",
        [RETENTION_CHUNK_WAITS] = "its base may still be written",
        [RETENTION_PART_STAYS] = "its segment stays",
        [RETENTION_PART_WAITS] = "its segment may still be written",
        [RETENTION_PART_UNKNOWN] = "it, or a segment that may name it, can't be read",
        [RETENTION_PACK_YOUNG] = "in a pack that was put too recently",
        [RETENTION_PACK_DAMAGED] = "the pack that has its txids can't be read",
        [RETENTION_COVERED] = "a segment of a higher level has its txids",
        [RETENTION_BEFORE_ANCHOR] = "before the oldest base that later restore points need",
        [RETENTION_BASE_OUT] = "no rule keeps this base",
        [RETENTION_BASE_GIVEN_UP] = "this base is not complete, and a newer one is",
        [RETENTION_CHUNK_GOES] = "its base is deleted",
        [RETENTION_CHUNK_GIVEN_UP] = "its base was never completed",
        [RETENTION_INTERIOR_UNNAMED] = "its base does not name it",
        [RETENTION_INTERIOR_LEFT] = "its base was deleted",
        [RETENTION_PART_GOES] = "its segment is deleted",
        [RETENTION_PACKED] = "a pack has its commits",
        [RETENTION_LEVEL_PACKED] = "a pack has its commits, and a segment of a higher level its txids",
        [RETENTION_PART_GIVEN_UP] = "no segment names it, and none will",
    };
    assert(reason < sizeof texts / sizeof texts[0]);
    return texts[reason];
}

int retention_policy_check(const struct retention_policy *p, struct err *e)
{
    if (p->keep_all_ms || p->keep_levels_ms || p->keep_hourly || p->keep_daily || p->keep_weekly || p->keep_monthly)
        return 0;
    err_set(e, ERR_CONFIG, 0, "this policy keeps nothing: keep-all, keep-levels and all other keep options are 0");
    return err_hint(e, "set at least one of them: keep-daily 7 keeps one base for each of seven days");
}

void retention_plan_release(struct retention_plan *p)
{
    free(p->verdicts);
    *p = (struct retention_plan){0};
}
