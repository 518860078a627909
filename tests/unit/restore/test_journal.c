/* restore/journal.h: SQLite rolls back a journal that we write, and we read it as we wrote it. */
#include "failing_alloc.h"
#include "sql.h"

#include "base/endian.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/page.h"
#include "restore/journal.h"

/* Makes a database in WAL mode and closes it. Returns its bytes, which the caller frees. */
static uint8_t *make_database(const char *path, uint32_t page_size, size_t *ret_size)
{
    char pragma[64];
    sqlite3 *db = sql_open(path, NULL);
    snprintf(pragma, sizeof pragma, "PRAGMA page_size=%u", page_size);
    sql(db, pragma);
    sql(db, "PRAGMA journal_mode=wal; CREATE TABLE t(a INTEGER PRIMARY KEY, b);"
            "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 300) INSERT INTO t(b) SELECT "
            "randomblob(700) "
            "FROM c");
    sqlite3_close(db);
    uint8_t *bytes = file_bytes(path, ret_size);
    assert_non_null(bytes);
    assert_int_equal(bytes[18], 2); /* WAL mode */
    return bytes;
}

static void journal_of(struct journal_writer *j, const uint8_t *bytes, uint32_t pages, uint32_t page_size)
{
    struct stat like = {.st_mode = 0640, .st_uid = geteuid(), .st_gid = getegid()};
    struct folder folder;
    struct err e;
    assert_ok(folder_open(&folder, temp_dir, &e), &e);
    assert_ok(journal_begin(j, &(struct journal_database){&folder, page_size, pages, &like}, &e), &e);
    folder_close(&folder);
    for (uint32_t pgno = 1; pgno <= pages; pgno++)
        assert_ok(journal_add(j, pgno, bytes + (size_t)(pgno - 1) * page_size, &e), &e);
    assert_ok(journal_finish(j, &e), &e);
}

static const struct journal_note a_note = {.checksum_before = 11,
                                           .checksum_after = 12,
                                           .txid_before = 13,
                                           .txid_after = 14,
                                           .database = {{15}},
                                           .pages_after = 16,
                                           .inode = 17,
                                           .size = 18,
                                           .mtime_ns = 19};

static void scribble(const char *path, uint32_t page_size, off_t size)
{
    static uint8_t page[PAGE_SIZE_MAX];
    struct err e;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    memset(page, 0xa5, page_size);
    assert_int_equal(ftruncate(fd, size), 0);
    for (off_t at = 0; at < size; at += 3 * page_size)
        assert_ok(io_pwrite(fd, page, page_size, (uint64_t)at, &e), &e);
    close(fd);
}

/* With every page size; after pages were overwritten, and the file was cut or grew; with and without the note. */
static void sqlite_rolls_it_back_on_a_database_in_wal_mode(void **state)
{
    unsigned played = 0;
    (void)state;
    for (uint32_t page_size = PAGE_SIZE_MIN; page_size <= PAGE_SIZE_MAX; page_size *= 2) {
        for (int i = 0; i < 6; i++) {
            const char *path = temp_path("app.db"), *hot = temp_path("app.db-journal");
            struct journal_writer j;
            struct stat st;
            struct err e;
            size_t size = 0, now = 0;
            uint8_t *bytes = make_database(path, page_size, &size);
            journal_of(&j, bytes, (uint32_t)(size / page_size), page_size);
            assert_ok(stage_link(&j.stage, "app.db-journal", &e), &e);
            assert_int_equal(stat(hot, &st), 0);
            assert_int_equal(st.st_mode & 0777, 0640);
            if (i % 2)
                assert_ok(journal_annotate(&j, &a_note, &e), &e);
            off_t sizes[] = {(off_t)size, (off_t)page_size, (off_t)size + 10 * (off_t)page_size};
            scribble(path, page_size, sizes[i / 2]);
            journal_end(&j);
            sqlite3 *db = sql_open(path, NULL);
            assert_sql_text(db, "PRAGMA integrity_check", "ok");
            assert_int_equal(sql_number(db, "SELECT count(*) FROM t"), 300);
            sqlite3_close(db);
            uint8_t *found = file_bytes(path, &now);
            assert_int_equal(now, size);
            assert_memory_equal(found, bytes, size);
            assert_int_equal(access(hot, F_OK), -1);
            played++;
            free(found);
            free(bytes);
            assert_int_equal(unlink(path), 0);
        }
    }
    assert_int_equal(played, 8 * 6);
}

