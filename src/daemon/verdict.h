/* daemon/verdict.h - what the end of a verifier means for its replica. */
#ifndef SEAWALL_DAEMON_VERDICT_H
#define SEAWALL_DAEMON_VERDICT_H

#include "daemon/verification_record.h"
#include "web/summary.h"

/* What a verifier left. */
struct verifier_end {
    int status;         /* as waitpid gave it */
    bool over_deadline; /* it was told to end */
    const char *out;    /* its standard output: one JSON document; NULL: nothing, or more than can be kept */
    size_t out_len;
    const char *err; /* its standard error; need not end with 0 */
    size_t err_len;
};

enum verdict {
    VERDICT_SOUND,    /* verified; perhaps restored too */
    VERDICT_DAMAGED,  /* the replica has problems, or nothing can be restored from it */
    VERDICT_NO_RESULT /* the verification failed: try again */
};

/* Judges, and writes what follows into the record. With VERDICT_NO_RESULT only `error` and `error_code` change. Exit
 * codes as in seawall(1): what was durable before must be there, so "nothing to restore" is damage. `now_ms`: wall
 * clock. The requests that it made, as far as it said them, are added to `requests`. */
enum verdict verdict_take(const struct verifier_end *end, int64_t now_ms, struct verification_record *r,
                          uint64_t requests[REQUEST_FIGURES]);

#endif
