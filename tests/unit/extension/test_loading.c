/* extension/extension.c: in the process of an application the extension never crashes and changes no result, with any
 * VFS above or below it, and however often it is loaded.
 *
 * SQLite keeps a registration until the process ends. So all tests share the one that the first test makes. */
#define SQLITE_CORE /* this program is linked with SQLite: its functions keep their names */
#include "sql.h"

#include <dlfcn.h>
#include <libgen.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <sqlite3ext.h>

#define VFS_NAME "seawall"
#define LOADERS 8

typedef int init_function(sqlite3 *db, char **error, const sqlite3_api_routines *api);

static char *extension; /* path */

static void load(const char *path)
{
    char *error = NULL;
    sqlite3 *db = sql_open(":memory:", "unix");
    assert_int_equal(sqlite3_enable_load_extension(db, 1), SQLITE_OK);
    if (sqlite3_load_extension(db, path, NULL, &error) != SQLITE_OK)
        fail_msg("%s", error);
    sqlite3_close(db);
}

static int registered(void)
{
    int n = 0;
    for (sqlite3_vfs *v = sqlite3_vfs_find(NULL); v; v = v->pNext)
        n += strcmp(v->zName, VFS_NAME) == 0;
    return n;
}

/* Works as an application does, in both kinds of journal modes. The caller compares `out`, the results that depend on
 * the VFS. */
static void work(const char *path, const char *vfs, char *out, size_t size)
{
    sqlite3 *db = sql_open(path, vfs);
    sql(db, "PRAGMA journal_mode=DELETE; CREATE TABLE t(a INTEGER PRIMARY KEY, b); INSERT INTO t(b) VALUES('one')");
    sql(db, "PRAGMA journal_mode=WAL; INSERT INTO t(b) VALUES('two'); PRAGMA wal_checkpoint(TRUNCATE)");
    sql(db, "BEGIN; INSERT INTO t(b) VALUES('gone'); ROLLBACK; INSERT INTO t(b) VALUES('three'); VACUUM");
    sqlite3 *other = sql_open(path, vfs);
    assert_int_equal(sql_number(other, "SELECT count(*) FROM t"), 3);
    sql(other, "INSERT INTO t(b) VALUES('four')");
    sqlite3_close(other);
    assert_sql_text(db, "PRAGMA integrity_check", "ok");
    snprintf(out, size, "%lld %lld %lld", (long long)sql_number(db, "SELECT count(*) FROM t"),
             (long long)sql_number(db, "PRAGMA page_count"), (long long)sql_number(db, "PRAGMA schema_version"));
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void assert_works_as_without(const char *vfs)
{
    char with[200], without[200];
    size_t na = 0, nb = 0;
    work(temp_path("with.db"), vfs, with, sizeof with);
    work(temp_path("without.db"), "unix", without, sizeof without);
    assert_string_equal(with, without);
    uint8_t *a = file_bytes(temp_path("with.db"), &na), *b = file_bytes(temp_path("without.db"), &nb);
    assert_true(a && b && na > 0);
    assert_int_equal(na, nb);
    assert_memory_equal(a, b, na);
    free(a);
    free(b);
    unlink(temp_path("with.db"));
    unlink(temp_path("without.db"));
}

/* ---- a VFS that passes names of its own, without the bytes that SQLite keeps in front of a name */

static struct copying {
    sqlite3_vfs vfs;
    sqlite3_vfs *below;
    int copies;
} above, between;

/* A copy of `name` behind four zeros, which SQLite's own VFS looks for. They are at the beginning of a page, and the
 * page before it can't be read. It is never freed: a name lives as long as its file. */
static char *guarded_copy(const char *name)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), zeros = 4;
    assert_true(strlen(name) + 2 * zeros < page);
    char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    assert_int_equal(mprotect(memory, page, PROT_NONE), 0);
    snprintf(memory + page + zeros, page - zeros, "%s", name);
    return memory + page + zeros;
}

static int copying_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
    struct copying *c = vfs == &above.vfs ? &above : &between;
    c->copies += name != NULL;
    return c->below->xOpen(c->below, name ? guarded_copy(name) : NULL, file, flags, ret_flags);
}

static void stack(struct copying *c, const char *name)
{
    if (c->below)
        return;
    c->below = sqlite3_vfs_find(NULL);
    c->vfs = *c->below; /* its other methods are called with a copy of its struct */
    c->vfs.zName = name;
    c->vfs.pNext = NULL;
    c->vfs.xOpen = copying_open;
    assert_int_equal(sqlite3_vfs_register(&c->vfs, 1), SQLITE_OK);
}

/* ---- tests */

static void *load_from_a_thread(void *context)
{
    char *error = NULL;
    sqlite3 *db = NULL;
    (void)context;
    bool ok = sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE, "unix") == SQLITE_OK &&
              sqlite3_enable_load_extension(db, 1) == SQLITE_OK &&
              sqlite3_load_extension(db, extension, NULL, &error) == SQLITE_OK;
    sqlite3_close(db);
    return ok ? extension : NULL;
}

static void threads_that_load_it_at_the_same_time_register_it_once(void **state)
{
    pthread_t threads[LOADERS];
    void *result = NULL;
    (void)state;
    stack(&between, "between"); /* the shim is registered above a VFS that copies names */
    assert_int_equal(registered(), 0);
    for (int i = 0; i < LOADERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, load_from_a_thread, NULL), 0);
    for (int i = 0; i < LOADERS; i++) {
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_non_null(result);
    }
    assert_int_equal(registered(), 1);
    assert_string_equal(sqlite3_vfs_find(NULL)->zName, VFS_NAME);
}