static void a_journal_that_is_not_published_leaves_no_file(void **state)
{
    struct journal_writer j;
    uint8_t page[512] = {1};
    (void)state;
    journal_of(&j, page, 1, 512);
    journal_end(&j);
    assert_int_equal(rmdir(temp_dir), 0);
    assert_int_equal(mkdir(temp_dir, 0700), 0);
}

#define PAGES 5

/* An undo of PAGES random pages at temp_path("undo"). */
static void make_undo(uint8_t bytes[PAGES * 512])
{
    struct journal_writer j;
    struct dice d = dice_of(3);
    struct err e;
    dice_fill(&d, bytes, PAGES * 512);
    journal_of(&j, bytes, PAGES, 512);
    assert_ok(stage_link(&j.stage, "undo", &e), &e);
    assert_ok(journal_annotate(&j, &a_note, &e), &e);
    journal_end(&j);
}

/* Reads the undo. 0: it is whole, and as it was written. */
static int read_undo(const uint8_t *bytes, bool *ret_is_journal, struct err *e)
{
    struct journal_reader j;
    static uint8_t page[PAGE_SIZE_MAX];
    uint32_t pgno = 0, next = 1;
    if (journal_open(&j, temp_path("undo"), ret_is_journal, e))
        return -1;
    if (!*ret_is_journal)
        return 0;
    int rc = 0;
    bool same = true; /* checked at the end, after the journal was read */
    while ((rc = journal_next(&j, &pgno, page, e)) == 0 && pgno > 0) {
        assert_int_equal(j.page_size, 512);
        same &= pgno == next && memcmp(page, bytes + (size_t)(pgno - 1) * 512, 512) == 0;
        next++;
    }
    if (rc == 0) {
        const struct journal_note *n = &j.note;
        assert_true(same && next == PAGES + 1 && j.pages == PAGES);
        assert_true(n->checksum_before == 11 && n->checksum_after == 12 && n->txid_before == 13 && n->txid_after == 14);
        assert_true(n->database.bytes[0] == 15 && n->pages_after == 16 && n->inode == 17 && n->size == 18 &&
                    n->mtime_ns == 19);
    }
    journal_close(&j);
    return rc;
}

static void a_journal_reads_back_as_it_was_written(void **state)
{
    uint8_t bytes[PAGES * 512];
    bool is_journal = false;
    struct err e;
    (void)state;
    make_undo(bytes);
    assert_ok(read_undo(bytes, &is_journal, &e), &e);
    assert_true(is_journal);
    assert_int_equal(file_write(temp_path("undo"), "SQLite format 3, or anything else that is long enough", 53), 0);
    assert_ok(read_undo(bytes, &is_journal, &e), &e);
    assert_false(is_journal);
    assert_int_equal(file_write(temp_path("undo"), "", 0), 0);
    assert_ok(read_undo(bytes, &is_journal, &e), &e);
    assert_false(is_journal);
    assert_int_equal(unlink(temp_path("undo")), 0);
    assert_error(read_undo(bytes, &is_journal, &e), &e, ERR_NOTFOUND);
}

