/* wal/reader.h - checks the frames of one WAL generation, one after the other. The caller reads the bytes.
 *
 * A frame continues the log if and only if (SQLite "Database File Format", section 4.1):
 *   (1) its salts equal those of the WAL header, and
 *   (2) its checksum continues the checksum of the frame before it.
 * A frame is committed if and only if its number is at most the mxFrame of a consistent wal-index header. A commit
 * frame in the file alone does not prove a commit: a transaction that spilled its cache and rolled back leaves such
 * frames, with valid checksums. */
#ifndef SEAWALL_WAL_READER_H
#define SEAWALL_WAL_READER_H

#include "wal/header.h"

struct wal_reader {
    enum wal_order order;
    uint32_t page_size;
    struct wal_pos pos; /* the last frame that was checked, and the running checksum after it */
};

struct wal_frame {
    uint32_t number; /* in the generation, from 1 */
    uint32_t pgno;
    uint32_t db_pages;   /* in the last frame of a commit: pages of the database after it; otherwise 0 */
    const uint8_t *page; /* borrowed: page_size bytes, in the bytes of the caller */
};

/* Begins before the first frame of the generation of `header`. */
void wal_reader_start(struct wal_reader *r, const struct wal_header *header);

/* Begins after `pos`, or before the first frame if pos->frame is 0. Precondition: the frame of `pos` was checked
 * before. ERR_CORRUPT: `header` has other salts than `pos`, so it is of another generation. */
int wal_reader_resume(struct wal_reader *r, const struct wal_header *header, const struct wal_pos *pos,
                      struct err *e) MUST_CHECK;

/* Checks the next frame. `bytes`: the 24 + page_size bytes of frame pos.frame + 1. Precondition: the frame is
 * committed. ERR_CORRUPT: the frame does not continue the log. Then the position is unchanged, and the caller must
 * resync; it must not skip the frame. */
int wal_reader_next(struct wal_reader *r, const uint8_t *bytes, struct wal_frame *ret_frame, struct err *e) MUST_CHECK;

#endif
