/* base/mintree.h - an array of numbers in which the nearest small one, or the least one, is found in O(log n). */
#ifndef SEAWALL_BASE_MINTREE_H
#define SEAWALL_BASE_MINTREE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MINTREE_NONE UINT64_MAX /* greater than every number that is searched for */

struct mintree {
    uint64_t *nodes; /* owned; [1] is the root; the children of [i] are [2i] and [2i + 1] */
    size_t leaves;   /* a power of two greater than the number of elements */
};

/* Makes `count` elements, each MINTREE_NONE. The caller releases the tree. ERR_NOMEM: there is nothing to release. */
int mintree_init(struct mintree *t, size_t count, struct err *e) MUST_CHECK;
void mintree_release(struct mintree *t); /* a zeroed tree is allowed */

/* Sets an element. Precondition: `index` is less than the number of elements. */
void mintree_set(struct mintree *t, size_t index, uint64_t value);

/* An element. Precondition: `index` is less than the number of elements. */
uint64_t mintree_get(const struct mintree *t, size_t index);

/* The last element before `below` that is not greater than `upto`. False: there is none.
 * Preconditions: `below` is at most the number of elements; `upto` is less than MINTREE_NONE. */
bool mintree_last(const struct mintree *t, size_t below, uint64_t upto, size_t *ret_index);

/* The least element before `below`; of equal elements the first. False: all are MINTREE_NONE. Precondition: `below` is
 * at most the number of elements. */
bool mintree_least(const struct mintree *t, size_t below, size_t *ret_index);

/* The first element from `from` on that is not greater than `upto`. False: there is none.
 * Preconditions: `from` is at most the number of elements; `upto` is less than MINTREE_NONE. */
bool mintree_first(const struct mintree *t, size_t from, uint64_t upto, size_t *ret_index);

#endif