/* Damages each byte that has a meaning, and cuts the file off at each length. */
static void damage_is_found(void **state)
{
    uint8_t bytes[PAGES * 512];
    bool is_journal = false;
    struct err e;
    size_t size = 0;
    (void)state;
    make_undo(bytes);
    uint8_t *whole = file_bytes(temp_path("undo"), &size);
    assert_non_null(whole);
    assert_int_equal(size, JOURNAL_HEADER_BYTES + PAGES * (512 + 8) + JOURNAL_NOTE_BYTES);
    for (size_t at = 8; at < size; at++) {
        if (at >= 28 && at < JOURNAL_HEADER_BYTES) /* the rest of the header's sector */
            continue;
        whole[at] ^= 0x11;
        assert_int_equal(file_write(temp_path("undo"), whole, size), 0);
        assert_error(read_undo(bytes, &is_journal, &e), &e, ERR_CORRUPT);
        assert_contains(e.msg, "undo");
        whole[at] ^= 0x11;
    }
    for (size_t n = 28; n < size; n += 7) {
        assert_int_equal(file_write(temp_path("undo"), whole, n), 0);
        assert_error(read_undo(bytes, &is_journal, &e), &e, ERR_CORRUPT);
    }
    free(whole);
}

/* The undo needs memory for each page, so one of a few bytes must not claim 2^32. */
static void an_undo_claims_no_page_that_is_neither_in_it_nor_in_the_database(void **state)
{
    const struct {
        uint32_t pages;
        enum err_code code;
    } claims[] = {{16 + PAGES + 1, ERR_NONE}, {16 + PAGES + 2, ERR_CORRUPT}, {UINT32_MAX, ERR_CORRUPT}};
    uint8_t bytes[PAGES * 512];
    size_t size = 0;
    (void)state;
    make_undo(bytes);
    uint8_t *whole = file_bytes(temp_path("undo"), &size);
    assert_non_null(whole);
    uint8_t *note = whole + size - JOURNAL_NOTE_BYTES;
    for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
        struct journal_reader j;
        bool is_journal = false;
        struct err e = {.code = ERR_NONE};
        put_be32(whole + 16, claims[i].pages);
        put_be32(note + 60, claims[i].pages);
        put_be64(note + 112, hash64(note, 112));
        assert_int_equal(file_write(temp_path("undo"), whole, size), 0);
        int rc = journal_open(&j, temp_path("undo"), &is_journal, &e);
        assert_int_equal(e.code, claims[i].code);
        if (rc == 0)
            journal_close(&j);
    }
    free(whole);
}

static int write_undo(void *context, struct err *e)
{
    const struct stat like = {.st_mode = 0640, .st_uid = geteuid(), .st_gid = getegid()};
    struct journal_writer j = {.stage = STAGE_NONE};
    struct folder folder;
    int rc = folder_open(&folder, temp_dir, e);
    if (rc == 0)
        rc = journal_begin(&j, &(struct journal_database){&folder, 512, PAGES, &like}, e);
    for (uint32_t pgno = 1; rc == 0 && pgno <= PAGES; pgno++)
        rc = journal_add(&j, pgno, (const uint8_t *)context + (pgno - 1) * 512, e);
    if (rc == 0)
        rc = journal_finish(&j, e);
    if (rc == 0)
        rc = journal_annotate(&j, &a_note, e);
    journal_end(&j);
    folder_close(&folder);
    return rc;
}

static void each_allocation_of_the_writer_fails_once(void **state)
{
    static uint8_t bytes[PAGES * 512];
    (void)state;
    assert_each_allocation_fails_once(write_undo, bytes);
    assert_int_equal(rmdir(temp_dir), 0); /* fails if a file is left */
    assert_int_equal(mkdir(temp_dir, 0700), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_IN_TEMP(sqlite_rolls_it_back_on_a_database_in_wal_mode),
        UNIT_IN_TEMP(a_journal_that_is_not_published_leaves_no_file),
        UNIT_IN_TEMP(a_journal_reads_back_as_it_was_written),
        UNIT_IN_TEMP(damage_is_found),
        UNIT_IN_TEMP(an_undo_claims_no_page_that_is_neither_in_it_nor_in_the_database),
        UNIT_IN_TEMP(each_allocation_of_the_writer_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
