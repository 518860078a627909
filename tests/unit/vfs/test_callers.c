/* vfs: the shim and its users call the VFS below as its contract says. checking_vfs.h checks that, and can fail. */
#include "sql.h"

#include "app/checking_vfs.h"
#include "seawall/vfs.h"

#include <unistd.h>

static char last[2048]; /* violation */

static void note(const char *text)
{
    snprintf(last, sizeof last, "%s", text);
}

static int begin(void **state)
{
    (void)state;
    assert_int_equal(sqlite3_initialize(), SQLITE_OK);
    assert_int_equal(checking_vfs_register(note), SQLITE_OK);
    assert_int_equal(seawall_vfs_register(0), SQLITE_OK);
    return 0;
}

static void assert_no_violation(void)
{
    assert_string_equal(last, "");
    assert_int_equal(checking.violations, 0);
}

/* The violation that was noted has this text. From here on none has. */
static void assert_violation(const char *text)
{
    if (!strstr(last, text))
        fail_msg("'%s' instead of '%s'", last, text);
    last[0] = 0;
    checking.violations = 0;
}

static sqlite3 *database(const char *vfs, const char *mode)
{
    char text[200];
    unlink("callers.db");
    unlink("callers.db-wal");
    unlink("callers.db-shm");
    sqlite3 *db = sql_open("callers.db", vfs);
    snprintf(text, sizeof text, "PRAGMA journal_mode=%s; CREATE TABLE t(a); INSERT INTO t VALUES(zeroblob(20000))",
             mode);
    sql(db, text);
    return db;
}

static void end(sqlite3 *db)
{
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    unlink("callers.db");
    assert_null(checking.open);
}

static void sqlite_itself_breaks_no_rule_in_any_journal_mode(void **state)
{
    static const char *const modes[] = {"delete", "truncate", "persist", "memory", "wal"};
    (void)state;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        unsigned long calls = checking.calls;
        sqlite3 *db = database(SEAWALL_VFS_NAME, modes[i]), *other = sql_open("callers.db", SEAWALL_VFS_NAME);
        sql(other, "UPDATE t SET a = randomblob(30000); PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO t VALUES(1)");
        sql(db, "BEGIN; DELETE FROM t; ROLLBACK; VACUUM; PRAGMA wal_checkpoint(RESTART); PRAGMA integrity_check");
        sql(db, "PRAGMA wal_checkpoint(PASSIVE)");
        assert_int_equal(sqlite3_close(other), SQLITE_OK);
        sql(db, "PRAGMA journal_mode=delete; INSERT INTO t VALUES(2)");
        end(db);
        assert_no_violation();
        assert_true(checking.calls > calls + 50);
    }
}

static sqlite3_file *file_of(sqlite3 *db, int op)
{
    sqlite3_file *file = NULL;
    assert_int_equal(sqlite3_file_control(db, "main", op, &file), SQLITE_OK);
    return file;
}

static void a_write_without_the_lock_is_found(void **state)
{
    char page[4096] = "";
    (void)state;
    sqlite3 *db = database(SEAWALL_VFS_NAME, "wal");
    sqlite3_file *main = file_of(db, SQLITE_FCNTL_FILE_POINTER), *wal = file_of(db, SQLITE_FCNTL_JOURNAL_POINTER);
    main->pMethods->xWrite(main, page, sizeof page, 1 << 20);
    assert_violation("callers.db: a write without the checkpoint lock");
    wal->pMethods->xWrite(wal, page, sizeof page, 1 << 20);
    assert_violation("callers.db-wal: a write without the write lock");
    wal->pMethods->xTruncate(wal, 1 << 20);
    assert_violation("callers.db-wal: a truncation without the write lock");
    int lock = SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE, unlock = SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE;
    assert_int_equal(main->pMethods->xShmLock(main, SLOT_CHECKPOINT, 1, lock), SQLITE_OK);
    main->pMethods->xWrite(main, page, sizeof page, 1 << 20);
    assert_violation("a write by a checkpoint before the -wal was synced");
    assert_int_equal(wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL), SQLITE_OK);
    main->pMethods->xWrite(main, page, sizeof page, 1 << 20);
    assert_int_equal(main->pMethods->xShmLock(main, SLOT_CHECKPOINT, 1, unlock), SQLITE_OK);
    assert_no_violation();
    end(db);
    db = database(SEAWALL_VFS_NAME, "delete");
    main = file_of(db, SQLITE_FCNTL_FILE_POINTER);
    main->pMethods->xRead(main, page, sizeof page, 0);
    assert_violation("callers.db: a page is read without a lock");
    main->pMethods->xWrite(main, page, sizeof page, 1 << 20);
    assert_violation("callers.db: a write without an EXCLUSIVE lock");
    end(db);
}

static void a_lock_of_the_wal_index_that_is_not_legal_is_found(void **state)
{
    (void)state;
    sqlite3 *db = database(SEAWALL_VFS_NAME, "wal");
    sqlite3_file *main = file_of(db, SQLITE_FCNTL_FILE_POINTER);
    int lock = SQLITE_SHM_LOCK | SQLITE_SHM_SHARED, unlock = SQLITE_SHM_UNLOCK | SQLITE_SHM_SHARED;
    assert_int_equal(main->pMethods->xShmLock(main, 4, 1, lock), SQLITE_OK);
    main->pMethods->xShmLock(main, 4, 1, SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE);
    assert_violation("slot 4 is locked (x) while it is held (s)");
    assert_int_equal(main->pMethods->xShmLock(main, 4, 1, unlock), SQLITE_OK);
    main->pMethods->xShmLock(main, 4, 1, unlock);
    assert_violation("slot 4 is unlocked (s) and was held as '-'");
    assert_int_equal(main->pMethods->xShmLock(main, 5, 1, lock), SQLITE_OK);
    end(db);
    assert_violation("slot 5 is held (s) when the wal-index is unmapped");
}

static void a_lock_of_the_file_that_is_not_legal_is_found(void **state)
{
    (void)state;
    sqlite3 *db = database(SEAWALL_VFS_NAME, "delete");
    sqlite3_file *main = file_of(db, SQLITE_FCNTL_FILE_POINTER);
    checked_lock((sqlite3_file *)checking.open, SQLITE_LOCK_RESERVED);
    assert_violation("a lock of level 2 at level 0");
    main->pMethods->xUnlock(main, SQLITE_LOCK_NONE);
    assert_int_equal(main->pMethods->xLock(main, SQLITE_LOCK_SHARED), SQLITE_OK);
    main->pMethods->xUnlock(main, SQLITE_LOCK_EXCLUSIVE);
    assert_violation("an unlock to level 4");
    main->pMethods->xUnlock(main, SQLITE_LOCK_NONE);
    checking_vfs_end();
    assert_violation("callers.db: was not closed");
    end(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(sqlite_itself_breaks_no_rule_in_any_journal_mode),
        UNIT(a_write_without_the_lock_is_found),
        UNIT(a_lock_of_the_wal_index_that_is_not_legal_is_found),
        UNIT(a_lock_of_the_file_that_is_not_legal_is_found),
    };
    return cmocka_run_group_tests(tests, begin, NULL);
}
