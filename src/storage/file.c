/* storage/file.c */
#include "storage/file.h"

#include "base/array.h"
#include "base/container.h"
#include "base/folder.h"
#include "base/io.h"
#include "base/output.h"
#include "base/path.h"
#include "base/privacy.h"
#include "base/stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEME "file://"

struct file_store {
    struct store base;
    enum store_mode mode;
    dev_t device; /* of the root when it was opened */
    ino_t inode;
    char root[PATH_TEXT_MAX]; /* absolute, without symbolic links */
    struct held {             /* owned; ascending keys: objects that stay open */
        char key[STORE_KEY_MAX];
        int fd;
        uint64_t size;
    } *held;
    size_t held_count;
    struct file_store *next; /* in the list of stores that hold objects */
};

static struct file_store *ours(struct store *s)
{
    return CONTAINER_OF(s, struct file_store, base);
}

/* ---- folders below the root
 *
 * No symbolic link below the root is followed: one could lead to files of others. */

static int is_link(const char *path, struct err *e)
{
    err_set(e, ERR_CORRUPT, ELOOP, "'%s' is a symbolic link, and links below the root of a replica are not followed",
            path);
    return err_hint(e, "make the whole replica a folder of the other disk: its root may be a symbolic link");
}

/* Goes one folder down: to `name` of `f`, which is closed in every case. */
static int enter(struct folder *f, const char *name, struct err *e)
{
    struct stat st;
    size_t n = strlen(f->path);
    int below = openat(f->fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), why = errno;
    bool link =
        below < 0 && why == ENOTDIR && fstatat(f->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
    folder_close(f);
    if (n + 1 + strlen(name) >= sizeof f->path) {
        io_close(&below);
        return err_set(e, ERR_CONFIG, ENAMETOOLONG, "path longer than %d bytes: '%.60s...'", PATH_TEXT_MAX - 1,
                       f->path);
    }
    snprintf(f->path + n, sizeof f->path - n, "/%s", name);
    f->fd = below;
    if (below >= 0)
        return 0;
    return link ? is_link(f->path, e) : err_sys(e, why, "open folder '%s'", f->path);
}

/* Makes the folder `name` in `f`, if there is none, and its name durable: an earlier run that made it can have been
 * killed before its sync. */
static int make_folder(const struct folder *f, const char *name, struct err *e)
{
    if (mkdirat(f->fd, name, 0777 & ~privacy()) != 0 && errno != EEXIST)
        return err_sys(e, errno, "mkdir '%s/%s'", f->path, name);
    return folder_sync(f, e);
}

enum below { BELOW_EXISTS, BELOW_MAKE };

/* Opens the folder that holds the object `key`. The caller closes it. *ret_name: the name in it. ERR_NOTFOUND: with
 * BELOW_EXISTS, there is none. */
static int open_folder_of(struct store *s, const char *key, enum below below, struct folder *f, const char **ret_name,
                          struct err *e)
{
    const char *slash = NULL;
    int rc = folder_open(f, ours(s)->root, e);
    while (rc == 0 && (slash = strchr(key, '/'))) {
        char name[STORE_KEY_MAX];
        snprintf(name, sizeof name, "%.*s", (int)(slash - key), key);
        if (below == BELOW_MAKE)
            rc = make_folder(f, name, e);
        if (rc == 0)
            rc = enter(f, name, e);
        key = slash + 1;
    }
    if (rc)
        folder_close(f);
    *ret_name = key;
    return rc;
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
        return err_hint(e, "is the disk mounted? If the folder was removed, start the daemon once with --take-over");
    }
    if (st.st_dev == fs->device && st.st_ino == fs->inode)
        return 0;
    if (path_format(identity, e, "%s/seawall.json", fs->root))
        return -1;
    if (access(identity, F_OK) != 0) {
        if (io_is_passing(errno))
            return err_set(e, ERR_REMOTE, errno, "look at '%s': %s", identity, strerror(errno));
        err_set(e, ERR_REMOTE, errno, "folder '%s' was replaced and does not hold a replica", fs->root);
        return err_hint(e, "is the disk mounted? If the folder was made again, start the daemon once with --take-over");
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

static int put_once(struct store *s, const char *key, const void *bytes, size_t n, int64_t *ret_time_ms, struct err *e)
{
    struct folder dir = FOLDER_NONE;
    struct stage st = STAGE_NONE;
    const char *name = NULL;
    if (check_root(ours(s), e))
        return -1;
    int rc = open_folder_of(s, key, BELOW_EXISTS, &dir, &name, e);
    if (rc != 0 && e->code == ERR_NOTFOUND)
        rc = open_folder_of(s, key, BELOW_MAKE, &dir, &name, e);
    if (rc != 0 && e->code == ERR_CORRUPT)
        e->code = ERR_IO; /* nothing was read */
    if (rc == 0)
        rc = stage_begin_shared(&st, &dir, e);
    folder_close(&dir);
    if (rc == 0)
        rc = output_whole(st.fd, bytes, n, e);
    if (rc == 0)
        rc = io_fsync(st.fd, key, e);
    if (rc == 0) {
        rc = stage_link(&st, name, e);
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

/* `f`: the folder of the object. */
static int open_in(const struct folder *f, const char *name, int *ret_fd, uint64_t *ret_size, struct err *e)
{
    char path[sizeof f->path + STORE_KEY_MAX];
    struct stat st;
    /* A FIFO in the place of the object must not block. */
    int fd = openat(f->fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW), why = errno, rc = 0;
    snprintf(path, sizeof path, "%s/%s", f->path, name);
    if (fd < 0)
        return why == ELOOP ? is_link(path, e) : err_sys(e, why, "open '%s'", path);
    if (fstat(fd, &st) != 0)
        rc = err_sys(e, errno, "stat '%s'", path);
    else if (!S_ISREG(st.st_mode))
        rc = err_set(e, ERR_CORRUPT, 0, "'%s' is not a regular file", path);
    if (rc) {
        io_close(&fd);
        return -1;
    }
    *ret_fd = fd;
    *ret_size = (uint64_t)st.st_size;
    return 0;
}

static int open_object(struct store *s, const char *key, int *ret_fd, uint64_t *ret_size, struct err *e)
{
    struct folder f = FOLDER_NONE;
    const char *name = NULL;
    if (open_folder_of(s, key, BELOW_EXISTS, &f, &name, e))
        return -1;
    int rc = open_in(&f, name, ret_fd, ret_size, e);
    folder_close(&f);
    return rc;
}

/* ---- objects that stay open: retention may remove them while they are read
 *
 * Many stores may hold objects at the same time, and everything else needs descriptors too. So there is one count for
 * the process, and a call that finds no descriptor left closes all of them. */

#define HELD_MAX 16384
#define SMALL_LIMIT 4096

static pthread_once_t limit_raised = PTHREAD_ONCE_INIT;
static pthread_rwlock_t held_lock = PTHREAD_RWLOCK_INITIALIZER; /* who reads a held object holds it too */
static struct file_store *holders;                              /* guarded by held_lock, as the next one */
static size_t held_files; /* of the process, with those that are about to be held */

static void raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* fewer files are held then */
    }
}

/* Returns how many files the process may hold. The others are for the jobs, which run at the same time. */
static size_t most_held(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    const rlim_t share = limit.rlim_cur < SMALL_LIMIT ? limit.rlim_cur / 4 : limit.rlim_cur / 2;
    return share < HELD_MAX ? (size_t)share : HELD_MAX;
}

/* Takes room for up to `count` files. Returns for how many. */
static size_t take_room(size_t count)
{
    pthread_once(&limit_raised, raise_limit);
    pthread_rwlock_wrlock(&held_lock);
    const size_t most = most_held(), room = most > held_files ? most - held_files : 0;
    count = count < room ? count : room;
    held_files += count;
    pthread_rwlock_unlock(&held_lock);
    return count;
}

static int by_held_key(const void *a, const void *b)
{
    return strcmp(((const struct held *)a)->key, ((const struct held *)b)->key);
}

/* Before: the caller holds held_lock. */
static const struct held *find_held(const struct file_store *fs, const char *key)
{
    struct held wanted;
    snprintf(wanted.key, sizeof wanted.key, "%s", key);
    return fs->held_count ? bsearch(&wanted, fs->held, fs->held_count, sizeof wanted, by_held_key) : NULL;
}

/* Before: the caller holds held_lock for writing. */
static void close_held(struct file_store *fs)
{
    for (size_t i = 0; i < fs->held_count; i++)
        io_close(&fs->held[i].fd);
    held_files -= fs->held_count;
    free(fs->held);
    fs->held = NULL;
    fs->held_count = 0;
}

static void let_go(struct file_store *fs)
{
    pthread_rwlock_wrlock(&held_lock);
    struct file_store **at = &holders;
    while (*at && *at != fs)
        at = &(*at)->next;
    if (*at)
        *at = fs->next;
    close_held(fs);
    pthread_rwlock_unlock(&held_lock);
}

/* Whether an error says that there was no descriptor, and there may be one now: lets go of what all stores hold. What
 * retention removes meanwhile is then gone. */
static bool made_room(const struct err *e)
{
    if (e->sys != EMFILE && e->sys != ENFILE)
        return false;
    pthread_rwlock_wrlock(&held_lock);
    const bool any = holders != NULL;
    for (; holders; holders = holders->next)
        close_held(holders);
    pthread_rwlock_unlock(&held_lock);
    return any;
}

/* Opens `count` objects, as far as that can be done. Returns how many. A folder is opened once for all that follow each
 * other in it. */
static size_t open_all(struct store *s, const char *const *keys, size_t count, struct held *held)
{
    struct err why = {0}; /* what can't be opened now fails when it is read */
    struct folder f = FOLDER_NONE;
    const char *of = NULL; /* a key in `f` */
    size_t n = 0;
    for (size_t i = 0; i < count && why.sys != EMFILE && why.sys != ENFILE; i++) {
        const char *slash = strrchr(keys[i], '/'), *name = slash ? slash + 1 : keys[i];
        const size_t parent = (size_t)(name - keys[i]);
        if (!of || strncmp(of, keys[i], parent) != 0 || strchr(of + parent, '/')) {
            folder_close(&f);
            of = open_folder_of(s, keys[i], BELOW_EXISTS, &f, &name, &why) == 0 ? keys[i] : NULL;
        }
        snprintf(held[n].key, sizeof held[n].key, "%s", keys[i]);
        n += of && open_in(&f, name, &held[n].fd, &held[n].size, &why) == 0;
    }
    folder_close(&f);
    return n;
}

static void file_hold(struct store *s, const char *const *keys, size_t count)
{
    struct file_store *fs = ours(s);
    let_go(fs);
    count = fs->mode == STORE_READ ? take_room(count) : 0;
    struct held *held = count ? calloc(count, sizeof *held) : NULL;
    const size_t n = held ? open_all(s, keys, count, held) : 0;
    if (n > 0)
        qsort(held, n, sizeof *held, by_held_key);
    pthread_rwlock_wrlock(&held_lock);
    held_files -= count - n;
    fs->held = held;
    fs->held_count = n;
    if (n > 0) {
        fs->next = holders;
        holders = fs;
    }
    pthread_rwlock_unlock(&held_lock);
    if (n == 0) {
        free(held);
        fs->held = NULL;
    }
}

static int file_put_new(struct store *s, const char *key, const void *bytes, size_t n, int64_t *ret_time_ms,
                        struct err *e)
{
    int rc = put_once(s, key, bytes, n, ret_time_ms, e);
    if (rc != 0 && made_room(e))
        rc = put_once(s, key, bytes, n, ret_time_ms, e);
    return rc;
}

/* ---- reading */

/* Opens an object, or borrows it if it is held: then held_lock is taken until close_read. */
struct reading {
    int fd;
    uint64_t size;
    bool held;
};

static int open_to_read(struct store *s, const char *key, struct reading *r, struct err *e)
{
    pthread_rwlock_rdlock(&held_lock);
    const struct held *held = find_held(ours(s), key);
    *r = held ? (struct reading){held->fd, held->size, true} : (struct reading){.fd = -1};
    if (held)
        return 0;
    pthread_rwlock_unlock(&held_lock);
    int rc = open_object(s, key, &r->fd, &r->size, e);
    if (rc != 0 && made_room(e))
        rc = open_object(s, key, &r->fd, &r->size, e);
    return rc;
}

static void close_read(struct reading *r)
{
    if (r->held)
        pthread_rwlock_unlock(&held_lock);
    else
        io_close(&r->fd);
}

static int file_read(struct store *s, const char *key, uint64_t offset, void *out, size_t n, struct err *e)
{
    struct reading r;
    if (open_to_read(s, key, &r, e))
        return -1;
    int rc = io_pread(r.fd, out, n, offset, e);
    close_read(&r);
    return rc;
}

static int file_read_tail(struct store *s, const char *key, size_t n, struct buf *out, uint64_t *ret_size,
                          struct err *e)
{
    struct reading r;
    if (open_to_read(s, key, &r, e))
        return -1;
    const uint64_t size = r.size;
    size_t want = size < n ? (size_t)size : n;
    int rc = buf_reserve(out, want, e);
    if (rc == 0 && want > 0)
        rc = io_pread(r.fd, out->data + out->len, want, size - want, e);
    close_read(&r);
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
    } *files;
    size_t count, cap;
    size_t strange; /* entries that can't be objects */
    const char *prefix, *start_after;
    enum store_mode mode;
};

/* Whether the prefix leads to the key, or to keys below it. */
static bool is_asked_for(const struct listing *l, const char *key)
{
    return strncmp(key, l->prefix, strlen(l->prefix)) == 0 && strcmp(key, l->start_after) > 0;
}

static int add_file(struct listing *l, const char *key, const struct stat *st, struct err *e)
{
    if (l->count == STORE_LIST_MAX) {
        err_set(e, ERR_LIMIT, 0, "there are more than %d files", STORE_LIST_MAX);
        return err_hint(e, "check that this is the folder of one replica; give each replica a folder of its own");
    }
    if (array_reserve(&l->files, &l->cap, l->count + 1, sizeof *l->files, e))
        return -1;
    struct listed_file *f = &l->files[l->count++];
    snprintf(f->key, sizeof f->key, "%s", key);
    f->size = (uint64_t)st->st_size;
    f->time_ms = (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;
    return 0;
}

static int collect(const struct folder *dir, const char *dir_key, struct listing *l, struct err *e);

/* Whether this is the key of a folder that has objects of a replica. Others are not ours, such as lost+found in the root,
 * or @eaDir, which a Synology makes in each folder. */
static bool is_ours(const char *dir_key)
{
    static const char digits[] = "0123456789", of_base[] = "0123456789abcdef-";
    const char *rest = strchr(dir_key, '/');
    if (!rest)
        return true; /* the root */
    rest++;
    if (strncmp(dir_key, "base/", 5) == 0)
        return strcmp(rest + strspn(rest, of_base), "/") == 0 || *rest == 0;
    const bool level = strspn(dir_key, digits) == 1 && dir_key[1] == '/';
    return *rest == 0 && (level || strcmp(dir_key, "part/") == 0 || strcmp(dir_key, "pack/") == 0);
}

/* Adds the files below the folder `name` of `dir`, if the prefix can lead there. `key`: its key with '/'. */
static int collect_below(const struct folder *dir, const char *name, const char *key, struct listing *l, struct err *e)
{
    size_t n = strlen(key), p = strlen(l->prefix);
    if (strncmp(key, l->prefix, n < p ? n : p) != 0)
        return 0;
    struct folder *below = malloc(sizeof *below);
    if (!below)
        return err_nomem(e, sizeof *below);
    *below = *dir;
    below->fd = fcntl(dir->fd, F_DUPFD_CLOEXEC, 0);
    int rc = below->fd < 0 ? err_sys(e, errno, "open folder '%s'", dir->path) : enter(below, name, e);
    if (rc == 0)
        rc = collect(below, key, l, e);
    else if (e->code == ERR_NOTFOUND)
        rc = 0; /* removed meanwhile */
    folder_close(below);
    free(below);
    return rc;
}

/* Adds the file `name` of the folder `dir_key`, or the files below it if it is a folder. Counts what can't be an
 * object: devices, pipes, sockets, links, names longer than any key. Hidden files are neither. */
static int collect_name(const struct folder *dir, const char *dir_key, const char *name, struct listing *l,
                        struct err *e)
{
    char key[STORE_KEY_MAX];
    struct stat st;
    if (name[0] == '.')
        return 0;
    const bool fits = snprintf(key, sizeof key, "%s%s", dir_key, name) < (int)sizeof key - 1;
    bool looked = fits && fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (fits && !looked && errno == ENOENT)
        return 0; /* removed meanwhile */
    if (fits && !looked && (errno != EACCES || is_ours(dir_key)))
        return err_sys(e, errno, "stat '%s/%s'", dir->path, name);
    if (looked && S_ISDIR(st.st_mode)) {
        memcpy(key + strlen(key), "/", 2);
        return collect_below(dir, name, key, l, e);
    }
    if (!is_asked_for(l, key))
        return 0;
    if (looked && S_ISREG(st.st_mode))
        return add_file(l, key, &st, e);
    l->strange++;
    return 0;
}

/* Reads the next name of a folder. *ret_name is NULL after the last one. */
static int next_name(DIR *dir, const char *path, const char **ret_name, struct err *e)
{
    errno = 0;
    const struct dirent *d = readdir(dir);
    *ret_name = d ? d->d_name : NULL;
    return d || errno == 0 ? 0 : err_sys(e, errno, "read folder '%s'", path);
}

/* Whether a name in "0/" can be that of an object: hex digits. */
static bool is_numbered(const char *name)
{
    const size_t n = strspn(name, "0123456789abcdef");
    return n > 0 && name[n] == 0 && n < STORE_KEY_MAX;
}

/* Objects of level 0 are put in the order of their names. A folder that grows while it is read can show one of them, and
 * not one that was put just before: the history would have a hole. So the folder is read twice, and what comes after the
 * greatest name of the first time is left out. *ret_last: that name. Names of others, such as @eaDir, don't count: they
 * can be greater than all. */
static int find_last(DIR *dir, const char *path, char ret_last[STORE_KEY_MAX], struct err *e)
{
    const char *name = NULL;
    int rc = 0;
    ret_last[0] = 0;
    while ((rc = next_name(dir, path, &name, e)) == 0 && name)
        if (is_numbered(name) && strcmp(name, ret_last) > 0)
            memcpy(ret_last, name, strlen(name) + 1);
    rewinddir(dir);
    return rc;
}

/* Adds all files below a folder. `dir_key`: its key, which ends with '/'; "": the root. */
static int collect(const struct folder *folder, const char *dir_key, struct listing *l, struct err *e)
{
    int fd = openat(folder->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        int why = errno;
        io_close(&fd);
        if (why != EACCES || is_ours(dir_key))
            return err_sys(e, why, "open folder '%s'", folder->path);
        l->strange++;
        return 0;
    }
    /* A writer relies on what it lists. A crash can have come between the link and the sync of the folder. */
    if (l->mode == STORE_WRITE)
        rc = io_fsync(fd, folder->path, e);
    const bool ordered = strcmp(dir_key, "0/") == 0;
    char last[STORE_KEY_MAX];
    const char *name = NULL;
    if (rc == 0 && ordered)
        rc = find_last(dir, folder->path, last, e);
    const char *after = ordered && strncmp(l->start_after, "0/", 2) == 0 ? l->start_after + 2 : "";
    while (rc == 0 && (rc = next_name(dir, folder->path, &name, e)) == 0 && name)
        if (!ordered || !is_numbered(name) || (strcmp(name, last) <= 0 && strcmp(name, after) > 0))
            rc = collect_name(folder, dir_key, name, l, e);
    closedir(dir);
    return rc;
}

/* Adds the files that the prefix leads to. */
static int collect_all(struct store *s, struct listing *l, struct err *e)
{
    char dir_key[STORE_KEY_MAX] = "";
    struct folder f = FOLDER_NONE;
    const char *slash = strrchr(l->prefix, '/'), *rest = NULL;
    if (slash)
        snprintf(dir_key, sizeof dir_key, "%.*s", (int)(slash - l->prefix + 1), l->prefix);
    int rc = open_folder_of(s, dir_key, BELOW_EXISTS, &f, &rest, e);
    if (rc == 0)
        rc = collect(&f, dir_key, l, e);
    else if (slash && (e->code == ERR_NOTFOUND || e->sys == ENOTDIR || e->sys == ELOOP)) {
        l->strange += e->sys == ELOOP; /* no object has this prefix, or not yet */
        rc = 0;
    }
    folder_close(&f);
    return rc;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct listed_file *)a)->key, ((const struct listed_file *)b)->key);
}

