/* verify/steps.h - the objects that a walk through the history reads, in order. Private to the room. */
#ifndef SEAWALL_VERIFY_STEPS_H
#define SEAWALL_VERIFY_STEPS_H

#include "verify/check.h"

struct track { /* of one level: the sound segments that have pages, ascending */
    const struct item **list;
    size_t count, cap;
};

struct steps {
    const struct check *check;
    struct track tracks[SEGMENT_LEVEL_MAX + 1];
    const struct item **list; /* the steps: segments, and markers to begin at */
    size_t count, cap;
};

/* Prepares the tracks. The caller releases the steps, also after an error. Precondition: all items of `c` are examined.
 * ERR_NOMEM. */
int steps_init(struct steps *s, const struct check *c, struct err *e) MUST_CHECK;
void steps_release(struct steps *s);

/* Makes the steps of a walk through the whole history. Where the level `preferred` has a segment, the walk takes that
 * one. If no segment continues the walk, it begins again at the next base or the next from_empty segment. ERR_NOMEM. */
int steps_plan_history(struct steps *s, unsigned preferred, struct err *e) MUST_CHECK;

/* Makes the steps of a walk that begins at a base and ends when it has reached the txid `end`. Precondition: the marker
 * is sound. ERR_NOMEM. */
int steps_plan_base(struct steps *s, const struct item *marker, uint64_t end, struct err *e) MUST_CHECK;

#endif
