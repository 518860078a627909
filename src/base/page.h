/* base/page.h - sizes and numbers of SQLite database pages. Source: SQLite "Database File Format", section 1. */
#ifndef SEAWALL_BASE_PAGE_H
#define SEAWALL_BASE_PAGE_H

#include "base/trial.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#define PAGE_SIZE_MIN 512
#define PAGE_SIZE_MAX 65536
#define LOCK_BYTE_OFFSET SCALE(0x40000000u, 1536u) /* in the file; SQLite stores nothing in the page of this byte */

static inline bool page_size_valid(uint32_t page_size)
{
    return page_size >= PAGE_SIZE_MIN && page_size <= PAGE_SIZE_MAX && (page_size & (page_size - 1)) == 0;
}

/* The number of the page that has the lock byte. Precondition: page_size > 0. */
static inline uint32_t lock_byte_page(uint32_t page_size)
{
    assert(page_size > 0);
    return LOCK_BYTE_OFFSET / page_size + 1;
}

#endif
