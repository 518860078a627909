/* wal/header.h - decodes the headers of a -wal file and of its wal-index. The caller reads the bytes.
 *
 * Source: SQLite "Database File Format" section 4 (the write-ahead log) and "WAL-mode File Format" section 2.1 (the
 * wal-index header).
 *
 *   -wal: a header of 32 bytes, then frames of 24 + page_size bytes, numbered from 1. Integers are big-endian.
 *   -shm: two copies of a 48-byte header in the byte order of the machine, then the checkpoint fields. */
#ifndef SEAWALL_WAL_HEADER_H
#define SEAWALL_WAL_HEADER_H

#include "base/err.h"
#include "wal/checksum.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#define WAL_HEADER_BYTES 32
#define WAL_FRAME_HEADER_BYTES 24
#define WAL_SALT_BYTES 8
#define WAL_INDEX_HEADER_BYTES 48
#define WAL_INDEX_NBACKFILL 96            /* offset of nBackfill in the -shm */
#define WAL_INDEX_READ_MARKS 100          /* offset of aReadMark: a u32 for each read slot, 0 to 4 */
#define WAL_READ_MARK_NOT_USED UINT32_MAX /* value of a read mark: the slot is free */
#define WAL_INDEX_MIN_BYTES 136
#define WAL_FORMAT_VERSION 3007000

struct wal_header {
    enum wal_order order;
    uint32_t page_size; /* bytes */
    uint32_t checkpoint_seq;
    uint8_t salt[WAL_SALT_BYTES];
    struct wal_sum sum; /* of the header: the sum of the first frame continues it */
};

/* Decodes a WAL header. ERR_CORRUPT: not a WAL header, or a wrong checksum (a power cut can tear the header). */
int wal_header_decode(const uint8_t bytes[WAL_HEADER_BYTES], struct wal_header *ret_header, struct err *e) MUST_CHECK;

struct wal_frame_header {
    uint32_t pgno;
    uint32_t db_pages; /* in the last frame of a commit: pages of the database after it; 0 in other frames */
    uint8_t salt[WAL_SALT_BYTES];
    struct wal_sum sum;
};
void wal_frame_header_decode(const uint8_t bytes[WAL_FRAME_HEADER_BYTES], struct wal_frame_header *ret_frame);

/* Offset of a frame in the -wal file. Precondition: frame >= 1. */
static inline uint64_t wal_frame_offset(uint32_t frame, uint32_t page_size)
{
    assert(frame >= 1);
    return WAL_HEADER_BYTES + (uint64_t)(frame - 1) * (WAL_FRAME_HEADER_BYTES + page_size);
}

struct wal_index_header {
    uint32_t change;    /* counts commits */
    uint32_t page_size; /* bytes */
    uint32_t mx_frame;  /* last committed frame of this generation; 0: none */
    uint32_t db_pages;  /* pages of the database after it */
    uint8_t salt[WAL_SALT_BYTES];
    struct wal_sum frame_sum; /* of frame mx_frame */
};

/* Decodes the wal-index header. Precondition: copy1 was read before copy2, with a memory barrier between. False: the
 * copies differ, are not initialised, or have a wrong checksum. The reason is a process that writes the header now, or
 * that died while it wrote. */
bool wal_index_header_decode(const uint8_t copy1[WAL_INDEX_HEADER_BYTES], const uint8_t copy2[WAL_INDEX_HEADER_BYTES],
                             struct wal_index_header *ret_header);

/* The position of a reader in the log. Salts and frame number alone do not identify it: after a power cut, other frames
 * can follow under the same salts. */
struct wal_pos {
    uint8_t salt[WAL_SALT_BYTES];
    uint32_t frame; /* 0: before the first frame of the generation */
    struct wal_sum sum;
};

/* The position after the last committed frame. */
struct wal_pos wal_index_pos(const struct wal_index_header *header);
bool wal_pos_equal(const struct wal_pos *a, const struct wal_pos *b);

#endif
