/* restore/lock.c */
#include "restore/lock.h"

#include "base/io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>

/* SQLite's pending, reserved and shared bytes. */
#define LOCK_RANGE_START 0x40000000
#define LOCK_RANGE_BYTES 512

static const struct flock whole_range = {
    .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_RANGE_START, .l_len = LOCK_RANGE_BYTES};

/* ERR_BUSY, with the process, if another process holds a lock in the range. */
static int check_range(int fd, const char *path, struct err *e)
{
    struct flock lock = whole_range;
    if (fcntl(fd, F_OFD_GETLK, &lock) != 0)
        return err_sys(e, errno, "look for locks on '%s'", path);
    if (lock.l_type == F_UNLCK)
        return 0;
    if (lock.l_pid > 0)
        err_set(e, ERR_BUSY, 0, "'%s' is in use by process %d", path, (int)lock.l_pid);
    else
        err_set(e, ERR_BUSY, 0, "'%s' is in use by another process", path);
    return err_hint(e, "stop the application and the seawall daemon of this database first");
}

struct folder_file lock_database(const char *name, enum folder_access access)
{
    return (struct folder_file){.name = name, .like = name, .access = access, .may_be_linked = true};
}

int lock_check(const struct folder *f, const char *name, struct err *e)
{
    int fd = -1;
    char path[PATH_TEXT_MAX];
    const struct folder_file database = lock_database(name, FOLDER_UPDATE);
    if (path_format(path, e, "%s/%s", f->path, name) || folder_open_file(f, &database, &fd, e))
        return -1;
    int rc = check_range(fd, path, e);
    io_close(&fd);
    return rc;
}

int lock_take(int fd, const char *path, struct err *e)
{
    assert(fd >= 0);
    struct flock lock = whole_range;
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return 0;
    if (errno != EAGAIN && errno != EACCES)
        return err_sys(e, errno, "lock '%s'", path);
    if (check_range(fd, path, e))
        return -1;
    return err_set(e, ERR_BUSY, 0, "'%s' was in use by another process until a moment ago", path);
}

int lock_check_alone(int fd, const char *path, struct err *e)
{
    assert(fd >= 0);
    fcntl(fd, F_SETSIG, SIGURG); /* if another process opens the file just now: a signal that is ignored by default */
    if (fcntl(fd, F_SETLEASE, F_WRLCK) == 0) {
        fcntl(fd, F_SETLEASE, F_UNLCK);
        return 0;
    }
    if (errno != EAGAIN)
        return 0;
    err_set(e, ERR_BUSY, 0, "'%s' is open in another process", path);
    return err_hint(e, "stop the application and the seawall daemon of this database first");
}
