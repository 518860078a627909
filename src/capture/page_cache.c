/* capture/page_cache.c */
#include "capture/page_cache.h"

#include <stdlib.h>
#include <string.h>

struct page_cache {
    uint32_t page_size, places;
    struct place {
        uint64_t hash;
        uint32_t pgno; /* 0: free */
    } * place;
    uint8_t *pages;
};

struct page_cache *page_cache_new(uint32_t page_size)
{
    struct page_cache *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->page_size = page_size;
    c->places = PAGE_CACHE_BYTES / page_size;
    c->place = calloc(c->places, sizeof *c->place);
    c->pages = malloc((size_t)c->places * page_size); /* touched only as far as it is used */
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

uint32_t page_cache_page_size(const struct page_cache *c)
{
    return c->page_size;
}

const uint8_t *page_cache_get(const struct page_cache *c, uint32_t pgno, uint64_t hash)
{
    uint32_t i = pgno % c->places;
    return c->place[i].pgno == pgno && c->place[i].hash == hash ? c->pages + (size_t)i * c->page_size : NULL;
}

void page_cache_put(struct page_cache *c, uint32_t pgno, uint64_t hash, const uint8_t *page)
{
    uint32_t i = pgno % c->places;
    c->place[i].pgno = pgno;
    c->place[i].hash = hash;
    memcpy(c->pages + (size_t)i * c->page_size, page, c->page_size);
}
