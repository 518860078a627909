/* restore/target.c */
#include "restore/target.h"

#include "base/io.h"
#include "restore/attributes.h"
#include "restore/integrity.h"
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

/* Opens the folder of the path. Then its errors are those of target_check. */
static int open_free(struct folder *f, const char *path, enum target_overwrite overwrite, struct err *e)
{
    struct stat st;
    bool there = false;
    if (folder_open_parent(f, path, e)) {
        if (e->code != ERR_NOTFOUND)
            return -1;
        e->code = ERR_CONFIG; /* ERR_NOTFOUND would mean that there is no replica */
        return err_hint(e, "make the folder first, with mkdir -p '%s'", f->path);
    }
    if (folder_look(f, path_name(path), &st, &there, e))
        return -1;
    if (!there)
        return 0;
    if (!S_ISREG(st.st_mode)) { /* --force would not help */
        err_set(e, ERR_CONFIG, 0, "'%s' is not a regular file", path);
        return err_hint(e, "give the path of the database file with -o");
    }
    if (overwrite == TARGET_REFUSE) {
        err_set(e, ERR_EXISTS, 0, "'%s' exists", path);
        return err_hint(e, "restore to another path with -o, or replace the file with --force");
    }
    return lock_check(f, path_name(path), e);
}

int target_check(const char *path, enum target_overwrite overwrite, struct err *e)
{
    struct folder f = FOLDER_NONE;
    const int rc = open_free(&f, path, overwrite, e);
    folder_close(&f);
    return rc;
}

int target_begin(struct target *t, const char *path, enum target_overwrite overwrite, mode_t mode, struct err *e)
{
    *t = (struct target){.folder = FOLDER_NONE,
                         .overwrite = overwrite,
                         .mode = mode,
                         .stage = STAGE_NONE,
                         .state = STATE_RESERVATION_NONE};
    if (path_format(t->path, e, "%s", path) || open_free(&t->folder, path, overwrite, e))
        return -1;
    if (state_reserve(&t->state, path, e)) /* a daemon may wait for a database to appear here */
        return -1;
    return stage_begin_in(&t->stage, &t->folder, e);
}

int target_check_integrity(struct target *t, struct err *e)
{
    char path[PATH_TEXT_MAX];
    if (stage_name(&t->stage, e) || path_format(path, e, "%s/%s", t->folder.path, t->stage.name))
        return -1;
    return integrity_check(path, e);
}

static const char *const companions[] = {"-wal", "-journal", "-shm"};
#define COMPANIONS (sizeof companions / sizeof companions[0])
#define COMPANION_SHM 2

static int name_with(char out[PATH_TEXT_MAX], const char *name, const char *suffix, struct err *e)
{
    return path_format(out, e, "%s%s", name, suffix);
}

static int exists_in(const struct folder *f, const char *name, bool *ret_there, struct err *e)
{
    struct stat st;
    return folder_look(f, name, &st, ret_there, e);
}

static int remove_companions(const struct folder *f, const char *name, struct err *e)
{
    char beside[PATH_TEXT_MAX];
    for (size_t i = 0; i < COMPANIONS; i++)
        if (name_with(beside, name, companions[i], e) || folder_remove(f, beside, e))
            return -1;
    return 0;
}

static int move_if_not_empty(const struct folder *f, const char *from, const char *to, struct err *e)
{
    struct stat st;
    bool there = false;
    if (folder_look(f, from, &st, &there, e))
        return -1;
    if (!there || st.st_size == 0)
        return 0;
    if (folder_rename(f, from, to, e) == 0)
        return 0;
    return e->sys == ENAMETOOLONG
               ? err_hint(e, "open the database with the sqlite3 shell and close it again, so that its -wal is empty")
               : -1;
}

/* Moves the files beside `from` that are not empty beside `to`, and removes the others. An -shm is removed: it holds no
 * data of its own. */
static int move_companions(const struct folder *f, const char *from, const char *to, struct err *e)
{
    char old[PATH_TEXT_MAX], new[PATH_TEXT_MAX];
    if (remove_companions(f, to, e))
        return -1;
    for (size_t i = 0; i < COMPANIONS; i++) {
        if (name_with(old, from, companions[i], e) || name_with(new, to, companions[i], e))
            return -1;
        if (i != COMPANION_SHM && move_if_not_empty(f, old, new, e))
            return -1;
    }
    return remove_companions(f, from, e);
}

