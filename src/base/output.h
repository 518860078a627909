/* base/output.h - writes a large file in large pieces and, where that is possible, past the page cache.
 *
 * A write past the page cache (O_DIRECT) saves one copy of every byte in memory, and leaves the caches of other
 * programs alone. The disk writes while other threads compute. It is only tried on ext4 and XFS: over a network, and
 * where the file system compresses, the page cache is of use. Where it is not possible, the kernel is asked to begin
 * to write each piece to the disk at once. The caller syncs the file in any case. */
#ifndef SEAWALL_BASE_OUTPUT_H
#define SEAWALL_BASE_OUTPUT_H

#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A file that several threads write. */
struct output {
    int fd;             /* borrowed */
    const char *path;   /* borrowed; NULL: messages name no file */
    uint64_t bytes;     /* of the file; 0: it has holes */
    atomic_bool direct; /* writes go past the page cache */
};

enum output_way { OUTPUT_CACHED, OUTPUT_DIRECT };

/* Begins to write. `bytes`: the file will be so long, and each byte of it gets written, so blocks can be allocated in ranges
 * of OUTPUT_RANGE_BYTES, and the file may be that long early; 0: the file has holes, and they stay. If OUTPUT_DIRECT is
 * not possible, the output is cached. A piece whose offset or length is not a multiple of OUTPUT_ALIGN is cached too, and
 * so is all that is written after it. Until output_end, `fd` is written by this output only, and not read. */
void output_begin(struct output *o, int fd, const char *path, uint64_t bytes, enum output_way way);

/* Ends it: reads and writes of `fd` go through the page cache again. Precondition: every thread has freed its piece. */
void output_end(struct output *o);

#define OUTPUT_ALIGN 4096
#define OUTPUT_PIECE_BYTES (1u << 20) /* a multiple of OUTPUT_ALIGN */
#define OUTPUT_RANGE_BYTES (64u << 20)

/* Neighbouring bytes that a thread has not written yet. */
struct output_piece {
    struct output *to;  /* borrowed */
    uint8_t *bytes;     /* owned: OUTPUT_PIECE_BYTES */
    uint64_t offset;    /* in the file */
    size_t len;         /* 0: none */
    uint64_t range_end; /* of the range for which blocks were allocated last; 0: none */
};

/* Makes the memory of a piece. The caller frees it with output_piece_free. ERR_NOMEM. */
int output_piece_init(struct output_piece *p, struct output *to, struct err *e) MUST_CHECK;
void output_piece_free(struct output_piece *p); /* drops what is not written; a zeroed piece is fine */

/* Adds `n` bytes that belong at `offset`. What the piece held before is written first, if the bytes do not continue it
 * or do not fit. Precondition: n <= OUTPUT_PIECE_BYTES. ERR_IO. */
int output_add(struct output_piece *p, uint64_t offset, const uint8_t *bytes, size_t n, struct err *e) MUST_CHECK;

/* Writes what the piece holds. ERR_IO. */
int output_flush(struct output_piece *p, struct err *e) MUST_CHECK;

/* Writes `n` bytes of a new file, from its beginning, in pieces past the page cache if there are many. ERR_IO,
 * ERR_NOMEM. */
int output_whole(int fd, const uint8_t *bytes, size_t n, struct err *e) MUST_CHECK;

#endif
