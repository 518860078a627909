/* capture/strangers.c */
#include "capture/strangers.h"

#include "base/clock.h"
#include "base/folder.h"
#include "base/io.h"
#include "capture/candidate.h"
#include "capture/lock_table.h"
#include "wal/reader.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FRAMES_MAX 1024 /* frames that one look reads; the next look finds what is behind them */

/* Locks in the -shm. <fcntl.h> has another LOCK_WRITE. */
static const struct candidate_range shm_write = {.type = F_WRLCK, .start = 120, .bytes = 1};
static const struct candidate_range shm_checkpoint = {.type = F_WRLCK, .start = 121, .bytes = 1};

static bool writer_at_work(const struct strangers *s)
{
    int pid = 0;
    return candidate_is_locked(s->shm_fd, &shm_write, &pid);
}

/* Opens a file of the database. The descriptor must not be closed before the watch is. -1: error. */
static int open_one(const char *path, const char *suffix)
{
    char full[PATH_TEXT_MAX];
    struct err e;
    if (path_format(full, &e, "%s%s", path, suffix))
        return -1;
    return open(full, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static bool leads_to(int fd, const struct file_stamp *file)
{
    struct stat st;
    return fd >= 0 && fstat(fd, &st) == 0 && st.st_ino == file->inode && st.st_dev == file->device;
}

void strangers_open(struct strangers *s, const struct watch *w)
{
    assert(watch_is_open(w) && !w->rollback);
    *s = STRANGERS_NONE;
    s->db_fd = open_one(w->path, "");
    s->shm_fd = open_one(w->path, "-shm");
    s->usable = leads_to(s->db_fd, &w->db_file) && leads_to(s->shm_fd, &w->shm_file);
}

void strangers_close(struct strangers *s)
{
    io_close(&s->db_fd);
    io_close(&s->shm_fd);
    *s = STRANGERS_NONE;
}

/* ---- (2) */

bool strangers_have_lock(const struct strangers *s)
{
    return s->unseen >= STRANGERS_LOOKS || s->behind_looks >= STRANGERS_BEHIND_LOOKS;
}

/* A process that has the wal-index open hides a stranger from F_GETLK, which shows one lock only. An application that
 * waits for PRAGMA locking_mode=EXCLUSIVE looks like a stranger too, and gives up at last. */
static void look_behind_others(struct strangers *s, int64_t now_ns)
{
    int pid = 0;
    if (now_ns - s->behind_ns < STRANGERS_BEHIND_NS)
        return;
    s->behind_ns = now_ns;
    const bool open = candidate_is_locked(s->db_fd, &candidate_db_open, &pid);
    const pid_t found = open ? lock_table_unseen(s->db_fd, s->shm_fd) : 0;
    s->behind_looks = found == 0 ? 0 : found == s->behind ? s->behind_looks + 1 : 1;
    s->behind = found;
}

bool strangers_suspect(struct strangers *s, int64_t now_ns)
{
    int pid = 0;
    if (now_ns - s->looked_ns < STRANGERS_LOOK_NS)
        return strangers_have_lock(s);
    s->looked_ns = now_ns;
    bool unseen = s->usable && candidate_is_locked(s->db_fd, &candidate_db_open, &pid) &&
                  !candidate_is_locked(s->shm_fd, &candidate_shm_open, &pid);
    s->unseen = unseen ? s->unseen + 1 : 0;
    if (s->usable && !unseen)
        look_behind_others(s, now_ns);
    return strangers_have_lock(s);
}

bool strangers_any(const struct strangers *s)
{
    int pid = 0;
    return !s->usable || candidate_is_locked(s->shm_fd, &candidate_shm_open, &pid);
}

bool strangers_keep_writers_out(const struct strangers *s)
{
    int writer = 0, checkpointer = 0;
    return s->usable && candidate_is_locked(s->shm_fd, &shm_write, &writer) &&
           candidate_is_locked(s->shm_fd, &shm_checkpoint, &checkpointer) && writer == checkpointer;
}

int strangers_look_again(const char *path, struct err *e)
{
    const int64_t end = clock_mono_ms() + STRANGERS_AGAIN_MS;
    int64_t open_ms = clock_mono_ms();
    bool open = true;
    while (candidate_check_kept(path, &open, e) == 0 && clock_mono_ms() < end) {
        if (open)
            open_ms = clock_mono_ms();
        else if (clock_mono_ms() - open_ms > STRANGERS_CLOSED_MS)
            return err_set(e, ERR_BUSY, 0, "a process kept '%s' to itself, and has closed it", path);
        clock_sleep_us(STRANGERS_STEP_MS * INT64_C(1000));
    }
    return -1;
}

static int report_unseen(const struct strangers *s, const struct watch *w, struct err *e)
{
    int pid = 0;
    if (s->behind_looks >= STRANGERS_BEHIND_LOOKS)
        pid = s->behind;
    else
        candidate_is_locked(s->db_fd, &candidate_db_open, &pid);
    return candidate_is_unseen(w->path, pid, e);
}

/* ---- (3) */

static bool is_zero(const uint8_t *bytes, size_t n)
{
    while (n > 0 && bytes[n - 1] == 0)
        n--;
    return n == 0;
}

static uint32_t blocks_of_wal(const struct watch *w)
{
    char path[PATH_TEXT_MAX];
    struct stat st;
    struct err e;
    return path_format(path, &e, "%s-wal", w->path) == 0 && stat(path, &st) == 0 ? (uint32_t)(st.st_size / 512) : 0;
}

/* Finds the last commit behind those that the wal-index shows. ret_end->frame is 0 if there is none. SQLite writes the
 * WAL header first. If it is zeros, a stranger wrote into a -wal that was emptied: then ret_end->frame is the size in
 * blocks. */
static void find_end(const struct watch *w, const struct wal_index_header *index, struct wal_pos *ret_end)
{
    uint8_t bytes[WAL_HEADER_BYTES];
    struct wal_header header;
    struct wal_reader r;
    struct wal_frame frame;
    struct err e;
    const struct wal_pos known = wal_index_pos(index);
    *ret_end = (struct wal_pos){.frame = 0};
    if (watch_read_wal(w, bytes, sizeof bytes, 0, &e))
        return;
    if (is_zero(bytes, sizeof bytes)) {
        ret_end->frame = blocks_of_wal(w);
        return;
    }
    if (wal_header_decode(bytes, &header, &e))
        return;
    wal_reader_start(&r, &header);
    if (memcmp(header.salt, index->salt, WAL_SALT_BYTES) == 0 && index->mx_frame > 0 &&
        wal_reader_resume(&r, &header, &known, &e))
        return;
    size_t n = WAL_FRAME_HEADER_BYTES + header.page_size;
    uint8_t *one = malloc(n);
    for (unsigned i = 0; one && i < FRAMES_MAX; i++) {
        if (watch_read_wal(w, one, n, wal_frame_offset(r.pos.frame + 1, header.page_size), &e) ||
            wal_reader_next(&r, one, &frame, &e))
            break;
        if (frame.db_pages > 0)
            *ret_end = r.pos;
    }
    free(one);
}

static bool same_index(const struct wal_index_header *a, const struct wal_index_header *b)
{
    return a->change == b->change && a->mx_frame == b->mx_frame && memcmp(a->salt, b->salt, sizeof a->salt) == 0;
}

static int report_no_index(const struct watch *w, const char *engine, struct err *e)
{
    err_set(e, ERR_CONFIG, 0,
            "%s writes to '%s-wal' without the wal-index: its commits can't be seen, and SQLite itself can lose them",
            engine ? engine : "a process", w->path);
    return err_hint(e, "let every program open the database with SQLite's default VFS");
}

static int look_beyond_index(struct strangers *s, const struct watch *w, struct err *e)
{
    struct wal_index_header before, after;
    struct wal_pos end;
    if (!watch_header(w, &before) || writer_at_work(s))
        return 0;
    find_end(w, &before, &end);
    if (!watch_header(w, &after) || !same_index(&before, &after) || writer_at_work(s))
        return 0;
    bool stays = s->known && same_index(&before, &s->index);
    bool fresh = end.frame > 0 && stays && !wal_pos_equal(&end, &s->end);
    s->moves = stays ? s->moves + fresh : 0;
    if (fresh)
        s->moved_ns = clock_mono_ns();
    s->known = true;
    s->index = before;
    s->end = end;
    const char *engine = fresh ? candidate_engine(w->path) : NULL;
    return engine || s->moves >= STRANGERS_MOVES ? report_no_index(w, engine, e) : 0;
}

bool strangers_may_write(const struct strangers *s)
{
    return s->moves > 0 && clock_mono_ns() - s->moved_ns < STRANGERS_WAIT_NS;
}

int strangers_look(struct strangers *s, const struct watch *w, struct err *e)
{
    assert(watch_is_open(w));
    if (w->rollback)
        return 0;
    if (folder_check_one_name(w->path, e))
        return -1;
    if (strangers_have_lock(s))
        return report_unseen(s, w, e);
    return s->usable ? look_beyond_index(s, w, e) : 0;
}
