/* litestream/writer.c */
#include "litestream/writer.h"

#include "base/io.h"
#include "base/page.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int writer_begin(struct writer *w, int fd, struct err *e)
{
    *w = (struct writer){.fd = fd, .bytes = malloc(WRITER_BYTES)};
    return w->bytes ? 0 : err_nomem(e, WRITER_BYTES);
}

void writer_release(struct writer *w)
{
    free(w->bytes);
    w->bytes = NULL;
}

int writer_page_size(struct writer *w, uint32_t page_size, struct err *e)
{
    if (!page_size_valid(page_size))
        return err_set(e, ERR_CORRUPT, 0, "its page size is %" PRIu32 " bytes, which no database has", page_size);
    if (w->page_size && w->page_size != page_size)
        return err_set(e, ERR_CORRUPT, 0, "its pages have %" PRIu32 " bytes, those before it %" PRIu32, page_size,
                       w->page_size);
    w->page_size = page_size;
    return 0;
}

int writer_flush(struct writer *w, struct err *e)
{
    const size_t n = w->n;
    w->n = 0;
    return n && io_pwrite(w->fd, w->bytes, n, w->offset, e) ? -1 : 0;
}

uint8_t *writer_place(struct writer *w, uint32_t pgno, struct err *e)
{
    assert(w->page_size && pgno);
    const uint64_t offset = (uint64_t)(pgno - 1) * w->page_size;
    if (w->n + w->page_size > WRITER_BYTES || w->offset + w->n != offset) {
        if (writer_flush(w, e))
            return NULL;
        w->offset = offset;
    }
    uint8_t *place = w->bytes + w->n;
    w->n += w->page_size;
    return place;
}

int writer_append(struct writer *w, const uint8_t *bytes, size_t n, struct err *e)
{
    while (n > 0) {
        const size_t room = WRITER_BYTES - w->n, part = n < room ? n : room;
        memcpy(w->bytes + w->n, bytes, part);
        w->n += part;
        bytes += part;
        n -= part;
        if (w->n == WRITER_BYTES) {
            if (writer_flush(w, e))
                return -1;
            w->offset += WRITER_BYTES;
        }
    }
    return 0;
}

int writer_set_size(struct writer *w, uint32_t pages, struct err *e)
{
    assert(w->page_size);
    if (writer_flush(w, e))
        return -1;
    w->offset = UINT64_MAX; /* the next page begins a new run */
    if (pages != w->pages && ftruncate(w->fd, (off_t)((uint64_t)pages * w->page_size)) != 0)
        return err_sys(e, errno, "set the size of the database to %" PRIu32 " pages", pages);
    w->pages = pages;
    return 0;
}
