/* restore/inplace.c */
#include "restore/inplace.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/page.h"
#include "base/sqlite_file.h"
#include "restore/integrity.h"
#include "restore/lock.h"
#include "restore/target.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RUN_BYTES (1u << 20)      /* of adjacent pages that are copied or compared at a time; at least one page */
#define CLOCK_TICK_US (20 * 1000) /* longer than the steps in which file systems count the time of change */

/* ---- opening */

static int has_wal(const struct folder *f, const char *name, bool *ret_content, struct err *e)
{
    char wal[PATH_TEXT_MAX];
    struct stat st;
    bool there = false;
    if (path_format(wal, e, "%s-wal", name) || folder_look(f, wal, &st, &there, e))
        return -1;
    *ret_content = there && st.st_size > 0;
    return 0;
}

/* A journal that SQLite no longer needs has a zero as its first byte, or is empty. */
static int has_hot_journal(const struct folder *f, const char *name, bool *ret_hot, struct err *e)
{
    char journal[PATH_TEXT_MAX];
    uint8_t first = 0;
    int fd = -1;
    *ret_hot = false;
    if (path_format(journal, e, "%s-journal", name))
        return -1;
    const struct folder_file file = lock_database(journal, FOLDER_READ);
    if (folder_open_file(f, &file, &fd, e))
        return e->code == ERR_NOTFOUND || e->sys == ENAMETOOLONG ? 0 : -1;
    ssize_t n = pread(fd, &first, 1, 0);
    int sys = errno;
    io_close(&fd);
    if (n < 0)
        return err_sys(e, sys, "read '%s/%s'", f->path, journal);
    *ret_hot = n == 1 && first != 0;
    return 0;
}

static int needs_settling(const struct folder *f, const char *name, bool *ret_needs, struct err *e)
{
    bool wal = false, journal = false;
    if (has_wal(f, name, &wal, e) || has_hot_journal(f, name, &journal, e))
        return -1;
    *ret_needs = wal || journal;
    return 0;
}

int inplace_needs_settling(const char *path, bool *ret_needs, struct err *e)
{
    struct folder f;
    int rc = folder_check_sqlite_files(path, e) || folder_open_parent(&f, path, e) ? -1 : 0;
    if (rc)
        return -1;
    rc = needs_settling(&f, path_name(path), ret_needs, e);
    folder_close(&f);
    return rc;
}

static int run_to_end(sqlite3 *db, const char *sql, int *ret_first)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(statement);
        if (rc == SQLITE_ROW && ret_first)
            *ret_first = sqlite3_column_int(statement, 0);
    }
    sqlite3_finalize(statement);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int inplace_settle(const char *path, struct err *e)
{
    sqlite3 *db = NULL;
    bool needs = false;
    int busy = 0;
    if (inplace_needs_settling(path, &needs, e))
        return -1;
    if (!needs)
        return 0;
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL);
    if (rc == SQLITE_OK) /* the first read plays a journal back, or reads the WAL */
        rc = run_to_end(db, "PRAGMA schema_version", NULL);
    if (rc == SQLITE_OK)
        rc = run_to_end(db, "PRAGMA wal_checkpoint(TRUNCATE)", &busy);
    if (sqlite3_close(db) != SQLITE_OK && rc == SQLITE_OK)
        rc = SQLITE_BUSY;
    if ((rc & 0xff) == SQLITE_BUSY || busy) {
        err_set(e, ERR_BUSY, rc, "'%s' is in use by another process", path);
        return err_hint(e, "stop the application and the seawall daemon of this database first");
    }
    if (rc != SQLITE_OK) {
        err_set(e, ERR_SQLITE, rc, "SQLite can't complete '%s' with its -wal or -journal: %s", path,
                sqlite3_errstr(rc));
        return err_hint(e, "restore with --force and without --delta to replace the database");
    }
    if (inplace_needs_settling(path, &needs, e))
        return -1;
    if (needs)
        return err_set(e, ERR_BUSY, 0, "the -wal or -journal of '%s' holds new changes", path);
    return 0;
}

