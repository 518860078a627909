/* base/search.h - binary search in anything that is sorted. */
#ifndef SEAWALL_BASE_SEARCH_H
#define SEAWALL_BASE_SEARCH_H

#include <stdbool.h>
#include <stddef.h>

/* Is the element at `index` beyond what is looked for? Must be false for a first part of the elements and true for the
 * rest. */
typedef bool search_beyond_fn(const void *context, size_t index);

/* The first of `count` elements that is beyond; `count` if none is. */
size_t search_first(size_t count, search_beyond_fn *beyond, const void *context);

#endif
