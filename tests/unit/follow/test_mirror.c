/* The copy that is kept fresh: what it writes is what SQLite would have written. The proof is SQLite's own recovery: from the
 * same -wal it builds the same wal-index. */
#include "follow/mirror.h"

#include "base/endian.h"
#include "base/page.h"
#include "failing_alloc.h"
#include "sql.h"

#define MODE 0640

/* What the copy must be. */
struct model {
    struct mirror copy;
    char path[600];
    uint32_t page_size, pages;
    uint8_t **page; /* page[pgno - 1] */
    uint32_t room;
    struct dice dice;
};

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db = sql_open(path, NULL);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

static void resize(struct model *m, uint32_t pages)
{
    if (pages > m->room) {
        m->page = realloc(m->page, pages * sizeof *m->page);
        memset(m->page + m->room, 0, (pages - m->room) * sizeof *m->page);
        m->room = pages;
    }
    m->pages = pages;
}

static void set_page(struct model *m, uint32_t pgno, const uint8_t *bytes, uint32_t page_size)
{
    free(m->page[pgno - 1]);
    m->page[pgno - 1] = malloc(page_size);
    memcpy(m->page[pgno - 1], bytes, page_size);
}

static void begin(struct model *m, uint32_t page_size)
{
    struct err e;
    char sql[200];
    *m = (struct model){.page_size = page_size, .copy = MIRROR_NONE, .dice = dice_of(page_size)};
    snprintf(m->path, sizeof m->path, "%s", temp_path("copy.db"));
    snprintf(sql, sizeof sql,
             "PRAGMA page_size=%u; PRAGMA journal_mode=wal; CREATE TABLE t(a); INSERT INTO t VALUES(1)", page_size);
    run_sql(m->path, sql);
    assert_ok(mirror_open(&m->copy, m->path, MODE, &e), &e);
    size_t n = 0;
    uint8_t *bytes = file_bytes_apart(m->path, &n);
    resize(m, (uint32_t)(n / page_size));
    for (uint32_t pgno = 1; pgno <= m->pages; pgno++)
        set_page(m, pgno, bytes + (size_t)(pgno - 1) * page_size, page_size);
    free(bytes);
}

static void end(struct model *m)
{
    mirror_close(&m->copy);
    for (uint32_t i = 0; i < m->room; i++)
        free(m->page[i]);
    free(m->page);
}

/* Bytes that belong to no other version of a page. In page 1 only what is not used changes: SQLite reads the rest. */
static void make_page(struct model *m, uint32_t pgno, uint8_t *out)
{
    if (pgno == 1)
        memcpy(out, m->page[0], m->page_size);
    for (uint32_t i = pgno == 1 ? 200 : 0; i < (pgno == 1 ? 240 : m->page_size); i += 8) {
        uint64_t value = dice_next(&m->dice);
        memcpy(out + i, &value, sizeof value);
    }
}

static void write_one(struct model *m, uint32_t pgno, bool counts)
{
    struct err e;
    static uint8_t page[PAGE_SIZE_MAX];
    make_page(m, pgno, page);
    assert_ok(mirror_write(&m->copy, pgno, page, &e), &e);
    if (counts)
        set_page(m, pgno, page, m->page_size);
}

/* A transaction of `count` random pages, after which the database has `pages` pages. */
static void publish(struct model *m, uint32_t count, uint32_t pages)
{
    struct err e;
    uint32_t before = m->pages;
    assert_ok(mirror_begin(&m->copy, m->page_size, &e), &e);
    resize(m, pages);
    for (uint32_t pgno = before + 1; pgno <= pages; pgno++)
        write_one(m, pgno, true);
    for (uint32_t i = 1; i < count; i++)
        write_one(m, 1 + (uint32_t)(dice_next(&m->dice) % pages), true);
    put_be32(m->page[0] + 28, pages); /* SQLite believes it */
    write_one(m, 1, true);
    mirror_seal(&m->copy, pages);
    assert_ok(mirror_publish(&m->copy, &e), &e);
}

/* ---- what SQLite makes of the same files */

static void recover(const struct model *m, char out[600])
{
    char from[700], to[700];
    snprintf(out, 600, "%s", temp_path("recovered.db"));
    static const char *const suffixes[] = {"", "-wal"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(from, sizeof from, "%s%s", m->path, suffixes[i]);
        snprintf(to, sizeof to, "%s%s", out, suffixes[i]);
        unlink(to);
        assert_int_equal(file_copy_apart(from, to), 0);
        chmod(to, 0600);
    }
    snprintf(to, sizeof to, "%s-shm", out);
    unlink(to);
}

