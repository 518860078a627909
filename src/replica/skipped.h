/* replica/skipped.h - restore points that the search for a moment skips because of a clock that was wrong.
 *
 * Times never fall within a replica. So when a clock was a day ahead for one commit, all commits of the next day have
 * the time of that one, and points_at_time finds none of them for a moment of that day. */
#ifndef SEAWALL_REPLICA_SKIPPED_H
#define SEAWALL_REPLICA_SKIPPED_H

#include "replica/points.h"

#define SKIPPED_CLOCKS_MS 60000 /* two clocks that differ by less count as equal */

struct skipped {
    uint64_t last;   /* txid of the newest restore point that was skipped; 0: none */
    int64_t last_ms; /* its time */
    uint64_t unread; /* objects that the store does not give now: they may have a newer one */
    bool future;     /* its time has not come yet, and nothing says when it was put. Otherwise: before the moment */
};

/* Finds the newest restore point that points_at_time skipped for `time_ms` although it was there before that moment, by
 * what the clock said when its object was written, or by when a bucket received it; or whose time has not come yet.
 * `txid`: the point that was found. `now_ms`: the clock of this machine. Reads only objects that can have one by their
 * listed time, and of a folder at most SKIPPED_READ_MAX others. Skips damaged objects, and
 * counts those that the store does not give. ERR_CLAIM, ERR_NOMEM, ERR_CANCELED. */
#define SKIPPED_READ_MAX 4096
int skipped_find(struct catalog *c, int64_t time_ms, int64_t now_ms, uint64_t txid, struct skipped *ret_skipped,
                 struct err *e) MUST_CHECK;

#endif