/* Gives the old database the name of the undo too. Later the new database takes its old name. */
static int set_old_aside(const struct target *t, struct err *e)
{
    const struct folder *f = &t->folder;
    const char *name = path_name(t->path);
    char undo[PATH_TEXT_MAX];
    bool there = false;
    if (name_with(undo, name, UNDO_SUFFIX, e))
        return -1;
    if (exists_in(f, name, &there, e))
        return -1;
    if (!there)
        return remove_companions(f, name, e);
    if (t->overwrite == TARGET_REFUSE) /* it appeared meanwhile: its -wal must stay */
        return err_set(e, ERR_EXISTS, 0, "'%s' exists now", t->path);
    if (lock_check(f, name, e) || folder_remove(f, undo, e) || folder_link(f, name, undo, e) ||
        move_companions(f, name, undo, e))
        return -1;
    return folder_sync(f, e);
}

void target_forget_undo(const char *path, enum target_undo what)
{
    char undo[PATH_TEXT_MAX];
    struct folder f;
    struct err e;
    int rc = folder_open_parent(&f, path, &e);
    if (rc == 0)
        rc = name_with(undo, path_name(path), UNDO_SUFFIX, &e);
    if (rc == 0)
        rc = remove_companions(&f, undo, &e);
    if (rc == 0 && what == TARGET_UNDO_WHOLE)
        rc = folder_remove(&f, undo, &e);
    folder_close(&f);
    (void)rc;
}

/* Exchanges the names in three steps, where the file system can't do it in one. `name` exists at any moment. */
static int swap_by_links(const struct folder *f, const char *name, const char *undo, struct err *e)
{
    char aside[STAGE_NAME_MAX];
    struct err other;
    if (stage_hidden_name(aside, e) || folder_link(f, name, aside, e))
        return -1;
    if (folder_rename(f, undo, name, e)) {
        int rc = folder_remove(f, aside, &other);
        (void)rc; /* the error before is the one that counts */
        return -1;
    }
    return folder_rename(f, aside, undo, e);
}

static int swap_names(const struct folder *f, const char *name, const char *undo, struct err *e)
{
    bool there = false;
    if (exists_in(f, name, &there, e))
        return -1;
    if (!there)
        return folder_rename(f, undo, name, e);
    if (renameat2(f->fd, undo, f->fd, name, RENAME_EXCHANGE) == 0)
        return 0;
    return errno == EINVAL || errno == ENOSYS ? swap_by_links(f, name, undo, e)
                                              : err_sys(e, errno, "exchange '%s/%s'", f->path, undo);
}

int target_swap_undo(const char *path, struct err *e)
{
    char undo[PATH_TEXT_MAX];
    struct folder f;
    const char *name = path_name(path);
    if (folder_open_parent(&f, path, e))
        return -1;
    int rc = name_with(undo, name, UNDO_SUFFIX, e);
    if (rc == 0)
        rc = remove_companions(&f, name, e);
    if (rc == 0)
        rc = swap_names(&f, name, undo, e);
    if (rc == 0)
        rc = folder_sync(&f, e);
    folder_close(&f);
    return rc;
}

static int take_attributes(const struct target *t, struct err *e)
{
    int old = -1;
    const struct folder_file replaced = lock_database(path_name(t->path), FOLDER_READ);
    if (folder_open_file(&t->folder, &replaced, &old, e))
        return e->code == ERR_NOTFOUND ? attributes_of_new(t->stage.fd, &t->folder, t->mode, e) : -1;
    int rc = attributes_copy(old, t->stage.fd, t->path, e);
    io_close(&old);
    return rc;
}

/* Gives the new file its name. */
static int publish(struct target *t, struct err *e)
{
    if (t->overwrite == TARGET_REFUSE)
        return stage_link(&t->stage, path_name(t->path), e); /* exclusive: fails if a file has appeared there */
    return stage_name(&t->stage, e) || stage_rename(&t->stage, path_name(t->path), e) ? -1 : 0;
}

int target_commit(struct target *t, bool *ret_undo, struct err *e)
{
    assert(t->stage.fd >= 0);
    bool replaces = false;
    int rc = exists_in(&t->folder, path_name(t->path), &replaces, e) || take_attributes(t, e) ? -1 : 0;
    if (rc == 0)
        rc = io_fsync(t->stage.fd, t->path, e);
    if (rc == 0)
        rc = set_old_aside(t, e);
    if (rc == 0)
        rc = publish(t, e);
    if (rc == 0 && !t->unsynced)
        rc = folder_sync(&t->folder, e);
    if (rc == 0 && t->overwrite == TARGET_REPLACE_FOR_GOOD)
        target_forget_undo(t->path, TARGET_UNDO_WHOLE);
    *ret_undo = rc == 0 && replaces && t->overwrite == TARGET_REPLACE;
    stage_end(&t->stage);
    return rc;
}

void target_abort(struct target *t)
{
    stage_end(&t->stage);
    state_unreserve(&t->state, t->path);
    folder_close(&t->folder);
}