static int64_t pragma(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    if (sqlite3_step(s) != SQLITE_ROW)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    int64_t value = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return value;
}

/* The headers count commits in their third word, and a recovery begins to count again. */
static void assert_same_header(const uint8_t *ours, const uint8_t *theirs)
{
    struct wal_index_header a, b;
    assert_true(wal_index_header_decode(ours, ours + WAL_INDEX_HEADER_BYTES, &a));
    assert_true(wal_index_header_decode(theirs, theirs + WAL_INDEX_HEADER_BYTES, &b));
    assert_memory_equal(ours, theirs, 8);
    assert_memory_equal(ours + 12, theirs + 12, 28);
    assert_int_equal(a.mx_frame, b.mx_frame);
}

static void assert_same_index(const struct model *m, const char *recovered)
{
    char ours_path[700], theirs_path[700];
    size_t n = 0, k = 0;
    snprintf(ours_path, sizeof ours_path, "%s-shm", m->path);
    snprintf(theirs_path, sizeof theirs_path, "%s-shm", recovered);
    uint8_t *ours = file_bytes_apart(ours_path, &n), *theirs = file_bytes_apart(theirs_path, &k);
    assert_non_null(ours);
    assert_non_null(theirs);
    assert_same_header(ours, theirs);
    size_t blocks = m->copy.header.mx_frame ? wal_index_place(m->copy.header.mx_frame).block + 1 : 1;
    assert_true(n >= blocks * WAL_INDEX_BLOCK_BYTES && k >= blocks * WAL_INDEX_BLOCK_BYTES);
    if (m->copy.header.mx_frame > 0)
        assert_memory_equal(ours + WAL_INDEX_MIN_BYTES, theirs + WAL_INDEX_MIN_BYTES,
                            blocks * WAL_INDEX_BLOCK_BYTES - WAL_INDEX_MIN_BYTES);
    free(ours);
    free(theirs);
}

static void assert_same_pages(const struct model *m, const uint8_t *bytes, size_t n)
{
    assert_int_equal(n, (size_t)m->pages * m->page_size);
    for (uint32_t pgno = 1; pgno <= m->pages; pgno++)
        if (memcmp(bytes + (size_t)(pgno - 1) * m->page_size, m->page[pgno - 1], m->page_size) != 0)
            fail_msg("page %u of %u is another", pgno, m->pages);
}

/* Stock SQLite finds the same wal-index and the same pages in the files, and the copy itself reads the same pages. */
static void assert_as_sqlite(struct model *m, bool same_index)
{
    char recovered[600];
    struct err e;
    static uint8_t page[PAGE_SIZE_MAX];
    recover(m, recovered);
    sqlite3 *db = sql_open(recovered, NULL);
    assert_int_equal(pragma(db, "PRAGMA page_count"), m->pages);
    if (same_index)
        assert_same_index(m, recovered);
    assert_int_equal(pragma(db, "PRAGMA wal_checkpoint(TRUNCATE)"), 0);
    sqlite3_close(db);
    size_t n = 0;
    uint8_t *bytes = file_bytes(recovered, &n);
    assert_same_pages(m, bytes, n);
    free(bytes);
    for (uint32_t pgno = 1; pgno <= m->pages; pgno++) {
        assert_ok(mirror_read(&m->copy, pgno, page, &e), &e);
        assert_memory_equal(page, m->page[pgno - 1], m->page_size);
    }
}

static void checkpoint(struct model *m)
{
    struct err e;
    bool all = false;
    assert_ok(mirror_checkpoint(&m->copy, MIRROR_PASSIVE, &all, &e), &e);
    assert_true(all);
}

/* ---- tests */

static void recovery_by_sqlite_builds_the_same_wal_index(void **state)
{
    static const uint32_t sizes[] = {512, 1024, 4096, 65536};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct model m;
        begin(&m, sizes[i]);
        for (int k = 0; k < 25; k++) {
            publish(&m, 1 + (uint32_t)(dice_next(&m.dice) % 12), 2 + (uint32_t)(dice_next(&m.dice) % 20));
            assert_as_sqlite(&m, true);
        }
        end(&m);
        char name[700];
        static const char *const suffixes[] = {"", "-wal", "-shm"};
        for (size_t k = 0; k < 3; k++) {
            snprintf(name, sizeof name, "%s%s", m.path, suffixes[k]);
            unlink(name);
        }
    }
}

