/* storage/file.c */
#include "storage/file.h"

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

struct file_store {
    struct store base;
    enum store_mode mode;
    dev_t device; /* of the root when it was opened */
    ino_t inode;
    char root[PATH_TEXT_MAX];
};

static struct file_store *ours(struct store *s)
{
    return (struct file_store *)s;
}

static int key_path(struct store *s, const char *key, char out[PATH_TEXT_MAX], struct err *e)
{
    return path_format(out, e, "%s/%s", ours(s)->root, key);
}

/* ---- put */

/* The folder that was opened is still there. Without this an unmounted disk would be written to its bare mount point. A disk that
 * was mounted again may have other numbers: then the replica's identity must be in it. */
static int check_root(struct file_store *fs, struct err *e)
{
    char identity[PATH_TEXT_MAX];
    struct stat st;
    if (stat(fs->root, &st) != 0) {
        err_set(e, ERR_REMOTE, errno, "the folder '%s' is gone: %s", fs->root, strerror(errno));
        return err_hint(e, "is the disk mounted?");
    }
    if (st.st_dev == fs->device && st.st_ino == fs->inode)
        return 0;
    if (path_format(identity, e, "%s/seawall.json", fs->root))
        return -1;
    if (access(identity, F_OK) != 0) {
        err_set(e, ERR_REMOTE, errno, "the folder '%s' is another one than at the start, and holds no replica",
                fs->root);
        return err_hint(e, "is the disk mounted?");
    }
    fs->device = st.st_dev;
    fs->inode = st.st_ino;
    return 0;
}

/* When the file was last changed, or given a name, by the file system's clock: on a network file system that is the server's. */
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
        stage_begin(&st, dir, 0666, e))
        return -1;
    int rc = io_write(st.fd, bytes, n, e);
    if (rc == 0)
        rc = io_fsync(st.fd, path, e);
    if (rc == 0) {
        rc = stage_link(&st, path, e);
        struct err later;
        bool answered = rc == 0 || e->code == ERR_EXISTS;
        if (answered && (io_fsync_dir(dir, &later) ||
                         time_of(st.fd, ret_time_ms, &later))) { /* "it exists" must be durable as well */
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
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, errno, "open '%s'", path);
    if (fstat(fd, &st) != 0) {
        err_sys(e, errno, "stat '%s'", path);
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
    if (rc == 0)
        rc = io_pread(fd, out->data + out->len, want, size - want, e);
    io_close(&fd);
    if (rc == 0) {
        out->len += want;
        *ret_size = size;
    }
    return rc;
}

/* ---- list: collect below the deepest folder that the prefix names, sort, hand over */

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
    if (l->count == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;
        void *grown = realloc(l->files, cap * sizeof *l->files);
        if (!grown)
            return err_nomem(e, cap * sizeof *l->files);
        l->files = grown;
        l->cap = cap;
    }
    struct listed_file *f = &l->files[l->count++];
    snprintf(f->key, sizeof f->key, "%s", key);
    f->size = (uint64_t)st->st_size;
    f->time_ms = (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;
    return 0;
}

/* `dir_key`: "" or a key that ends with '/'. */
static int collect(struct file_store *fs, const char *dir_key, struct listing *l, struct err *e)
{
    char path[PATH_TEXT_MAX];
    if (path_format(path, e, "%s/%s", fs->root, dir_key))
        return -1;
    DIR *dir = opendir(path);
    if (!dir && (errno == ENOENT || errno == ENOTDIR) && dir_key[0])
        return 0; /* no object under this prefix yet */
    if (!dir)
        return err_sys(e, errno, "open folder '%s'", path);
    /* A writer takes what it lists for durable: a crash may have come between link and the sync of the folder. */
    int rc = fs->mode == STORE_WRITE ? io_fsync(dirfd(dir), path, e) : 0;
    while (rc == 0) {
        char key[STORE_KEY_MAX];
        struct stat st;
        errno = 0;
        struct dirent *d = readdir(dir);
        if (!d) {
            if (errno)
                rc = err_sys(e, errno, "read folder '%s'", path);
            break;
        }
        if (d->d_name[0] == '.' || snprintf(key, sizeof key, "%s%s", dir_key, d->d_name) >= (int)sizeof key - 1)
            continue; /* hidden, or too long for one of ours */
        if (fstatat(dirfd(dir), d->d_name, &st, 0) != 0) {
            if (errno != ENOENT) /* removed while we look */
                rc = err_sys(e, errno, "stat '%s%s'", path, d->d_name);
            continue;
        }
        if (!S_ISDIR(st.st_mode)) {
            rc = add_file(l, key, &st, e);
            continue;
        }
        size_t n = strlen(key), p = strlen(l->prefix);
        if (strncmp(key, l->prefix, n < p ? n : p) == 0) {
            memcpy(key + n, "/", 2);
            rc = collect(fs, key, l, e);
        }
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
        return -1; /* an empty mount point is no empty replica */
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

static int file_remove(struct store *s, const char *key, struct err *e)
{
    char path[PATH_TEXT_MAX];
    if (key_path(s, key, path, e))
        return -1;
    if (unlink(path) == 0)
        return path_fsync_parent(path, e);
    return errno == ENOENT ? 0 : err_sys(e, errno, "unlink '%s'", path);
}

/* The clock that also stamps the objects. */
static int file_time(struct store *s, int64_t *ret_time_ms, struct err *e)
{
    struct stage staged = STAGE_NONE;
    if (stage_begin(&staged, ours(s)->root, 0600, e))
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

int file_store_open(const char *path, enum store_mode mode, struct store **ret_store, struct err *e)
{
    struct stat st;
    if (mode == STORE_WRITE && path_make_dirs(path, e))
        return err_wrap(e, "store '%s'", path);
    if (stat(path, &st) != 0)
        return err_sys(e, errno, "store '%s'", path);
    if (!S_ISDIR(st.st_mode))
        return err_set(e, ERR_CONFIG, 0, "store '%s' is not a folder", path);
    struct file_store *fs = calloc(1, sizeof *fs);
    if (!fs)
        return err_nomem(e, sizeof *fs);
    fs->base.ops = &file_ops;
    fs->base.fencing = STORE_FENCING_STRONG;
    fs->mode = mode;
    fs->device = st.st_dev;
    fs->inode = st.st_ino;
    if (!realpath(path, fs->root) ||
        strlen(fs->root) >= sizeof fs->base.url) { /* one place, one name, however it is spelled */
        free(fs);
        return err_set(e, ERR_CONFIG, 0, "store '%.60s...': path too long", path);
    }
    if (mode == STORE_WRITE &&
        path_sync_name(fs->root, e)) { /* a run that was killed may have made it, and not synced it */
        free(fs);
        return err_wrap(e, "store '%s'", path);
    }
    memcpy(fs->base.url, fs->root, strlen(fs->root) + 1);
    *ret_store = &fs->base;
    return 0;
}
