/* base/folder.c */
#include "base/folder.h"

#include "base/hash.h"
#include "base/io.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool folder_has_proc(void)
{
    return access("/proc/self/fd", X_OK) == 0;
}

int folder_open(struct folder *f, const char *path, struct err *e)
{
    *f = FOLDER_NONE;
    if (path_format(f->path, e, "%s", path))
        return -1;
    f->fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return f->fd >= 0 ? 0 : err_sys(e, errno, "open folder '%s'", path);
}

static int check_trust(const struct folder *f, const struct folder_trust *t, const struct stat *st, struct err *e)
{
    bool owned = st->st_uid == geteuid() || st->st_uid == 0;
    for (size_t i = 0; i < t->owner_count; i++)
        owned |= st->st_uid == t->owners[i];
    if (!S_ISDIR(st->st_mode))
        return err_set(e, ERR_CONFIG, ENOTDIR, "'%s' is not a folder", f->path);
    if (!owned)
        return err_set(e, ERR_CONFIG, EPERM, "folder '%s' belongs to another user", f->path);
    if ((st->st_mode & 022) && !(st->st_mode & S_ISVTX))
        return err_set(e, ERR_CONFIG, EPERM, "other users can write to folder '%s'", f->path);
    return 0;
}

/* Makes the folder, if it is missing, with exactly `mode`: the umask could take bits from it. */
static int make_folder(const char *path, mode_t mode, struct err *e)
{
    if (mkdir(path, mode) != 0)
        return errno == EEXIST ? 0 : err_sys(e, errno, "make folder '%s'", path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    int rc = fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid() ? fchmod(fd, mode) : 0;
    io_close(&fd);
    return rc == 0 ? 0 : err_sys(e, errno, "set the mode of folder '%s'", path);
}

int folder_open_trusted(struct folder *f, const char *path, const struct folder_trust *t, struct err *e)
{
    struct stat st;
    *f = FOLDER_NONE;
    if (path_format(f->path, e, "%s", path) || (t->make && make_folder(path, t->make, e)))
        return -1;
    f->fd = open(path, O_PATH | O_CLOEXEC | (t->may_be_link ? 0 : O_NOFOLLOW));
    if (f->fd < 0)
        return err_sys(e, errno, "open folder '%s'", path);
    int rc = fstat(f->fd, &st) == 0 ? check_trust(f, t, &st, e) : err_sys(e, errno, "stat '%s'", path);
    if (rc)
        folder_close(f);
    return rc;
}

/* Goes one step down from *fd; *fd becomes -1 where nothing is. `last`: any file but a link will do. */
static int step_below(int *fd, const char *name, bool last, const char *path, struct err *e)
{
    struct stat st;
    int next = openat(*fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    const int error = errno;
    io_close(fd);
    *fd = next;
    if (next < 0)
        return error == ENOENT ? 0 : err_sys(e, error, "open '%s' on the way to '%s'", name, path);
    if (fstat(next, &st) != 0)
        return err_sys(e, errno, "stat '%s' on the way to '%s'", name, path);
    if (S_ISLNK(st.st_mode))
        return err_set(e, ERR_CONFIG, ELOOP, "'%s' on the way to '%s' is a symbolic link", name, path);
    return last || S_ISDIR(st.st_mode)
               ? 0
               : err_set(e, ERR_CONFIG, ENOTDIR, "'%s' on the way to '%s' is not a folder", name, path);
}

int folder_check_below(const char *top, const char *path, struct err *e)
{
    char rest[PATH_TEXT_MAX];
    assert(strncmp(path, top, strlen(top)) == 0);
    if (path_format(rest, e, "%s", path + strlen(top)))
        return -1;
    int rc = 0, fd = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : err_sys(e, errno, "open folder '%s'", top);
    for (char *name = rest, *end; rc == 0 && fd >= 0 && *name; name = end) {
        name += strspn(name, "/");
        const size_t n = strcspn(name, "/");
        end = name + n + (name[n] == '/');
        const bool last = name[n] == 0;
        name[n] = 0;
        if (strcmp(name, "..") == 0)
            rc = err_set(e, ERR_CONFIG, 0, "'%s' has '..'", path);
        else if (n > 0)
            rc = step_below(&fd, name, last, path, e);
    }
    io_close(&fd);
    return rc;
}

int folder_open_parent(struct folder *f, const char *path, struct err *e)
{
    char dir[PATH_TEXT_MAX];
    *f = FOLDER_NONE;
    return path_parent(path, dir, e) ? -1 : folder_open(f, dir, e);
}

void folder_close(struct folder *f)
{
    io_close(&f->fd);
}

int folder_sync(const struct folder *f, struct err *e)
{
    assert(f->fd >= 0);
    int fd = openat(f->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* O_PATH can't be synced */
    if (fd < 0)
        return err_sys(e, errno, "open folder '%s'", f->path);
    int rc = io_fsync(fd, f->path, e);
    io_close(&fd);
    return rc;
}

int folder_look(const struct folder *f, const char *name, struct stat *ret_stat, bool *ret_there, struct err *e)
{
    assert(f->fd >= 0 && !strchr(name, '/'));
    *ret_there = fstatat(f->fd, name, ret_stat, AT_SYMLINK_NOFOLLOW) == 0;
    return *ret_there || errno == ENOENT || errno == ENAMETOOLONG ? 0
                                                                  : err_sys(e, errno, "stat '%s/%s'", f->path, name);
}

int folder_remove(const struct folder *f, const char *name, struct err *e)
{
    assert(f->fd >= 0 && !strchr(name, '/'));
    if (unlinkat(f->fd, name, 0) == 0 || errno == ENOENT || errno == ENAMETOOLONG)
        return 0;
    return err_sys(e, errno, "unlink '%s/%s'", f->path, name);
}

int folder_rename(const struct folder *f, const char *from, const char *to, struct err *e)
{
    assert(f->fd >= 0 && !strchr(from, '/') && !strchr(to, '/'));
    return renameat(f->fd, from, f->fd, to) == 0 ? 0 : err_sys(e, errno, "rename '%s/%s' to '%s'", f->path, from, to);
}

int folder_link(const struct folder *f, const char *from, const char *to, struct err *e)
{
    assert(f->fd >= 0 && !strchr(from, '/') && !strchr(to, '/'));
    if (linkat(f->fd, from, f->fd, to, 0) == 0)
        return 0;
    if (errno == EEXIST)
        return err_set(e, ERR_EXISTS, EEXIST, "'%s/%s' exists already", f->path, to);
    return err_sys(e, errno, "link '%s/%s' to '%s'", f->path, from, to);
}

/* ---- files that are ours */

static int not_ours(const struct folder *f, const char *name, const char *what, struct err *e)
{
    err_set(e, ERR_CONFIG, 0, "'%s/%s' %s", f->path, name, what);
    return err_hint(e, "a file of Seawall or SQLite belongs there; find out who made this one, and move it away");
}

/* Checks the file type and the number of names. */
static int check_kind(const struct folder *f, const struct folder_file *file, const struct stat *st, struct err *e)
{
    if (S_ISLNK(st->st_mode))
        return not_ours(f, file->name, "is a symbolic link", e);
    if (!S_ISREG(st->st_mode))
        return not_ours(f, file->name, "is not a regular file", e);
    if (st->st_nlink > 1 && !file->may_be_linked)
        return not_ours(f, file->name, "has a second name (a hard link)", e);
    return 0;
}

/* Whether the file belongs to this user, or to the owner of the database. */
static bool has_our_owner(const struct folder *f, const struct folder_file *file, uid_t owner)
{
    struct stat st;
    if (owner == geteuid())
        return true;
    return file->like && fstatat(f->fd, file->like, &st, 0) == 0 && st.st_uid == owner;
}

static int check_opened(const struct folder *f, const struct folder_file *file, int fd, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_sys(e, errno, "stat '%s/%s'", f->path, file->name);
    if (check_kind(f, file, &st, e))
        return -1;
    errno = 0;
    bool has_our_contents = file->is_ours && st.st_size > 0 && file->is_ours(fd);
    if (!has_our_contents && io_is_passing(errno))
        return err_sys(e, errno, "read '%s/%s'", f->path, file->name);
    if (file->is_ours && st.st_size > 0 && !has_our_contents)
        return not_ours(f, file->name, "is a file of another program", e);
    return has_our_contents || has_our_owner(f, file, st.st_uid)
               ? 0
               : not_ours(f, file->name, "belongs to another user", e);
}

/* Opens the name if it is a regular file. Nothing else is opened: to open a device can have an effect. */
static int open_name(const struct folder *f, const struct folder_file *file, int *ret_fd, struct err *e)
{
    struct stat st;
    bool there = false;
    int flags = (file->access == FOLDER_READ ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    for (int tries = 0; tries < 3; tries++) { /* the name can come and go meanwhile */
        if (folder_look(f, file->name, &st, &there, e) || (there && check_kind(f, file, &st, e)))
            return -1;
        bool make = !there && file->access == FOLDER_MAKE;
        *ret_fd = openat(f->fd, file->name, make ? flags | O_CREAT | O_EXCL : flags, 0600);
        if (*ret_fd >= 0)
            return 0;
        if (file->access != FOLDER_MAKE || (errno != EEXIST && errno != ENOENT))
            break;
    }
    if (errno == ELOOP)
        return not_ours(f, file->name, "is a symbolic link", e);
    return err_sys(e, errno, "open '%s/%s'", f->path, file->name);
}

int folder_open_file(const struct folder *f, const struct folder_file *file, int *ret_fd, struct err *e)
{
    assert(f->fd >= 0 && !strchr(file->name, '/'));
    int fd = -1;
    if (open_name(f, file, &fd, e))
        return -1;
    if (check_opened(f, file, fd, e)) {
        io_close(&fd);
        return -1;
    }
    *ret_fd = fd;
    return 0;
}

int folder_open_path(const char *path, const struct folder_file *file, int *ret_fd, struct err *e)
{
    struct folder f;
    assert(strcmp(file->name, path_name(path)) == 0);
    if (folder_open_parent(&f, path, e))
        return -1;
    int rc = folder_open_file(&f, file, ret_fd, e);
    folder_close(&f);
    return rc;
}

void folder_give_to_owner(const struct folder *f, const struct folder_file *file, int fd)
{
    struct stat st, like;
    if (geteuid() != 0 || !file->like || fstat(fd, &st) != 0 || st.st_uid != 0 ||
        fstatat(f->fd, file->like, &like, 0) != 0)
        return;
    int rc = fchown(fd, like.st_uid, like.st_gid);
    (void)rc; /* the file works without it */
}

int folder_remove_file(const struct folder *f, const struct folder_file *file, struct err *e)
{
    struct folder_file read = *file;
    int fd = -1;
    read.access = FOLDER_READ;
    if (folder_open_file(f, &read, &fd, e))
        return e->code == ERR_NOTFOUND ? 0 : -1;
    io_close(&fd);
    return folder_remove(f, file->name, e);
}

/* ---- temporary folders */

static int open_own(struct folder_temporary *t, struct err *e)
{
    if (path_format(t->own.path, e, "%s/%s", t->parent.path, t->name))
        return -1;
    t->own.fd = openat(t->parent.fd, t->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (t->own.fd < 0 || fstat(t->own.fd, &st) != 0)
        return err_sys(e, errno, "open folder '%s'", t->own.path);
    if (st.st_uid == geteuid() && (st.st_mode & 0777) == 0700)
        return 0;
    return err_set(e, ERR_IO, 0, "folder '%s' was replaced by another one", t->own.path);
}

int folder_make_temporary(struct folder_temporary *t, const char *parent, const char *prefix, struct err *e)
{
    char hex[RANDOM_HEX_BYTES];
    *t = (struct folder_temporary){.parent = FOLDER_NONE, .own = FOLDER_NONE};
    if (random_hex(hex, e) || folder_open(&t->parent, parent, e))
        return -1;
    snprintf(t->name, sizeof t->name, "%s-%s", prefix, hex);
    int rc = mkdirat(t->parent.fd, t->name, 0700) == 0 ? 0 : err_sys(e, errno, "make folder '%s/%s'", parent, t->name);
    if (rc == 0)
        rc = open_own(t, e);
    if (rc) {
        folder_close(&t->own);
        folder_close(&t->parent);
    }
    return rc;
}

int folder_temporary_path(const struct folder_temporary *t, const char *name, char out[PATH_TEXT_MAX], struct err *e)
{
    char proc[64];
    assert(t->own.fd >= 0);
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", t->own.fd);
    return path_format(out, e, "%s/%s", folder_has_proc() ? proc : t->own.path, name);
}

/* Removes the files of the folder. The descriptor is given away: fdopendir owns it. */
static int remove_files(struct folder *own, struct err *e)
{
    DIR *dir = fdopendir(own->fd);
    if (!dir) {
        err_sys(e, errno, "open folder '%s'", own->path);
        folder_close(own);
        return -1;
    }
    own->fd = -1;
    int rc = 0;
    for (const struct dirent *d; (d = readdir(dir));)
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 && unlinkat(dirfd(dir), d->d_name, 0) != 0)
            rc = err_sys(e, errno, "remove '%s/%s'", own->path, d->d_name);
    closedir(dir);
    return rc;
}

int folder_remove_temporary(struct folder_temporary *t, struct err *e)
{
    struct stat own, at_name;
    assert(t->own.fd >= 0);
    bool at_its_name = fstat(t->own.fd, &own) == 0 &&
                       fstatat(t->parent.fd, t->name, &at_name, AT_SYMLINK_NOFOLLOW) == 0 &&
                       own.st_ino == at_name.st_ino && own.st_dev == at_name.st_dev;
    int rc = remove_files(&t->own, e);
    if (rc == 0 && !at_its_name)
        rc = err_set(e, ERR_IO, 0, "folder '%s' was moved meanwhile; it is empty, and stays", t->own.path);
    else if (rc == 0 && unlinkat(t->parent.fd, t->name, AT_REMOVEDIR) != 0)
        rc = err_sys(e, errno, "remove folder '%s'", t->own.path);
    folder_close(&t->parent);
    return rc;
}

/* ---- the database */

int folder_check_database_name(const char *db_path, const char *suffix, struct err *e)
{
    size_t n = strlen(path_name(db_path)), most = NAME_MAX - strlen(suffix);
    if (n <= most)
        return 0;
    err_set(e, ERR_CONFIG, ENAMETOOLONG, "the name of the database has %zu bytes, at most %zu are possible: '%.60s...'",
            n, most, path_name(db_path));
    return err_hint(e, "files beside the database have its name and a suffix; choose a shorter name");
}

/* Whether the path is a mount of a single file. Before Linux 5.8 the kernel does not say it: false. */
static bool is_mounted_file(const char *path)
{
    struct statx x;
    return statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_TYPE, &x) == 0 && S_ISREG(x.stx_mode) &&
           (x.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) && (x.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

int folder_check_one_name(const char *db_path, struct err *e)
{
    struct stat st;
    if (is_mounted_file(db_path)) {
        err_set(e, ERR_CONFIG, 0,
                "database '%s' is a mount of a single file: SQLite keeps its -wal beside this name, so that commits by "
                "the other name would be lost",
                db_path);
        return err_hint(e, "mount the folder of the database instead of the file");
    }
    if (stat(db_path, &st) != 0 || st.st_nlink <= 1)
        return 0;
    err_set(
        e, ERR_CONFIG, 0,
        "database '%s' has %lu names (hard links): SQLite keeps a -wal for each, so that commits by another name would "
        "be lost",
        db_path, (unsigned long)st.st_nlink);
    return err_hint(e, "remove all names but one; 'find FOLDER -samefile %.200s' lists them", db_path);
}

int folder_check_sqlite_files(const char *db_path, struct err *e)
{
    static const char *const suffixes[] = {"-wal", "-shm", "-journal"};
    struct folder f;
    int rc = folder_open_parent(&f, db_path, e);
    for (size_t i = 0; rc == 0 && i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char name[PATH_TEXT_MAX];
        struct stat st;
        bool there = false;
        const struct folder_file file = {.name = name};
        rc = path_format(name, e, "%s%s", path_name(db_path), suffixes[i]);
        if (rc == 0)
            rc = folder_look(&f, name, &st, &there, e);
        if (rc == 0 && there)
            rc = check_kind(&f, &file, &st, e);
    }
    folder_close(&f);
    return rc;
}
