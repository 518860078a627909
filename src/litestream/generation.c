/* litestream/generation.c */
#include "litestream/generation.h"

#include "base/io.h"
#include "base/page.h"
#include "base/sqlite_file.h"
#include "litestream/frame.h"
#include "wal/reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the snapshot */

struct snapshot {
    struct writer *writer;
    uint8_t header[SQLITE_FILE_HEADER_BYTES];
    uint64_t bytes;
};

static int snapshot_bytes(void *context, const uint8_t *bytes, size_t n, struct err *e)
{
    struct snapshot *s = context;
    if (s->bytes < sizeof s->header) {
        const size_t room = sizeof s->header - (size_t)s->bytes;
        memcpy(s->header + s->bytes, bytes, n < room ? n : room);
    }
    s->bytes += n;
    return writer_append(s->writer, bytes, n, e);
}

int generation_snapshot(struct feed *f, struct writer *w, struct err *e)
{
    struct snapshot s = {.writer = w};
    struct sqlite_file header;
    struct frame_reader *r = NULL;
    int rc = frame_reader_new(&r, e);
    if (rc == 0)
        rc = frame_read(r, f, snapshot_bytes, &s, e);
    frame_reader_free(r);
    if (rc)
        return -1;
    if (s.bytes < sizeof s.header || !sqlite_file_decode(s.header, &header) || s.bytes % header.page_size != 0 ||
        s.bytes / header.page_size > UINT32_MAX)
        return err_set(e, ERR_CORRUPT, 0, "it is not a SQLite database of whole pages");
    return writer_page_size(w, header.page_size, e) || writer_set_size(w, (uint32_t)(s.bytes / header.page_size), e)
               ? -1
               : 0;
}

/* ---- segments */

struct segment {
    const struct wal_file *wal;
    uint64_t end; /* in the WAL, of what was written */
};

static int segment_bytes(void *context, const uint8_t *bytes, size_t n, struct err *e)
{
    struct segment *s = context;
    if (io_pwrite(s->wal->fd, bytes, n, s->end, e))
        return -1;
    s->end += n;
    return 0;
}

int generation_segment(struct feed *f, const struct lite_name *name, struct wal_file *wal, struct err *e)
{
    struct segment s = {.wal = wal, .end = name->offset};
    struct frame_reader *r = NULL;
    if (name->offset > wal->bytes)
        return err_set(e, ERR_CORRUPT, 0,
                       "it begins at byte %" PRIu32 " of the WAL, those before it end at byte %" PRIu64, name->offset,
                       wal->bytes);
    int rc = frame_reader_new(&r, e);
    if (rc == 0)
        rc = frame_read(r, f, segment_bytes, &s, e);
    frame_reader_free(r);
    if (rc == 0 && s.end > wal->bytes)
        wal->bytes = s.end;
    return rc;
}

/* ---- the WAL */

struct commit {
    uint32_t frame; /* 0: none */
    uint32_t pages;
};

struct scan {
    struct wal_file *wal;
    struct wal_header header;
    uint8_t *frame; /* of one frame */
    size_t frame_bytes;
};

static int read_frame(const struct scan *s, struct wal_reader *r, struct wal_frame *ret, struct err *e)
{
    const uint64_t offset = wal_frame_offset(r->pos.frame + 1, s->header.page_size);
    return io_pread(s->wal->fd, s->frame, s->frame_bytes, offset, e) || wal_reader_next(r, s->frame, ret, e) ? -1 : 0;
}

/* Checks all frames, and finds the last commit. */
static int find_commit(const struct scan *s, struct commit *ret, struct err *e)
{
    const uint64_t frames = (s->wal->bytes - WAL_HEADER_BYTES) / s->frame_bytes;
    struct wal_reader r;
    struct wal_frame frame;
    *ret = (struct commit){0};
    if (frames >= UINT32_MAX || (s->wal->bytes - WAL_HEADER_BYTES) % s->frame_bytes != 0)
        return err_set(e, ERR_CORRUPT, 0, "the WAL ends within a frame");
    wal_reader_start(&r, &s->header);
    while (r.pos.frame < frames) {
        if (read_frame(s, &r, &frame, e))
            return -1;
        if (frame.db_pages)
            *ret = (struct commit){.frame = frame.number, .pages = frame.db_pages};
    }
    return 0;
}

static int write_frames(const struct scan *s, const struct commit *c, struct writer *w, struct err *e)
{
    struct wal_reader r;
    struct wal_frame frame;
    wal_reader_start(&r, &s->header);
    while (r.pos.frame < c->frame) {
        if (read_frame(s, &r, &frame, e))
            return -1;
        if (frame.pgno > c->pages)
            continue; /* cut off by the commit */
        uint8_t *out = writer_place(w, frame.pgno, e);
        if (!out)
            return -1;
        memcpy(out, frame.page, s->header.page_size);
    }
    return c->frame ? writer_set_size(w, c->pages, e) : 0;
}

static int apply(struct scan *s, struct writer *w, struct err *e)
{
    uint8_t header[WAL_HEADER_BYTES];
    struct commit last;
    if (s->wal->bytes < WAL_HEADER_BYTES)
        return err_set(e, ERR_CORRUPT, 0, "the WAL ends within its header");
    if (io_pread(s->wal->fd, header, sizeof header, 0, e) || wal_header_decode(header, &s->header, e) ||
        writer_page_size(w, s->header.page_size, e))
        return -1;
    s->frame_bytes = WAL_FRAME_HEADER_BYTES + s->header.page_size;
    s->frame = malloc(s->frame_bytes);
    if (!s->frame)
        return err_nomem(e, s->frame_bytes);
    int rc = find_commit(s, &last, e) || write_frames(s, &last, w, e) ? -1 : 0;
    free(s->frame);
    return rc;
}

int generation_apply(struct wal_file *wal, struct writer *w, struct err *e)
{
    struct scan s = {.wal = wal};
    if (apply(&s, w, e))
        return -1;
    wal->bytes = 0;
    return ftruncate(wal->fd, 0) == 0 ? 0 : err_sys(e, errno, "empty the WAL");
}
