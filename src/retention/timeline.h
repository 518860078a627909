/* retention/timeline.h - to which moments a replica can be restored, as far as a decision of retention shows. It costs no
 * request: retention has listed the replica.
 *
 * The end of each segment that stays is a restore point, and so is one for each base. Their times are those of the store
 * (verdict.h), which are a little later than the commits. Between the ends of segments there can be more points. */
#ifndef SEAWALL_RETENTION_TIMELINE_H
#define SEAWALL_RETENTION_TIMELINE_H

#include "retention/verdict.h"

#define TIMELINE_SPANS_MAX 16

struct timeline {
    int64_t listed_ms; /* when the replica was listed, by the store's clock; 0: it was not */
    /* Ascending. Both ends are restore points. Where there are more than TIMELINE_SPANS_MAX, the shortest gaps between
     * them are not shown. */
    struct {
        int64_t from_ms, to_ms;
    } spans[TIMELINE_SPANS_MAX];
    unsigned count;
    uint64_t points;         /* ends of segments, and bases */
    uint64_t objects, bytes; /* of all that stays */
};

/* Makes the time line of what stays. ERR_NOMEM. */
int timeline_make(struct timeline *ret, const struct retention_plan *plan, struct err *e) MUST_CHECK;

#endif
