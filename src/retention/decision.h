/* retention/decision.h - what the parts of one decision share. Private to retention*.c.
 *
 * In this order: bases (retention_bases.c), segments, chunks and parts (retention.c), the proof (retention_proof.c). Each gives the
 * verdicts of its objects, which are final then. */
#ifndef SEAWALL_RETENTION_DECISION_H
#define SEAWALL_RETENTION_DECISION_H

#include "replica/points.h"
#include "retention/verdict.h"

struct retained_base {
    struct catalog_object *marker;
    int64_t time_ms; /* when the marker was written */
    bool readable;   /* the marker */
    bool usable;     /* one can restore from it */
    bool stays;
    uint64_t start;
    uint64_t point; /* its restore point, and what that takes: indexes of segments */
    size_t *segments;
    size_t segment_count;
};

struct decision {
    struct catalog *c;
    const struct retention_policy *policy;
    int64_t now_ms;
    uint64_t keep_all_ms, window_ms; /* neither is shorter than the grace period */
    struct retention_plan out;
    struct retention_verdict *segments, *markers, *chunks, *parts; /* in out.verdicts; as the lists of the catalog */
    size_t segment_count;                                          /* level 0, then levels */
    uint64_t head_max;
    struct uid head_run;
    uint64_t *ends;              /* segments: the last txid, or more */
    bool *needed;                /* segments: by a base that stays */
    struct retained_base *bases; /* as the markers */
    const struct retained_base *anchor;
};

static inline bool decision_older(const struct decision *d, int64_t time_ms, uint64_t age_ms)
{
    return time_ms < d->now_ms && (uint64_t)d->now_ms - (uint64_t)time_ms > age_ms;
}

static inline void decision_set(struct retention_verdict *v, bool goes, enum retention_reason reason)
{
    v->goes = goes;
    v->reason = reason;
}

/* Is everything there that a marker or manifest names, with its size? What the listing lacks is asked for: ERR_REMOTE if it is
 * there after all. */
int decision_listed(const struct decision *d, const struct segment *s, bool *ret_there, struct err *e) MUST_CHECK;

/* ERR_REMOTE: an object is there that the listing lacks. */
int decision_check_missing(const struct decision *d, const struct name *name, struct err *e) MUST_CHECK;

int retention_judge_bases(struct decision *d, struct err *e) MUST_CHECK;
int retention_prove(const struct decision *d, struct err *e) MUST_CHECK;

#endif
