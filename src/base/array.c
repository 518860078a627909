/* base/array.c */
#include "base/array.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 16

int array_reserve(void *array, size_t *cap, size_t needed, size_t element_bytes, struct err *e)
{
    void *elements = NULL;
    size_t grown = *cap ? *cap : FIRST_CAP;
    assert(element_bytes > 0);
    if (needed <= *cap)
        return 0;
    while (grown < needed && grown <= SIZE_MAX / 2)
        grown *= 2;
    if (grown < needed || grown > SIZE_MAX / element_bytes)
        return err_nomem(e, SIZE_MAX);
    memcpy(&elements, array, sizeof elements); /* as bytes: the type of the pointer is not known */
    elements = realloc(elements, grown * element_bytes);
    if (!elements)
        return err_nomem(e, grown * element_bytes);
    memset((char *)elements + *cap * element_bytes, 0, (grown - *cap) * element_bytes);
    memcpy(array, &elements, sizeof elements);
    *cap = grown;
    return 0;
}
