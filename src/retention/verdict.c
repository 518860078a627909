/* retention/verdict.c */
#include "retention/verdict.h"

#include <stdlib.h>

const char *retention_reason_text(enum retention_reason reason)
{
    static const char *const texts[] = {
        [RETENTION_IDENTITY] = "says whose replica this is",
        [RETENTION_HEAD] = "the newest of level 0",
        [RETENTION_YOUNG] = "younger than grace",
        [RETENTION_KEEP_ALL] = "younger than keep-all",
        [RETENTION_ALONE] = "no higher level has all of it",
        [RETENTION_COVER_YOUNG] = "the higher level that has it is younger than keep-all",
        [RETENTION_COVER_DAMAGED] = "the higher level that has it is damaged or lacks parts",
        [RETENTION_POINT_OF_BASE] = "the restore point of a base that stays needs it",
        [RETENTION_BASE_NEWEST] = "the newest base",
        [RETENTION_BASE_BEFORE_ALL] = "what is younger than keep-all begins with it",
        [RETENTION_BASE_ANCHOR] = "what is younger than keep-levels begins with it",
        [RETENTION_BASE_HOURLY] = "keep-hourly",
        [RETENTION_BASE_DAILY] = "keep-daily",
        [RETENTION_BASE_WEEKLY] = "keep-weekly",
        [RETENTION_BASE_MONTHLY] = "keep-monthly",
        [RETENTION_BASE_BRIDGE] = "what comes after it is not reached from an older base",
        [RETENTION_BASE_NO_ANCHOR] = "no base is older than keep-all and keep-levels yet",
        [RETENTION_BASE_INCOMPLETE] = "not complete, or what follows on it is missing",
        [RETENTION_BASE_DAMAGED] = "its marker can't be read",
        [RETENTION_CHUNK_STAYS] = "its base stays",
        [RETENTION_CHUNK_WAITS] = "its base may be under way",
        [RETENTION_PART_STAYS] = "its segment stays",
        [RETENTION_PART_WAITS] = "its segment may be under way",
        [RETENTION_PART_UNKNOWN] = "it, or what may name it, can't be read",
        [RETENTION_COVERED] = "a higher level has it",
        [RETENTION_BEFORE_ANCHOR] = "before the base with which everything begins that is kept",
        [RETENTION_BASE_OUT] = "no rule keeps this base",
        [RETENTION_BASE_GIVEN_UP] = "a base that lacks something, and a newer one is there",
        [RETENTION_CHUNK_GOES] = "its base goes",
        [RETENTION_CHUNK_GIVEN_UP] = "of a base that was given up",
        [RETENTION_PART_GOES] = "its segment goes",
        [RETENTION_PART_GIVEN_UP] = "of a segment that was given up, or went",
    };
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
