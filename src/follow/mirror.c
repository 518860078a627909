/* follow/mirror.c - the locks and the order of the steps are those of SQLite's wal.c. */
#include "follow/mirror.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/page.h"
#include "base/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Locks of the wal-index: SQLite "WAL-mode File Format", section 2.3. */
#define WRITE_LOCK 0
#define CHECKPOINT_LOCK 1
#define READ_LOCK 3
#define READ_SLOTS WAL_INDEX_READERS

#define BUSY_MS 5000                 /* for a lock that only recovery, or a writer that must not be there, holds */
#define HEADER_MS 1000               /* for a header that is being written */
#define DRAIN_MS 2000                /* a long log waits so long for the end of read transactions, once for each */
#define DRAIN_FRAMES SCALE(4000, 80) /* of these frames */
#define DRAIN_PAUSE_US 20000
#define PAUSE_US 2000
#define WAL_KEPT_BYTES (INT64_C(64) << 20) /* a longer file is cut when the log starts again */

static int sqlite_error(const struct mirror *c, int rc, const char *step, struct err *e)
{
    const char *text = c->db && sqlite3_errcode(c->db) == rc ? sqlite3_errmsg(c->db) : sqlite3_errstr(rc);
    if ((rc & 0xff) == SQLITE_READONLY) /* so it opens a file after any failure: too many open files, for example */
        text = "SQLite could open the file only for reading";
    enum err_code code = (rc & 0xff) == SQLITE_BUSY ? ERR_BUSY : (rc & 0xff) == SQLITE_NOMEM ? ERR_NOMEM : ERR_SQLITE;
    err_set(e, code, rc, "%s: %s", step, text);
    return err_wrap(e, "copy '%s'", c->path);
}

/* ---- locks */

static bool lock(const struct mirror *c, int first, int n)
{
    return c->file->pMethods->xShmLock(c->file, first, n, SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE) == SQLITE_OK;
}

