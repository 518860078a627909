/* storage/file.c */
#include "storage/file.h"

#include "base/array.h"
#include "base/container.h"
#include "base/folder.h"
#include "base/io.h"
#include "base/path.h"
#include "base/stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEME "file://"

struct file_store {
    struct store base;
    enum store_mode mode;
    dev_t device; /* of the root when it was opened */
    ino_t inode;
    char root[PATH_TEXT_MAX]; /* absolute, without symbolic links */
};

static struct file_store *ours(struct store *s)
{
    return CONTAINER_OF(s, struct file_store, base);
}

static int key_path(struct store *s, const char *key, char out[PATH_TEXT_MAX], struct err *e)
{
    return path_format(out, e, "%s/%s", ours(s)->root, key);
}

/* ---- put */

/* Checks that the folder is still the one that was opened. Otherwise, after a disk was unmounted, objects would be
 * written to its bare mount point. A disk that was mounted again can have another device number; then the folder
 * must hold a replica. */
static int check_root(struct file_store *fs, struct err *e)
{
    char identity[PATH_TEXT_MAX];
    struct stat st;
    if (stat(fs->root, &st) != 0) {
        err_set(e, ERR_REMOTE, errno, "folder '%s' is gone: %s", fs->root, strerror(errno));
        return err_hint(e, "is the disk mounted?");
    }
    if (st.st_dev == fs->device && st.st_ino == fs->inode)
        return 0;
    if (path_format(identity, e, "%s/seawall.json", fs->root))
        return -1;
    if (access(identity, F_OK) != 0) {
        err_set(e, ERR_REMOTE, errno, "folder '%s' was replaced and does not hold a replica", fs->root);
        return err_hint(e, "is the disk mounted?");
    }
    fs->device = st.st_dev;
    fs->inode = st.st_ino;
    return 0;
}

/* Reads when the file was last changed or linked, by the clock of the file system. On a network file system that is the
 * clock of the server. */
static int time_of(int fd, int64_t *ret_time_ms, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_sys(e, errno, "stat");
    *ret_time_ms = (int64_t)st.st_ctim.tv_sec * 1000 + st.st_ctim.tv_nsec / 1000000;
    return 0;
}

static int file_put_new(struct store *s, const char *key, const void *bytes, size_t n, int64_t *ret_time_ms,
                        struct err *e)
{
    char path[PATH_TEXT_MAX], dir[PATH_TEXT_MAX];
    struct stage st = STAGE_NONE;
    if (check_root(ours(s), e) || key_path(s, key, path, e) || path_parent(path, dir, e) || path_make_dirs(dir, e) ||
        stage_begin_shared(&st, dir, e))
        return -1;
    int rc = io_write(st.fd, bytes, n, e);
    if (rc == 0)
        rc = io_fsync(st.fd, path, e);
    if (rc == 0) {
        rc = stage_link(&st, path_name(path), e);
        /* ERR_EXISTS is an answer too: the object of the other writer must be durable before it counts. */
        struct err later;
        bool answered = rc == 0 || e->code == ERR_EXISTS;
        if (answered && (folder_sync(&st.folder, &later) || time_of(st.fd, ret_time_ms, &later))) {
            *e = later;
            rc = -1;
        }
    }
    stage_end(&st);
    return rc;
}

/* ---- read */

static int open_object(struct store *s, const char *key, int *ret_fd, uint64_t *ret_size, struct err *e)
{
    char path[PATH_TEXT_MAX];
    struct stat st;
    if (key_path(s, key, path, e))
        return -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a FIFO in its place must not block */
    if (fd < 0)
        return err_sys(e, errno, "open '%s'", path);
    int rc = fstat(fd, &st) != 0 ? err_sys(e, errno, "stat '%s'", path) : 0;
    if (rc == 0 && !S_ISREG(st.st_mode))
        rc = err_set(e, ERR_CORRUPT, 0, "'%s' is not a regular file", path);
    if (rc) {
        io_close(&fd);
        return -1;
    }
    *ret_fd = fd;
    *ret_size = (uint64_t)st.st_size;
    return 0;
}

static int file_read(struct store *s, const char *key, uint64_t offset, void *out, size_t n, struct err *e)
{
    int fd = -1;
    uint64_t size = 0;
    if (open_object(s, key, &fd, &size, e))
        return -1;
    int rc = io_pread(fd, out, n, offset, e);
    io_close(&fd);
    return rc;
}

static int file_read_tail(struct store *s, const char *key, size_t n, struct buf *out, uint64_t *ret_size,
                          struct err *e)
{
    int fd = -1;
    uint64_t size = 0;
    if (open_object(s, key, &fd, &size, e))
        return -1;
    size_t want = size < n ? (size_t)size : n;
    int rc = buf_reserve(out, want, e);
    if (rc == 0 && want > 0)
        rc = io_pread(fd, out->data + out->len, want, size - want, e);
    io_close(&fd);
    if (rc == 0) {
        out->len += want;
        *ret_size = size;
    }
    return rc;
}

/* ---- list: collect the files below the deepest folder in the prefix, sort them, deliver them */

