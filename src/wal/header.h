/* wal/header.h - the fixed parts of a -wal file and of its wal-index, decoded. Bytes in, fields out: knows no file and no SQLite.
 *
 * Source: SQLite "Database File Format" section 4 (the write-ahead log) and "WAL-mode File Format" section 2.1 (the wal-index
 * header).
 *
 *   -wal:  header of 32 bytes, then frames of 24 + page_size bytes. Frames count from 1. Integers are big-endian.
 *   -shm:  two copies of a 48-byte header in the byte order of the machine, then the checkpoint fields. */
#ifndef SEAWALL_WAL_HEADER_H
#define SEAWALL_WAL_HEADER_H

#include "base/err.h"
#include "wal/checksum.h"

#include <stdbool.h>
#include <stdint.h>

#define WAL_HEADER_BYTES 32
#define WAL_FRAME_HEADER_BYTES 24
#define WAL_SALT_BYTES 8
#define WAL_INDEX_HEADER_BYTES 48
#define WAL_INDEX_NBACKFILL 96 /* offset of nBackfill in the -shm */
#define WAL_INDEX_MIN_BYTES 136
#define WAL_FORMAT_VERSION 3007000

struct wal_header {
    enum wal_order order;
    uint32_t page_size; /* bytes */
    uint32_t checkpoint_seq;
    uint8_t salt[WAL_SALT_BYTES];
    struct wal_sum sum; /* of the header; the first frame continues it */
};

/* ERR_CORRUPT: not a WAL header, or its checksum is wrong (as when a power cut tore it). */
int wal_header_decode(const uint8_t bytes[WAL_HEADER_BYTES], struct wal_header *ret_header, struct err *e) MUST_CHECK;

struct wal_frame_header {
    uint32_t pgno;
    uint32_t db_pages; /* size of the database after the commit that this frame ends; 0 for any other frame */
    uint8_t salt[WAL_SALT_BYTES];
    struct wal_sum sum;
};
void wal_frame_header_decode(const uint8_t bytes[WAL_FRAME_HEADER_BYTES], struct wal_frame_header *ret_frame);

static inline uint64_t wal_frame_offset(uint32_t frame, uint32_t page_size)
{
    return WAL_HEADER_BYTES + (uint64_t)(frame - 1) * (WAL_FRAME_HEADER_BYTES + page_size);
}

/* What the wal-index says is committed. */
struct wal_index_header {
    uint32_t change; /* grows with every commit */
    uint32_t page_size;
    uint32_t mx_frame; /* last committed frame of this generation; 0: none */
    uint32_t db_pages;
    uint8_t salt[WAL_SALT_BYTES];
    struct wal_sum frame_sum; /* of frame mx_frame */
};

/* `copy1` and `copy2` were read one after the other, with a barrier in between. False when they differ, are not initialised, or
 * their checksum is wrong: somebody is writing the header just now, or died while doing so. */
bool wal_index_header_decode(const uint8_t copy1[WAL_INDEX_HEADER_BYTES], const uint8_t copy2[WAL_INDEX_HEADER_BYTES],
                             struct wal_index_header *ret_header);

/* Where a reader of the log stands. Never the frame number alone: after a power cut the same salts can go on with other frames. */
struct wal_pos {
    uint8_t salt[WAL_SALT_BYTES];
    uint32_t frame; /* 0: before the first frame of the generation */
    struct wal_sum sum;
};
struct wal_pos wal_index_pos(const struct wal_index_header *header);
bool wal_pos_equal(const struct wal_pos *a, const struct wal_pos *b);

#endif
