/* base/btree.h - pages of SQLite's b-trees. Source: SQLite "Database File Format", section 1.6. */
#ifndef SEAWALL_BASE_BTREE_H
#define SEAWALL_BASE_BTREE_H

#include "base/endian.h"
#include "base/sqlite_file.h"

#define BTREE_HEADER_BYTES 12 /* of an interior page; the pointers to its cells follow */

/* The first byte of the header of a page. */
enum btree_type { BTREE_INDEX_INTERIOR = 2, BTREE_TABLE_INTERIOR = 5, BTREE_INDEX_LEAF = 10, BTREE_TABLE_LEAF = 13 };

/* Where the header of a page begins. */
static inline size_t btree_header_at(uint32_t pgno)
{
    return pgno == 1 ? SQLITE_FILE_HEADER_BYTES : 0;
}

static inline unsigned btree_cells(const uint8_t *page, size_t header)
{
    return get_be16(page + header + 3);
}

/* Where the content of the cells begins. */
static inline size_t btree_content_at(const uint8_t *page, size_t header)
{
    const uint16_t at = get_be16(page + header + 5);
    return at ? at : 65536;
}

/* Of an interior page: the child behind all cells. */
static inline uint32_t btree_last_child(const uint8_t *page, size_t header)
{
    return get_be32(page + header + 8);
}

/* Of an interior page: where the cell number `index` begins, which has the number of its child first. 0: it is not in the
 * page. */
static inline size_t btree_cell_at(const uint8_t *page, uint32_t page_size, size_t header, unsigned index)
{
    const size_t pointer = header + BTREE_HEADER_BYTES + 2 * (size_t)index;
    const size_t at = pointer + 2 <= page_size ? get_be16(page + pointer) : 0;
    return at + 4 <= page_size ? at : 0;
}

#endif
