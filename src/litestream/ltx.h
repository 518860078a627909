/* litestream/ltx.h - decodes a file of Litestream 0.5: pages of a database, each as it was after the last of the
 * file's transactions.
 *
 * Source: the README of github.com/superfly/ltx ("File Format", version 3), and files that Litestream 0.5.0 to 0.5.18
 * wrote. Integers are big-endian.
 *
 *   header   100 bytes
 *   pages    in ascending order: 6 bytes (number, flags), then either
 *              a length of 4 bytes and an LZ4 block (flag 1), or
 *              an LZ4 frame (no flag; written by early versions of Litestream 0.5)
 *            6 zeros end them
 *   index    not needed here: its length, without the 8 bytes of the length itself, is at its end
 *   trailer  checksum of the database, checksum of the file
 *
 * What is checked: the checksum of the file, which covers everything but the compressed bytes (it is made of the pages
 * before compression); the order of pages; that a snapshot has every page. Litestream sets header flag 2, so its files
 * have no checksum of the database: nothing proves that a file fits to the one before, except the txids. */
#ifndef SEAWALL_LITESTREAM_LTX_H
#define SEAWALL_LITESTREAM_LTX_H

#include "litestream/feed.h"
#include "litestream/writer.h"

#define LTX_HEADER_BYTES 100
#define LTX_BYTES_MIN (LTX_HEADER_BYTES + 6 + 1 + 8 + 16) /* a file without pages */

struct ltx_header {
    uint32_t page_size;
    uint32_t pages; /* of the database, after the file was applied */
    uint64_t min, max;
    int64_t time_ms;
};

/* ERR_CORRUPT: these are not the first bytes of an LTX file, or it is of a kind that this program does not know. */
int ltx_header_decode(const uint8_t bytes[LTX_HEADER_BYTES], struct ltx_header *ret, struct err *e) MUST_CHECK;

struct ltx_reader;

/* Decodes files. ERR_NOMEM. */
int ltx_reader_new(struct ltx_reader **ret, struct err *e) MUST_CHECK;
void ltx_reader_free(struct ltx_reader *r); /* NULL is allowed */

/* Reads the object of the feed from its beginning to its end, and writes its pages. If `first` is true, it must be a
 * snapshot. Afterwards the file has the size that the header says. ERR_CORRUPT: the file is damaged. ERR_IO: can't
 * write. Other errors: of the feed. After an error some pages may be written. */
int ltx_apply(struct ltx_reader *r, struct feed *f, bool first, struct writer *w, struct ltx_header *ret,
              struct err *e) MUST_CHECK;

#endif
