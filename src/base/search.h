/* base/search.h - binary search over sorted elements of any type. */
#ifndef SEAWALL_BASE_SEARCH_H
#define SEAWALL_BASE_SEARCH_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the element at `index` is beyond the wanted position. Precondition: if it is true for one element, it is true
 * for all that follow. */
typedef bool search_beyond_fn(const void *context, size_t index);

/* The index of the first element that is beyond; `count`: there is none. */
size_t search_first(size_t count, search_beyond_fn *beyond, const void *context);

#endif
