/* base/io.c */
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int io_pread(int fd, void *out, size_t n, uint64_t offset, struct err *e)
{
    uint8_t *to = out;
    size_t done = 0;
    while (done < n) {
        ssize_t got = pread(fd, to + done, n - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(e, errno, "pread %zu bytes at %llu", n, (unsigned long long)offset);
        if (got == 0)
            return err_set(e, ERR_CORRUPT, 0, "file ends at %llu, wanted %zu bytes at %llu",
                           (unsigned long long)(offset + done), n, (unsigned long long)offset);
        done += (size_t)got;
    }
    return 0;
}

int io_pwrite(int fd, const void *bytes, size_t n, uint64_t offset, struct err *e)
{
    const uint8_t *from = bytes;
    size_t done = 0;
    while (done < n) {
        ssize_t put = pwrite(fd, from + done, n - done, (off_t)(offset + done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return err_sys(e, errno, "pwrite %zu bytes at %llu", n, (unsigned long long)offset);
        done += (size_t)put;
    }
    return 0;
}

int io_write(int fd, const void *bytes, size_t n, struct err *e)
{
    const uint8_t *from = bytes;
    size_t done = 0;
    while (done < n) {
        ssize_t put = write(fd, from + done, n - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return err_sys(e, errno, "write %zu bytes", n);
        done += (size_t)put;
    }
    return 0;
}

int io_fsync(int fd, const char *path, struct err *e)
{
    return fsync(fd) ? err_sys(e, errno, "fsync '%s'", path) : 0;
}

int io_fsync_dir(const char *dir, struct err *e)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, errno, "open '%s'", dir);
    int rc = io_fsync(fd, dir, e);
    io_close(&fd);
    return rc;
}

int io_sync_file_system(const char *dir, struct err *e)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, errno, "open '%s'", dir);
    int rc = syncfs(fd) ? err_sys(e, errno, "sync the file system of '%s'", dir) : 0;
    io_close(&fd);
    return rc;
}

void io_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

bool io_is_passing(int sys)
{
    return sys == EMFILE || sys == ENFILE || sys == ENOMEM || sys == EIO || sys == EINTR;
}

bool io_is_no_room(int sys)
{
    return sys == ENOSPC || sys == EDQUOT || sys == EFBIG;
}
