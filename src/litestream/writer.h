/* litestream/writer.h - writes pages into the file of a new database, in few calls. */
#ifndef SEAWALL_LITESTREAM_WRITER_H
#define SEAWALL_LITESTREAM_WRITER_H

#include "base/err.h"

#include <stdint.h>

#define WRITER_BYTES ((size_t)1 << 20)

struct writer {
    int fd;             /* borrowed */
    uint32_t page_size; /* 0: not known yet */
    uint32_t pages;     /* the size of the database so far */
    uint8_t *bytes;     /* owned: WRITER_BYTES */
    uint64_t offset;    /* of the first byte of `bytes` in the file */
    size_t n;
};

/* `fd`: an empty file. The caller ends with writer_release. ERR_NOMEM. */
int writer_begin(struct writer *w, int fd, struct err *e) MUST_CHECK;
void writer_release(struct writer *w);

/* Sets the page size, or checks that it is that of the pages before. ERR_CORRUPT. */
int writer_page_size(struct writer *w, uint32_t page_size, struct err *e) MUST_CHECK;

/* Returns the place for the bytes of page `pgno`, which the caller must fill before it calls the writer again. NULL: an
 * error. Preconditions: the page size is set, and pgno is not 0. ERR_IO. */
uint8_t *writer_place(struct writer *w, uint32_t pgno, struct err *e);

/* Writes bytes after those that were written last. ERR_IO. */
int writer_append(struct writer *w, const uint8_t *bytes, size_t n, struct err *e) MUST_CHECK;

/* Writes what is kept in memory. ERR_IO. */
int writer_flush(struct writer *w, struct err *e) MUST_CHECK;

/* The database has `pages` pages now. Pages beyond are cut off; pages that were never written are zeros. ERR_IO. */
int writer_set_size(struct writer *w, uint32_t pages, struct err *e) MUST_CHECK;

#endif