static void a_vfs_above_or_below_may_pass_names_of_its_own(void **state)
{
    (void)state;
    load(extension);
    assert_works_as_without(VFS_NAME);
    assert_true(between.copies > 0);
    stack(&above, "above");
    int below = between.copies;
    assert_works_as_without("above");
    assert_true(above.copies > 0 && between.copies - below >= above.copies);
    assert_works_as_without("unix");
}

static void a_file_copy_of_the_extension_is_not_registered_again(void **state)
{
    char command[4096];
    (void)state;
    load(extension);
    snprintf(command, sizeof command, "cp '%s' '%s'", extension, temp_path("again.so"));
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "%s", temp_path("again.so"));
    char *error = NULL;
    sqlite3 *db = sql_open(":memory:", "unix");
    sqlite3_enable_load_extension(db, 1);
    assert_int_equal(sqlite3_load_extension(db, command, "sqlite3_seawall_init", &error), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(registered(), 1);
    assert_works_as_without(VFS_NAME);
}

/* ---- a second SQLite library in the process: a table of those functions that are called */

static sqlite3_vfs other_default = {.iVersion = 3, .szOsFile = 8, .mxPathname = 100, .zName = "other"};
static sqlite3_vfs *other_registered;

static sqlite3_vfs *other_find(const char *name)
{
    return name ? NULL : &other_default;
}

static int other_register(sqlite3_vfs *vfs, int make_default)
{
    other_registered = make_default ? vfs : NULL;
    return SQLITE_OK;
}

static sqlite3_mutex *other_mutex(int kind)
{
    (void)kind;
    return NULL;
}

static void other_mutex_call(sqlite3_mutex *mutex)
{
    (void)mutex;
}

static int other_version(void)
{
    return 3050000;
}

static void two_sqlite_libraries_in_one_process_do_not_share_a_registration(void **state)
{
    static sqlite3_api_routines other;
    init_function *init = NULL;
    (void)state;
    load(extension);
    sqlite3_vfs *first = sqlite3_vfs_find(VFS_NAME);
    other.vfs_find = other_find;
    other.vfs_register = other_register;
    other.mutex_alloc = other_mutex;
    other.mutex_enter = other.mutex_leave = other_mutex_call;
    other.libversion_number = other_version;
    void *library = dlopen(extension, RTLD_NOW);
    assert_non_null(library);
    *(void **)&init = dlsym(library, "sqlite3_seawall_init");
    assert_non_null((void *)(uintptr_t)init);
    assert_int_equal(init(NULL, NULL, &other), SQLITE_OK_LOAD_PERMANENTLY);
    assert_non_null(other_registered);
    assert_ptr_not_equal(other_registered, first);
    assert_null((void *)(uintptr_t)other_registered->xDelete); /* a method that is missing below is missing above */
    assert_null((void *)(uintptr_t)other_registered->xRandomness);
    assert_int_equal(dlclose(library), 0);
    assert_works_as_without(VFS_NAME);
}

static void it_stays_in_memory_after_it_was_unloaded(void **state)
{
    (void)state;
    load(extension);
    void *library = dlopen(extension, RTLD_NOW | RTLD_NOLOAD);
    assert_non_null(library);
    for (int i = 0; i < 100; i++) /* closes it more often than SQLite has opened it */
        dlclose(library);
    assert_non_null(dlopen(extension, RTLD_NOW | RTLD_NOLOAD));
    assert_works_as_without(VFS_NAME);
}

/* SQLite forbids a child to use the connections of its parent; it may open its own. */
static void a_child_process_opens_its_own_connections(void **state)
{
    int status = 0;
    (void)state;
    load(extension);
    sqlite3 *db = sql_open(temp_path("a.db"), VFS_NAME);
    sql(db, "PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES(1)");
    fflush(stdout);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        sqlite3 *own = NULL;
        int rc = sqlite3_open_v2(temp_path("a.db"), &own, SQLITE_OPEN_READWRITE, VFS_NAME);
        if (rc == SQLITE_OK)
            rc = sqlite3_exec(own, "INSERT INTO t VALUES(2)", NULL, NULL, NULL);
        _exit(rc == SQLITE_OK && sqlite3_close(own) == SQLITE_OK ? 0 : 1);
    }
    assert_true(waitpid(child, &status, 0) == child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    sql(db, "INSERT INTO t VALUES(4); PRAGMA wal_checkpoint(TRUNCATE)");
    assert_int_equal(sql_number(db, "SELECT sum(x) FROM t"), 7);
    sqlite3_close(db);
}

int main(int argc, char **argv)
{
    char path[4096], dir[4096];
    const struct CMUnitTest tests[] = {
        UNIT_IN_TEMP(threads_that_load_it_at_the_same_time_register_it_once), /* the first */
        UNIT_IN_TEMP(a_vfs_above_or_below_may_pass_names_of_its_own),
        UNIT_IN_TEMP(a_file_copy_of_the_extension_is_not_registered_again),
        UNIT_IN_TEMP(two_sqlite_libraries_in_one_process_do_not_share_a_registration),
        UNIT_IN_TEMP(it_stays_in_memory_after_it_was_unloaded),
        UNIT_IN_TEMP(a_child_process_opens_its_own_connections),
    };
    snprintf(dir, sizeof dir, "%s", argc > 0 ? argv[0] : "");
    if (snprintf(path, sizeof path, "%s/../seawall.so", dirname(dir)) < (int)sizeof path)
        extension = realpath(path, NULL);
    if (!extension) {
        print_error("%s is missing: make all\n", path);
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
