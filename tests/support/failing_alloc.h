/* support/failing_alloc.h - makes the allocations of a call fail, each one once.
 *
 * A test that includes this header needs nothing else: the Makefile links every unit test with failing_alloc.c.
 *
 *     static int decode(void *context, struct err *e)
 *     {
 *         struct thing t = {0};
 *         int rc = thing_decode(&t, context, e);
 *         if (rc == 0)
 *             assert_int_equal(t.count, 3);
 *         thing_release(&t);
 *         return rc;
 *     }
 *
 *     static void each_allocation_of_a_decoder_fails_once(void **state)
 *     {
 *         assert_each_allocation_fails_once(decode, sample);
 *     }
 *
 * What can fail: malloc, calloc, realloc and strdup, where a file of src/ or the test itself calls them. What
 * libraries and libc allocate inside themselves does not fail, except in jansson (base/json.c). Other threads are not
 * affected. Leaks are found by `make check-asan`, which runs the same tests. */
#ifndef TESTS_FAILING_ALLOC_H
#define TESTS_FAILING_ALLOC_H

#include "unit.h"

#include <stdbool.h>

/* Makes the `nth` allocation of this thread from now on fail, counted from 1. All others succeed. */
void failing_alloc_arm(unsigned long nth);

/* Lets all allocations succeed again. Returns whether one has failed since failing_alloc_arm. */
bool failing_alloc_disarm(void);

/* Calls `run` with its 1st allocation failing, then with its 2nd, and so on, until a call comes to its end without
 * a failed allocation. Each call in which one failed must return -1 with ERR_NOMEM; the last call must return 0.
 * `run` must do the same work each time, check its result where it succeeds, and release everything before it
 * returns. Returns how many allocations failed. Fails the test if that was none. */
static inline unsigned long assert_each_allocation_fails_once(int (*run)(void *context, struct err *e), void *context)
{
    for (unsigned long nth = 1;; nth++) {
        struct err e = {.code = ERR_NONE};
        failing_alloc_arm(nth);
        int rc = run(context, &e);
        if (!failing_alloc_disarm()) {
            assert_ok(rc, &e);
            if (nth == 1)
                fail_msg("nothing was allocated");
            return nth - 1;
        }
        if (rc == 0)
            fail_msg("allocation %lu failed, and the call succeeded", nth);
        if (e.code != ERR_NOMEM)
            fail_msg("allocation %lu failed: code %d instead of %d (ERR_NOMEM): %s", nth, (int)e.code, (int)ERR_NOMEM,
                     e.msg);
    }
}

#endif
