/* vfs/shim.c, file.c: the shim passes everything through unchanged, and has hooks; and the shim as a loadable
 * extension.
 *
 * When it is registered, once in a process, the shim wraps the default VFS. Here that is a VFS of the test, which calls
 * a real one of SQLite's, or stubs that note their calls. */
#include "sql.h"

#include "wal/header.h"

#include <libgen.h>
#include <seawall/vfs.h>

/* Lock numbers of the wal-index ("WAL-mode File Format", section 2.3). */
enum { WAL_WRITE_LOCK = 0, WAL_CKPT_LOCK = 1, WAL_READ0_LOCK = 3, WAL_LOCKS = 8 };
enum { TAKE_SHARED = SQLITE_SHM_LOCK | SQLITE_SHM_SHARED, TAKE_EXCLUSIVE = SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE };
enum { DROP_EXCLUSIVE = SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE };

/* ---- the VFS below: stubs */

static struct {
    const char *method;
    const void *self; /* file or VFS that was called */
    sqlite3_int64 args[4];
} called;
enum { STUB_ANSWER = SQLITE_IOERR_VNODE }; /* a code that the shim itself never returns */
static int stub_open_fails_open, stub_version = 3;

static int note(const char *method, const void *self, sqlite3_int64 a, sqlite3_int64 b, sqlite3_int64 c,
                sqlite3_int64 d)
{
    called.method = method;
    called.self = self;
    called.args[0] = a;
    called.args[1] = b;
    called.args[2] = c;
    called.args[3] = d;
    return STUB_ANSWER;
}

static sqlite3_int64 of_pointer(const volatile void *p)
{
    return (sqlite3_int64)(uintptr_t)p;
}

static int stub_close(sqlite3_file *f)
{
    return note("xClose", f, 0, 0, 0, 0);
}
static int stub_read(sqlite3_file *f, void *out, int n, sqlite3_int64 at)
{
    return note("xRead", f, of_pointer(out), n, at, 0);
}
static int stub_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 at)
{
    return note("xWrite", f, of_pointer(bytes), n, at, 0);
}
static int stub_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return note("xTruncate", f, size, 0, 0, 0);
}
static int stub_sync(sqlite3_file *f, int flags)
{
    return note("xSync", f, flags, 0, 0, 0);
}
static int stub_file_size(sqlite3_file *f, sqlite3_int64 *ret)
{
    return note("xFileSize", f, of_pointer(ret), 0, 0, 0);
}
static int stub_lock(sqlite3_file *f, int level)
{
    return note("xLock", f, level, 0, 0, 0);
}
static int stub_unlock(sqlite3_file *f, int level)
{
    return note("xUnlock", f, level, 0, 0, 0);
}
static int stub_check_reserved(sqlite3_file *f, int *ret)
{
    return note("xCheckReservedLock", f, of_pointer(ret), 0, 0, 0);
}
static int stub_file_control(sqlite3_file *f, int op, void *arg)
{
    return note("xFileControl", f, op, of_pointer(arg), 0, 0);
}
static int stub_sector_size(sqlite3_file *f)
{
    return note("xSectorSize", f, 0, 0, 0, 0);
}
static int stub_characteristics(sqlite3_file *f)
{
    return note("xDeviceCharacteristics", f, 0, 0, 0, 0);
}
static int stub_shm_map(sqlite3_file *f, int region, int size, int extend, void volatile **ret)
{
    (void)ret;
    return note("xShmMap", f, region, size, extend, 0);
}
static int stub_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    return note("xShmLock", f, offset, n, flags, 0);
}
static void stub_shm_barrier(sqlite3_file *f)
{
    note("xShmBarrier", f, 0, 0, 0, 0);
}
static int stub_shm_unmap(sqlite3_file *f, int delete)
{
    return note("xShmUnmap", f, delete, 0, 0, 0);
}
static int stub_fetch(sqlite3_file *f, sqlite3_int64 at, int n, void **ret)
{
    return note("xFetch", f, at, n, of_pointer(ret), 0);
}
static int stub_unfetch(sqlite3_file *f, sqlite3_int64 at, void *page)
{
    return note("xUnfetch", f, at, of_pointer(page), 0, 0);
}

static const sqlite3_io_methods stub_methods = {3,
                                                stub_close,
                                                stub_read,
                                                stub_write,
                                                stub_truncate,
                                                stub_sync,
                                                stub_file_size,
                                                stub_lock,
                                                stub_unlock,
                                                stub_check_reserved,
                                                stub_file_control,
                                                stub_sector_size,
                                                stub_characteristics,
                                                stub_shm_map,
                                                stub_shm_lock,
                                                stub_shm_barrier,
                                                stub_shm_unmap,
                                                stub_fetch,
                                                stub_unfetch};

