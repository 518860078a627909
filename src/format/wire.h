/* format/wire.h - offsets in the trailer of an object, for writer and reader. seawall-format(5) has the table. */
#ifndef SEAWALL_FORMAT_WIRE_H
#define SEAWALL_FORMAT_WIRE_H

#define SEGMENT_MAGIC "\x89SWL\r\n\x1a\n" /* a transfer that changes line ends or cuts the eighth bit damages it */
#define SEGMENT_TRAILER_MAGIC "\n\x1a\n\rLWS\x89" /* the same bytes, backwards */

enum {
    TRAILER_VERSION = 0,
    TRAILER_KIND = 2,
    TRAILER_LEVEL = 3,
    TRAILER_FLAGS = 4,
    TRAILER_MIN = 8,
    TRAILER_MAX = 16,
    TRAILER_START = 24,
    TRAILER_PAGE_SIZE = 32,
    TRAILER_FIRST_PAGE = 36,
    TRAILER_LAST_PAGE = 40,
    TRAILER_CODEC = 44,
    TRAILER_VERSION_COUNT = 48,
    TRAILER_BLOCK_COUNT = 52,
    TRAILER_RECORD_COUNT = 56,
    TRAILER_LIST_COUNT = 60,
    TRAILER_TIME = 64,
    TRAILER_DATABASE = 72,
    TRAILER_WRITER = 88,
    TRAILER_RUN = 104,
    TRAILER_NONCE = 120,
    TRAILER_CHECKSUM_BEFORE = 136,
    TRAILER_DIGEST_BEFORE = 144,
    TRAILER_TAIL_OFFSET = 176,
    TRAILER_RECORDS_STORED = 184,
    TRAILER_INDEX_STORED = 188,
    TRAILER_LIST_STORED = 192,
    TRAILER_RECORDS_RAW = 196,
    TRAILER_INDEX_RAW = 200,
    TRAILER_LIST_RAW = 204,
    TRAILER_TAIL_CHECKSUM = 208,
    TRAILER_OBJECT_SIZE = 216,
    TRAILER_CHECKSUM = 224,
    TRAILER_MAGIC = 232,
};
#define TRAILER_CODEC_ZLIB 1

#endif
