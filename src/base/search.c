/* base/search.c */
#include "base/search.h"

size_t search_first(size_t count, search_beyond_fn *beyond, const void *context)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (beyond(context, middle))
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}
