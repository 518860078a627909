/* capture/frozen.c */
#include "capture/frozen.h"

#include "base/clock.h"
#include "base/io.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define RUN_BYTES (256u << 10) /* neighbouring pages are copied together */
/* Bytes that stay free on the disk, for the application. A copy that is smaller leaves as much as it takes. */
#define SPARE_MAX (64ull << 20)

/* Nobody reads a page of zeros: its map entry says enough. */
static bool needed(const struct map *map, uint32_t pgno, uint64_t after)
{
    struct map_entry entry = map_get(map, pgno);
    return entry.txid > after && entry.hash != 0;
}

static uint64_t bytes_needed(const struct map *map, uint64_t after)
{
    uint64_t pages = 0;
    for (uint32_t pgno = 1; pgno <= map->pages; pgno++)
        pages += needed(map, pgno, after);
    return pages * map->page_size;
}

static int no_room(const char *dir, uint64_t bytes, struct err *e)
{
    err_set(e, ERR_LIMIT, ENOSPC, "no room in '%s' for a copy of the %llu bytes to be sent", dir,
            (unsigned long long)bytes);
    return err_hint(e, "set TMPDIR to a folder with more room; a database in WAL mode needs no copy");
}

/* Is there room for `bytes`, and some more for the application? */
static int check_room(int fd, const char *dir, uint64_t bytes, struct err *e)
{
    struct statvfs fs;
    if (fstatvfs(fd, &fs) != 0)
        return err_sys(e, errno, "statvfs '%s'", dir);
    uint64_t spare = bytes < SPARE_MAX ? bytes : SPARE_MAX;
    return (uint64_t)fs.f_bavail * fs.f_frsize >= bytes + spare ? 0 : no_room(dir, bytes, e);
}

static int copy_run(const struct frozen *f, struct capture *capture, uint32_t first, uint32_t n, uint8_t *room,
                    struct err *e)
{
    uint32_t page_size = capture->state->map.page_size;
    if (capture->beat_ms)
        atomic_store(capture->beat_ms, (long long)clock_mono_ms());
    if (capture_read_pages(capture, first, n, room, e))
        return -1;
    return io_pwrite(f->file.fd, room, (size_t)n * page_size, (uint64_t)(first - 1) * page_size, e);
}

static int copy_pages(const struct frozen *f, struct capture *capture, struct err *e)
{
    const struct map *map = &capture->state->map;
    if (ftruncate(f->file.fd, (off_t)map->pages * map->page_size) != 0) /* as long as the database, with holes */
        return err_sys(e, errno, "make room for the copy of the database");
    uint32_t most = RUN_BYTES / map->page_size, n = 0;
    uint8_t *room = malloc(RUN_BYTES);
    int rc = room ? 0 : err_nomem(e, RUN_BYTES);
    for (uint32_t pgno = 1; rc == 0 && pgno <= map->pages; pgno += n ? n : 1) {
        for (n = 0; n < most && pgno + n <= map->pages && needed(map, pgno + n, f->after);)
            n++;
        if (n > 0)
            rc = copy_run(f, capture, pgno, n, room, e);
    }
    free(room);
    return rc;
}

/* Chooses the folder and makes a file without a name in it. */
static int make_file(struct frozen *f, const char *db_path, char dir[PATH_TEXT_MAX], struct err *e)
{
    const char *tmpdir = getenv("TMPDIR");
    if (tmpdir && *tmpdir ? path_format(dir, e, "%s", tmpdir) : path_parent(db_path, dir, e))
        return -1;
    if (stage_begin(&f->file, dir, e))
        return -1;
    if (f->file.name[0] && folder_remove(&f->file.folder, f->file.name, e))
        return -1;
    f->file.name[0] = 0;
    return 0;
}

int frozen_take(struct frozen *f, struct capture *capture, uint64_t after, struct err *e)
{
    char dir[PATH_TEXT_MAX];
    assert(capture->watch->rollback && capture->watch->frozen_fd < 0 && capture->proven && f->file.fd < 0);
    *f = FROZEN_NONE;
    f->after = after;
    uint64_t bytes = bytes_needed(&capture->state->map, after);
    int rc = make_file(f, capture->watch->path, dir, e);
    if (rc == 0)
        rc = check_room(f->file.fd, dir, bytes, e);
    if (rc == 0 && copy_pages(f, capture, e))
        rc = e->code == ERR_IO && io_is_no_room(e->sys) ? no_room(dir, bytes, e) : -1;
    if (rc)
        frozen_release(f);
    return rc;
}

void frozen_release(struct frozen *f)
{
    stage_end(&f->file);
    *f = FROZEN_NONE;
}
