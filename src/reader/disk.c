/* reader/disk.c - a file is: magic (8 bytes), XXH3 of the rest (8), the rest.
 *
 * How much is in the folder is counted when it is opened, and again when this process has put a sixteenth of the
 * limit. So with several processes the folder can be above the limit by that much for each. */
#include "reader/disk.h"

#include "base/clock.h"
#include "base/endian.h"
#include "base/folder.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/stage.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC "SWLcach1"
#define HEAD_BYTES 16
#define FILE_MAX (64u << 20)
#define LEFT_MS 3600000 /* a file that is written for so long was left by a process that was killed */
#define SHARE 16        /* of the limit: how often the folder is counted */
#define KEEP(limit) ((limit) - (limit) / 8)

struct disk {
    struct folder folder;
    uint64_t bytes_max;
    pthread_mutex_t lock; /* guards `since` */
    uint64_t since;       /* bytes that were put since the folder was counted */
};

/* ---- the limit */

struct seen {
    char name[DISK_NAME_MAX];
    uint64_t size;
    int64_t used_ns;
};

static int by_use(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;
    return (x->used_ns > y->used_ns) - (x->used_ns < y->used_ns);
}

static bool is_ours(const char *name)
{
    return strspn(name, "0123456789abcdefn-") == strlen(name) && strlen(name) > 0 && strlen(name) < DISK_NAME_MAX;
}

/* Whether it is a file that a process began to write, and left. */
static bool is_left(const char *name, const struct stat *st)
{
    static const char head[] = ".seawall-", tail[] = ".tmp";
    const size_t n = strlen(name);
    return n < DISK_NAME_MAX && n > sizeof head + sizeof tail && strncmp(name, head, sizeof head - 1) == 0 &&
           strcmp(name + n - (sizeof tail - 1), tail) == 0 && st->st_mtim.tv_sec < (clock_wall_ms() - LEFT_MS) / 1000;
}

/* Lists our files. Returns how many there are; *ret_list is owned by the caller. */
static size_t list(const struct disk *d, struct seen **ret_list, uint64_t *ret_bytes)
{
    size_t count = 0, cap = 0;
    struct stat st;
    *ret_list = NULL;
    *ret_bytes = 0;
    int fd = openat(d->folder.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        io_close(&fd);
        return 0;
    }
    for (const struct dirent *entry; (entry = readdir(dir));) {
        if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode) ||
            !(is_ours(entry->d_name) || is_left(entry->d_name, &st)))
            continue;
        if (count == cap) {
            cap = cap ? 2 * cap : 1024;
            struct seen *more = realloc(*ret_list, cap * sizeof *more);
            if (!more)
                break;
            *ret_list = more;
        }
        struct seen *s = &(*ret_list)[count++];
        memcpy(s->name, entry->d_name, strlen(entry->d_name) + 1);
        s->size = (uint64_t)st.st_size;
        s->used_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
        *ret_bytes += s->size;
    }
    closedir(dir);
    return count;
}

static void make_room(const struct disk *d)
{
    struct seen *files = NULL;
    uint64_t bytes = 0;
    const size_t count = list(d, &files, &bytes);
    if (bytes > d->bytes_max) {
        qsort(files, count, sizeof *files, by_use);
        for (size_t i = 0; i < count && bytes > KEEP(d->bytes_max); i++)
            if (unlinkat(d->folder.fd, files[i].name, 0) == 0)
                bytes -= files[i].size;
    }
    free(files);
}

static void count_put(struct disk *d, size_t n)
{
    pthread_mutex_lock(&d->lock);
    d->since += n;
    const bool look = d->since >= d->bytes_max / SHARE;
    if (look)
        d->since = 0;
    pthread_mutex_unlock(&d->lock);
    if (look)
        make_room(d);
}

/* ---- life */

int disk_open(const char *path, uint64_t bytes_max, struct disk **ret_disk, struct err *e)
{
    const struct folder_trust trust = {.make = 0700, .may_be_link = true};
    struct disk *d = calloc(1, sizeof *d);
    if (!d)
        return err_nomem(e, sizeof *d);
    d->folder = FOLDER_NONE;
    if (folder_open_trusted(&d->folder, path, &trust, e)) {
        free(d);
        return err_wrap(e, "cache '%s'", path);
    }
    d->bytes_max = bytes_max;
    pthread_mutex_init(&d->lock, NULL);
    make_room(d);
    *ret_disk = d;
    return 0;
}

void disk_close(struct disk *d)
{
    if (!d)
        return;
    folder_close(&d->folder);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

/* ---- files */

/* Reads a file whole. False: it is not there, or is not a complete file of this folder. */
static bool read_file(int fd, struct buf *out)
{
    uint8_t head[HEAD_BYTES];
    struct stat st;
    struct err e;
    const size_t before = out->len;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < HEAD_BYTES || st.st_size > FILE_MAX)
        return false;
    const size_t n = (size_t)st.st_size - HEAD_BYTES;
    if (io_pread(fd, head, sizeof head, 0, &e) || memcmp(head, MAGIC, 8) != 0 || buf_reserve(out, n + 1, &e) ||
        io_pread(fd, out->data + before, n, HEAD_BYTES, &e) || hash64(out->data + before, n) != get_be64(head + 8))
        return false;
    out->len = before + n;
    return true;
}

bool disk_get(struct disk *d, const char *name, struct buf *out)
{
    int fd = d ? openat(d->folder.fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW) : -1;
    if (fd < 0)
        return false;
    const bool whole = read_file(fd, out);
    if (whole)
        futimens(fd, (const struct timespec[2]){{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_NOW}});
    io_close(&fd);
    if (!whole)
        disk_drop(d, name);
    return whole;
}

void disk_put(struct disk *d, const char *name, const void *bytes, size_t n)
{
    struct stage st = STAGE_NONE;
    struct err e;
    uint8_t head[HEAD_BYTES] = MAGIC;
    if (!d || n > FILE_MAX - HEAD_BYTES)
        return;
    put_be64(head + 8, hash64(bytes, n));
    if (stage_begin_in(&st, &d->folder, &e) == 0 && io_pwrite(st.fd, head, sizeof head, 0, &e) == 0 &&
        io_pwrite(st.fd, bytes, n, HEAD_BYTES, &e) == 0 && stage_name(&st, &e) == 0 && stage_rename(&st, name, &e) == 0)
        count_put(d, HEAD_BYTES + n);
    stage_end(&st);
}

void disk_drop(struct disk *d, const char *name)
{
    struct err e;
    if (d && folder_remove(&d->folder, name, &e))
        return; /* the next one who reads it finds it damaged too */
}
