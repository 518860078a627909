/* verify/result.h - what a verification is asked, and what it found. verify.h is the way in. */
#ifndef SEAWALL_VERIFY_RESULT_H
#define SEAWALL_VERIFY_RESULT_H

#include "replica/points.h"

#include <stdatomic.h>
#include <stdbool.h>

#define VERIFY_PROBLEMS_MAX 1000 /* told in detail; more are counted */

enum verify_flags { VERIFY_FULL = 1 };

struct verify_options {
    unsigned flags;
    const atomic_bool *cancel; /* ERR_CANCELED; NULL: nobody interrupts */
};

struct verify_problem {
    char object[NAME_MAX_BYTES]; /* its key; of a missing one the key that it should have */
    char text[400];
    const char *hint; /* NULL: none */
};

struct verify_result {
    struct verify_problem *problems; /* owned; by key, each key's in the order in which they were found */
    size_t problem_count, problem_cap;
    uint64_t problem_total;         /* may be more than problem_count */
    uint64_t objects, bytes;        /* that were checked */
    uint64_t points;                /* restore points */
    uint64_t states;                /* whose database checksum was computed: VERIFY_FULL */
    uint64_t orphans, orphan_bytes; /* objects that nothing needs */
    uint64_t foreign;               /* objects that are not ours */
    struct commit_record oldest, newest;
    uint64_t head; /* newest txid of level 0: greater than that of `newest` while a base is under way */
};

#endif
