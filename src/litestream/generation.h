/* litestream/generation.h - restores from a generation of Litestream 0.3: a snapshot of the database file, then the WALs
 * after it, each in several segments.
 *
 * Checked: the checksum of each LZ4 frame, salts and checksums of all frames of a WAL, and that the segments of an index
 * follow each other. Not checked: that a WAL fits to the snapshot and to the index before, because nothing in them says
 * that. */
#ifndef SEAWALL_LITESTREAM_GENERATION_H
#define SEAWALL_LITESTREAM_GENERATION_H

#include "litestream/feed.h"
#include "litestream/names.h"
#include "litestream/writer.h"

/* Reads the object of the feed, a snapshot, and writes the database. ERR_CORRUPT: damaged, or not a database. Other
 * errors: of frame_read, ERR_IO. */
int generation_snapshot(struct feed *f, struct writer *w, struct err *e) MUST_CHECK;

/* A WAL that is put together from its segments, in a file. `bytes`: those from its beginning on that are there. */
struct wal_file {
    int fd; /* borrowed; empty at first */
    uint64_t bytes;
};

/* Reads the object of the feed, a segment named `name`, and puts it into the WAL at its offset. It can have bytes that
 * the next segment has too: under load Litestream goes on reading after it has chosen the name. ERR_CORRUPT: damaged, or
 * bytes before it are missing. Other errors: of frame_read, ERR_IO. */
int generation_segment(struct feed *f, const struct lite_name *name, struct wal_file *wal, struct err *e) MUST_CHECK;

/* Applies the WAL up to its last commit, and empties it. ERR_CORRUPT: a frame does not continue the WAL, or has another
 * page size than the database. ERR_IO, ERR_NOMEM. */
int generation_apply(struct wal_file *wal, struct writer *w, struct err *e) MUST_CHECK;

#endif
