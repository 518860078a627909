/* capture/copy_reader.h - reads the pieces of a copy (cargo/copy.h) out of the local database, under the watch. */
#ifndef SEAWALL_CAPTURE_COPY_READER_H
#define SEAWALL_CAPTURE_COPY_READER_H

#include "capture/capture.h"
#include "cargo/copy.h"

/* Reads the next piece of a copy and moves its cursor. To be called only while the map equals what was captured and the
 * wal-index header is not torn. *ret_piece: the piece, owned by the caller; unchanged if the cursor has failed, because the
 * page size is no longer that of the copy. ERR_CORRUPT: a page is not what the map says, so the local database has to be
 * compared with the map. */
int copy_read(const struct copy_terms *terms, struct copy_cursor *cursor, struct capture *capture,
              struct piece **ret_piece, struct err *e) MUST_CHECK;

#endif