struct listing {
    struct listed_file {
        char key[STORE_KEY_MAX];
        uint64_t size;
        int64_t time_ms;
    } * files;
    size_t count, cap;
    const char *prefix, *start_after;
};

static int add_file(struct listing *l, const char *key, const struct stat *st, struct err *e)
{
    if (strncmp(key, l->prefix, strlen(l->prefix)) != 0 || strcmp(key, l->start_after) <= 0)
        return 0;
    if (array_reserve(&l->files, &l->cap, l->count + 1, sizeof *l->files, e))
        return -1;
    struct listed_file *f = &l->files[l->count++];
    snprintf(f->key, sizeof f->key, "%s", key);
    f->size = (uint64_t)st->st_size;
    f->time_ms = (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;
    return 0;
}

static int collect(struct file_store *fs, const char *dir_key, struct listing *l, struct err *e);

/* Is this the key of a folder that objects of a replica are in? Others, such as lost+found, are not ours. */
static bool is_ours(const char *dir_key)
{
    return dir_key[0] == 0 || (dir_key[0] >= '0' && dir_key[0] <= '9' && dir_key[1] == '/') ||
           strncmp(dir_key, "base/", 5) == 0 || strncmp(dir_key, "part/", 5) == 0;
}

/* Adds the file `name` of the folder `dir_key`, or the files below it if it is a folder that the prefix can lead
 * into. Passes over what can't be an object: devices, pipes, sockets, links that lead nowhere. */
static int collect_name(struct file_store *fs, int dir_fd, const char *dir_key, const char *name, struct listing *l,
                        struct err *e)
{
    char key[STORE_KEY_MAX];
    struct stat st;
    if (name[0] == '.' || snprintf(key, sizeof key, "%s%s", dir_key, name) >= (int)sizeof key - 1)
        return 0;                           /* a hidden file, or a name longer than any key: not an object */
    if (fstatat(dir_fd, name, &st, 0) != 0) /* ENOENT: removed meanwhile, or a link to nothing */
        return errno == ENOENT || errno == ELOOP ? 0 : err_sys(e, errno, "stat '%s/%s'", fs->root, key);
    if (!S_ISDIR(st.st_mode))
        return S_ISREG(st.st_mode) ? add_file(l, key, &st, e) : 0;
    size_t n = strlen(key), p = strlen(l->prefix);
    if (strncmp(key, l->prefix, n < p ? n : p) != 0)
        return 0;
    memcpy(key + n, "/", 2);
    return collect(fs, key, l, e);
}

/* Adds all files below a folder. `dir_key`: its key, which ends with '/'; "": the root. */
static int collect(struct file_store *fs, const char *dir_key, struct listing *l, struct err *e)
{
    char path[PATH_TEXT_MAX];
    if (path_format(path, e, "%s/%s", fs->root, dir_key))
        return -1;
    DIR *dir = opendir(path);
    if (!dir && (errno == ENOENT || errno == ENOTDIR) && dir_key[0])
        return 0; /* no object has this prefix yet */
    if (!dir && errno == EACCES && !is_ours(dir_key))
        return 0; /* not a folder of the replica */
    if (!dir)
        return err_sys(e, errno, "open folder '%s'", path);
    /* A writer relies on what it lists. A crash can have come between the link and the sync of the folder. */
    int rc = fs->mode == STORE_WRITE ? io_fsync(dirfd(dir), path, e) : 0;
    while (rc == 0) {
        errno = 0;
        struct dirent *d = readdir(dir);
        if (!d) {
            if (errno)
                rc = err_sys(e, errno, "read folder '%s'", path);
            break;
        }
        rc = collect_name(fs, dirfd(dir), dir_key, d->d_name, l, e);
    }
    closedir(dir);
    return rc;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct listed_file *)a)->key, ((const struct listed_file *)b)->key);
}

static int file_list(struct store *s, const char *prefix, const char *start_after, store_entry_fn *fn, void *context,
                     struct err *e)
{
    struct stat st;
    if (ours(s)->mode == STORE_WRITE && stat(ours(s)->root, &st) == 0 && check_root(ours(s), e))
        return -1; /* an empty mount point is not an empty replica */
    struct listing l = {.prefix = prefix, .start_after = start_after};
    char dir_key[STORE_KEY_MAX] = "";
    const char *slash = strrchr(prefix, '/');
    if (slash)
        snprintf(dir_key, sizeof dir_key, "%.*s", (int)(slash - prefix + 1), prefix);
    int rc = collect(ours(s), dir_key, &l, e);
    if (rc == 0 && l.count > 0)
        qsort(l.files, l.count, sizeof *l.files, by_key);
    for (size_t i = 0; rc == 0 && i < l.count; i++) {
        struct store_entry entry = {.key = l.files[i].key, .size = l.files[i].size, .time_ms = l.files[i].time_ms};
        if (fn(context, &entry))
            break;
    }
    free(l.files);
    return rc;
}

/* ---- remove, time, open */