static int stub_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
    static sqlite3_io_methods methods;
    methods = stub_methods;
    methods.iVersion = stub_version;
    f->pMethods = stub_open_fails_open ? NULL : &methods;
    note("xOpen", vfs, of_pointer(name), flags, of_pointer(ret_flags), 0);
    return stub_open_fails_open ? SQLITE_CANTOPEN_SYMLINK : SQLITE_OK;
}
static int stub_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    return note("xDelete", vfs, of_pointer(name), sync, 0, 0);
}
static int stub_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
    return note("xAccess", vfs, of_pointer(name), flags, of_pointer(ret), 0);
}
static int stub_full_pathname(sqlite3_vfs *vfs, const char *name, int n, char *out)
{
    return note("xFullPathname", vfs, of_pointer(name), n, of_pointer(out), 0);
}
static int stub_randomness(sqlite3_vfs *vfs, int n, char *out)
{
    return note("xRandomness", vfs, n, of_pointer(out), 0, 0);
}
static int stub_sleep(sqlite3_vfs *vfs, int us)
{
    return note("xSleep", vfs, us, 0, 0, 0);
}
static int stub_current_time(sqlite3_vfs *vfs, double *ret)
{
    return note("xCurrentTime", vfs, of_pointer(ret), 0, 0, 0);
}
static int stub_get_last_error(sqlite3_vfs *vfs, int n, char *out)
{
    return note("xGetLastError", vfs, n, of_pointer(out), 0, 0);
}
static int stub_current_time_int64(sqlite3_vfs *vfs, sqlite3_int64 *ret)
{
    return note("xCurrentTimeInt64", vfs, of_pointer(ret), 0, 0, 0);
}

static sqlite3_vfs stub_vfs = {.iVersion = 3,
                               .xOpen = stub_open,
                               .xDelete = stub_delete,
                               .xAccess = stub_access,
                               .xFullPathname = stub_full_pathname,
                               .xRandomness = stub_randomness,
                               .xSleep = stub_sleep,
                               .xCurrentTime = stub_current_time,
                               .xGetLastError = stub_get_last_error,
                               .xCurrentTimeInt64 = stub_current_time_int64};

/* ---- the VFS below: calls a real one */

static sqlite3_vfs *real; /* the one that is called */
static sqlite3_vfs below; /* a copy of the unix VFS with these methods */

static int below_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
    (void)vfs;
    return real->xOpen(real, name, f, flags, ret_flags);
}
static int below_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    (void)vfs;
    return real->xDelete(real, name, sync);
}
static int below_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
    (void)vfs;
    return real->xAccess(real, name, flags, ret);
}
static int below_full_pathname(sqlite3_vfs *vfs, const char *name, int n, char *out)
{
    (void)vfs;
    return real->xFullPathname(real, name, n, out);
}
static int below_randomness(sqlite3_vfs *vfs, int n, char *out)
{
    (void)vfs;
    return real->xRandomness(real, n, out);
}
static int below_sleep(sqlite3_vfs *vfs, int us)
{
    (void)vfs;
    return real->xSleep(real, us);
}
static int below_current_time(sqlite3_vfs *vfs, double *ret)
{
    (void)vfs;
    return real->xCurrentTime(real, ret);
}
static int below_get_last_error(sqlite3_vfs *vfs, int n, char *out)
{
    (void)vfs;
    return real->xGetLastError(real, n, out);
}
static int below_current_time_int64(sqlite3_vfs *vfs, sqlite3_int64 *ret)
{
    (void)vfs;
    return real->xCurrentTimeInt64(real, ret);
}

static int setup_vfs(void **state)
{
    (void)state;
    real = sqlite3_vfs_find("unix");
    if (!real)
        return -1;
    below = *real;
    below.zName = "below";
    below.pNext = NULL;
    below.xOpen = below_open;
    below.xDelete = below_delete;
    below.xAccess = below_access;
    below.xFullPathname = below_full_pathname;
    below.xRandomness = below_randomness;
    below.xSleep = below_sleep;
    below.xCurrentTime = below_current_time;
    below.xGetLastError = below_get_last_error;
    below.xCurrentTimeInt64 = below_current_time_int64;
    return sqlite3_vfs_register(&below, 1) || seawall_vfs_register(0) ||
           seawall_vfs_register(1); /* the second call does nothing */
}

static void use_below(const char *name)
{
    real = strcmp(name, "stub") == 0 ? &stub_vfs : sqlite3_vfs_find(name);
    assert_non_null(real);
}

static int temp_setup_unix(void **state)
{
    real = sqlite3_vfs_find("unix");
    return temp_setup(state);
}
#define VFS_TEST(test) cmocka_unit_test_setup_teardown(test, temp_setup_unix, temp_teardown)

static sqlite3_vfs *shim(void)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(SEAWALL_VFS_NAME);
    assert_non_null(vfs);
    return vfs;
}

/* ---- (a) everything passes through */

static void registering_does_not_change_the_default_unless_asked(void **state)
{
    (void)state;
    assert_ptr_equal(sqlite3_vfs_find(NULL), &below);
    assert_int_equal(shim()->iVersion, below.iVersion);
    assert_int_equal(shim()->mxPathname, below.mxPathname);
    assert_true(shim()->szOsFile > below.szOsFile);
}

static void assert_called(const char *method, const void *self, sqlite3_int64 a, sqlite3_int64 b, sqlite3_int64 c,
                          int rc)
{
    assert_non_null(called.method);
    assert_string_equal(called.method, method);
    assert_true(self == NULL || called.self == self);
    assert_true(called.args[0] == a && called.args[1] == b && called.args[2] == c);
    assert_int_equal(rc, STUB_ANSWER);
    called.method = NULL;
}

