/* restore/target.c */
#include "restore/target.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define OLD_SUFFIX ".before-restore"

/* Bytes that SQLite's unix VFS locks in a database file: pending, reserved, shared. */
#define LOCK_RANGE_START 0x40000000
#define LOCK_RANGE_BYTES 512

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* In WAL mode every connection holds a shared lock on the database file as long as it is open. */
static int check_not_in_use(const char *path, struct err *e)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_RANGE_START, .l_len = LOCK_RANGE_BYTES};
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, errno, "open '%s'", path);
    int rc = fcntl(fd, F_GETLK, &lock);
    int sys = errno;
    io_close(&fd);
    if (rc != 0)
        return err_sys(e, sys, "look for locks on '%s'", path);
    if (lock.l_type == F_UNLCK)
        return 0;
    err_set(e, ERR_BUSY, 0, "'%s' is in use by process %d", path, (int)lock.l_pid);
    return err_hint(e, "stop the application and the seawall daemon of this database first");
}

/* What stands beside a database, and could hold commits that nobody else has. */
static int look_beside(const char *path, struct err *e)
{
    static const char *const suffixes[] = {"-wal", "-journal", OLD_SUFFIX};
    char beside[PATH_TEXT_MAX];
    struct stat st;
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        if (path_format(beside, e, "%s%s", path, suffixes[i]))
            return -1;
        if (lstat(beside, &st) != 0) {
            if (errno != ENOENT)
                return err_sys(e, errno, "stat '%s'", beside);
        } else if (st.st_size > 0) {
            err_set(e, ERR_EXISTS, 0, "'%s' is there without its database", beside);
            return err_hint(e, "it can hold commits that no replica has; move it away if the replica is what counts");
        }
    }
    return 0;
}

int target_look(const char *path, enum target_found *ret_found, struct err *e)
{
    struct stat st;
    *ret_found = TARGET_FREE;
    if (stat(path, &st) != 0) {
        if (errno != ENOENT)
            return err_sys(e, errno, "stat '%s'", path);
        if (exists(path))
            return err_set(e, ERR_EXISTS, 0, "'%s' is a link that leads nowhere", path);
        return look_beside(path, e);
    }
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_CONFIG, 0, "'%s' is not a regular file", path);
    if (st.st_size == 0) {
        err_set(e, ERR_EXISTS, 0, "'%s' is an empty file: no database, and not nothing", path);
        return err_hint(e, "a program may have it open and be about to write; if none has, remove it");
    }
    *ret_found = TARGET_DATABASE;
    return 0;
}

int target_begin(struct target *t, const char *path, enum target_overwrite overwrite, struct err *e)
{
    struct stat st;
    t->stage = STAGE_NONE;
    t->overwrite = overwrite;
    if (path_format(t->path, e, "%s", path) || path_parent(path, t->dir, e))
        return -1;
    if (lstat(path, &st) == 0) {
        if (overwrite == TARGET_REFUSE) {
            err_set(e, ERR_EXISTS, 0, "'%s' exists", path);
            return err_hint(e, "restore to another path with -o, or say --force to replace it");
        }
        if (!S_ISREG(st.st_mode))
            return err_set(e, ERR_CONFIG, 0, "'%s' is not a regular file", path);
        if (check_not_in_use(path, e))
            return -1;
    }
    if (stage_begin(&t->stage, t->dir, 0644, e)) {
        if (e->code == ERR_NOTFOUND) { /* of the target, not of the replica */
            e->code = ERR_CONFIG;
            return err_hint(e, "make the folder first");
        }
        return -1;
    }
    return 0;
}

static int rename_if_there(const char *from, const char *to, struct err *e)
{
    if (rename(from, to) == 0 || errno == ENOENT)
        return 0;
    return err_sys(e, errno, "rename '%s'", from);
}

static int remove_if_there(const char *path, struct err *e)
{
    if (unlink(path) == 0 || errno == ENOENT)
        return 0;
    return err_sys(e, errno, "unlink '%s'", path);
}

static const char *const companions[] = {"-wal", "-journal", "-shm"};
#define COMPANIONS (sizeof companions / sizeof companions[0])

/* Sets the old database aside, whole under its new name before it is gone from the old. */
static int set_old_aside(const struct target *t, struct err *e)
{
    char old[PATH_TEXT_MAX], from[PATH_TEXT_MAX], to[PATH_TEXT_MAX];
    if (path_format(old, e, "%s" OLD_SUFFIX, t->path))
        return -1;
    if (exists(t->path)) {
        if (t->overwrite == TARGET_REFUSE) /* it came while we worked: its -wal is not ours to take */
            return err_set(e, ERR_EXISTS, 0, "'%s' exists now", t->path);
        if (check_not_in_use(t->path, e) || remove_if_there(old, e))
            return -1;
        if (link(t->path, old) != 0)
            return err_sys(e, errno, "link '%s'", old);
    }
    for (size_t i = 0; i < COMPANIONS; i++)
        if (path_format(from, e, "%s%s", t->path, companions[i]) || path_format(to, e, "%s%s", old, companions[i]) ||
            rename_if_there(from, to, e))
            return -1;
    return io_fsync_dir(t->dir, e);
}

static void forget_old(const struct target *t)
{
    char path[PATH_TEXT_MAX];
    struct err e;
    int rc = path_format(path, &e, "%s" OLD_SUFFIX, t->path);
    if (rc == 0)
        rc = remove_if_there(path, &e);
    for (size_t i = 0; rc == 0 && i < COMPANIONS; i++) {
        rc = path_format(path, &e, "%s" OLD_SUFFIX "%s", t->path, companions[i]);
        if (rc == 0)
            rc = remove_if_there(path, &e);
    }
    (void)rc; /* the new database is in place; what is left over has a name that says what it is */
}

/* The new file takes owner and mode of the old one; where there was none, the owner of the folder if we may. */
static int take_owner(const struct target *t, struct err *e)
{
    struct stat st;
    if (stat(t->path, &st) == 0) {
        if (fchmod(t->stage.fd, st.st_mode & 07777) != 0)
            return err_sys(e, errno, "set the mode of the new file");
    } else if (stat(t->dir, &st) != 0) {
        return err_sys(e, errno, "stat '%s'", t->dir);
    }
    if (geteuid() == 0 && fchown(t->stage.fd, st.st_uid, st.st_gid) != 0)
        return err_sys(e, errno, "set the owner of the new file");
    return 0;
}

int target_commit(struct target *t, struct err *e)
{
    int rc = take_owner(t, e);
    if (rc == 0)
        rc = io_fsync(t->stage.fd, t->path, e);
    if (rc == 0)
        rc = set_old_aside(t, e);
    if (rc == 0 && t->overwrite == TARGET_REFUSE)
        rc = stage_link(&t->stage, t->path, e); /* exclusive: somebody may have come first */
    else if (rc == 0) {
        rc = stage_name(&t->stage, t->dir, e);
        if (rc == 0)
            rc = stage_rename(&t->stage, t->path, e);
    }
    if (rc == 0)
        rc = io_fsync_dir(t->dir, e);
    if (rc == 0)
        forget_old(t);
    stage_end(&t->stage);
    return rc;
}

void target_abort(struct target *t)
{
    stage_end(&t->stage);
}