static int file_list(struct store *s, const char *prefix, const char *start_after, store_entry_fn *fn, void *context,
                     struct err *e)
{
    static const struct store_entry strange = {.key = ""};
    if (ours(s)->mode == STORE_WRITE && check_root(ours(s), e))
        return -1; /* an empty mount point is not an empty replica, nor is a folder that is gone */
    struct listing l = {.prefix = prefix, .start_after = start_after, .mode = ours(s)->mode};
    int rc = collect_all(s, &l, e);
    if (rc != 0 && made_room(e)) {
        l.count = l.strange = 0;
        rc = collect_all(s, &l, e);
    }
    if (rc == 0 && l.count > 0)
        qsort(l.files, l.count, sizeof *l.files, by_key);
    bool stopped = rc != 0;
    for (size_t i = 0; !stopped && i < l.count; i++) {
        const struct store_entry entry = {
            .key = l.files[i].key, .size = l.files[i].size, .time_ms = l.files[i].time_ms};
        stopped = fn(context, &entry) != 0;
    }
    for (size_t i = 0; !stopped && i < l.strange; i++)
        stopped = fn(context, &strange) != 0;
    free(l.files);
    return rc;
}

/* ---- folders */

/* Whether the name is that of a folder. A link may lead to one: the root of a replica may be a link. */
static bool is_folder(int fd, const struct dirent *d)
{
    struct stat st;
    if (d->d_type == DT_DIR)
        return true;
    return (d->d_type == DT_LNK || d->d_type == DT_UNKNOWN) && fstatat(fd, d->d_name, &st, 0) == 0 &&
           S_ISDIR(st.st_mode);
}