static void every_file_method_reaches_the_file_below_and_its_answer_comes_back(void **state)
{
    union {
        sqlite3_file file;
        uint8_t bytes[4096];
    } u;
    sqlite3_file *f = &u.file;
    sqlite3_int64 size = 0;
    int flag = 0;
    void *page = NULL;
    void volatile *region = NULL;
    (void)state;
    use_below("stub");
    assert_int_equal(shim()->xOpen(shim(), "name", f, SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_READWRITE, &flag), SQLITE_OK);
    assert_string_equal(called.method, "xOpen");
    assert_int_equal(called.args[1], SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_READWRITE);
    const sqlite3_io_methods *m = f->pMethods;
    assert_int_equal(m->iVersion, 3);
    assert_called("xRead", NULL, of_pointer(&u), 7, INT64_C(1) << 40, m->xRead(f, &u, 7, INT64_C(1) << 40));
    assert_called("xWrite", NULL, of_pointer(&u), 8, INT64_C(1) << 41, m->xWrite(f, &u, 8, INT64_C(1) << 41));
    assert_called("xTruncate", NULL, INT64_C(1) << 42, 0, 0, m->xTruncate(f, INT64_C(1) << 42));
    assert_called("xSync", NULL, SQLITE_SYNC_FULL, 0, 0, m->xSync(f, SQLITE_SYNC_FULL));
    assert_called("xFileSize", NULL, of_pointer(&size), 0, 0, m->xFileSize(f, &size));
    assert_called("xLock", NULL, SQLITE_LOCK_PENDING, 0, 0, m->xLock(f, SQLITE_LOCK_PENDING));
    assert_called("xUnlock", NULL, SQLITE_LOCK_SHARED, 0, 0, m->xUnlock(f, SQLITE_LOCK_SHARED));
    assert_called("xCheckReservedLock", NULL, of_pointer(&flag), 0, 0, m->xCheckReservedLock(f, &flag));
    assert_called("xFileControl", NULL, 12345, of_pointer(&flag), 0, m->xFileControl(f, 12345, &flag));
    assert_called("xSectorSize", NULL, 0, 0, 0, m->xSectorSize(f));
    assert_called("xDeviceCharacteristics", NULL, 0, 0, 0, m->xDeviceCharacteristics(f));
    assert_called("xShmMap", NULL, 3, 32768, 1, m->xShmMap(f, 3, 32768, 1, &region));
    assert_called("xShmLock", NULL, 5, 2, 9, m->xShmLock(f, 5, 2, 9));
    m->xShmBarrier(f);
    assert_called("xShmBarrier", NULL, 0, 0, 0, STUB_ANSWER);
    assert_called("xShmUnmap", NULL, 1, 0, 0, m->xShmUnmap(f, 1));
    assert_called("xFetch", NULL, 4096, 512, of_pointer(&page), m->xFetch(f, 4096, 512, &page));
    assert_called("xUnfetch", NULL, 4096, of_pointer(&u), 0, m->xUnfetch(f, 4096, &u));
    assert_called("xClose", NULL, 0, 0, 0, m->xClose(f));
    assert_null(f->pMethods);
}

static void every_vfs_method_reaches_the_vfs_below_and_its_answer_comes_back(void **state)
{
    sqlite3_vfs *v = shim();
    sqlite3_int64 ms = 0;
    double days = 0;
    char out[16];
    int yes = 0;
    const char *name = "name";
    (void)state;
    use_below("stub");
    assert_called("xDelete", NULL, of_pointer(name), 1, 0, v->xDelete(v, name, 1));
    assert_called("xAccess", NULL, of_pointer(name), 2, of_pointer(&yes), v->xAccess(v, name, 2, &yes));
    assert_called("xFullPathname", NULL, of_pointer(name), 16, of_pointer(out), v->xFullPathname(v, name, 16, out));
    assert_called("xRandomness", NULL, 16, of_pointer(out), 0, v->xRandomness(v, 16, out));
    assert_called("xSleep", NULL, 77, 0, 0, v->xSleep(v, 77));
    assert_called("xCurrentTime", NULL, of_pointer(&days), 0, 0, v->xCurrentTime(v, &days));
    assert_called("xGetLastError", NULL, 16, of_pointer(out), 0, v->xGetLastError(v, 16, out));
    assert_called("xCurrentTimeInt64", NULL, of_pointer(&ms), 0, 0, v->xCurrentTimeInt64(v, &ms));
    assert_ptr_equal(v->xGetSystemCall(v, "open"), below.xGetSystemCall(&below, "open"));
    assert_string_equal(v->xNextSystemCall(v, NULL), below.xNextSystemCall(&below, NULL));
}

static void a_file_that_did_not_open_has_no_methods(void **state)
{
    union {
        sqlite3_file file;
        uint8_t bytes[4096];
    } u;
    (void)state;
    use_below("stub");
    stub_open_fails_open = 1;
    assert_int_equal(shim()->xOpen(shim(), "name", &u.file, SQLITE_OPEN_MAIN_DB, NULL), SQLITE_CANTOPEN_SYMLINK);
    stub_open_fails_open = 0;
    assert_null(u.file.pMethods);
}

