/* capture/copy_reader.h - reads the pieces of a copy (cargo/copy.h) out of the local database, under the watch. */
#ifndef SEAWALL_CAPTURE_COPY_READER_H
#define SEAWALL_CAPTURE_COPY_READER_H

#include "capture/capture.h"
#include "cargo/copy.h"

/* Reads the next piece. Only while the map equals what was captured and nothing is torn. None, and `failed`: the page size is
 * another. ERR_CORRUPT: a page is not what the map says; the local database has to be resynced. */
int copy_read(struct copy *c, struct capture *capture, struct piece **ret_piece, struct err *e) MUST_CHECK;

#endif
