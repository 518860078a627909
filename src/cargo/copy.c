/* cargo/copy.c */
#include "cargo/copy.h"

#include "base/array.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct copy copy_begin(const struct copy_terms *terms)
{
    assert(terms->kind != COPY_NONE);
    return (struct copy){.terms = *terms, .cursor.next_page = 1};
}

void copy_release(struct copy *c)
{
    free(c->cursor.ranges);
    free(c->objects.list);
    interior_free(c->objects.interior);
    *c = (struct copy){.terms.kind = COPY_NONE};
}

void copy_rewind(struct copy *c, unsigned index, uint32_t page)
{
    struct copy_objects *o = &c->objects;
    assert(index <= c->cursor.pieces && page <= c->cursor.next_page && o->resumed <= index && o->put >= index);
    c->cursor.pieces = index;
    c->cursor.next_page = page;
    c->cursor.read_all = false;
    if (o->count > index)
        memset(&o->list[index], 0, (o->count - index) * sizeof *o->list);
    o->count = o->put = index;
    if (o->interior)
        interior_rewind(o->interior, page);
}

int copy_note(struct copy_objects *objects, unsigned index, const struct listed *object, struct err *e)
{
    if (index >= SEGMENT_LIST_MAX)
        return err_set(e, ERR_LIMIT, 0, "more than %u objects in one copy", SEGMENT_LIST_MAX);
    if (array_reserve(&objects->list, &objects->cap, (size_t)index + 1, sizeof *objects->list, e))
        return -1;
    objects->list[index] = *object;
    if (index + 1 > objects->count)
        objects->count = index + 1;
    objects->put++;
    return 0;
}
