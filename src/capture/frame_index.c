/* capture/frame_index.c */
#include "capture/frame_index.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CAP_MIN 1024u
#define CAP_KEPT (64u << 10) /* 512 KiB, enough for an ordinary WAL; more is freed at each reset */

void frame_index_release(struct frame_index *x)
{
    free(x->slots);
    *x = (struct frame_index){0};
}

void frame_index_clear(struct frame_index *x)
{
    if (x->cap > CAP_KEPT)
        frame_index_release(x);
    else if (x->slots)
        memset(x->slots, 0, x->cap * sizeof *x->slots);
    x->count = 0;
}

/* The slot of the page, or the free slot where it belongs. */
static struct frame_slot *find(const struct frame_index *x, uint32_t pgno)
{
    uint32_t i = (pgno * 2654435761u) & (x->cap - 1); /* Knuth's multiplicative hash */
    while (x->slots[i].pgno != 0 && x->slots[i].pgno != pgno)
        i = (i + 1) & (x->cap - 1);
    return &x->slots[i];
}

static int grow(struct frame_index *x, struct err *e)
{
    struct frame_index old = *x;
    uint32_t cap = old.cap ? 2 * old.cap : CAP_MIN;
    x->slots = calloc(cap, sizeof *x->slots);
    if (!x->slots) {
        *x = old;
        return err_nomem(e, cap * sizeof *x->slots);
    }
    x->cap = cap;
    for (uint32_t i = 0; i < old.cap; i++)
        if (old.slots[i].pgno != 0)
            *find(x, old.slots[i].pgno) = old.slots[i];
    free(old.slots);
    return 0;
}

int frame_index_set(struct frame_index *x, uint32_t pgno, uint32_t frame, struct err *e)
{
    assert(pgno >= 1 && frame >= 1);
    if ((uint64_t)4 * (x->count + 1) > (uint64_t)3 * x->cap && grow(x, e))
        return -1;
    struct frame_slot *slot = find(x, pgno);
    if (slot->pgno == 0) {
        slot->pgno = pgno;
        x->count++;
    }
    slot->frame = frame;
    return 0;
}

uint32_t frame_index_get(const struct frame_index *x, uint32_t pgno)
{
    assert(pgno >= 1);
    return x->cap ? find(x, pgno)->frame : 0;
}
