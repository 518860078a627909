/* litestream/plan.h - the objects from which a state is restored, in order. */
#ifndef SEAWALL_LITESTREAM_PLAN_H
#define SEAWALL_LITESTREAM_PLAN_H

#include "litestream/contents.h"

/* What a person asked for. */
struct lite_target {
    uint64_t txid; /* 0: not given */
    bool by_time;  /* the newest point that is not after time_ms. Then headers must have been read */
    int64_t time_ms;
};

struct lite_plan {
    enum lite_kind kind;          /* of the object that the plan leads to */
    struct lite_object *last;     /* that object, in the contents */
    struct lite_object **objects; /* in the contents */
    size_t count;
    uint64_t bytes; /* of all objects */
};

/* Makes the plan for a target: for the newest point if neither txid nor time is given. Points of 0.5 and of 0.3 are
 * compared by time. The caller releases the plan. ERR_NOTFOUND: that point does not exist; the hint names others.
 * ERR_CORRUPT: the newest point is asked for, and there are newer objects that nothing leads to. ERR_NOMEM. */
int lite_plan_make(struct lite_contents *c, const struct lite_target *t, struct lite_plan *ret,
                   struct err *e) MUST_CHECK;
void lite_plan_release(struct lite_plan *p); /* a zeroed one is allowed */

#endif