static void a_file_has_the_methods_of_the_file_below_and_no_others(void **state)
{
    static const char *const real_ones[] = {"unix", "unix-none", "unix-dotfile", "unix-excl"};
    union {
        sqlite3_file file;
        uint8_t bytes[8192];
    } ours, theirs;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(real_ones); i++) {
        int flags = SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
        char name[1100] = ""; /* SQLite ends names with more zeros, for URI parameters */
        use_below(real_ones[i]);
        snprintf(name, sizeof name - 8, "%s", temp_path("f"));
        assert_true(shim()->szOsFile <= (int)sizeof ours);
        assert_int_equal(real->xOpen(real, name, &theirs.file, flags, NULL), SQLITE_OK);
        assert_int_equal(shim()->xOpen(shim(), name, &ours.file, flags, NULL), SQLITE_OK);
        const sqlite3_io_methods *a = ours.file.pMethods, *b = theirs.file.pMethods;
        assert_int_equal(a->iVersion, b->iVersion);
        assert_int_equal(a->xShmMap != NULL, b->iVersion >= 2 && b->xShmMap != NULL);
        assert_int_equal(a->xShmLock != NULL, b->iVersion >= 2 && b->xShmMap != NULL);
        assert_int_equal(a->xShmBarrier != NULL, b->iVersion >= 2 && b->xShmMap != NULL);
        assert_int_equal(a->xShmUnmap != NULL, b->iVersion >= 2 && b->xShmMap != NULL);
        assert_int_equal(a->xFetch != NULL, b->iVersion >= 3 && b->xFetch != NULL);
        assert_int_equal(a->xUnfetch != NULL, b->iVersion >= 3 && b->xFetch != NULL);
        assert_int_equal(a->xSectorSize(&ours.file), b->xSectorSize(&theirs.file));
        assert_int_equal(a->xDeviceCharacteristics(&ours.file), b->xDeviceCharacteristics(&theirs.file));
        a->xClose(&ours.file);
        b->xClose(&theirs.file);
    }
    use_below("stub");
    for (stub_version = 1; stub_version <= 5; stub_version++) {
        assert_int_equal(shim()->xOpen(shim(), "f", &ours.file, SQLITE_OPEN_MAIN_DB, NULL), SQLITE_OK);
        const sqlite3_io_methods *a = ours.file.pMethods;
        assert_int_equal(a->iVersion, stub_version < 3 ? stub_version : 3);
        assert_int_equal(a->xShmMap != NULL, stub_version >= 2);
        assert_int_equal(a->xFetch != NULL, stub_version >= 3);
        a->xClose(&ours.file);
    }
    stub_version = 3;
}

/* Works as an application does. Each run does the same. */
static void run_script(const char *vfs, const char *path, const char *journal, const char *other)
{
    char text[256];
    sqlite3 *db = sql_open(path, vfs);
    snprintf(text, sizeof text, "PRAGMA page_size=1024; PRAGMA auto_vacuum=2; PRAGMA journal_mode=%s; %s", journal,
             other);
    sql(db, text);
    sql(db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT); CREATE INDEX i ON t(b)");
    sql(db, "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 500) INSERT INTO t SELECT i, "
            "hex(zeroblob(i "
            "% 300)) || i FROM c");
    sql(db, "BEGIN; DELETE FROM t WHERE a % 3 = 0; SAVEPOINT s; UPDATE t SET b = b || 'x'; ROLLBACK TO s; COMMIT");
    sql(db, "BEGIN; UPDATE t SET b = 'gone'; ROLLBACK");
    sql(db, "PRAGMA temp_store=FILE; PRAGMA cache_size=5; CREATE TEMP TABLE big AS SELECT a, b FROM t ORDER BY b DESC; "
            "INSERT INTO "
            "t SELECT a + 1000, b FROM big");
    sql(db, "PRAGMA incremental_vacuum(5); ANALYZE; REINDEX; VACUUM; PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO t(b) "
            "VALUES('last')");
    assert_sql_text(db, "PRAGMA integrity_check", "ok");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void databases_come_out_the_same_byte_for_byte(void **state)
{
    static const char *const journals[] = {"delete", "truncate", "persist", "memory", "off", "wal"};
    static const char *const others[] = {"", "PRAGMA synchronous=OFF; PRAGMA mmap_size=1000000",
                                         "PRAGMA synchronous=OFF; PRAGMA locking_mode=EXCLUSIVE"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(journals) * COUNT_OF(others); i++) {
        const char *journal = journals[i % COUNT_OF(journals)], *other = others[i / COUNT_OF(journals)];
        size_t na = 0, nb = 0;
        if (strcmp(journal, "off") == 0)
            continue; /* without a journal a ROLLBACK leaves undefined contents */
        run_script("unix", temp_path("a.db"), journal, other);
        run_script(SEAWALL_VFS_NAME, temp_path("b.db"), journal, other);
        uint8_t *a = file_bytes(temp_path("a.db"), &na), *b = file_bytes(temp_path("b.db"), &nb);
        assert_true(a && b);
        assert_int_equal(na, nb);
        assert_memory_equal(a, b, na);
        free(a);
        free(b);
        assert_int_equal(access(temp_path("b.db-wal"), F_OK), access(temp_path("a.db-wal"), F_OK));
        assert_int_equal(access(temp_path("b.db-journal"), F_OK), access(temp_path("a.db-journal"), F_OK));
        for (int k = 0; k < 2; k++) {
            unlink(temp_path(k ? "a.db" : "b.db"));
            unlink(temp_path(k ? "a.db-journal" : "b.db-journal"));
        }
    }
}

static void databases_in_memory_and_temporary_ones_work(void **state)
{
    static const char *const names[] = {":memory:", "", "file:shared?mode=memory&cache=shared"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        seawall_file *file = NULL;
        sqlite3 *db = sql_open(names[i], SEAWALL_VFS_NAME);
        sql(db, "PRAGMA cache_size=5; CREATE TABLE t(x); WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM "
                "c WHERE i < 300) "
                "INSERT INTO t SELECT hex(zeroblob(500)) FROM c");
        assert_int_equal(sql_number(db, "SELECT count(*) FROM t"), 300);
        if (i != 1)
            assert_int_equal(seawall_file_of(db, "main", &file), SQLITE_NOTFOUND);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
    }
}

static void without_shared_memory_below_there_is_no_wal(void **state)
{
    static const struct {
        const char *below, *mode;
    } known[] = {{"unix", "wal"}, {"unix-excl", "wal"}, {"unix-none", "delete"}, {"unix-dotfile", "delete"}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        use_below(known[i].below);
        sqlite3 *db = sql_open(temp_path(known[i].below), SEAWALL_VFS_NAME);
        assert_sql_text(db, "PRAGMA journal_mode=WAL", known[i].mode);
        sql(db, "CREATE TABLE t(x); INSERT INTO t VALUES(1)");
        assert_int_equal(sql_number(db, "SELECT x FROM t"), 1);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
    }
}

static void the_name_shows_the_shim_and_what_is_below(void **state)
{
    char *name = NULL;
    (void)state;
    sqlite3 *db = sql_open(temp_path("a.db"), SEAWALL_VFS_NAME);
    sql(db, "CREATE TABLE t(x)");
    assert_int_equal(sqlite3_file_control(db, "main", SQLITE_FCNTL_VFSNAME, &name), SQLITE_OK);
    assert_string_equal(name, "seawall/unix");
    sqlite3_free(name);
    sqlite3_close(db);
}

static void locks_hold_between_the_shim_and_other_connections(void **state)
{
    (void)state;
    sqlite3 *ours = sql_open(temp_path("a.db"), SEAWALL_VFS_NAME), *other = sql_open(temp_path("a.db"), "unix");
    for (int wal = 0; wal < 2; wal++) {
        sql(ours, wal ? "PRAGMA journal_mode=WAL" : "CREATE TABLE t(x)");
        sql(ours, "BEGIN IMMEDIATE; INSERT INTO t VALUES(1)");
        assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_BUSY);
        sql(ours, "COMMIT");
        sql(other, "BEGIN IMMEDIATE; INSERT INTO t VALUES(2)");
        assert_int_equal(sqlite3_exec(ours, "INSERT INTO t VALUES(3)", NULL, NULL, NULL), SQLITE_BUSY);
        sql(other, "COMMIT");
        assert_int_equal(sql_number(ours, "SELECT count(*) FROM t"), 2 + 2 * wal);
    }
    sqlite3_close(ours);
    sqlite3_close(other);
}

