/* cargo/batch.c */
#include "cargo/batch.h"

#include "base/array.h"
#include "format/patch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct batch *batch_new(uint64_t first, uint32_t page_size)
{
    assert(first >= 1);
    struct batch *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->first = first;
    b->last = first - 1;
    b->page_size = page_size;
    b->payload = BUF_INIT(BATCH_BYTES_TARGET + BATCH_BYTES_MAX + 65536);
    return b;
}

void batch_free(struct batch *b)
{
    if (!b)
        return;
    free(b->versions);
    free(b->records);
    buf_release(&b->payload);
    free(b);
}

void batch_begin_commit(struct batch *b)
{
    assert(!b->overflow);
    b->commit_versions = b->version_count;
    b->commit_payload = b->payload.len;
}

static int add_version(struct batch *b, const struct version *v, struct err *e)
{
    if (array_reserve(&b->versions, &b->version_cap, b->version_count + 1, sizeof *b->versions, e))
        return -1;
    b->versions[b->version_count++] = (struct captured){.version = *v, .at = b->payload.len};
    return 0;
}

void batch_abort_commit(struct batch *b)
{
    b->version_count = b->commit_versions;
    b->payload.len = b->commit_payload;
    if (b->payload.len == 0)
        buf_release(&b->payload);
}

int batch_add(struct batch *b, const struct version *v, const uint8_t *page, struct err *e)
{
    assert(v->txid == b->last + 1 && (page || v->kind == VERSION_ZERO));
    size_t size = version_size(v, b->page_size);
    size_t commit_bytes =
        b->payload.len - b->commit_payload + (b->version_count - b->commit_versions) * sizeof *b->versions;
    if (b->overflow)
        return 0;
    if (commit_bytes + size > BATCH_BYTES_MAX) {
        b->overflow = true;
        batch_abort_commit(b);
        return 0;
    }
    if (add_version(b, v, e) || buf_reserve(&b->payload, size, e))
        return -1;
    if (v->kind == VERSION_PATCH)
        patch_cut(v->mask, page, b->page_size, b->payload.data + b->payload.len);
    else if (v->kind == VERSION_IMAGE)
        memcpy(b->payload.data + b->payload.len, page, size);
    b->payload.len += size;
    return 0;
}

void batch_forget(struct batch *b, uint32_t pgno)
{
    for (size_t i = b->version_count; i-- > b->commit_versions;)
        if (b->versions[i].version.pgno == pgno)
            b->versions[i].dead = true;
}

int batch_end_commit(struct batch *b, const struct commit_record *record, struct err *e)
{
    assert(record->txid == b->last + 1);
    if (b->overflow)
        return 0;
    if (array_reserve(&b->records, &b->record_cap, b->record_count + 1, sizeof *b->records, e))
        return -1;
    b->records[b->record_count++] = *record;
    b->last = record->txid;
    return 0;
}
