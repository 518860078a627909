/* capture/strangers.h: the signs in locks and -wal of a process whose commits the watch can't see. */
#include "capture/strangers.h" /* first: <fcntl.h> makes macros of names of watch.h */

#include "sql.h"

static struct watch watch;
static struct strangers strangers;

static int begin(void **state)
{
    struct err e;
    bool switched = false;
    temp_setup(state);
    assert_int_equal(seawall_vfs_register(0), SQLITE_OK);
    sqlite3 *app = sql_open(temp_path("app.db"), NULL);
    sql(app, "PRAGMA journal_mode=WAL; CREATE TABLE t(a)");
    sqlite3_close(app);
    assert_ok(watch_open(&watch, temp_path("app.db"), WATCH_REQUIRE_WAL, &switched, &e), &e);
    strangers_open(&strangers, &watch);
    assert_true(strangers.usable);
    assert_ok(strangers_look(&strangers, &watch, &e), &e);
    return 0;
}

static int end(void **state)
{
    watch_close(&watch);
    strangers_close(&strangers);
    return temp_teardown(state);
}

/* A process that commits and ends. tests/e2e/test_strangers.py has processes that stay. */
static void application(const char *path, const char *vfs, const char *text)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        sqlite3 *db = NULL;
        bool ok = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, vfs) == SQLITE_OK &&
                  sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK;
        _exit(ok ? 0 : 1);
    }
    assert_true(waitpid(child, &status, 0) == child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#define EXCLUSIVE "PRAGMA locking_mode=EXCLUSIVE; "

static void commits_that_the_wal_index_shows_are_no_sign(void **state)
{
    struct err e;
    (void)state;
    sqlite3 *app = sql_open(temp_path("app.db"), "unix");
    for (int i = 0; i < 10; i++) {
        sql(app, "INSERT INTO t VALUES(1)");
        assert_ok(strangers_look(&strangers, &watch, &e), &e);
        assert_false(strangers_may_write(&strangers));
        assert_false(strangers_suspect(&strangers, i * INT64_C(1000000000)));
    }
    sqlite3_close(app);
}

static void an_end_that_moves_without_the_wal_index_is_a_sign(void **state)
{
    struct err e;
    (void)state;
    for (int i = 0; i < 2; i++) {
        application(temp_path("app.db"), "unix-none", EXCLUSIVE "INSERT INTO t VALUES(1)");
        assert_ok(strangers_look(&strangers, &watch, &e), &e);
        assert_ok(strangers_look(&strangers, &watch, &e), &e); /* the end has not moved since the last look */
        assert_true(strangers_may_write(&strangers));
    }
    application(temp_path("app.db"), "unix-none", EXCLUSIVE "INSERT INTO t VALUES(1)");
    assert_error(strangers_look(&strangers, &watch, &e), &e, ERR_CONFIG);
    assert_contains(e.msg, "HINT");
}

static void the_folder_of_unix_dotfile_makes_the_first_move_a_sign(void **state)
{
    struct err e;
    (void)state;
    assert_int_equal(mkdir(temp_path("app.db.lock"), 0700), 0);
    assert_ok(strangers_look(&strangers, &watch, &e), &e); /* the folder without a move proves nothing */
    application(temp_path("app.db"), "unix-none", EXCLUSIVE "INSERT INTO t VALUES(1)");
    assert_error(strangers_look(&strangers, &watch, &e), &e, ERR_CONFIG);
    assert_contains(e.msg, "unix-dotfile");
}

/* A process that holds locks as an open connection does, until a byte comes. It can't use the connections of its parent, so
 * it takes those that SQLite takes for each: of the database file (os_unix.c, SHARED_FIRST), and byte 128 of the -shm
 * (UNIX_SHM_DMS). */
struct holder {
    pid_t pid;
    int stay;
};

static bool lock(const char *path, off_t first, off_t bytes)
{
    struct flock shared = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = first, .l_len = bytes};
    const int fd = open(path, O_RDONLY);
    return fd >= 0 && fcntl(fd, F_SETLK, &shared) == 0;
}

static struct holder hold(bool db, bool shm)
{
    int ready[2], stay[2];
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(stay), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(stay[1]);
        bool ok =
            (!db || lock(temp_path("app.db"), 0x40000002, 510)) && (!shm || lock(temp_path("app.db-shm"), 128, 1));
        ok = ok && write(ready[1], "r", 1) == 1 && read(stay[0], &byte, 1) == 1;
        _exit(ok ? 0 : 1);
    }
    close(ready[1]);
    close(stay[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return (struct holder){.pid = child, .stay = stay[1]};
}

static void let_go(const struct holder *h)
{
    int status = 0;
    assert_int_equal(write(h->stay, "e", 1), 1);
    close(h->stay);
    assert_true(waitpid(h->pid, &status, 0) == h->pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void a_process_that_has_the_database_open_is_seen_until_it_closes_it(void **state)
{
    (void)state;
    assert_false(strangers_any(&strangers));
    const struct holder app = hold(false, true);
    assert_true(strangers_any(&strangers));
    let_go(&app);
    assert_false(strangers_any(&strangers));
    const struct strangers unknown = STRANGERS_NONE;
    assert_true(strangers_any(&unknown));
}

/* Looks `n` times, each `step_ns` later. Returns whether the last look found a stranger. */
static bool look(unsigned n, int64_t step_ns)
{
    static int64_t now_ns = 1;
    bool found = false;
    while (n-- > 0)
        found = strangers_suspect(&strangers, now_ns += step_ns);
    return found;
}

static void a_process_without_the_wal_index_is_found_beside_one_that_has_it(void **state)
{
    struct err e;
    (void)state;
    const struct holder app = hold(true, true), stranger = hold(true, false), other = hold(true, true);
    assert_false(look(STRANGERS_BEHIND_LOOKS - 1, STRANGERS_BEHIND_NS));
    assert_false(look(9, STRANGERS_LOOK_NS)); /* too early for another look at the table */
    assert_true(look(3, STRANGERS_LOOK_NS));
    assert_error(strangers_look(&strangers, &watch, &e), &e, ERR_CONFIG);
    char who[32];
    snprintf(who, sizeof who, "process %d has", (int)stranger.pid);
    assert_non_null(strstr(e.msg, who));
    let_go(&app);
    let_go(&other);
    let_go(&stranger);
}

static void a_process_that_is_found_for_less_than_a_minute_is_no_stranger(void **state)
{
    (void)state;
    const struct holder app = hold(true, true);
    for (int i = 0; i < 3; i++) { /* each waited for PRAGMA locking_mode=EXCLUSIVE, and gave up */
        const struct holder waiter = hold(true, false);
        assert_false(look(STRANGERS_BEHIND_LOOKS - 1, STRANGERS_BEHIND_NS));
        let_go(&waiter);
        assert_false(look(1, STRANGERS_BEHIND_NS));
    }
    assert_false(look(2 * STRANGERS_BEHIND_LOOKS, STRANGERS_BEHIND_NS)); /* the one that has both is none */
    let_go(&app);
}

#define WATCHED(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WATCHED(commits_that_the_wal_index_shows_are_no_sign),
        WATCHED(an_end_that_moves_without_the_wal_index_is_a_sign),
        WATCHED(a_process_that_has_the_database_open_is_seen_until_it_closes_it),
        WATCHED(a_process_without_the_wal_index_is_found_beside_one_that_has_it),
        WATCHED(a_process_that_is_found_for_less_than_a_minute_is_no_stranger),
        WATCHED(the_folder_of_unix_dotfile_makes_the_first_move_a_sign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