/* ---- (b) hooks */

struct hook_log {
    struct {
        char when; /* 'b': before, 'a': after, 't': truncate */
        int offset, n, flags, rc;
    } calls[400];
    int count;
    int refuse_offset, refuse_flags; /* answer SQLITE_BUSY to this request; flags 0: none */
    int keep_wal;                    /* answer SQLITE_OK to a truncation and do nothing */
};

static void hook_note(struct hook_log *l, char when, int offset, int n, int flags, int rc)
{
    assert_true(l->count < (int)COUNT_OF(l->calls));
    l->calls[l->count].when = when;
    l->calls[l->count].offset = offset;
    l->calls[l->count].n = n;
    l->calls[l->count].flags = flags;
    l->calls[l->count++].rc = rc;
}

static int hook_before(void *context, int offset, int n, int flags)
{
    struct hook_log *l = context;
    hook_note(l, 'b', offset, n, flags, 0);
    return l->refuse_flags == flags && l->refuse_offset == offset ? SQLITE_BUSY : SEAWALL_FORWARD;
}

static void hook_after(void *context, int offset, int n, int flags, int rc)
{
    hook_note(context, 'a', offset, n, flags, rc);
}

static int hook_truncate(void *context, sqlite3_int64 size)
{
    struct hook_log *l = context;
    hook_note(l, 't', (int)size, 0, 0, 0);
    return l->keep_wal ? SQLITE_OK : SEAWALL_FORWARD;
}

static const seawall_hooks hooks = {hook_before, hook_after, hook_truncate};

/* Index of the first call like this from `at` on; -1: there is none. */
static int find_call(const struct hook_log *l, int at, char when, int offset, int flags)
{
    for (int i = at; i < l->count; i++)
        if (l->calls[i].when == when && l->calls[i].offset == offset && l->calls[i].flags == flags)
            return i;
    return -1;
}

static sqlite3 *wal_database(seawall_file **ret_file)
{
    sqlite3 *db = sql_open(temp_path("a.db"), SEAWALL_VFS_NAME);
    sql(db, "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE IF NOT EXISTS t(x)");
    assert_int_equal(seawall_file_of(db, "main", ret_file), SQLITE_OK);
    return db;
}

static void hooks_see_a_writer_take_and_drop_the_write_lock(void **state)
{
    static struct hook_log l;
    seawall_file *file = NULL;
    (void)state;
    l = (struct hook_log){.count = 0};
    sqlite3 *db = wal_database(&file);
    seawall_set_hooks(file, &hooks, &l);
    sql(db, "INSERT INTO t VALUES(1)");
    int take = find_call(&l, 0, 'b', WAL_WRITE_LOCK, TAKE_EXCLUSIVE);
    assert_true(take >= 0);
    assert_true(l.calls[take].n == 1);
    assert_true(l.calls[take + 1].when == 'a' && l.calls[take + 1].offset == WAL_WRITE_LOCK &&
                l.calls[take + 1].rc == SQLITE_OK);
    int drop = find_call(&l, take, 'b', WAL_WRITE_LOCK, DROP_EXCLUSIVE);
    assert_true(drop > take);
    for (int i = 0; i < l.count; i += 2) { /* each request has a call before and a call after */
        assert_true(l.calls[i].when == 'b' && l.calls[i + 1].when == 'a');
        assert_true(l.calls[i].offset == l.calls[i + 1].offset && l.calls[i].flags == l.calls[i + 1].flags);
        assert_true(l.calls[i].offset >= 0 && l.calls[i].offset + l.calls[i].n <= WAL_LOCKS);
    }
    int seen = l.count;
    seawall_set_hooks(file, NULL, NULL);
    sql(db, "INSERT INTO t VALUES(2)");
    assert_int_equal(l.count, seen);
    sqlite3_close(db);
}

