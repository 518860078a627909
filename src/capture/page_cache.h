/* capture/page_cache.h - images of pages that changed lately. There is one place for each page number modulo the
 * number of places. */
#ifndef SEAWALL_CAPTURE_PAGE_CACHE_H
#define SEAWALL_CAPTURE_PAGE_CACHE_H

#include "base/err.h"

#include <stdint.h>

#define PAGE_CACHE_BYTES (4u << 20) /* of images, at most */

struct page_cache;

/* page_size: valid for SQLite. NULL: out of memory. */
struct page_cache *page_cache_new(uint32_t page_size);
void page_cache_free(struct page_cache *c); /* NULL is fine */

/* The image of the page (pgno at least 1) whose hash is `hash`. Valid until the next put. NULL: it is not in the
 * cache. */
const uint8_t *page_cache_get(const struct page_cache *c, uint32_t pgno, uint64_t hash);

/* Copies the image `page`, of page_size bytes, into the cache. It replaces the image that was in its place. */
void page_cache_put(struct page_cache *c, uint32_t pgno, uint64_t hash, const uint8_t *page);

#endif