/* Reads page size and size in pages. *ret_fit: the file is a database of whole pages. */
static int read_shape(struct inplace *ip, bool *ret_fit, struct err *e)
{
    uint8_t header[SQLITE_FILE_HEADER_BYTES];
    struct sqlite_file file;
    *ret_fit = false;
    if (ip->found.st_size < SQLITE_FILE_HEADER_BYTES)
        return 0;
    if (io_pread(ip->fd, header, sizeof header, 0, e))
        return err_wrap(e, "'%s'", ip->path);
    if (!sqlite_file_decode(header, &file))
        return 0;
    ip->page_size = file.page_size;
    uint64_t pages = (uint64_t)ip->found.st_size / ip->page_size;
    ip->pages = (uint32_t)pages;
    *ret_fit = pages > 0 && pages < UINT32_MAX && pages * ip->page_size == (uint64_t)ip->found.st_size;
    return 0;
}

/* Checks again, under the lock: the database was settled before it was locked, and another process may have been there
 * between. */
static int check_settled(struct inplace *ip, enum inplace_purpose purpose, struct err *e)
{
    struct stat now;
    bool needs = false;
    if (inplace_needs_settling(ip->path, &needs, e))
        return -1;
    if (fstat(ip->fd, &ip->found) != 0 || fstatat(ip->folder.fd, path_name(ip->path), &now, AT_SYMLINK_NOFOLLOW) != 0)
        return err_sys(e, errno, "stat '%s'", ip->path);
    if (now.st_ino != ip->found.st_ino || now.st_dev != ip->found.st_dev || (needs && purpose == INPLACE_CHANGE)) {
        err_set(e, ERR_BUSY, 0, "'%s' is in use by another process", ip->path);
        return err_hint(e, "stop the application and the seawall daemon of this database first");
    }
    ip->unsettled = needs;
    return 0;
}

static int open_locked(struct inplace *ip, enum inplace_purpose purpose, bool *ret_fit, struct err *e)
{
    const struct folder_file database = lock_database(path_name(ip->path), FOLDER_UPDATE);
    if (lock_check(&ip->folder, database.name, e)) /* first: SQLite must not be opened beside an application */
        return -1;
    if (purpose == INPLACE_CHANGE && inplace_settle(ip->path, e))
        return -1;
    if (folder_open_file(&ip->folder, &database, &ip->fd, e))
        return -1;
    if (lock_take(ip->fd, ip->path, e) || lock_check_alone(ip->fd, ip->path, e) || check_settled(ip, purpose, e))
        return -1;
    return read_shape(ip, ret_fit, e);
}

static int looks_like_a_database(const struct folder *f, const char *name, bool *ret_database, struct err *e)
{
    uint8_t start[SQLITE_FILE_MAGIC_BYTES];
    int fd = -1;
    const struct folder_file database = lock_database(name, FOLDER_READ);
    if (folder_open_file(f, &database, &fd, e))
        return -1;
    ssize_t n = pread(fd, start, sizeof start, 0);
    int sys = errno;
    io_close(&fd);
    *ret_database = n > 0 && sqlite_file_has_magic(start, (size_t)n);
    return n < 0 ? err_sys(e, sys, "read '%s/%s'", f->path, name) : 0;
}

/* Opens the database, if it is one. */
static int open_if_fit(struct inplace *ip, enum inplace_purpose purpose, enum inplace_fit *ret_fit, struct err *e)
{
    bool fit = false, hot = false, there = false;
    struct stat st;
    const char *name = path_name(ip->path);
    *ret_fit = INPLACE_NOT_THERE;
    if (folder_look(&ip->folder, name, &st, &there, e))
        return -1;
    if (!there)
        return 0;
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_CONFIG, 0, "'%s' is not a regular file", ip->path);
    *ret_fit = INPLACE_UNFIT;
    if (has_hot_journal(&ip->folder, name, &hot, e) || looks_like_a_database(&ip->folder, name, &fit, e))
        return -1;
    if (!fit && !hot) /* a hot journal may hold the first page of the file */
        return 0;
    if (open_locked(ip, purpose, &fit, e))
        return -1;
    if (fit)
        *ret_fit = INPLACE_READY;
    return 0;
}