static void a_log_of_several_blocks_is_indexed_as_sqlite_does(void **state)
{
    struct model m;
    (void)state;
    begin(&m, 512);
    publish(&m, 1, WAL_INDEX_FIRST_FRAMES - 10); /* up to just before the end of the first block, then over it */
    for (int i = 0; i < 12; i++)
        publish(&m, 3, m.pages);
    assert_true(m.copy.header.mx_frame > WAL_INDEX_FIRST_FRAMES);
    assert_as_sqlite(&m, true);
    publish(&m, 9000, 6000);
    assert_int_equal(wal_index_place(m.copy.header.mx_frame).block, 3);
    assert_as_sqlite(&m, true);
    publish(&m, 5, 100);
    assert_as_sqlite(&m, true);
    end(&m);
}

static void the_log_starts_again_when_it_was_copied_and_nobody_reads_it(void **state)
{
    struct model m;
    (void)state;
    begin(&m, 1024);
    for (int round = 0; round < 6; round++) {
        uint8_t salt[WAL_SALT_BYTES];
        publish(&m, 30, 10 + (uint32_t)round);
        memcpy(salt, m.copy.header.salt, sizeof salt);
        checkpoint(&m);
        publish(&m, 3, 10 + (uint32_t)round);
        assert_int_equal(m.copy.header.mx_frame, 3);
        assert_int_equal(get_be32(m.copy.header.salt), get_be32(salt) + 1);
        assert_memory_not_equal(m.copy.header.salt + 4, salt + 4, 4);
        assert_as_sqlite(&m, true);
    }
    end(&m);
}

/* A process that dies while it starts the log again can leave an empty log of which frames count as copied back: SQLite
 * writes the header first. A reader ignores as many frames of the next log. */
static void an_empty_log_has_no_frames_that_were_copied_back(void **state)
{
    struct model m;
    (void)state;
    begin(&m, 1024);
    sqlite3 *reader = sql_open(m.path, NULL);
    publish(&m, 30, 10);
    checkpoint(&m);
    assert_int_equal(pragma(reader, "PRAGMA page_count"), 10);
    const uint32_t copied = m.copy.header.mx_frame;
    uint8_t header[WAL_INDEX_HEADER_BYTES];
    m.copy.header.mx_frame = 0;
    m.copy.header.salt[3]++;
    wal_index_header_encode(&m.copy.header, header);
    memcpy(m.copy.blocks[0], header, sizeof header);
    memcpy(m.copy.blocks[0] + sizeof header, header, sizeof header);
    memcpy(m.copy.blocks[0] + WAL_INDEX_NBACKFILL, &copied, sizeof copied);
    publish(&m, 3, 12);
    assert_int_equal(pragma(reader, "PRAGMA page_count"), 12);
    assert_true(m.copy.header.mx_frame < copied);
    sqlite3_close(reader);
    assert_as_sqlite(&m, true);
    end(&m);
}