static void unlock(const struct mirror *c, int first, int n)
{
    c->file->pMethods->xShmLock(c->file, first, n, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
}

static bool lock_within(const struct mirror *c, int first, int n, int64_t ms)
{
    for (int64_t end = clock_mono_ms() + ms; !lock(c, first, n); clock_sleep_us(PAUSE_US))
        if (clock_mono_ms() >= end)
            return false;
    return true;
}

/* ---- the wal-index */

/* The block of a frame. NULL: it can't be mapped. */
static uint8_t *block_at(struct mirror *c, uint32_t number, struct err *e)
{
    volatile void *mapped = NULL;
    while (c->block_count <= number) {
        uint8_t **more = realloc(c->blocks, (c->block_count + 1) * sizeof *more);
        if (!more) {
            err_nomem(e, (c->block_count + 1) * sizeof *more);
            return NULL;
        }
        c->blocks = more;
        int rc = c->file->pMethods->xShmMap(c->file, (int)c->block_count, WAL_INDEX_BLOCK_BYTES, 1, &mapped);
        if (rc != SQLITE_OK || !mapped) {
            sqlite_error(c, rc == SQLITE_OK ? SQLITE_NOMEM : rc, "map the wal-index", e);
            return NULL;
        }
        c->blocks[c->block_count++] = (uint8_t *)(uintptr_t)mapped;
    }
    return c->blocks[number];
}

static uint32_t *field(const struct mirror *c, size_t offset)
{
    return (uint32_t *)(void *)(c->blocks[0] + offset);
}

static uint32_t field_get(const struct mirror *c, size_t offset)
{
    return __atomic_load_n(field(c, offset), __ATOMIC_ACQUIRE);
}

static void field_set(const struct mirror *c, size_t offset, uint32_t value)
{
    __atomic_store_n(field(c, offset), value, __ATOMIC_RELEASE);
}

static bool header_read(const struct mirror *c, struct wal_index_header *ret_header)
{
    uint8_t first[WAL_INDEX_HEADER_BYTES], second[WAL_INDEX_HEADER_BYTES];
    memcpy(first, c->blocks[0], sizeof first);
    c->file->pMethods->xShmBarrier(c->file);
    memcpy(second, c->blocks[0] + WAL_INDEX_HEADER_BYTES, sizeof second);
    return wal_index_header_decode(first, second, ret_header);
}

/* The second copy goes first: a reader that finds both equal has a whole header. */
static void header_write(struct mirror *c)
{
    uint8_t bytes[WAL_INDEX_HEADER_BYTES];
    wal_index_header_encode(&c->header, bytes);
    memcpy(c->blocks[0] + WAL_INDEX_HEADER_BYTES, bytes, sizeof bytes);
    c->file->pMethods->xShmBarrier(c->file);
    memcpy(c->blocks[0], bytes, sizeof bytes);
    c->file->pMethods->xShmBarrier(c->file);
}

/* ---- open and close */

/* A value that a PRAGMA answers which does not look at the schema. SQLite opens a read transaction for it: the -wal and the wal-index are opened, and
 * recovered if that is needed. A read mark moves to the newest commit, for readers that can't set one. */
static int ask(struct mirror *c, const char *pragma, int64_t *ret_value, struct err *e)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(c->db, pragma, -1, &s, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        *ret_value = sqlite3_column_int64(s, 0);
    int end = sqlite3_finalize(s);
    return rc == SQLITE_ROW ? 0 : sqlite_error(c, rc == SQLITE_DONE ? end : rc, pragma, e);
}

/* Owners who are not root need the permission to write at the moment when SQLite opens the files. In a folder of another
 * user a link must not lead to another file. */
static int set_mode(const struct mirror *c, const char *suffix, mode_t mode, struct err *e)
{
    char name[PATH_TEXT_MAX];
    struct stat st;
    bool there = false;
    if (path_format(name, e, "%s%s", path_name(c->path), suffix) || folder_look(&c->folder, name, &st, &there, e))
        return -1;
    if (!there)
        return 0;
    if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
        return err_set(e, ERR_CONFIG, 0, "'%s%s' is not a regular file with one name", c->path, suffix);
    if ((st.st_mode & 07777) != mode && fchmodat(c->folder.fd, name, mode, AT_SYMLINK_NOFOLLOW) != 0)
        return err_sys(e, errno, "change the permissions of '%s%s'", c->path, suffix);
    return 0;
}

static mode_t without_write(mode_t mode)
{
    return mode & (mode_t)~0222;
}

static int permit_writing(const struct mirror *c, struct err *e)
{
    return set_mode(c, "", c->mode, e) || set_mode(c, "-wal", c->mode, e) ? -1 : 0;
}

/* The wal-index stays writable for its owner: readers set read marks in it, and their locks. */
int mirror_forbid_writing(const struct mirror *c, struct err *e)
{
    return set_mode(c, "", without_write(c->mode), e) || set_mode(c, "-wal", without_write(c->mode), e) ||
                   set_mode(c, "-shm", c->mode, e)
               ? -1
               : 0;
}

static int open_connection(struct mirror *c, struct err *e)
{
    int64_t ignored;
    int rc =
        sqlite3_open_v2(c->path, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
    if (rc != SQLITE_OK)
        return sqlite_error(c, rc, "open", e);
    sqlite3_busy_timeout(c->db, BUSY_MS);
    sqlite3_wal_autocheckpoint(c->db, 0);
    if (sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL) != SQLITE_OK ||
        ask(c, "PRAGMA schema_version", &ignored, e))
        return -1;
    if (sqlite3_db_readonly(c->db, "main") == 1)
        return sqlite_error(c, SQLITE_READONLY, "open", e);
    rc = sqlite3_file_control(c->db, "main", SQLITE_FCNTL_FILE_POINTER, &c->file);
    return rc == SQLITE_OK ? 0 : sqlite_error(c, rc, "file", e);
}

static const char *const suffixes[3] = {"", "-wal", "-shm"};

static int look_at(const struct mirror *c, const char *suffix, uint64_t *ret_inode, struct err *e)
{
    char name[PATH_TEXT_MAX];
    struct stat st;
    bool there = false;
    if (path_format(name, e, "%s%s", path_name(c->path), suffix) || folder_look(&c->folder, name, &st, &there, e))
        return -1;
    *ret_inode = there ? st.st_ino : 0;
    return 0;
}

static int note_inodes(struct mirror *c, struct err *e)
{
    for (size_t i = 0; i < 3; i++)
        if (look_at(c, suffixes[i], &c->inodes[i], e))
            return -1;
    return 0;
}

int mirror_in_place(const struct mirror *c, struct err *e)
{
    uint64_t now = 0;
    for (size_t i = 0; i < 3; i++) {
        if (look_at(c, suffixes[i], &now, e))
            return -1;
        if (now != c->inodes[i]) {
            err_set(e, ERR_GONE, 0, "'%s%s' was %s while it was in use", c->path, suffixes[i],
                    now ? "replaced" : "removed");
            return err_hint(e,
                            "end the programs that read it, remove what is left of '%s' and its -wal, -shm and "
                            "-seawall-follow, and run the same command again",
                            c->path);
        }
    }
    return 0;
}

/* SQLite opens the -wal for reading if it could not open it for writing, after any failure, and does not say so. Nobody
 * else writes it. */
static int check_log(const struct mirror *c, struct err *e)
{
    sqlite3_int64 size = 0;
    uint8_t first = 0;
    int rc = c->wal->pMethods->xFileSize(c->wal, &size);
    if (rc == SQLITE_OK && size == 0)
        rc = c->wal->pMethods->xTruncate(c->wal, 0);
    else if (rc == SQLITE_OK && (rc = c->wal->pMethods->xRead(c->wal, &first, 1, 0)) == SQLITE_OK)
        rc = c->wal->pMethods->xWrite(c->wal, &first, 1, 0);
    if (rc == SQLITE_IOERR_WRITE || rc == SQLITE_IOERR_TRUNCATE)
        rc = SQLITE_READONLY;
    return rc == SQLITE_OK ? 0 : sqlite_error(c, rc, "open the -wal", e);
}

int mirror_open(struct mirror *c, const char *path, mode_t mode, struct err *e)
{
    struct err ignored;
    *c = MIRROR_NONE;
    c->mode = mode;
    c->frame = malloc(WAL_FRAME_HEADER_BYTES + PAGE_SIZE_MAX);
    if (!c->frame)
        return err_nomem(e, PAGE_SIZE_MAX);
    int rc = path_format(c->path, e, "%s", path) || folder_check_sqlite_files(path, e) ||
                     folder_open_parent(&c->folder, path, e) || permit_writing(c, e)
                 ? -1
                 : open_connection(c, e);
    if (rc == 0)
        rc = mirror_look(c, e) || check_log(c, e) || note_inodes(c, e) ? -1 : 0;
    if (c->folder.fd >= 0 && mirror_forbid_writing(c, rc == 0 ? e : &ignored) && rc == 0)
        rc = -1;
    if (rc)
        mirror_close(c);
    return rc;
}

void mirror_close(struct mirror *c)
{
    if (c->db)
        mirror_abandon(c);
    sqlite3_close(c->db);
    free(c->blocks);
    free(c->frame);
    folder_close(&c->folder);
    *c = MIRROR_NONE;
}

/* The number of the log in the header of the -wal, for the next one. */
static void find_sequence(struct mirror *c)
{
    uint8_t bytes[WAL_HEADER_BYTES];
    struct wal_header h;
    struct err ignored;
    c->checkpoint_seq = 0;
    if (c->wal->pMethods->xRead(c->wal, bytes, sizeof bytes, 0) == SQLITE_OK &&
        wal_header_decode(bytes, &h, &ignored) == 0)
        c->checkpoint_seq = h.checkpoint_seq;
}

int mirror_look(struct mirror *c, struct err *e)
{
    int64_t page_size = 0, version = 0;
    sqlite3_int64 size = 0;
    bool read = false;
    for (int64_t end = clock_mono_ms() + HEADER_MS; !read; clock_sleep_us(PAUSE_US)) {
        if (ask(c, "PRAGMA schema_version", &version, e) || ask(c, "PRAGMA page_size", &page_size, e))
            return -1;
        int rc = sqlite3_file_control(c->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &c->wal);
        if (rc != SQLITE_OK)
            return sqlite_error(c, rc, "find the -wal", e);
        if (!c->wal || !c->wal->pMethods || c->file->pMethods->iVersion < 2)
            return err_set(e, ERR_CONFIG, 0, "'%s' is not in WAL mode", c->path);
        if (!block_at(c, 0, e))
            return -1;
        read = header_read(c, &c->header);
        if (!read && clock_mono_ms() >= end)
            return err_set(e, ERR_BUSY, 0, "the wal-index of '%s' has no valid header", c->path);
        if (read)
            break;
    }
    if (page_size <= 0) /* SQLite never says that */
        return err_set(e, ERR_SQLITE, 0, "'%s' has no page size", c->path);
    if (c->header.mx_frame == 0) { /* SQLite leaves these as they were, or zeros */
        int rc = c->file->pMethods->xFileSize(c->file, &size);
        if (rc != SQLITE_OK)
            return sqlite_error(c, rc, "size", e);
        c->header.page_size = (uint32_t)page_size;
        c->header.db_pages = (uint32_t)(size / page_size);
    }
    c->page_size = c->header.page_size;
    c->last = c->header.mx_frame;
    find_sequence(c);
    return 0;
}

struct wal_pos mirror_pos(const struct mirror *c)
{
    struct wal_pos pos = wal_index_pos(&c->header);
    if (pos.frame == 0)
        memset(pos.salt, 0, sizeof pos.salt); /* an empty log is an empty log */
    return pos;
}

int mirror_stamp(const struct mirror *c, struct mirror_stamp *ret_stamp, struct err *e)
{
    struct stat st;
    bool there = false;
    if (folder_look(&c->folder, path_name(c->path), &st, &there, e))
        return -1;
    if (!there)
        return err_set(e, ERR_CONFLICT, 0, "the copy '%s' does not exist any more", c->path);
    *ret_stamp = (struct mirror_stamp){.inode = st.st_ino,
                                       .size = (uint64_t)st.st_size,
                                       .mtime_ns = st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec};
    return 0;
}

bool mirror_stamp_equal(const struct mirror_stamp *a, const struct mirror_stamp *b)
{
    return a->inode == b->inode && a->size == b->size && a->mtime_ns == b->mtime_ns;
}

/* ---- a publication */

/* A log without frames has its salts, and the number of commits, from what was in it before. */
bool mirror_is_ours(const struct mirror *c)
{
    struct wal_index_header now;
    if (!header_read(c, &now))
        return false;
    struct wal_pos a = wal_index_pos(&now), b = wal_index_pos(&c->header);
    return now.change == c->header.change && a.frame == b.frame &&
           (a.frame == 0 ? memcmp(a.salt, b.salt, WAL_SALT_BYTES) == 0 : wal_pos_equal(&a, &b));
}

/* Nothing counts as copied back, and no reader needs a frame. */
static void forget_copied(const struct mirror *c)
{
    field_set(c, WAL_INDEX_NBACKFILL, 0);
    field_set(c, WAL_INDEX_ATTEMPTED, 0);
    field_set(c, WAL_INDEX_READ_MARKS + 4, 0);
    for (size_t i = 2; i < READ_SLOTS; i++)
        field_set(c, WAL_INDEX_READ_MARKS + 4 * i, WAL_READ_MARK_NOT_USED);
}

/* The log begins again. Preconditions: the locks of writer, checkpointer and all readers of the log are held, and
 * everything was copied back. As walRestartHdr of SQLite, but in another order: the number of frames that were copied back
 * comes before the header. A kill between the two leaves frames that are copied back once more. In SQLite's order it
 * leaves a new log of which readers ignore as many frames as the old one had. */
static int start_again(struct mirror *c, struct err *e)
{
    sqlite3_int64 size = 0;
    uint32_t first = (uint32_t)c->header.salt[0] << 24 | (uint32_t)c->header.salt[1] << 16 |
                     (uint32_t)c->header.salt[2] << 8 | c->header.salt[3];
    first++;
    for (int i = 0; i < 4; i++)
        c->header.salt[i] = (uint8_t)(first >> (24 - 8 * i));
    if (random_bytes(c->header.salt + 4, 4, e))
        return -1;
    c->checkpoint_seq++;
    c->header.mx_frame = 0;
    if (RULE(follow_restart)) {
        forget_copied(c);
        c->file->pMethods->xShmBarrier(c->file);
    }
    header_write(c);
    if (!RULE(follow_restart))
        forget_copied(c);
    if (c->wal->pMethods->xFileSize(c->wal, &size) == SQLITE_OK && size > WAL_KEPT_BYTES)
        c->wal->pMethods->xTruncate(c->wal, 0); /* only saves space */
    c->waited_at = 0;
    return 0;
}

/* Starts the log again if nobody needs it. `ms`: how long to wait for readers. */
static int try_to_start_again(struct mirror *c, int64_t ms, struct err *e)
{
    int rc = 0;
    if (c->header.mx_frame == 0 || field_get(c, WAL_INDEX_NBACKFILL) != c->header.mx_frame ||
        !lock(c, CHECKPOINT_LOCK, 1))
        return 0;
    if (lock_within(c, READ_LOCK + 1, READ_SLOTS - 1, ms)) {
        if (field_get(c, WAL_INDEX_NBACKFILL) == c->header.mx_frame)
            rc = start_again(c, e);
        unlock(c, READ_LOCK + 1, READ_SLOTS - 1);
    }
    unlock(c, CHECKPOINT_LOCK, 1);
    return rc;
}

/* A process that died while it started the log again may have left the number of frames of the log before: SQLite does. */
static int mend_empty_log(struct mirror *c, struct err *e)
{
    if (!RULE(follow_restart) || field_get(c, WAL_INDEX_NBACKFILL) == 0)
        return 0;
    if (!lock_within(c, CHECKPOINT_LOCK, 1, BUSY_MS))
        return err_set(e, ERR_BUSY, 0, "another process holds the lock of checkpointers of '%s'", c->path);
    field_set(c, WAL_INDEX_NBACKFILL, 0);
    field_set(c, WAL_INDEX_ATTEMPTED, 0);
    unlock(c, CHECKPOINT_LOCK, 1);
    return 0;
}

/* The header of the -wal comes before its first frame, and is synced: after a power cut frames of the log before must not
 * follow it. */
static int begin_log(struct mirror *c, struct err *e)
{
    uint8_t bytes[WAL_HEADER_BYTES];
    static const uint8_t none[WAL_SALT_BYTES];
    struct wal_header h = {.order = WAL_NATIVE_ORDER, .page_size = c->page_size, .checkpoint_seq = c->checkpoint_seq};
    if (memcmp(c->header.salt, none, sizeof none) == 0 && random_bytes(c->header.salt, WAL_SALT_BYTES, e))
        return -1;
    memcpy(h.salt, c->header.salt, WAL_SALT_BYTES);
    wal_header_encode(&h, bytes);
    c->sum = h.sum;
    int rc = c->wal->pMethods->xWrite(c->wal, bytes, sizeof bytes, 0);
    if (rc == SQLITE_OK)
        rc = c->wal->pMethods->xSync(c->wal, SQLITE_SYNC_NORMAL);
    return rc == SQLITE_OK ? 0 : sqlite_error(c, rc, "write the header of the -wal", e);
}

bool mirror_is_long(const struct mirror *c)
{
    return c->header.mx_frame >= c->waited_at + DRAIN_FRAMES;
}

static int begin_locked(struct mirror *c, uint32_t page_size, struct err *e)
{
    bool other_size = page_size != c->header.page_size;
    bool waits = other_size || mirror_is_long(c);
    if (mirror_in_place(c, e))
        return -1;
    if (!mirror_is_ours(c)) {
        err_set(e, ERR_CONFLICT, 0, "another process wrote to the copy '%s'", c->path);
        return -1;
    }
    if (waits)
        c->waited_at = c->header.mx_frame;
    if (try_to_start_again(c, waits ? DRAIN_MS : 0, e))
        return -1;
    if (other_size && c->header.mx_frame > 0)
        return err_set(e, ERR_BUSY, 0, "'%s' waits for the end of read transactions, for pages of %u bytes", c->path,
                       page_size);
    c->page_size = page_size;
    c->last = c->header.mx_frame;
    c->sum = c->header.frame_sum;
    c->held = false;
    return c->last > 0 ? 0 : mend_empty_log(c, e) || begin_log(c, e) ? -1 : 0;
}

int mirror_begin(struct mirror *c, uint32_t page_size, struct err *e)
{
    assert(c->db && !c->writing && page_size_valid(page_size));
    if (!lock_within(c, WRITE_LOCK, 1, BUSY_MS)) {
        err_set(e, ERR_BUSY, 0, "another process holds the lock of writers of '%s'", c->path);
        return err_hint(e, "nothing may write to the copy: end that process");
    }
    c->writing = true;
    if (begin_locked(c, page_size, e) == 0)
        return 0;
    mirror_abandon(c);
    return -1;
}

/* The newest frame of the log that has the page. */
static int find_frame(struct mirror *c, uint32_t pgno, uint32_t *ret_frame, struct err *e)
{
    uint32_t upto = c->held ? c->last - 1 : c->last;
    *ret_frame = 0;
    if (upto == 0)
        return 0;
    for (uint32_t n = wal_index_place(upto).block + 1; n > 0 && *ret_frame == 0; n--) {
        const uint8_t *block = block_at(c, n - 1, e);
        if (!block)
            return -1;
        *ret_frame = wal_index_find(block, n - 1, pgno, upto);
    }
    return 0;
}

int mirror_read(struct mirror *c, uint32_t pgno, uint8_t *page, struct err *e)
{
    uint32_t frame = 0;
    int rc = SQLITE_OK;
    if (c->writing && c->held && c->held_pgno == pgno) {
        memcpy(page, c->frame + WAL_FRAME_HEADER_BYTES, c->page_size);
        return 0;
    }
    if (find_frame(c, pgno, &frame, e))
        return -1;
    if (pgno > c->header.db_pages && frame <= c->header.mx_frame)
        memset(page, 0, c->page_size);
    else if (frame > 0)
        rc = c->wal->pMethods->xRead(c->wal, page, (int)c->page_size,
                                     (sqlite3_int64)(wal_frame_offset(frame, c->page_size) + WAL_FRAME_HEADER_BYTES));
    else
        rc = c->file->pMethods->xRead(c->file, page, (int)c->page_size, (sqlite3_int64)(pgno - 1) * c->page_size);
    if (rc == SQLITE_IOERR_SHORT_READ && frame == 0)
        rc = SQLITE_OK; /* zeros: the database grew over it */
    return rc == SQLITE_OK ? 0 : sqlite_error(c, rc, "read a page", e);
}

/* Writes the frame that is held back. */
static int write_held(struct mirror *c, uint32_t db_pages, struct err *e)
{
    struct wal_frame_header h = {.pgno = c->held_pgno, .db_pages = db_pages};
    uint8_t *block = block_at(c, wal_index_place(c->last).block, e);
    if (!block)
        return -1;
    memcpy(h.salt, c->header.salt, WAL_SALT_BYTES);
    wal_frame_encode(&h, c->sum, c->page_size, c->frame);
    int rc = c->wal->pMethods->xWrite(c->wal, c->frame, (int)(WAL_FRAME_HEADER_BYTES + c->page_size),
                                      (sqlite3_int64)wal_frame_offset(c->last, c->page_size));
    if (rc == SQLITE_OK && !wal_index_add(block, c->last, c->held_pgno))
        rc = SQLITE_CORRUPT;
    if (rc != SQLITE_OK)
        return sqlite_error(c, rc, "write a frame", e);
    c->sum = h.sum;
    c->held = false;
    return 0;
}

int mirror_write(struct mirror *c, uint32_t pgno, const uint8_t *page, struct err *e)
{
    assert(c->writing && pgno > 0);
    if (c->held && write_held(c, 0, e))
        return -1;
    c->last++;
    c->held = true;
    c->held_pgno = pgno;
    memcpy(c->frame + WAL_FRAME_HEADER_BYTES, page, c->page_size);
    return 0;
}

void mirror_seal(struct mirror *c, uint32_t pages)
{
    assert(c->writing && c->held);
    struct wal_frame_header h = {.pgno = c->held_pgno, .db_pages = pages};
    memcpy(h.salt, c->header.salt, WAL_SALT_BYTES);
    wal_frame_encode(&h, c->sum, c->page_size, c->frame);
    c->sealed = (struct wal_pos){.frame = c->last, .sum = h.sum};
    memcpy(c->sealed.salt, c->header.salt, WAL_SALT_BYTES);
    c->sealed_pages = pages;
}

int mirror_publish(struct mirror *c, struct err *e)
{
    int64_t ignored;
    struct err unread;
    assert(c->writing && c->held && c->sealed.frame == c->last);
    if (RULE(follow_frames) && write_held(c, c->sealed_pages, e))
        return -1;
    c->header.change++;
    c->header.page_size = c->page_size;
    c->header.mx_frame = c->last;
    c->header.db_pages = c->sealed_pages;
    c->header.frame_sum = c->sealed.sum;
    header_write(c);
    if (!RULE(follow_frames) && write_held(c, c->sealed_pages, e))
        return -1;
    mirror_abandon(c);
    if (ask(c, "PRAGMA schema_version", &ignored, &unread)) /* moves a read mark: see ask() */
        (void)unread;
    return 0;
}

void mirror_abandon(struct mirror *c)
{
    if (!c->writing)
        return;
    c->held = false;
    c->writing = false;
    c->last = c->header.mx_frame;
    c->page_size = c->header.page_size;
    unlock(c, WRITE_LOCK, 1);
}

/* ---- the log */

int mirror_checkpoint(struct mirror *c, enum mirror_checkpoint kind, bool *ret_all, struct err *e)
{
    const int64_t end = clock_mono_ms() + (kind == MIRROR_PATIENT ? DRAIN_MS : 0);
    const int mode = kind == MIRROR_WHOLE ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;
    assert(!c->writing);
    *ret_all = false;
    for (;;) {
        int in_log = 0, copied = 0;
        int rc = sqlite3_wal_checkpoint_v2(c->db, "main", mode, &in_log, &copied);
        if (rc != SQLITE_OK && rc != SQLITE_BUSY)
            return sqlite_error(c, rc, "checkpoint", e);
        *ret_all = rc == SQLITE_OK && in_log == copied;
        if (*ret_all || clock_mono_ms() >= end)
            return 0;
        clock_sleep_us(DRAIN_PAUSE_US);
    }
}

int mirror_permit_writing(const struct mirror *c, struct err *e)
{
    return permit_writing(c, e) || set_mode(c, "-shm", c->mode, e) ? -1 : 0;
}

int mirror_make_ordinary(struct mirror *c, struct err *e)
{
    bool all;
    if (mirror_checkpoint(c, MIRROR_WHOLE, &all, e) || mirror_permit_writing(c, e))
        return -1;
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    return 0;
}
