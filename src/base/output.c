/* base/output.c */
#include "base/output.h"

#include "base/io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#define WHOLE_DIRECT_BYTES (1u << 20) /* smaller files are cached */
#define ALLOCATE_BYTES (256u << 10)   /* for less, fallocate costs more than it saves */

/* Returns false if the file system refuses it. */
static bool set_direct(int fd, bool direct)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
}

static bool may_be_direct(int fd)
{
    struct statfs fs;
    return fstatfs(fd, &fs) == 0 && (fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == XFS_SUPER_MAGIC);
}

void output_begin(struct output *o, int fd, const char *path, uint64_t bytes, enum output_way way)
{
    assert(fd >= 0);
    o->fd = fd;
    o->path = path;
    o->bytes = bytes;
    atomic_init(&o->direct, way == OUTPUT_DIRECT && may_be_direct(fd) && set_direct(fd, true));
}

void output_end(struct output *o)
{
    if (atomic_exchange(&o->direct, false))
        set_direct(o->fd, false);
}

int output_piece_init(struct output_piece *p, struct output *to, struct err *e)
{
    *p = (struct output_piece){.to = to, .bytes = aligned_alloc(OUTPUT_ALIGN, OUTPUT_PIECE_BYTES)};
    return p->bytes ? 0 : err_nomem(e, OUTPUT_PIECE_BYTES);
}

void output_piece_free(struct output_piece *p)
{
    free(p->bytes);
    *p = (struct output_piece){0};
}

/* Several threads write past the page cache at a time where the file has blocks: without them, each write locks the
 * whole file. fallocate waits for all writes under way, so it is called for large ranges if all of them get bytes. It is
 * a hint, which may fail. */
static void allocate(struct output_piece *p)
{
    const uint64_t file = p->to->bytes;
    uint64_t begin = p->offset, end = p->offset + p->len;
    if (end <= file) {
        begin = p->offset / OUTPUT_RANGE_BYTES * OUTPUT_RANGE_BYTES;
        end = begin + OUTPUT_RANGE_BYTES;
        if (end == p->range_end)
            return;
        p->range_end = end;
        end = end < file ? end : file;
    } else if (p->len < ALLOCATE_BYTES) {
        return;
    }
    fallocate(p->to->fd, 0, (off_t)begin, (off_t)(end - begin));
}

/* All threads write through the page cache from now on. `direct` is cleared last: a thread that finds it cleared must
 * not meet O_DIRECT. */
static bool give_up_direct(struct output *o)
{
    if (!set_direct(o->fd, false))
        return false;
    atomic_store(&o->direct, false);
    return true;
}

/* The file system accepted O_DIRECT, and refuses the write. */
static bool is_refused(const struct err *e)
{
    return e->sys == EINVAL || e->sys == EOPNOTSUPP;
}

int output_flush(struct output_piece *p, struct err *e)
{
    struct output *o = p->to;
    size_t n = p->len;
    if (n == 0)
        return 0;
    const bool aligned = p->offset % OUTPUT_ALIGN == 0 && n % OUTPUT_ALIGN == 0;
    const bool direct = atomic_load(&o->direct) && (aligned || !give_up_direct(o));
    if (direct)
        allocate(p);
    p->len = 0;
    int rc = io_pwrite(o->fd, p->bytes, n, p->offset, e);
    if (rc != 0 && direct && is_refused(e) && give_up_direct(o))
        rc = io_pwrite(o->fd, p->bytes, n, p->offset, e);
    /* A hint, which may fail: the disk writes while we inflate, so that the fsync has less to do. */
    if (rc == 0 && !atomic_load(&o->direct) && n == OUTPUT_PIECE_BYTES)
        sync_file_range(o->fd, (off_t)p->offset, (off_t)n, SYNC_FILE_RANGE_WRITE);
    return rc == 0 || !o->path ? rc : err_wrap(e, "write '%s'", o->path);
}

int output_add(struct output_piece *p, uint64_t offset, const uint8_t *bytes, size_t n, struct err *e)
{
    assert(n <= OUTPUT_PIECE_BYTES);
    bool continues = p->len > 0 && offset == p->offset + p->len && p->len + n <= OUTPUT_PIECE_BYTES;
    if (!continues) {
        if (output_flush(p, e))
            return -1;
        p->offset = offset;
    }
    memcpy(p->bytes + p->len, bytes, n);
    p->len += n;
    return 0;
}

int output_whole(int fd, const uint8_t *bytes, size_t n, struct err *e)
{
    struct output o;
    struct output_piece p;
    if (n < WHOLE_DIRECT_BYTES)
        return io_write(fd, bytes, n, e);
    if (output_piece_init(&p, &o, e))
        return -1;
    output_begin(&o, fd, NULL, n, OUTPUT_DIRECT);
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < n; at += OUTPUT_PIECE_BYTES)
        rc = output_add(&p, at, bytes + at, n - at < OUTPUT_PIECE_BYTES ? n - at : OUTPUT_PIECE_BYTES, e);
    if (rc == 0)
        rc = output_flush(&p, e);
    output_end(&o);
    output_piece_free(&p);
    return rc;
}
