/* cargo/copy.c */
#include "cargo/copy.h"

#include <stdlib.h>
#include <string.h>

void piece_free(struct piece *p)
{
    if (!p)
        return;
    free(p->versions);
    buf_release(&p->payload);
    free(p);
}

struct copy *copy_new(enum copy_kind kind, uint64_t after, uint32_t page_size)
{
    struct copy *c = calloc(1, sizeof *c);
    if (c)
        *c = (struct copy){.kind = kind, .after = after, .page_size = page_size, .next_page = 1};
    return c;
}

void copy_rewind(struct copy *c, unsigned index, uint32_t page)
{
    c->pieces = index;
    c->next_page = page;
    c->read_all = false;
}

void copy_free(struct copy *c)
{
    if (!c)
        return;
    free(c->ranges);
    free(c->list);
    free(c);
}

int copy_note(struct copy *c, unsigned index, const struct listed *object, struct err *e)
{
    if (index >= SEGMENT_LIST_MAX)
        return err_set(e, ERR_LIMIT, 0, "more than %u objects in one copy", SEGMENT_LIST_MAX);
    while (index >= c->list_cap) {
        size_t cap = c->list_cap ? 2 * c->list_cap : 16;
        void *grown = realloc(c->list, cap * sizeof *c->list);
        if (!grown)
            return err_nomem(e, cap * sizeof *c->list);
        c->list = grown;
        memset(c->list + c->list_cap, 0, (cap - c->list_cap) * sizeof *c->list);
        c->list_cap = cap;
    }
    c->list[index] = *object;
    if (index + 1 > c->list_count)
        c->list_count = index + 1;
    c->put++;
    return 0;
}
