/* support/claims.h - runs each test twice: with a budget of memory (base/claim.h) that is free, and with one of which
 * more than half is taken, so that nothing is kept which can be read again. When a test ends, it must have given back
 * all that it took.
 *
 * A test file defines `setup` and `teardown`, then writes CLAIMS_FIXTURES, and lists its tests by CLAIMS_TEST. */
#ifndef TESTS_CLAIMS_H
#define TESTS_CLAIMS_H

#include "unit.h"

#include "base/claim.h"

enum { CLAIMS_LIMIT = 64 << 20, CLAIMS_HELD = 33 << 20 }; /* more than half, so that claim_is_tight() */

static inline int claims_hold(size_t bytes)
{
    struct err e;
    claim_set_limit(CLAIMS_LIMIT);
    return bytes ? claim_take(bytes, &e) : 0;
}

static inline int claims_let_go(size_t bytes)
{
    struct err e;
    if (bytes)
        claim_give(bytes);
    if (claim_take(CLAIMS_LIMIT, &e)) {
        fprintf(stderr, "not everything that was claimed was given back: %s\n", e.msg);
        return -1;
    }
    claim_give(CLAIMS_LIMIT);
    return 0;
}

#define CLAIMS_FIXTURES                                                                                                \
    static int setup_with_much(void **state)                                                                           \
    {                                                                                                                  \
        return claims_hold(0) || setup(state) ? -1 : 0;                                                                \
    }                                                                                                                  \
    static int setup_with_little(void **state)                                                                         \
    {                                                                                                                  \
        return claims_hold(CLAIMS_HELD) || setup(state) ? -1 : 0;                                                      \
    }                                                                                                                  \
    static int teardown_with_much(void **state)                                                                        \
    {                                                                                                                  \
        return teardown(state) || claims_let_go(0) ? -1 : 0;                                                           \
    }                                                                                                                  \
    static int teardown_with_little(void **state)                                                                      \
    {                                                                                                                  \
        return teardown(state) || claims_let_go(CLAIMS_HELD) ? -1 : 0;                                                 \
    }

#define CLAIMS_TEST(test)                                                                                              \
    cmocka_unit_test_setup_teardown(test, setup_with_much, teardown_with_much),                                        \
    {                                                                                                                  \
        #test "_with_little_memory", test, setup_with_little, teardown_with_little, NULL                               \
    }

#endif