static void sqlite_gets_the_answer_of_a_hook(void **state)
{
    static struct hook_log l;
    seawall_file *file = NULL;
    (void)state;
    l = (struct hook_log){.refuse_offset = WAL_WRITE_LOCK, .refuse_flags = TAKE_EXCLUSIVE};
    sqlite3 *db = wal_database(&file), *other = sql_open(temp_path("a.db"), SEAWALL_VFS_NAME);
    seawall_set_hooks(file, &hooks, &l);
    assert_int_equal(sqlite3_exec(db, "INSERT INTO t VALUES(1)", NULL, NULL, NULL), SQLITE_BUSY);
    assert_true(find_call(&l, 0, 'b', WAL_WRITE_LOCK, TAKE_EXCLUSIVE) >= 0);
    assert_int_equal(find_call(&l, 0, 'a', WAL_WRITE_LOCK, TAKE_EXCLUSIVE), -1); /* the VFS below was not called */
    sql(other, "INSERT INTO t VALUES(2)");                                       /* hooks belong to one connection */
    assert_int_equal(seawall_shm_lock(file, WAL_WRITE_LOCK, 1, TAKE_EXCLUSIVE), SQLITE_OK); /* past the hooks */
    assert_int_equal(sqlite3_exec(other, "INSERT INTO t VALUES(3)", NULL, NULL, NULL), SQLITE_BUSY);
    assert_int_equal(seawall_shm_lock(file, WAL_WRITE_LOCK, 1, DROP_EXCLUSIVE), SQLITE_OK);
    l.refuse_flags = 0;
    sql(db, "INSERT INTO t VALUES(4)");
    assert_int_equal(sql_number(other, "SELECT sum(x) FROM t"), 6);
    sqlite3_close(db);
    sqlite3_close(other);
}

/* The watch relies on it: if slot 0 is refused, SQLite takes another slot, and no writer can reset the WAL then. */
static void a_reader_that_is_refused_in_slot_0_takes_another(void **state)
{
    seawall_file *file = NULL;
    (void)state;
    for (int refuse = 0; refuse < 2; refuse++) {
        static struct hook_log l;
        l = (struct hook_log){.refuse_offset = WAL_READ0_LOCK, .refuse_flags = refuse ? TAKE_SHARED : 0};
        sqlite3 *writer = wal_database(&file), *reader = sql_open(temp_path("a.db"), SEAWALL_VFS_NAME);
        sql(writer,
            "INSERT INTO t VALUES(1); PRAGMA wal_checkpoint(PASSIVE)"); /* all is copied back, so slot 0 is tried */
        assert_int_equal(seawall_file_of(reader, "main", &file), SQLITE_OK);
        seawall_set_hooks(file, &hooks, &l);
        sql(reader, "BEGIN; PRAGMA user_version");
        assert_int_equal(find_call(&l, 0, 'a', WAL_READ0_LOCK, TAKE_SHARED) >= 0, !refuse);
        int other_slot = 0;
        for (int slot = 1; slot < 5; slot++)
            other_slot |= find_call(&l, 0, 'a', WAL_READ0_LOCK + slot, TAKE_SHARED) >= 0;
        assert_int_equal(other_slot, refuse);
        assert_int_equal(sql_number(writer, "PRAGMA wal_checkpoint(RESTART)"),
                         refuse); /* first column: 1 when it was blocked */
        sqlite3_close(reader);
        sqlite3_close(writer);
    }
}

static void a_hook_can_keep_the_log_from_being_truncated(void **state)
{
    static struct hook_log l;
    seawall_file *file = NULL;
    sqlite3_int64 size = 0, again = 0;
    (void)state;
    l = (struct hook_log){.keep_wal = 1};
    sqlite3 *db = wal_database(&file);
    sql(db, "INSERT INTO t VALUES(1)");
    seawall_set_hooks(file, &hooks, &l);
    assert_int_equal(seawall_wal_size(file, &size), SQLITE_OK);
    assert_true(size > 0);
    sql(db, "PRAGMA wal_checkpoint(TRUNCATE)");
    assert_true(find_call(&l, 0, 't', 0, 0) >= 0);
    assert_int_equal(seawall_wal_size(file, &again), SQLITE_OK);
    assert_true(again == size);
    assert_true(find_call(&l, 0, 'a', WAL_CKPT_LOCK, TAKE_EXCLUSIVE) >= 0);
    sql(db, "INSERT INTO t VALUES(2)");
    l.keep_wal = 0;
    sql(db, "PRAGMA wal_checkpoint(TRUNCATE)");
    assert_int_equal(seawall_wal_size(file, &again), SQLITE_OK);
    assert_int_equal(again, 0);
    assert_int_equal(sql_number(db, "SELECT sum(x) FROM t"), 3);
    sqlite3_close(db);
}