/* Opens the folder of `key`, without following links below the root. *ret_name: the name in it. */
static int open_parent(struct store *s, const char *key, int *ret_fd, const char **ret_name)
{
    int fd = open(ours(s)->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *slash = NULL;
    while (fd >= 0 && (slash = strchr(key, '/'))) {
        char name[STORE_KEY_MAX];
        snprintf(name, sizeof name, "%.*s", (int)(slash - key), key);
        int below = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int why = errno;
        io_close(&fd);
        fd = below;
        errno = why;
        key = slash + 1;
    }
    *ret_fd = fd;
    *ret_name = key;
    return fd < 0 ? -1 : 0;
}

static int file_remove(struct store *s, const char *key, struct err *e)
{
    char path[PATH_TEXT_MAX];
    const char *name = NULL;
    int fd = -1;
    if (key_path(s, key, path, e))
        return -1;
    if (open_parent(s, key, &fd, &name))
        return errno == ENOENT ? 0 : err_sys(e, errno, "open the folder of '%s'", path);
    int rc = 0;
    if (unlinkat(fd, name, 0) == 0)
        rc = io_fsync(fd, path, e);
    else if (errno != ENOENT)
        rc = err_sys(e, errno, "unlink '%s'", path);
    io_close(&fd);
    return rc;
}

/* A file without a name gets its time from the same clock as the objects. */
static int file_time(struct store *s, int64_t *ret_time_ms, struct err *e)
{
    struct stage staged = STAGE_NONE;
    if (stage_begin(&staged, ours(s)->root, e))
        return -1;
    int rc = time_of(staged.fd, ret_time_ms, e);
    stage_end(&staged);
    return rc;
}

static void file_close(struct store *s)
{
    free(s);
}

static const struct store_ops file_ops = {
    .put_new = file_put_new,
    .read = file_read,
    .read_tail = file_read_tail,
    .list = file_list,
    .remove = file_remove,
    .time = file_time,
    .close = file_close,
};

/* ---- open */

/* Takes the path out of `url`, which is file:///dir or a path. */
static int path_of(const char *url, const char **ret_path, struct err *e)
{
    const char *path = url;
    if (strncmp(url, SCHEME, strlen(SCHEME)) == 0) {
        path = url + strlen(SCHEME);
        if (path[0] != '/') {
            err_set(e, ERR_CONFIG, 0, "store '%s': the path after " SCHEME " is not absolute", url);
            return err_hint(e, "write file:///dir, with three slashes, or a plain path");
        }
    }
    if (path[0] == 0)
        return err_set(e, ERR_CONFIG, 0, "store '%s': the path is empty", url);
    *ret_path = path;
    return 0;
}

static int check_url(const char *url, char ret_shown[STORE_URL_MAX], struct err *e)
{
    const char *path = NULL;
    if (path_of(url, &path, e))
        return -1;
    if (snprintf(ret_shown, STORE_URL_MAX, "%s", path) >= STORE_URL_MAX)
        return err_set(e, ERR_CONFIG, 0, "store '%.60s...': path too long", path);
    return 0;
}

/* Opens the folder that is at `path`. */
static int open_folder(const char *path, enum store_mode mode, struct store **ret_store, struct err *e)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return err_sys(e, errno, "stat");
    if (!S_ISDIR(st.st_mode))
        return err_set(e, ERR_CONFIG, 0, "not a folder");
    struct file_store *fs = calloc(1, sizeof *fs);
    if (!fs)
        return err_nomem(e, sizeof *fs);
    fs->base.ops = &file_ops;
    fs->base.fencing = STORE_FENCING_STRONG;
    fs->mode = mode;
    fs->device = st.st_dev;
    fs->inode = st.st_ino;
    /* The real path, so that each folder has one name. Its name is synced here because an earlier run that created
     * it can have been killed before its sync. */
    int rc = 0;
    if (!realpath(path, fs->root))
        rc = err_sys(e, errno, "resolve the path");
    else if (strlen(fs->root) >= sizeof fs->base.url)
        rc = err_set(e, ERR_CONFIG, 0, "path too long");
    else if (mode == STORE_WRITE)
        rc = path_sync_name(fs->root, e);
    if (rc) {
        free(fs);
        return -1;
    }
    memcpy(fs->base.url, fs->root, strlen(fs->root) + 1);
    if (mode == STORE_WRITE && (st.st_mode & folder_private_bits() & 0055)) /* the bits to read or to enter it */
        snprintf(fs->base.note, sizeof fs->base.note,
                 "its folder can be read by users who can't read the database; chmod -R go-rwx makes it private");
    *ret_store = &fs->base;
    return 0;
}

static int open_url(const char *url, enum store_mode mode, struct store **ret_store, struct err *e)
{
    const char *path = NULL;
    if (path_of(url, &path, e))
        return -1;
    if ((mode == STORE_WRITE && path_make_dirs(path, e)) || open_folder(path, mode, ret_store, e))
        return err_wrap(e, "store '%.200s'", path);
    return 0;
}

const struct store_kind file_store_kind = {
    .name = "file",
    .scheme = SCHEME,
    .form = "file:///dir",
    .open = open_url,
    .check = check_url,
};