/* Calls `fn` for each folder, and then for each other thing. */
static int read_folders(DIR *dir, const char *root, store_folder_fn *fn, void *context, struct err *e)
{
    uint64_t others = 0;
    for (;;) {
        errno = 0;
        const struct dirent *d = readdir(dir);
        if (!d && errno)
            return err_sys(e, errno, "read folder '%s'", root);
        if (!d)
            break;
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        if (!is_folder(dirfd(dir), d))
            others++;
        else if (fn(context, d->d_name))
            return 0;
    }
    for (uint64_t i = 0; i < others; i++)
        if (fn(context, ""))
            return 0;
    return 0;
}

static int file_folders(struct store *s, store_folder_fn *fn, void *context, struct err *e)
{
    const char *root = ours(s)->root;
    struct folder f;
    if (folder_open(&f, root, e))
        return -1;
    int fd = openat(f.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    folder_close(&f);
    if (!dir) {
        err_sys(e, errno, "open folder '%s'", root);
        io_close(&fd);
        return -1;
    }
    int rc = read_folders(dir, root, fn, context, e);
    closedir(dir);
    return rc;
}

/* ---- remove, time, open */

/* The folder of objects that tried something out goes with the last of them. */
static void remove_probes(struct store *s)
{
    struct folder root = FOLDER_NONE;
    struct err ignored;
    if (folder_open(&root, ours(s)->root, &ignored) == 0) {
        int rc = unlinkat(root.fd, STORE_PROBE_PREFIX, AT_REMOVEDIR);
        (void)rc; /* it has objects of another process, or is gone already */
    }
    folder_close(&root);
}

static int file_remove(struct store *s, const char *key, struct err *e)
{
    struct folder f = FOLDER_NONE;
    const char *name = NULL;
    if (open_folder_of(s, key, BELOW_EXISTS, &f, &name, e)) {
        if (e->code == ERR_CORRUPT)
            e->code = ERR_IO; /* nothing was read */
        return e->code == ERR_NOTFOUND ? 0 : -1;
    }
    int rc = 0;
    if (unlinkat(f.fd, name, 0) == 0)
        rc = folder_sync(&f, e);
    else if (errno != ENOENT)
        rc = err_sys(e, errno, "unlink '%s/%s'", f.path, name);
    folder_close(&f);
    if (strncmp(key, STORE_PROBE_PREFIX, strlen(STORE_PROBE_PREFIX)) == 0)
        remove_probes(s);
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
    let_go(ours(s));
    free(s);
}

static const struct store_ops file_ops = {
    .put_new = file_put_new,
    .read = file_read,
    .read_tail = file_read_tail,
    .list = file_list,
    .folders = file_folders,
    .remove = file_remove,
    .time = file_time,
    .hold = file_hold,
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
    if (path_check_given(path, e))
        return err_wrap(e, "store");
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

static int not_a_folder(struct err *e)
{
    err_set(e, ERR_CONFIG, 0, "not a folder");
    return err_hint(e, "name a folder, or a path at which there is nothing");
}

/* Opens the folder that is at `path`. */
static int open_folder(const char *path, enum store_mode mode, struct store **ret_store, struct err *e)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return err_sys(e, errno, "stat");
    if (!S_ISDIR(st.st_mode))
        return not_a_folder(e);
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
    fs->base.folder = fs->root;
    if (mode == STORE_WRITE && (st.st_mode & privacy() & 0055)) /* the bits to read or to enter it */
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
