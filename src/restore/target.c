/* restore/target.c */
#include "restore/target.h"

#include "base/hash.h"
#include "base/io.h"
#include "restore/lock.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* ERR_EXISTS if a file that belongs to the database is not empty: it could hold commits that are nowhere else. */
static int look_beside(const char *path, struct err *e)
{
    static const char *const suffixes[] = {"-wal", "-journal"};
    char beside[PATH_TEXT_MAX];
    struct stat st;
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        if (path_format(beside, e, "%s%s", path, suffixes[i]))
            return -1;
        if (lstat(beside, &st) != 0) {
            if (errno != ENOENT)
                return err_sys(e, errno, "stat '%s'", beside);
        } else if (st.st_size > 0) {
            err_set(e, ERR_EXISTS, 0, "'%s' exists without its database", beside);
            return err_hint(e, "it can hold commits that no replica has; to restore all the same, move it away first");
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
            return err_set(e, ERR_EXISTS, 0, "'%s' is a symbolic link to a file that does not exist", path);
        return look_beside(path, e);
    }
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_CONFIG, 0, "'%s' is not a regular file", path);
    if (st.st_size == 0) {
        err_set(e, ERR_EXISTS, 0, "'%s' is an empty file, not a database", path);
        return err_hint(e, "a program may have it open and be about to write to it; if none has, remove the file");
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
        if (!S_ISREG(st.st_mode)) { /* --force would not help */
            err_set(e, ERR_CONFIG, 0, "'%s' is not a regular file", path);
            return err_hint(e, "give the path of the database file with -o");
        }
        if (overwrite == TARGET_REFUSE) {
            err_set(e, ERR_EXISTS, 0, "'%s' exists", path);
            return err_hint(e, "restore to another path with -o, or replace the file with --force");
        }
        if (lock_check(path, e))
            return -1;
    }
    if (stage_begin(&t->stage, t->dir, 0644, e)) {
        if (e->code == ERR_NOTFOUND) { /* ERR_NOTFOUND would mean that there is no replica */
            e->code = ERR_CONFIG;
            return err_hint(e, "make the folder first, with mkdir -p '%s'", t->dir);
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
#define COMPANION_SHM 2

static int remove_companions(const char *path, struct err *e)
{
    char beside[PATH_TEXT_MAX];
    for (size_t i = 0; i < COMPANIONS; i++)
        if (path_format(beside, e, "%s%s", path, companions[i]) || remove_if_there(beside, e))
            return -1;
    return 0;
}

/* Moves the files beside `from` that are not empty beside `to`, and removes the others. An -shm is removed: it holds no
 * data of its own. */
static int move_companions(const char *from, const char *to, struct err *e)
{
    char old[PATH_TEXT_MAX], new[PATH_TEXT_MAX];
    struct stat st;
    if (remove_companions(to, e))
        return -1;
    for (size_t i = 0; i < COMPANIONS; i++) {
        if (path_format(old, e, "%s%s", from, companions[i]) || path_format(new, e, "%s%s", to, companions[i]))
            return -1;
        if (i != COMPANION_SHM && lstat(old, &st) == 0 && st.st_size > 0 && rename_if_there(old, new, e))
            return -1;
    }
    return remove_companions(from, e);
}

/* Gives the old database its new name. It is whole under that name before it loses the old one. */
static int set_old_aside(const struct target *t, struct err *e)
{
    char undo[PATH_TEXT_MAX];
    if (path_format(undo, e, "%s" UNDO_SUFFIX, t->path))
        return -1;
    if (!exists(t->path))
        return remove_companions(t->path, e);
    if (t->overwrite == TARGET_REFUSE) /* it appeared meanwhile: its -wal must stay */
        return err_set(e, ERR_EXISTS, 0, "'%s' exists now", t->path);
    if (lock_check(t->path, e) || remove_if_there(undo, e))
        return -1;
    if (link(t->path, undo) != 0)
        return err_sys(e, errno, "link '%s'", undo);
    if (move_companions(t->path, undo, e))
        return -1;
    return io_fsync_dir(t->dir, e);
}

void target_forget_undo(const char *path, enum target_undo what)
{
    char undo[PATH_TEXT_MAX];
    struct err e;
    int rc = path_format(undo, &e, "%s" UNDO_SUFFIX, path);
    if (rc == 0)
        rc = remove_companions(undo, &e);
    if (rc == 0 && what == TARGET_UNDO_WHOLE)
        rc = remove_if_there(undo, &e);
    (void)rc;
}

/* Where the file system can't exchange names: in three steps. The name `path` exists at any moment. */
static int swap_by_links(const char *path, const char *undo, const char *dir, struct err *e)
{
    char aside[PATH_TEXT_MAX], hex[17];
    uint8_t random[8];
    if (random_bytes(random, sizeof random, e))
        return -1;
    hex_encode(random, sizeof random, hex);
    if (path_format(aside, e, "%s/.seawall-%s.tmp", dir, hex))
        return -1;
    if (link(path, aside) != 0)
        return err_sys(e, errno, "link '%s'", aside);
    if (rename(undo, path) != 0) {
        err_sys(e, errno, "rename '%s'", undo);
        unlink(aside);
        return -1;
    }
    return rename(aside, undo) == 0 ? 0 : err_sys(e, errno, "rename '%s'", aside);
}

int target_swap_undo(const char *path, struct err *e)
{
    char undo[PATH_TEXT_MAX], dir[PATH_TEXT_MAX];
    int rc = 0;
    if (path_format(undo, e, "%s" UNDO_SUFFIX, path) || path_parent(path, dir, e) || remove_companions(path, e))
        return -1;
    if (!exists(path))
        rc = rename(undo, path) == 0 ? 0 : err_sys(e, errno, "rename '%s'", undo);
    else if (renameat2(AT_FDCWD, undo, AT_FDCWD, path, RENAME_EXCHANGE) != 0)
        rc = errno == EINVAL || errno == ENOSYS ? swap_by_links(path, undo, dir, e)
                                                : err_sys(e, errno, "exchange '%s'", undo);
    return rc == 0 ? io_fsync_dir(dir, e) : rc;
}

/* Gives the new file owner and mode of the old one. If there is none: the owner of the folder, if we are root. */
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

int target_commit(struct target *t, bool *ret_undo, struct err *e)
{
    assert(t->stage.fd >= 0);
    bool replaces = exists(t->path);
    int rc = take_owner(t, e);
    if (rc == 0)
        rc = io_fsync(t->stage.fd, t->path, e);
    if (rc == 0)
        rc = set_old_aside(t, e);
    if (rc == 0 && t->overwrite == TARGET_REFUSE)
        rc = stage_link(&t->stage, t->path, e); /* exclusive: fails if a file has appeared there */
    else if (rc == 0) {
        rc = stage_name(&t->stage, t->dir, e);
        if (rc == 0)
            rc = stage_rename(&t->stage, t->path, e);
    }
    if (rc == 0)
        rc = io_fsync_dir(t->dir, e);
    if (rc == 0 && t->overwrite == TARGET_REPLACE_FOR_GOOD)
        target_forget_undo(t->path, TARGET_UNDO_WHOLE);
    *ret_undo = rc == 0 && replaces && t->overwrite == TARGET_REPLACE;
    stage_end(&t->stage);
    return rc;
}

void target_abort(struct target *t)
{
    stage_end(&t->stage);
}
