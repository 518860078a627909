/* base/stage.c */
#include "base/stage.h"

#include "base/hash.h"
#include "base/io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int temporary_path(const char *dir, char out[PATH_TEXT_MAX], struct err *e)
{
    uint8_t random[8];
    char hex[17];
    if (random_bytes(random, sizeof random, e))
        return -1;
    hex_encode(random, sizeof random, hex);
    return path_format(out, e, "%s/.seawall-%s.tmp", dir, hex);
}

int stage_begin(struct stage *st, const char *dir, unsigned mode, struct err *e)
{
    *st = STAGE_NONE;
    st->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
    if (st->fd >= 0)
        return 0;
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
        return err_sys(e, errno, "create a file in folder '%s'", dir);
    if (temporary_path(dir, st->path, e))
        return -1;
    st->fd = open(st->path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode);
    if (st->fd >= 0)
        return 0;
    err_sys(e, errno, "create '%s'", st->path);
    st->path[0] = 0;
    return -1;
}

static int link_to(struct stage *st, const char *path)
{
    char proc[64];
    if (st->path[0])
        return linkat(AT_FDCWD, st->path, AT_FDCWD, path, 0);
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", st->fd);
    return linkat(AT_FDCWD, proc, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

int stage_link(struct stage *st, const char *path, struct err *e)
{
    assert(st->fd >= 0);
    int rc = link_to(st, path);
    if (rc != 0 && st->path[0] && (errno == EPERM || errno == EOPNOTSUPP)) { /* a file system without hard links */
        rc = renameat2(AT_FDCWD, st->path, AT_FDCWD, path, RENAME_NOREPLACE);
        if (rc == 0)
            st->path[0] = 0;
    }
    if (rc != 0 && errno == EEXIST)
        return err_set(e, ERR_EXISTS, EEXIST, "the file exists already");
    return rc == 0 ? 0 : err_sys(e, errno, "link '%s'", path);
}

int stage_name(struct stage *st, const char *dir, struct err *e)
{
    assert(st->fd >= 0);
    char path[PATH_TEXT_MAX];
    if (st->path[0])
        return 0;
    if (temporary_path(dir, path, e))
        return -1;
    if (link_to(st, path) != 0)
        return err_sys(e, errno, "link '%s'", path);
    return path_format(st->path, e, "%s", path);
}

int stage_rename(struct stage *st, const char *path, struct err *e)
{
    assert(st->path[0]);
    if (rename(st->path, path) != 0)
        return err_sys(e, errno, "rename '%s' to '%s'", st->path, path);
    st->path[0] = 0;
    return 0;
}

void stage_end(struct stage *st)
{
    if (st->path[0])
        unlink(st->path);
    st->path[0] = 0;
    io_close(&st->fd);
}
