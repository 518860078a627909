/* verify/crew.h - the threads of a verification. Private to the room. */
#ifndef SEAWALL_VERIFY_CREW_H
#define SEAWALL_VERIFY_CREW_H

#include "verify/check.h"

/* The resources of one thread. */
struct worker {
    struct codec *codec;
    struct digest_stream *digest;
    struct buf tail, stored;
    uint8_t raw[SEGMENT_BLOCK_BYTES];
    void *context; /* as given to crew_each */
};
typedef int crew_fn(struct check *c, struct worker *w, size_t index, struct err *e);

/* Calls `fn` for each index below `count`, in several threads. `context`: for worker->context. An index for which `fn`
 * fails with ERR_CLAIM is tried again after the others, in one thread. Stops at the first other error, which it
 * returns, and when check_void was called. Precondition: the lists of `c` do not change meanwhile. */
int crew_each(struct check *c, size_t count, crew_fn *fn, void *context, struct err *e) MUST_CHECK;

#endif
