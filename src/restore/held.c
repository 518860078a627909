/* restore/held.c */
#include "restore/held.h"

#include "base/array.h"
#include "format/patch.h"

#include <assert.h>
#include <stdlib.h>

int held_begin(struct held *h, uint32_t first_page, uint32_t last_page, size_t bytes, struct err *e)
{
    assert(first_page <= last_page);
    *h = (struct held){.first_page = first_page, .last_page = last_page, .bytes = BUF_INIT(bytes)};
    if (bytes == 0)
        return 0;
    size_t pages = (size_t)last_page - first_page + 1;
    h->index = calloc(pages, sizeof *h->index);
    if (!h->index)
        return err_nomem(e, pages * sizeof *h->index);
    return buf_reserve(&h->bytes, bytes, e);
}

void held_release(struct held *h)
{
    free(h->index);
    free(h->pages);
    free(h->patches);
    buf_release(&h->bytes);
    *h = (struct held){0};
}

struct held_page *held_find(const struct held *h, uint32_t pgno)
{
    if (!h->index || pgno < h->first_page || pgno > h->last_page)
        return NULL;
    uint32_t at = h->index[pgno - h->first_page];
    return at ? &h->pages[at - 1] : NULL;
}

int held_add(struct held *h, const struct held_add *patch, struct err *e)
{
    const struct version *v = patch->version;
    assert(v->pgno >= h->first_page && v->pgno <= h->last_page);
    const size_t at = h->bytes.len, size = version_size(v, patch->page_size);
    if (size > h->bytes.max - at)
        return err_set(e, ERR_CORRUPT, 0, "a patch of page %u was not in the index before", v->pgno);
    if (buf_append(&h->bytes, patch->bytes, size, e) ||
        array_reserve(&h->patches, &h->patch_cap, h->patch_count + 1, sizeof *h->patches, e) ||
        array_reserve(&h->pages, &h->page_cap, h->page_count + 1, sizeof *h->pages, e))
        return -1;
    uint32_t number = (uint32_t)h->patch_count++;
    struct held_page *page = held_find(h, v->pgno);
    h->patches[number] = (struct held_patch){
        .hash = v->hash, .mask = v->mask, .at = at, .source = patch->source, .txid = v->txid, .next = HELD_END};
    if (page) {
        h->patches[page->last].next = number;
        page->last = number;
        return 0;
    }
    assert(h->pages);
    page = &h->pages[h->page_count++];
    page->pgno = v->pgno;
    page->first = page->last = number;
    page->image_txid = patch->image_txid;
    atomic_init(&page->written, false);
    h->index[v->pgno - h->first_page] = (uint32_t)h->page_count;
    return 0;
}

const struct held_patch *held_apply(const struct held *h, const struct held_page *p, uint32_t page_size, uint8_t *page)
{
    const struct held_patch *last = NULL;
    for (uint32_t i = p->first; i != HELD_END; i = last->next) {
        last = &h->patches[i];
        patch_apply(last->mask, h->bytes.data + last->at, page_size, page);
    }
    return last;
}
