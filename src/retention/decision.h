/* retention/decision.h - the data of a decision while it is made. Private to the room.
 *
 * retention.c calls, in this order: bases.c, segments.c, leftovers.c (chunks, then parts), proof.c. Each of the
 * first three sets the verdicts of its objects. Later steps read those verdicts and never change them. */
#ifndef SEAWALL_RETENTION_DECISION_H
#define SEAWALL_RETENTION_DECISION_H

#include "replica/points.h"
#include "retention/verdict.h"

struct retained_base {
    struct catalog_object *marker;
    int64_t time_ms; /* when the marker was written, by its own word */
    bool readable;   /* the marker can be loaded */
    bool interior;   /* it names interior pages */
    bool usable;     /* a restore can start from this base */
    bool stays;
    uint64_t start, max; /* of the marker */
    uint64_t point;      /* txid of its restore point */
    size_t *segments;    /* owned; indexes of the segments that the restore point needs */
    size_t segment_count;
};

struct decision {
    struct catalog *c;
    const struct retention_policy *policy;
    int64_t now_ms;
    uint64_t keep_all_ms, window_ms; /* neither is shorter than the grace period */
    uint64_t settle_ms;              /* what goes because of a pack is older; not longer than the grace period */
    struct retention_plan out;
    struct retention_verdict *segments; /* in out.verdicts; by catalog_segment_index */
    struct retention_verdict *packed, *markers, *chunks,
        *parts;                         /* in out.verdicts; in the order of the catalog's lists */
    size_t segment_count;               /* catalog_segment_count */
    uint64_t head_max;                  /* of the newest object of level 0 */
    struct uid head_run;                /* the run that put it */
    uint64_t *ends;                     /* of segments: the last txid, or a later one if that is not known */
    bool *needed;                       /* of segments: the restore point of a base that stays needs it */
    bool *expired;                      /* of segments: a pack whose restore points need not stay, by rule B */
    bool *relied;                       /* of segments: another pack, because of which something goes */
    struct retained_base *bases;        /* in the order of the markers */
    const struct retained_base *anchor; /* NULL: there is none */
};

/* Limits of the steps (see replica/ways.h) that the plans of one decision may take together. Every replica that a
 * writer made needs far fewer. They take a few seconds. */
#define DECISION_STEPS_MIN 5000000
#define DECISION_STEPS_EACH 50 /* for each segment and base */

/* `more`: steps besides those that the catalog of the decision counts. ERR_LIMIT: the plans took too many. */
int decision_check_steps(const struct decision *d, uint64_t more, struct err *e) MUST_CHECK;

/* Whether the moment `time_ms` is more than `age_ms` before d->now_ms. */
bool decision_older(const struct decision *d, int64_t time_ms, uint64_t age_ms);

/* Notes what an object that was read says about its age: when it was written, and when its newest commit was made. It
 * is as young as the younger of the store's word and its own, and not from the future. */
void decision_note_own(const struct decision *d, struct retention_verdict *v, const struct segment *s);

static inline void decision_set(struct retention_verdict *v, bool goes, enum retention_reason reason)
{
    v->goes = goes;
    v->reason = reason;
}

/* Checks that the listing has every object that this segment or marker names, with the size that it names. *ret_there:
 * whether it has. ERR_REMOTE: the store has a named object that the listing lacks. */
int decision_listed(const struct decision *d, const struct segment *s, bool *ret_there, struct err *e) MUST_CHECK;

/* For an object that the listing lacks: asks the store for it. 0: it does not exist. ERR_REMOTE: it exists. */
int decision_check_missing(const struct decision *d, const struct name *name, struct err *e) MUST_CHECK;

int retention_judge_bases(struct decision *d, struct err *e) MUST_CHECK;    /* rules C and E */
int retention_judge_segments(struct decision *d, struct err *e) MUST_CHECK; /* rules B, C and F */
int retention_judge_chunks(struct decision *d, struct err *e) MUST_CHECK;   /* rule D */
int retention_judge_parts(struct decision *d, struct err *e) MUST_CHECK;    /* rule D */
int retention_prove(const struct decision *d, struct err *e) MUST_CHECK;

#endif