int inplace_open(struct inplace *ip, const char *path, enum inplace_purpose purpose, enum inplace_fit *ret_fit,
                 struct err *e)
{
    *ip = (struct inplace){.folder = FOLDER_NONE, .fd = -1};
    *ret_fit = INPLACE_NOT_THERE;
    if (path_format(ip->path, e, "%s", path))
        return -1;
    if (folder_open_parent(&ip->folder, path, e))
        return e->code == ERR_NOTFOUND ? 0 : -1;
    int rc = open_if_fit(ip, purpose, ret_fit, e);
    if (rc != 0 || *ret_fit != INPLACE_READY)
        inplace_close(ip);
    return rc;
}

void inplace_close(struct inplace *ip)
{
    io_close(&ip->fd);
    folder_close(&ip->folder);
}

int inplace_read(const struct inplace *ip, uint32_t pgno, uint8_t *page, uint64_t *ret_hash, struct err *e)
{
    assert(ip->fd >= 0 && pgno >= 1 && pgno <= ip->pages);
    if (io_pread(ip->fd, page, ip->page_size, (uint64_t)(pgno - 1) * ip->page_size, e)) {
        e->code = ERR_IO; /* ERR_CORRUPT would mean that the replica is damaged */
        return err_wrap(e, "'%s'", ip->path);
    }
    *ret_hash = page_hash(pgno, page, ip->page_size);
    return 0;
}

