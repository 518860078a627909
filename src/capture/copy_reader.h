/* capture/copy_reader.h - reads the pieces of a copy (cargo/copy.h) out of the local database, under the watch. */
#ifndef SEAWALL_CAPTURE_COPY_READER_H
#define SEAWALL_CAPTURE_COPY_READER_H

#include "capture/capture.h"
#include "cargo/copy.h"

/* Reads the next piece of a copy and moves its cursor. Before: terms->kind is not COPY_NONE, the cursor has not
 * read everything, capture->proven is true, and the wal-index header is not torn. *ret_piece: the piece, owned by
 * the caller. Unchanged if the page size is no longer that of the copy; then cursor->failed is true.
 * ERR_CORRUPT: a page is not as the page map says, so all pages must be compared with the map.
 * ERR_NOMEM, ERR_SQLITE, ERR_IO. After an error *ret_piece is unchanged, and cursor->failed says whether the copy
 * must begin again. */
int copy_read(const struct copy_terms *terms, struct copy_cursor *cursor, struct capture *capture,
              struct piece **ret_piece, struct err *e) MUST_CHECK;

#endif
