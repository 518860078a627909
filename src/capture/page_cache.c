/* capture/page_cache.c */
#include "capture/page_cache.h"

#include "base/page.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct page_cache {
    uint32_t page_size, places;
    struct place {
        uint64_t hash;
        uint32_t pgno; /* 0: the place is free */
    } *place;
    uint8_t *pages; /* the image of place i is at i * page_size */
};

struct page_cache *page_cache_new(uint32_t page_size)
{
    assert(page_size_valid(page_size));
    struct page_cache *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->page_size = page_size;
    c->places = PAGE_CACHE_BYTES / page_size;
    c->place = calloc(c->places, sizeof *c->place);
    c->pages = malloc((size_t)c->places * page_size); /* memory that is not written to costs nothing */
    if (!c->place || !c->pages) {
        page_cache_free(c);
        return NULL;
    }
    return c;
}

void page_cache_free(struct page_cache *c)
{
    if (!c)
        return;
    free(c->place);
    free(c->pages);
    free(c);
}

const uint8_t *page_cache_get(const struct page_cache *c, uint32_t pgno, uint64_t hash)
{
    assert(pgno >= 1);
    uint32_t i = pgno % c->places;
    return c->place[i].pgno == pgno && c->place[i].hash == hash ? c->pages + (size_t)i * c->page_size : NULL;
}

void page_cache_put(struct page_cache *c, uint32_t pgno, uint64_t hash, const uint8_t *page)
{
    assert(pgno >= 1);
    uint32_t i = pgno % c->places;
    c->place[i].pgno = pgno;
    c->place[i].hash = hash;
    memcpy(c->pages + (size_t)i * c->page_size, page, c->page_size);
}
