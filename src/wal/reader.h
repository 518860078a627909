/* wal/reader.h - frames of one WAL generation in, proven frames out. Knows no file and no SQLite: the caller hands it bytes.
 *
 * A frame continues the log if and only if (SQLite "Database File Format", section 4.1):
 *   (1) its salts equal those of the WAL header, and
 *   (2) its checksum continues the checksum of the frame before it.
 * A frame is committed if and only if it lies at or below the mxFrame of a consistent wal-index header. A commit frame in the file
 * is no commit: a transaction that spilled its cache and rolled back leaves such frames behind, with valid checksums. */
#ifndef SEAWALL_WAL_READER_H
#define SEAWALL_WAL_READER_H

#include "wal/header.h"

struct wal_reader {
    enum wal_order order;
    uint32_t page_size;
    struct wal_pos pos; /* last frame that was proven, and the running checksum after it */
};

struct wal_frame {
    uint32_t number; /* in the generation, from 1 */
    uint32_t pgno;
    uint32_t db_pages;   /* 0, or the size of the database after the commit that ends here */
    const uint8_t *page; /* page_size bytes inside what the caller passed */
};

/* Stands before the first frame of the generation that `header` starts. */
void wal_reader_start(struct wal_reader *r, const struct wal_header *header);

/* Goes on after `pos`, whose frame was proven before; `header` is the header of its generation.
 * ERR_CORRUPT: the header is of another generation. */
int wal_reader_resume(struct wal_reader *r, const struct wal_header *header, const struct wal_pos *pos,
                      struct err *e) MUST_CHECK;

/* Proves the next frame: `bytes` holds 24 + page_size bytes, those of frame pos.frame + 1. The caller makes sure that it is
 * committed. ERR_CORRUPT: it does not continue the log; the reader did not move, the caller must resync, never skip. */
int wal_reader_next(struct wal_reader *r, const uint8_t *bytes, struct wal_frame *ret_frame, struct err *e) MUST_CHECK;

#endif