static void a_hook_that_is_null_is_passed_over(void **state)
{
    static const seawall_hooks none;
    seawall_file *file = NULL;
    (void)state;
    sqlite3 *db = wal_database(&file);
    seawall_set_hooks(file, &none, NULL);
    sql(db, "INSERT INTO t VALUES(1); PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO t VALUES(2)");
    sqlite3_close(db);
}

/* ---- reading beside SQLite */

static void the_files_of_a_database_are_read_through_its_handles(void **state)
{
    uint8_t page[4096], *bytes;
    seawall_file *file = NULL;
    sqlite3_int64 size = 0;
    size_t n = 0;
    (void)state;
    sqlite3 *db = wal_database(&file);
    sql(db, "INSERT INTO t VALUES(hex(zeroblob(5000)))");
    bytes = file_bytes_apart(temp_path("a.db-wal"), &n);
    assert_non_null(bytes);
    assert_int_equal(seawall_wal_size(file, &size), SQLITE_OK);
    assert_int_equal(size, n);
    assert_int_equal(seawall_wal_read(file, page, sizeof page, 100), SQLITE_OK);
    assert_memory_equal(page, bytes + 100, sizeof page);
    assert_int_equal(seawall_wal_read(file, page, sizeof page, (sqlite3_int64)n), SQLITE_IOERR_SHORT_READ);
    free(bytes);
    sql(db, "PRAGMA wal_checkpoint(TRUNCATE)");
    bytes = file_bytes_apart(temp_path("a.db"), &n);
    assert_non_null(bytes);
    assert_int_equal(seawall_db_size(file, &size), SQLITE_OK);
    assert_int_equal(size, n);
    assert_int_equal(seawall_db_read(file, page, sizeof page, 0), SQLITE_OK);
    assert_memory_equal(page, bytes, sizeof page);
    assert_int_equal(seawall_db_sync(file, SQLITE_SYNC_NORMAL), SQLITE_OK);
    free(bytes);
    sqlite3_close(db);
}

static void an_empty_log_can_be_written_past_the_hooks(void **state)
{
    static struct hook_log l;
    uint8_t out[8];
    seawall_file *file = NULL;
    sqlite3_int64 size = 0;
    (void)state;
    l = (struct hook_log){.count = 0};
    sqlite3 *db = wal_database(&file);
    sql(db, "INSERT INTO t VALUES(1); PRAGMA wal_checkpoint(TRUNCATE)");
    seawall_set_hooks(file, &hooks, &l);
    assert_int_equal(seawall_shm_lock(file, WAL_WRITE_LOCK, 1, TAKE_EXCLUSIVE), SQLITE_OK);
    assert_int_equal(seawall_wal_write(file, "01234567", 8, 24), SQLITE_OK);
    assert_int_equal(seawall_wal_sync(file, SQLITE_SYNC_NORMAL), SQLITE_OK);
    assert_int_equal(seawall_wal_size(file, &size), SQLITE_OK);
    assert_int_equal(size, 32);
    assert_int_equal(seawall_wal_read(file, out, 8, 24), SQLITE_OK);
    assert_memory_equal(out, "01234567", 8);
    assert_int_equal(seawall_wal_truncate(file, 0), SQLITE_OK);
    assert_int_equal(seawall_wal_size(file, &size), SQLITE_OK);
    assert_int_equal(size, 0);
    assert_int_equal(seawall_shm_lock(file, WAL_WRITE_LOCK, 1, DROP_EXCLUSIVE), SQLITE_OK);
    assert_int_equal(l.count, 0);
    sqlite3_close(db);
}

static void the_wal_index_is_seen_while_it_is_mapped(void **state)
{
    uint8_t copies[2 * WAL_INDEX_HEADER_BYTES];
    struct wal_index_header h;
    seawall_file *file = NULL;
    (void)state;
    sqlite3_close(wal_database(&file));
    sqlite3 *db = sql_open(temp_path("a.db"), SEAWALL_VFS_NAME);
    assert_int_equal(seawall_file_of(db, "main", &file), SQLITE_OK);
    assert_null((const void *)(uintptr_t)seawall_wal_index(file));
    sql(db, "INSERT INTO t VALUES(1)");
    const volatile uint8_t *index = seawall_wal_index(file);
    assert_true(index != NULL);
    for (size_t i = 0; i < sizeof copies; i++)
        copies[i] = index[i];
    assert_true(wal_index_header_decode(copies, copies + WAL_INDEX_HEADER_BYTES, &h));
    sqlite3_int64 size = 0;
    assert_int_equal(seawall_wal_size(file, &size), SQLITE_OK);
    assert_true(wal_frame_offset(h.mx_frame + 1, h.page_size) == (uint64_t)size);
    sql(db, "PRAGMA journal_mode=DELETE");
    assert_null((const void *)(uintptr_t)seawall_wal_index(file));
    sqlite3_close(db);
}

