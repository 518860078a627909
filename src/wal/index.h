/* wal/index.h - writes the log as SQLite does: the headers of the -wal, its frames, and the wal-index that publishes them.
 *
 * Source: SQLite "WAL-mode File Format", section 2 (the wal-index), and "Database File Format", section 4.
 *
 * The wal-index is a row of blocks of 32 KiB. Each has the page numbers of its frames, and a hash table of them. The
 * first block begins with the headers, and has fewer frames. Other processes look pages up while a block is written: a
 * slot of the table is stored whole, after the page number that it leads to, and readers ignore frames after mxFrame.
 *
 * Preconditions of all functions: frames are numbered from 1; a block is that of the frame (wal_index_place), mapped whole
 * and aligned to 8 bytes. */
#ifndef SEAWALL_WAL_INDEX_H
#define SEAWALL_WAL_INDEX_H

#include "wal/header.h"

#define WAL_INDEX_BLOCK_BYTES 32768
#define WAL_INDEX_FIRST_FRAMES 4062 /* in the first block */
#define WAL_INDEX_FRAMES 4096       /* in each other block */
#define WAL_INDEX_READERS 5         /* read marks */
#define WAL_INDEX_ATTEMPTED 128     /* offset of nBackfillAttempted */

struct wal_index_place {
    uint32_t block; /* from 0 */
    uint32_t index; /* of the frame in the block, from 1 */
};
struct wal_index_place wal_index_place(uint32_t frame);

/* Adds a frame to its block. The first frame of a block clears it. What a writer that died left at this place or behind it is
 * removed first. Precondition: every frame before it was added. False: the table of the block is damaged. */
bool wal_index_add(uint8_t *block, uint32_t frame, uint32_t pgno);

/* The newest frame with this page in block number `number`, among the frames up to `upto`. 0: the block has none. */
uint32_t wal_index_find(const uint8_t *block, uint32_t number, uint32_t pgno, uint32_t upto);

/* Writes one copy of the wal-index header. wal_index_header_decode gives the same header. */
void wal_index_header_encode(const struct wal_index_header *header, uint8_t out[WAL_INDEX_HEADER_BYTES]);

/* Writes the header of a -wal, and sets header->sum. header->order must be WAL_NATIVE_ORDER. */
void wal_header_encode(struct wal_header *header, uint8_t out[WAL_HEADER_BYTES]);

/* Writes the header of a frame before its page, which follows in `frame`. `before`: the sum of the frame before it, or of
 * the header of the -wal. Uses pgno, db_pages and salt of `header`, and sets header->sum. */
void wal_frame_encode(struct wal_frame_header *header, struct wal_sum before, uint32_t page_size, uint8_t *frame);

#endif
