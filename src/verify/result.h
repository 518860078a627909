/* verify/result.h - the options of a verification, and its result. verify.h has the rules. */
#ifndef SEAWALL_VERIFY_RESULT_H
#define SEAWALL_VERIFY_RESULT_H

#include "replica/losses.h"
#include "replica/points.h"

#include <stdatomic.h>
#include <stdbool.h>

#define VERIFY_PROBLEMS_MAX 1000 /* kept with their text; more are only counted */

enum verify_flags { VERIFY_FULL = 1 };

struct verify_options {
    unsigned flags;
    const atomic_bool *cancel; /* ends the verification with ERR_CANCELED when it becomes true; NULL: never */
    /* Called after each object that was read, from any thread, but never twice at a time. NULL: not called. */
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
};

struct verify_problem {
    char object[NAME_MAX_BYTES]; /* key of the object; of a missing one, the key that it should have */
    char text[400];
    const char *hint; /* NULL: none */
};

struct verify_result {
    struct verify_problem *problems; /* owned; by key, then by text */
    size_t problem_count, problem_cap;
    uint64_t problem_total;              /* problems found; may exceed problem_count */
    uint64_t objects, bytes;             /* objects that are sound, without orphans */
    uint64_t points;                     /* restore points */
    uint64_t states;                     /* states whose database checksum was computed; only with VERIFY_FULL */
    uint64_t orphans, orphan_bytes;      /* objects that nothing needs */
    uint64_t foreign;                    /* things that are not objects of a replica */
    struct losses losses;                /* that the writer noticed: no problems */
    struct commit_record oldest, newest; /* of the restore points */
    uint64_t head; /* newest txid of level 0; greater than that of `newest` while a base is incomplete */
};

#endif