static void a_reader_keeps_its_state_and_the_log(void **state)
{
    struct model m;
    (void)state;
    begin(&m, 1024);
    publish(&m, 10, 12);
    sqlite3 *reader = sql_open(m.path, NULL);
    assert_int_equal(sqlite3_exec(reader, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(pragma(reader, "PRAGMA page_count"), 12);
    publish(&m, 10, 20);
    assert_int_equal(pragma(reader, "PRAGMA page_count"), 12);
    struct err e;
    bool all = true;
    assert_ok(mirror_checkpoint(&m.copy, MIRROR_PASSIVE, &all, &e), &e);
    assert_false(all);
    uint32_t frames = m.copy.header.mx_frame;
    publish(&m, 1, 21);
    assert_true(m.copy.header.mx_frame > frames);
    assert_int_equal(pragma(reader, "PRAGMA page_count"), 12);
    assert_int_equal(sqlite3_exec(reader, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(pragma(reader, "PRAGMA page_count"), 21);
    sqlite3_close(reader);
    assert_as_sqlite(&m, true);
    end(&m);
}

static void what_was_abandoned_leaves_no_trace_in_the_next_publication(void **state)
{
    struct model m;
    struct err e;
    (void)state;
    begin(&m, 512);
    publish(&m, 5, 8);
    for (uint32_t i = 1; i <= 40; i += 3) {
        assert_ok(mirror_begin(&m.copy, 512, &e), &e);
        for (uint32_t k = 0; k < i; k++)
            write_one(&m, 2 + k % 7, false);
        mirror_abandon(&m.copy);
        assert_as_sqlite(&m, false);
        publish(&m, 1 + i / 4, 8);
        assert_as_sqlite(&m, false);
    }
    publish(&m, 45, 8); /* covers every frame that was left */
    assert_as_sqlite(&m, true);
    end(&m);
}

static void a_publication_reads_what_it_wrote(void **state)
{
    struct model m;
    struct err e;
    uint8_t page[512], other[512];
    (void)state;
    begin(&m, 512);
    publish(&m, 5, 8);
    assert_ok(mirror_begin(&m.copy, 512, &e), &e);
    for (int i = 0; i < 3; i++) {
        memset(page, i, sizeof page);
        assert_ok(mirror_write(&m.copy, 5, page, &e), &e);
        assert_ok(mirror_read(&m.copy, 5, other, &e), &e);
        assert_memory_equal(page, other, sizeof page);
    }
    memset(page, 9, sizeof page);
    assert_ok(mirror_write(&m.copy, 30, page, &e), &e);
    assert_ok(mirror_read(&m.copy, 5, other, &e), &e);
    assert_int_equal(other[0], 2);
    assert_ok(mirror_read(&m.copy, 30, other, &e), &e);
    assert_int_equal(other[0], 9);
    assert_ok(mirror_read(&m.copy, 31, other, &e), &e); /* beyond the end */
    assert_int_equal(other[0] | other[511], 0);
    mirror_abandon(&m.copy);
    assert_ok(mirror_read(&m.copy, 30, other, &e), &e);
    assert_int_equal(other[0] | other[511], 0);
    end(&m);
}

static void the_page_size_changes_under_readers(void **state)
{
    static const uint32_t sizes[] = {4096, 512, 65536, 1024};
    struct model m;
    struct err e;
    (void)state;
    begin(&m, 1024);
    sqlite3 *reader = sql_open(m.path, NULL);
    assert_int_equal(pragma(reader, "SELECT count(*) FROM t"), 1);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        char sql[200];
        snprintf(sql, sizeof sql,
                 "PRAGMA page_size=%u; PRAGMA journal_mode=wal; CREATE TABLE t(a); "
                 "INSERT INTO t VALUES(1),(2),(%u)",
                 sizes[i], sizes[i]);
        unlink(temp_path("other.db"));
        run_sql(temp_path("other.db"), sql);
        size_t n = 0;
        uint8_t *bytes = file_bytes(temp_path("other.db"), &n);
        checkpoint(&m);
        assert_ok(mirror_begin(&m.copy, sizes[i], &e), &e);
        m.page_size = sizes[i];
        resize(&m, (uint32_t)(n / sizes[i]));
        for (uint32_t pgno = 1; pgno <= m.pages; pgno++) {
            set_page(&m, pgno, bytes + (size_t)(pgno - 1) * sizes[i], sizes[i]);
            assert_ok(mirror_write(&m.copy, pgno, m.page[pgno - 1], &e), &e);
        }
        free(bytes);
        mirror_seal(&m.copy, m.pages);
        assert_ok(mirror_publish(&m.copy, &e), &e);
        assert_int_equal(pragma(reader, "SELECT max(a) FROM t"), sizes[i]);
        assert_int_equal(pragma(reader, "PRAGMA page_size"), sizes[i]);
        assert_as_sqlite(&m, true);
    }
    sqlite3_close(reader);
    end(&m);
}

static void another_page_size_waits_for_readers(void **state)
{
    struct model m;
    struct err e;
    (void)state;
    begin(&m, 1024);
    publish(&m, 4, 8);
    sqlite3 *reader = sql_open(m.path, NULL);
    assert_int_equal(sqlite3_exec(reader, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(pragma(reader, "PRAGMA page_count"), 8);
    checkpoint(&m);
    assert_error(mirror_begin(&m.copy, 4096, &e), &e, ERR_BUSY);
    assert_int_equal(pragma(reader, "PRAGMA page_count"), 8);
    sqlite3_close(reader);
    assert_ok(mirror_begin(&m.copy, 4096, &e), &e);
    mirror_abandon(&m.copy);
    publish(&m, 4, 8);
    assert_as_sqlite(&m, true);
    end(&m);
}

static void a_commit_of_another_process_is_noticed(void **state)
{
    struct model m;
    struct err e;
    (void)state;
    begin(&m, 1024);
    publish(&m, 4, 8);
    assert_true(mirror_is_ours(&m.copy));
    mirror_close(&m.copy); /* gives up nothing: the -wal stays */
    assert_ok(mirror_open(&m.copy, m.path, MODE, &e), &e);
    assert_int_equal(m.copy.header.mx_frame > 0, 1);
    chmod(m.path, 0600);
    chmod(temp_path("copy.db-wal"), 0600);
    run_sql(m.path, "PRAGMA user_version=7");
    assert_false(mirror_is_ours(&m.copy));
    assert_error(mirror_begin(&m.copy, 1024, &e), &e, ERR_CONFLICT);
    assert_contains(e.msg, "another process wrote");
    end(&m);
}

static void the_copy_can_be_written_by_nobody_and_read_as_before(void **state)
{
    struct model m;
    struct stat st;
    struct err e;
    (void)state;
    begin(&m, 1024);
    publish(&m, 4, 8);
    assert_int_equal(stat(m.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0440);
    mirror_close(&m.copy);
    assert_ok(mirror_open(&m.copy, m.path, MODE, &e), &e);
    assert_int_equal(stat(temp_path("copy.db-wal"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0440);
    assert_int_equal(stat(temp_path("copy.db-shm"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_ok(mirror_make_ordinary(&m.copy, &e), &e);
    assert_int_equal(stat(m.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    end(&m);
    assert_int_equal(access(temp_path("copy.db-wal"), F_OK), -1);
}

static void a_database_that_is_not_in_wal_mode_is_refused(void **state)
{
    struct mirror c;
    struct err e;
    (void)state;
    run_sql(temp_path("plain.db"), "CREATE TABLE t(a)");
    assert_error(mirror_open(&c, temp_path("plain.db"), MODE, &e), &e, ERR_CONFIG);
    assert_contains(e.msg, "WAL mode");
    assert_int_equal(file_write(temp_path("text.db"), "not a database, but long enough to be looked at as one", 54), 0);
    assert_error(mirror_open(&c, temp_path("text.db"), MODE, &e), &e, ERR_SQLITE);
}

static void a_link_in_its_place_is_refused_and_leads_nowhere(void **state)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
        for (int symbolic = 0; symbolic < 2; symbolic++) {
            struct mirror c;
            struct stat st;
            struct err e;
            char path[700], name[800];
            snprintf(path, sizeof path, "%s", temp_path(symbolic ? "symbolic.db" : "hard.db"));
            snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
            run_sql(path, "PRAGMA journal_mode=wal; CREATE TABLE t(a)");
            unlink(name);
            unlink(temp_path("secret"));
            assert_int_equal(file_write(temp_path("secret"), "secret", 6), 0);
            chmod(temp_path("secret"), 0600);
            assert_int_equal(symbolic ? symlink(temp_path("secret"), name) : link(temp_path("secret"), name), 0);
            assert_error(mirror_open(&c, path, 0644, &e), &e, ERR_CONFIG);
            assert_int_equal(stat(temp_path("secret"), &st), 0);
            assert_int_equal(st.st_mode & 0777, 0600);
            unlink(name);
            unlink(path);
        }
    }
}

static int open_and_publish(void *context, struct err *e)
{
    struct mirror c;
    static uint8_t page[PAGE_SIZE_MAX];
    if (mirror_open(&c, context, MODE, e))
        return -1;
    int rc = mirror_read(&c, 2, page, e) || mirror_begin(&c, 1024, e) || mirror_write(&c, 2, page, e) ? -1 : 0;
    if (rc == 0) {
        mirror_seal(&c, 2);
        rc = mirror_publish(&c, e);
    }
    mirror_close(&c);
    return rc;
}

static void each_allocation_of_a_publication_fails_once(void **state)
{
    struct model m;
    (void)state;
    begin(&m, 1024);
    mirror_close(&m.copy);
    assert_each_allocation_fails_once(open_and_publish, m.path);
    end(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_IN_TEMP(recovery_by_sqlite_builds_the_same_wal_index),
        UNIT_IN_TEMP(a_log_of_several_blocks_is_indexed_as_sqlite_does),
        UNIT_IN_TEMP(the_log_starts_again_when_it_was_copied_and_nobody_reads_it),
        UNIT_IN_TEMP(an_empty_log_has_no_frames_that_were_copied_back),
        UNIT_IN_TEMP(a_reader_keeps_its_state_and_the_log),
        UNIT_IN_TEMP(what_was_abandoned_leaves_no_trace_in_the_next_publication),
        UNIT_IN_TEMP(a_publication_reads_what_it_wrote),
        UNIT_IN_TEMP(the_page_size_changes_under_readers),
        UNIT_IN_TEMP(another_page_size_waits_for_readers),
        UNIT_IN_TEMP(a_commit_of_another_process_is_noticed),
        UNIT_IN_TEMP(the_copy_can_be_written_by_nobody_and_read_as_before),
        UNIT_IN_TEMP(a_database_that_is_not_in_wal_mode_is_refused),
        UNIT_IN_TEMP(a_link_in_its_place_is_refused_and_leads_nowhere),
        UNIT_IN_TEMP(each_allocation_of_a_publication_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
