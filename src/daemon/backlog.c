/* daemon/backlog.c */
#include "daemon/backlog.h"

#include <assert.h>

#define UNLINKED (1u << 31) /* in `references`: the backlog dropped the batch, its last holder frees it */

void backlog_add(struct backlog *b, struct batch *batch)
{
    assert(batch->references == 0 && (!b->last || batch->first > b->last->last));
    batch->next = NULL;
    if (b->last)
        b->last->next = batch;
    else
        b->first = batch;
    b->last = batch;
    b->bytes += batch_bytes(batch);
}

void backlog_drop_first(struct backlog *b)
{
    struct batch *batch = b->first;
    assert(batch);
    b->first = batch->next;
    if (!b->first)
        b->last = NULL;
    b->bytes -= batch_bytes(batch);
    batch->next = NULL;
    if (batch->references == 0)
        batch_free(batch);
    else
        batch->references |= UNLINKED;
}

void backlog_trim(struct backlog *b, uint64_t txid)
{
    while (b->first && b->first->last <= txid)
        backlog_drop_first(b);
}

size_t backlog_bytes_after(const struct backlog *b, uint64_t txid)
{
    size_t sum = 0;
    for (const struct batch *batch = b->first; batch; batch = batch->next)
        if (batch->last > txid)
            sum += batch_bytes(batch);
    return sum;
}

void backlog_clear(struct backlog *b)
{
    while (b->first)
        backlog_drop_first(b);
}

size_t backlog_find(const struct backlog *b, uint64_t txid, uint32_t page_size, size_t bytes, struct batch **out,
                    size_t max)
{
    uint64_t next = txid;
    size_t n = 0, sum = 0;
    for (struct batch *batch = b->first; batch && n < max && sum < bytes; batch = batch->next) {
        if (batch->last < next)
            continue;
        bool continues = n == 0 ? batch->first <= next : batch->first == next;
        if (!continues || batch->page_size != page_size)
            break;
        out[n++] = batch;
        sum += batch_bytes(batch);
        next = batch->last + 1;
    }
    return n;
}

void backlog_hold(struct batch *const *batches, size_t count)
{
    for (size_t i = 0; i < count; i++)
        batches[i]->references++;
}

void backlog_let_go(struct batch *const *batches, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert((batches[i]->references & ~UNLINKED) > 0);
        if (--batches[i]->references == UNLINKED)
            batch_free(batches[i]);
    }
}
