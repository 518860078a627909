/* base/sqlite_file.h: the header of database files that SQLite wrote, and bytes that are not a header. */
#include "unit.h"

#include "base/endian.h"
#include "base/sqlite_file.h"
#include "sql.h"

static void read_header(const char *path, uint8_t bytes[SQLITE_FILE_HEADER_BYTES])
{
    size_t size = 0;
    uint8_t *all = file_bytes(path, &size);
    assert_non_null(all);
    assert_true(size >= SQLITE_FILE_HEADER_BYTES);
    memcpy(bytes, all, SQLITE_FILE_HEADER_BYTES);
    free(all);
}

static void make_database(const char *name, uint32_t page_size, const char *journal_mode, uint8_t *bytes)
{
    char text[200];
    sqlite3 *db = sql_open(temp_path(name), NULL);
    snprintf(text, sizeof text,
             "PRAGMA page_size=%u; PRAGMA journal_mode=%s; CREATE TABLE t(x); INSERT INTO t VALUES(1)", page_size,
             journal_mode);
    sql(db, text);
    sqlite3_close(db);
    read_header(temp_path(name), bytes);
}

static void the_header_of_a_database_says_page_size_mode_and_pages(void **state)
{
    static const uint32_t sizes[] = {512, 4096, 65536};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        uint8_t bytes[SQLITE_FILE_HEADER_BYTES];
        struct sqlite_file file;
        char name[32];
        snprintf(name, sizeof name, "wal-%u", sizes[i]);
        make_database(name, sizes[i], "WAL", bytes);
        assert_true(sqlite_file_decode(bytes, &file));
        assert_int_equal(file.page_size, sizes[i]);
        assert_int_equal(file.write_version, 2);
        assert_int_equal(file.read_version, 2);
        assert_int_equal(file.pages, 2);
        snprintf(name, sizeof name, "rollback-%u", sizes[i]);
        make_database(name, sizes[i], "DELETE", bytes);
        assert_true(sqlite_file_decode(bytes, &file));
        assert_int_equal(file.write_version, 1);
        assert_int_equal(file.read_version, 1);
        assert_int_equal(file.pages, 2);
        assert_int_equal(file.change_counter, 2); /* two transactions */
    }
}

/* SQLite before 3.7.0 changes the counter, but not the size and not the counter for which the size is valid. */
static void a_stale_size_does_not_count(void **state)
{
    (void)state;
    uint8_t bytes[SQLITE_FILE_HEADER_BYTES];
    struct sqlite_file file;
    make_database("old", 4096, "DELETE", bytes);
    put_be32(bytes + 24, get_be32(bytes + 24) + 1);
    assert_true(sqlite_file_decode(bytes, &file));
    assert_int_equal(file.pages, 0);
    assert_int_equal(file.change_counter, 3);
}

static void what_is_not_a_header_is_refused(void **state)
{
    static const uint16_t wrong_sizes[] = {0, 2, 256, 511, 513, 4097, 65535};
    (void)state;
    uint8_t bytes[SQLITE_FILE_HEADER_BYTES], changed[SQLITE_FILE_HEADER_BYTES];
    struct sqlite_file file = {.pages = 77};
    make_database("db", 4096, "WAL", bytes);
    for (size_t i = 0; i < SQLITE_FILE_MAGIC_BYTES; i++) {
        memcpy(changed, bytes, sizeof bytes);
        changed[i] ^= 1;
        assert_false(sqlite_file_has_magic(changed, sizeof changed));
        assert_false(sqlite_file_decode(changed, &file));
    }
    for (size_t i = 0; i < COUNT_OF(wrong_sizes); i++) {
        memcpy(changed, bytes, sizeof bytes);
        put_be16(changed + 16, wrong_sizes[i]);
        assert_true(sqlite_file_has_magic(changed, sizeof changed));
        assert_int_equal(sqlite_file_page_size(changed), wrong_sizes[i]);
        assert_false(sqlite_file_decode(changed, &file));
    }
    assert_int_equal(file.pages, 77); /* written only on success */
    assert_true(sqlite_file_has_magic(bytes, SQLITE_FILE_MAGIC_BYTES));
    assert_false(sqlite_file_has_magic(bytes, SQLITE_FILE_MAGIC_BYTES - 1));
    assert_false(sqlite_file_has_magic(bytes, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_IN_TEMP(the_header_of_a_database_says_page_size_mode_and_pages),
        UNIT_IN_TEMP(a_stale_size_does_not_count),
        UNIT_IN_TEMP(what_is_not_a_header_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
