/* base/stage.c */
#include "base/stage.h"

#include "base/hash.h"
#include "base/io.h"
#include "base/privacy.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MODE_PRIVATE 0600
#define MODE_SHARED 0666 /* less the umask and privacy() */

int stage_hidden_name(char out[STAGE_NAME_MAX], struct err *e)
{
    char hex[RANDOM_HEX_BYTES];
    if (random_hex(hex, e))
        return -1;
    snprintf(out, STAGE_NAME_MAX, ".seawall-%s.tmp", hex);
    return 0;
}

static int make_named(struct stage *st, mode_t mode, struct err *e)
{
    char name[STAGE_NAME_MAX];
    if (stage_hidden_name(name, e))
        return -1;
    st->fd = openat(st->folder.fd, name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode);
    if (st->fd < 0)
        return err_sys(e, errno, "create '%s/%s'", st->folder.path, name);
    memcpy(st->name, name, sizeof name);
    return 0;
}

static int make_file(struct stage *st, mode_t mode, struct err *e)
{
    if (!folder_has_proc()) /* by which a file without a name gets one */
        return make_named(st, mode, e);
    st->fd = openat(st->folder.fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
    if (st->fd >= 0)
        return 0;
    if (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)
        return make_named(st, mode, e);
    return err_sys(e, errno, "create a file in folder '%s'", st->folder.path);
}

static int begin_in(struct stage *st, const struct folder *f, mode_t mode, struct err *e)
{
    assert(f->fd >= 0);
    *st = STAGE_NONE;
    st->folder = *f;
    st->folder.fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 0);
    if (st->folder.fd < 0)
        return err_sys(e, errno, "open folder '%s'", f->path);
    int rc = make_file(st, mode, e);
    if (rc)
        folder_close(&st->folder);
    return rc;
}

int stage_begin(struct stage *st, const char *dir, struct err *e)
{
    struct folder f;
    *st = STAGE_NONE;
    if (folder_open(&f, dir, e))
        return -1;
    int rc = begin_in(st, &f, MODE_PRIVATE, e);
    folder_close(&f);
    return rc;
}

int stage_begin_in(struct stage *st, const struct folder *f, struct err *e)
{
    return begin_in(st, f, MODE_PRIVATE, e);
}

int stage_begin_shared(struct stage *st, const struct folder *f, struct err *e)
{
    return begin_in(st, f, MODE_SHARED & ~privacy(), e);
}

static int link_to(const struct stage *st, const char *name)
{
    char proc[64];
    if (st->name[0])
        return linkat(st->folder.fd, st->name, st->folder.fd, name, 0);
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", st->fd);
    return linkat(AT_FDCWD, proc, st->folder.fd, name, AT_SYMLINK_FOLLOW);
}

int stage_link(struct stage *st, const char *name, struct err *e)
{
    assert(st->fd >= 0 && !strchr(name, '/'));
    int rc = link_to(st, name);
    if (rc != 0 && st->name[0] && (errno == EPERM || errno == EOPNOTSUPP)) { /* a file system without hard links */
        rc = renameat2(st->folder.fd, st->name, st->folder.fd, name, RENAME_NOREPLACE);
        if (rc == 0)
            st->name[0] = 0;
    }
    if (rc != 0 && errno == EEXIST)
        return err_set(e, ERR_EXISTS, EEXIST, "the file exists already");
    return rc == 0 ? 0 : err_sys(e, errno, "link '%s/%s'", st->folder.path, name);
}

int stage_name(struct stage *st, struct err *e)
{
    assert(st->fd >= 0);
    char name[STAGE_NAME_MAX];
    if (st->name[0])
        return 0;
    if (stage_hidden_name(name, e))
        return -1;
    if (link_to(st, name) != 0)
        return err_sys(e, errno, "link '%s/%s'", st->folder.path, name);
    memcpy(st->name, name, sizeof name);
    return 0;
}

int stage_rename(struct stage *st, const char *name, struct err *e)
{
    assert(st->name[0] && !strchr(name, '/'));
    if (folder_rename(&st->folder, st->name, name, e))
        return -1;
    st->name[0] = 0;
    return 0;
}

void stage_end(struct stage *st)
{
    if (st->name[0])
        unlinkat(st->folder.fd, st->name, 0);
    st->name[0] = 0;
    folder_close(&st->folder);
    io_close(&st->fd);
}