static int64_t mtime_ns(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

bool inplace_is_as_left(const struct inplace *ip, uint64_t inode, uint64_t size, int64_t mtime)
{
    return ip->found.st_ino == inode && (uint64_t)ip->found.st_size == size && mtime_ns(&ip->found) == mtime;
}

/* ---- the pages that change */

static bool is_cut_off(const struct change *c, uint32_t pgno)
{
    return pgno > c->pages;
}

static bool is_changed(const struct inplace *ip, const struct change *c, uint32_t pgno)
{
    uint64_t before = pgno <= ip->pages ? c->before[pgno - 1] : 0;
    return pgno != lock_byte_page(ip->page_size) && !is_cut_off(c, pgno) && map_get(c->after, pgno).hash != before;
}

uint32_t change_count(const struct inplace *ip, const struct change *c)
{
    uint32_t count = 0;
    for (uint32_t pgno = 1; pgno <= c->pages; pgno++)
        count += is_changed(ip, c, pgno);
    return count;
}

/* Checks that the changes lead from the checksum before to the one after. That covers the pages that stay too. */
static bool leads_to(const struct inplace *ip, const struct change *c)
{
    uint64_t sum = c->checksum_before;
    for (uint32_t pgno = 1; pgno <= c->pages || pgno <= ip->pages; pgno++) {
        if (is_changed(ip, c, pgno))
            sum ^= map_get(c->after, pgno).hash;
        if (pgno <= ip->pages && (is_changed(ip, c, pgno) || is_cut_off(c, pgno)))
            sum ^= c->before[pgno - 1];
    }
    return sum == c->checksum_after;
}

/* ---- the journal */

/* A page of zeros beyond the new size needs no record: SQLite finds zeros there when it makes the file long again. */
static bool needs_record(const struct inplace *ip, const struct change *c, uint32_t pgno)
{
    return is_changed(ip, c, pgno) || (is_cut_off(c, pgno) && c->before[pgno - 1] != 0);
}

static int write_journal(const struct inplace *ip, const struct change *c, struct journal_writer *j, bool *ret_mismatch,
                         struct err *e)
{
    uint8_t *page = malloc(PAGE_SIZE_MAX);
    uint64_t hash = 0;
    const struct journal_database database = {
        .folder = &ip->folder, .page_size = ip->page_size, .pages = ip->pages, .like = &ip->found};
    int rc = page ? journal_begin(j, &database, e) : err_nomem(e, PAGE_SIZE_MAX);
    for (uint32_t pgno = 1; rc == 0 && pgno <= ip->pages; pgno++) {
        if (!needs_record(ip, c, pgno) || pgno == lock_byte_page(ip->page_size))
            continue;
        if (c->cancel && atomic_load(c->cancel))
            rc = err_set(e, ERR_CANCELED, 0, "interrupted");
        if (rc == 0)
            rc = inplace_read(ip, pgno, page, &hash, e);
        if (rc == 0 && hash != c->before[pgno - 1]) {
            *ret_mismatch = true;
            rc = err_set(e, ERR_BUSY, 0, "page %u of '%s' has changed since it was read", pgno, ip->path);
        }
        if (rc == 0)
            rc = journal_add(j, pgno, page, e);
    }
    free(page);
    return rc == 0 ? journal_finish(j, e) : rc;
}

static int remove_beside(const struct inplace *ip, const char *suffix, struct err *e)
{
    char name[PATH_TEXT_MAX];
    return path_format(name, e, "%s%s", path_name(ip->path), suffix) ? -1 : folder_remove(&ip->folder, name, e);
}

/* Gives the journal its name: from here on it is hot. First removes the files beside the database, which are empty or
 * no longer needed: frames of an old -wal could hide the new pages. */
static int publish_journal(const struct inplace *ip, struct journal_writer *j, struct err *e)
{
    char name[PATH_TEXT_MAX];
    if (remove_beside(ip, "-wal", e) || remove_beside(ip, "-shm", e) || remove_beside(ip, "-journal", e))
        return -1;
    if (path_format(name, e, "%s-journal", path_name(ip->path)) || stage_link(&j->stage, name, e))
        return -1;
    return folder_sync(&ip->folder, e);
}

/* ---- pages */

/* Moves *pgno to the next page that changes. Returns how many adjacent pages change from there; 0: none is left. */
static uint32_t next_run(const struct inplace *ip, const struct change *c, uint32_t *pgno)
{
    uint32_t most = RUN_BYTES / ip->page_size, n = 0;
    while (*pgno <= c->pages && !is_changed(ip, c, *pgno))
        (*pgno)++;
    while (n < most && *pgno + n <= c->pages && is_changed(ip, c, *pgno + n))
        n++;
    return n;
}

static int write_pages(const struct inplace *ip, const struct change *c, uint8_t *bytes, struct err *e)
{
    uint32_t n = 0;
    if (ftruncate(ip->fd, (off_t)c->pages * ip->page_size) != 0)
        return err_sys(e, errno, "make '%s' %u pages long", ip->path, c->pages);
    for (uint32_t pgno = 1; (n = next_run(ip, c, &pgno)) > 0; pgno += n) {
        uint64_t at = (uint64_t)(pgno - 1) * ip->page_size;
        if (io_pread(c->source, bytes, (size_t)n * ip->page_size, at, e) ||
            io_pwrite(ip->fd, bytes, (size_t)n * ip->page_size, at, e))
            return err_wrap(e, "'%s'", ip->path);
    }
    return io_fsync(ip->fd, ip->path, e);
}

/* Reads the written pages back, from the disk if the kernel drops them from its cache, and compares their hashes. */
static int compare_pages(const struct inplace *ip, const struct change *c, uint8_t *bytes, struct err *e)
{
    struct stat st;
    uint32_t n = 0;
    if (fstat(ip->fd, &st) != 0)
        return err_sys(e, errno, "stat '%s'", ip->path);
    if ((uint64_t)st.st_size != (uint64_t)c->pages * ip->page_size)
        return err_set(e, ERR_IO, 0, "'%s' has %lld bytes after it was written, expected %llu", ip->path,
                       (long long)st.st_size, (unsigned long long)c->pages * ip->page_size);
    for (uint32_t pgno = 1; (n = next_run(ip, c, &pgno)) > 0; pgno += n) {
        off_t at = (off_t)(pgno - 1) * ip->page_size, size = (off_t)n * ip->page_size;
        (void)posix_fadvise(ip->fd, at, size, POSIX_FADV_DONTNEED);
        if (io_pread(ip->fd, bytes, (size_t)size, (uint64_t)at, e))
            return err_wrap(e, "'%s'", ip->path);
        for (uint32_t i = 0; i < n; i++)
            if (page_hash(pgno + i, bytes + (size_t)i * ip->page_size, ip->page_size) !=
                map_get(c->after, pgno + i).hash)
                return err_set(e, ERR_IO, 0, "page %u of '%s' does not read back as it was written", pgno + i,
                               ip->path);
    }
    return 0;
}

/* ---- the moment of change */

/* Writes the note of the undo. Waits for the clock of the file system first: the next process that writes must give the
 * file a later time than the one that is noted. */
static int annotate(struct inplace *ip, const struct change *c, struct journal_writer *j, struct err *e)
{
    clock_sleep_us(CLOCK_TICK_US);
    if (fstat(ip->fd, &ip->found) != 0)
        return err_sys(e, errno, "stat '%s'", ip->path);
    struct journal_note note = {.checksum_before = c->checksum_before,
                                .checksum_after = c->checksum_after,
                                .txid_before = c->txid_before,
                                .txid_after = c->txid_after,
                                .database = c->database,
                                .pages_after = c->pages,
                                .inode = ip->found.st_ino,
                                .size = (uint64_t)ip->found.st_size,
                                .mtime_ns = mtime_ns(&ip->found)};
    return journal_annotate(j, &note, e);
}

static int take_journal_away(const struct inplace *ip, unsigned flags, struct err *e)
{
    char journal[PATH_TEXT_MAX], undo[PATH_TEXT_MAX];
    const char *name = path_name(ip->path);
    if (path_format(journal, e, "%s-journal", name) || path_format(undo, e, "%s" UNDO_SUFFIX, name))
        return -1;
    return flags & INPLACE_KEEP_UNDO ? folder_rename(&ip->folder, journal, undo, e)
                                     : folder_remove(&ip->folder, journal, e);
}

static int write_and_compare(struct inplace *ip, const struct change *c, struct journal_writer *j, struct err *e)
{
    uint8_t *bytes = malloc(RUN_BYTES);
    int rc = bytes ? write_pages(ip, c, bytes, e) : err_nomem(e, RUN_BYTES);
    if (rc == 0)
        rc = compare_pages(ip, c, bytes, e);
    free(bytes);
    if (rc == 0 && (c->flags & INPLACE_INTEGRITY_CHECK))
        rc = integrity_check(ip->path, e);
    if (rc == 0 && (c->flags & INPLACE_KEEP_UNDO))
        rc = annotate(ip, c, j, e);
    return rc == 0 ? take_journal_away(ip, c->flags, e) : rc;
}

/* Makes SQLite play the journal back. Returns -1 and leaves `e` with the error that made this necessary. */
static int roll_back(struct inplace *ip, struct err *e)
{
    struct err other;
    io_close(&ip->fd);
    if (inplace_settle(ip->path, &other)) {
        err_hint(e, "leave '%s-journal' where it is: SQLite restores the database from it when it is opened next",
                 ip->path);
    }
    return -1;
}

int inplace_change(struct inplace *ip, const struct change *c, bool *ret_mismatch, struct err *e)
{
    assert(ip->fd >= 0 && !ip->unsettled && c->source >= 0);
    struct journal_writer j = {.stage = STAGE_NONE};
    *ret_mismatch = !leads_to(ip, c);
    int rc = 0;
    if (*ret_mismatch)
        rc = err_set(e, ERR_BUSY, 0, "the pages of '%s' do not lead to the checksum of the target", ip->path);
    if (rc == 0)
        rc = write_journal(ip, c, &j, ret_mismatch, e);
    if (rc == 0 && c->cancel && atomic_load(c->cancel))
        rc = err_set(e, ERR_CANCELED, 0, "interrupted");
    if (rc == 0 && (publish_journal(ip, &j, e) || write_and_compare(ip, c, &j, e)))
        rc = roll_back(ip, e);
    journal_end(&j);
    /* The change is complete. A power cut can still take it back, but only as a whole. */
    if (rc == 0 && folder_sync(&ip->folder, e))
        return err_wrap(e, "'%s' is restored, but a power cut could take that back", ip->path);
    if (rc == 0)
        target_forget_undo(ip->path, c->flags & INPLACE_KEEP_UNDO ? TARGET_UNDO_COMPANIONS : TARGET_UNDO_WHOLE);
    return rc;
}
