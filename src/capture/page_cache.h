/* capture/page_cache.h - images of pages that changed lately, a bounded number, one place for each page number. */
#ifndef SEAWALL_CAPTURE_PAGE_CACHE_H
#define SEAWALL_CAPTURE_PAGE_CACHE_H

#include "base/err.h"

#include <stdint.h>

#define PAGE_CACHE_BYTES (4u << 20)

struct page_cache;

struct page_cache *page_cache_new(uint32_t page_size); /* NULL: out of memory; the caller can do without */
void page_cache_free(struct page_cache *c);
uint32_t page_cache_page_size(const struct page_cache *c);

/* The image whose hash is `hash`, or NULL. Valid until the next put. */
const uint8_t *page_cache_get(const struct page_cache *c, uint32_t pgno, uint64_t hash);
void page_cache_put(struct page_cache *c, uint32_t pgno, uint64_t hash, const uint8_t *page);

#endif
