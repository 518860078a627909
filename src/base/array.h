/* base/array.h - an array that grows. */
#ifndef SEAWALL_BASE_ARRAY_H
#define SEAWALL_BASE_ARRAY_H

#include "base/err.h"

#include <stddef.h>

/* Makes room for at least `needed` elements of `element_bytes` each. `array`: the address of the pointer to the first
 * element. The pointer may be NULL, and may change. `*cap`: how many elements there is room for. New elements are zero.
 * The caller owns the array, and frees it with free(). Precondition: element_bytes > 0. ERR_NOMEM: nothing has changed.
 *
 *     if (array_reserve(&list, &list_cap, list_count + 1, sizeof *list, e))
 *         return -1;
 *     list[list_count++] = item; */
int array_reserve(void *array, size_t *cap, size_t needed, size_t element_bytes, struct err *e) MUST_CHECK;

#endif