static void the_log_is_linked_to_its_database_as_long_as_it_is_open(void **state)
{
    seawall_file *file = NULL, *second = NULL;
    sqlite3_int64 size = 0;
    uint8_t byte;
    (void)state;
    sqlite3 *db = sql_open(temp_path("a.db"), SEAWALL_VFS_NAME);
    sql(db, "CREATE TABLE t(x)");
    assert_int_equal(seawall_file_of(db, "main", &file), SQLITE_OK);
    assert_int_equal(seawall_wal_size(file, &size), SQLITE_CANTOPEN); /* a rollback journal is not a WAL */
    assert_int_equal(seawall_wal_read(file, &byte, 1, 0), SQLITE_CANTOPEN);
    assert_int_equal(seawall_wal_write(file, &byte, 1, 0), SQLITE_CANTOPEN);
    assert_int_equal(seawall_wal_sync(file, SQLITE_SYNC_NORMAL), SQLITE_CANTOPEN);
    assert_int_equal(seawall_wal_truncate(file, 0), SQLITE_CANTOPEN);
    for (int round = 0; round < 2; round++) {
        sql(db, "PRAGMA journal_mode=WAL; INSERT INTO t VALUES(1)");
        assert_int_equal(seawall_wal_size(file, &size), SQLITE_OK);
        assert_true(size > 0);
        sql(db, "PRAGMA journal_mode=DELETE");
        assert_int_equal(seawall_wal_size(file, &size), SQLITE_CANTOPEN);
    }
    char text[1200];
    snprintf(text, sizeof text, "ATTACH '%s' AS other", temp_path("b.db"));
    sql(db, text);
    sql(db, "PRAGMA other.journal_mode=WAL; CREATE TABLE other.u(x)");
    assert_int_equal(seawall_file_of(db, "other", &second), SQLITE_OK);
    assert_ptr_not_equal(file, second);
    assert_int_equal(seawall_wal_size(second, &size), SQLITE_OK);
    assert_int_equal(seawall_wal_size(file, &size), SQLITE_CANTOPEN);
    assert_int_not_equal(seawall_file_of(db, "absent", &second), SQLITE_OK);
    sqlite3_close(db);
}

static void a_connection_on_another_vfs_is_not_ours(void **state)
{
    seawall_file *file = NULL;
    (void)state;
    sqlite3 *db = sql_open(temp_path("a.db"), "unix");
    sql(db, "CREATE TABLE t(x)");
    assert_int_equal(seawall_file_of(db, "main", &file), SQLITE_NOTFOUND);
    assert_null(file);
    sqlite3_close(db);
}

/* ---- (c) the loadable extension, in the parent of this program's folder */

static const char *extension; /* path; NULL: not built */

static void the_extension_loads_and_becomes_the_default(void **state)
{
    static const char script[] =
        "attach '%s' as w; pragma w.journal_mode=wal; create table w.t(x); insert into w.t values(41),(1);"
        "select sum(x) from w.t; pragma w.wal_checkpoint(truncate); pragma w.integrity_check;";
    char command[4096], line[256], output[1024] = "";
    (void)state;
    if (!extension || system("command -v sqlite3 >/dev/null") != 0) {
        print_message("# not tested: seawall.so is not built, or there is no sqlite3 program\n");
        return;
    }
    char statements[2048];
    snprintf(statements, sizeof statements, script, temp_path("w.db"));
    snprintf(command, sizeof command, "sqlite3 -cmd '.load %s' -cmd '.open %s' -cmd '.vfsname' %s \"%s\" 2>&1",
             extension, temp_path("a.db"), temp_path("a.db"), statements);
    FILE *p = popen(command, "re");
    assert_non_null(p);
    while (fgets(line, sizeof line, p))
        strncat(output, line, sizeof output - strlen(output) - 1);
    assert_int_equal(pclose(p), 0);
    assert_contains(output, "seawall/unix");
    assert_contains(output, "wal\n42\n0|0|0\nok\n");
}

int main(int argc, char **argv)
{
    char path[4096] = "", dir[4096];
    const struct CMUnitTest tests[] = {
        VFS_TEST(registering_does_not_change_the_default_unless_asked),
        VFS_TEST(every_file_method_reaches_the_file_below_and_its_answer_comes_back),
        VFS_TEST(every_vfs_method_reaches_the_vfs_below_and_its_answer_comes_back),
        VFS_TEST(a_file_that_did_not_open_has_no_methods),
        VFS_TEST(a_file_has_the_methods_of_the_file_below_and_no_others),
        VFS_TEST(databases_come_out_the_same_byte_for_byte),
        VFS_TEST(databases_in_memory_and_temporary_ones_work),
        VFS_TEST(without_shared_memory_below_there_is_no_wal),
        VFS_TEST(the_name_shows_the_shim_and_what_is_below),
        VFS_TEST(locks_hold_between_the_shim_and_other_connections),
        VFS_TEST(hooks_see_a_writer_take_and_drop_the_write_lock),
        VFS_TEST(sqlite_gets_the_answer_of_a_hook),
        VFS_TEST(a_reader_that_is_refused_in_slot_0_takes_another),
        VFS_TEST(a_hook_can_keep_the_log_from_being_truncated),
        VFS_TEST(a_hook_that_is_null_is_passed_over),
        VFS_TEST(the_files_of_a_database_are_read_through_its_handles),
        VFS_TEST(an_empty_log_can_be_written_past_the_hooks),
        VFS_TEST(the_wal_index_is_seen_while_it_is_mapped),
        VFS_TEST(the_log_is_linked_to_its_database_as_long_as_it_is_open),
        VFS_TEST(a_connection_on_another_vfs_is_not_ours),
        VFS_TEST(the_extension_loads_and_becomes_the_default),
    };
    snprintf(dir, sizeof dir, "%s", argc > 0 ? argv[0] : "");
    if (snprintf(path, sizeof path, "%s/../seawall.so", dirname(dir)) < (int)sizeof path && access(path, R_OK) == 0)
        extension = realpath(path, NULL);
    return cmocka_run_group_tests(tests, setup_vfs, NULL);
}
