/* capture/watch.h: what an application can do with the WAL while the watch or the guard is held, and when it waits. */
#include "capture/watch.h" /* first: <fcntl.h> makes macros of names of watch.h */

#include "app/checking_vfs.h"
#include "sql.h"

#include <pthread.h>

static struct watch watch;
static sqlite3 *app;

static void violated(const char *text)
{
    fail_msg("%s", text);
}

/* Whatever the watch does is checked by the VFS below the shim. */
static int begin_all(void **state)
{
    (void)state;
    assert_int_equal(sqlite3_initialize(), SQLITE_OK);
    assert_int_equal(checking_vfs_register(violated), SQLITE_OK);
    return 0;
}

static int begin(void **state)
{
    struct err e;
    bool switched = false;
    temp_setup(state);
    assert_int_equal(seawall_vfs_register(0), SQLITE_OK);
    app = sql_open(temp_path("app.db"), NULL);
    sql(app, "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(a); INSERT INTO t VALUES(1)");
    assert_ok(watch_open(&watch, temp_path("app.db"), WATCH_REQUIRE_WAL, &switched, &e), &e);
    return 0;
}

static int end(void **state)
{
    watch_close(&watch);
    sqlite3_close(app);
    checking_vfs_end();
    assert_int_equal(checking.violations, 0);
    assert_true(checking.calls > 100);
    return temp_teardown(state);
}

static uint32_t frames(void)
{
    struct wal_index_header header;
    assert_true(watch_header(&watch, &header));
    return header.mx_frame;
}

/* Returns the result of a checkpoint by the application. */
static int checkpoint(int mode)
{
    return sqlite3_wal_checkpoint_v2(app, "main", mode, NULL, NULL);
}

static void guard(void)
{
    struct err e;
    assert_ok(watch_hand_over(&watch, &e), &e);
    assert_int_equal(checkpoint(SQLITE_CHECKPOINT_PASSIVE), SQLITE_OK);
    assert_int_equal(watch_backfilled(&watch), frames());
    assert_true(watch_take_guard(&watch));
    watch_let_go(&watch);
}

static void under_the_watch_a_checkpoint_that_resets_the_wal_is_busy(void **state)
{
    struct err e;
    (void)state;
    assert_ok(watch_hand_over(&watch, &e), &e);
    assert_int_equal(checkpoint(SQLITE_CHECKPOINT_FULL), SQLITE_OK);
    assert_int_equal(checkpoint(SQLITE_CHECKPOINT_TRUNCATE), SQLITE_BUSY);
    assert_int_not_equal(frames(), 0);
}

static void the_guard_lets_a_wal_that_is_copied_back_be_reset(void **state)
{
    (void)state;
    guard();
    assert_int_equal(checkpoint(SQLITE_CHECKPOINT_RESTART), SQLITE_OK);
    assert_int_equal(checkpoint(SQLITE_CHECKPOINT_TRUNCATE), SQLITE_OK);
    assert_int_equal(frames(), 0);
    assert_int_equal(checkpoint(SQLITE_CHECKPOINT_TRUNCATE), SQLITE_OK);
}

static void under_the_guard_no_writer_resets_the_wal(void **state)
{
    (void)state;
    guard();
    uint32_t before = frames();
    sql(app, "INSERT INTO t VALUES(2)"); /* without the guard this would begin at frame 1 again */
    assert_true(frames() > before);
}

static void under_the_guard_no_frame_is_copied_back(void **state)
{
    static const int modes[] = {SQLITE_CHECKPOINT_FULL, SQLITE_CHECKPOINT_RESTART, SQLITE_CHECKPOINT_TRUNCATE};
    (void)state;
    guard();
    uint32_t before = frames();
    sql(app, "INSERT INTO t VALUES(2)");
    assert_int_equal(checkpoint(SQLITE_CHECKPOINT_PASSIVE), SQLITE_OK); /* copies nothing, and says so */
    for (size_t i = 0; i < COUNT_OF(modes); i++)
        assert_int_equal(checkpoint(modes[i]), SQLITE_BUSY);
    assert_int_equal(watch_backfilled(&watch), before);
    watch_drop_guard(&watch);
    assert_int_equal(checkpoint(SQLITE_CHECKPOINT_TRUNCATE), SQLITE_OK);
}

static void the_guard_is_refused_while_an_application_reads_in_slot_0(void **state)
{
    struct err e;
    (void)state;
    assert_ok(watch_hand_over(&watch, &e), &e);
    assert_int_equal(checkpoint(SQLITE_CHECKPOINT_PASSIVE), SQLITE_OK);
    sql(app, "BEGIN; SELECT * FROM t");
    assert_false(watch_take_guard(&watch));
    sql(app, "COMMIT");
    assert_true(watch_take_guard(&watch));
}

static void a_reader_that_begins_under_the_guard_can_write_later(void **state)
{
    (void)state;
    guard();
    sql(app, "BEGIN; SELECT * FROM t; INSERT INTO t VALUES(3); COMMIT");
    assert_int_equal(sql_number(app, "SELECT count(*) FROM t"), 2);
}

static void other_connections_are_shut_out_only_if_none_has_a_transaction(void **state)
{
    (void)state;
    guard();
    sql(app, "BEGIN; SELECT * FROM t");
    assert_false(watch_shut_out(&watch));
    sql(app, "COMMIT");
    assert_true(watch_shut_out(&watch));
    watch_let_in(&watch);
    sql(app, "INSERT INTO t VALUES(4)");
}

static void *commit_soon(void *context)
{
    (void)context;
    return sqlite3_exec(app, "INSERT INTO t VALUES(5)", NULL, NULL, NULL) == SQLITE_OK ? app : NULL;
}

static void a_writer_that_is_shut_out_waits_without_a_busy_timeout_and_gets_no_error(void **state)
{
    pthread_t thread;
    void *succeeded = NULL;
    (void)state;
    guard();
    assert_true(watch_shut_out(&watch));
    assert_int_equal(pthread_create(&thread, NULL, commit_soon, NULL), 0);
    usleep(20000);
    watch_let_in(&watch);
    assert_int_equal(pthread_join(thread, &succeeded), 0);
    assert_non_null(succeeded);
}

static void the_watch_begins_in_a_slot_that_no_checkpoint_can_wait_for(void **state)
{
    struct err e;
    (void)state;
    guard();
    assert_int_equal(checkpoint(SQLITE_CHECKPOINT_TRUNCATE),
                     SQLITE_OK); /* slot 1 has the mark 0, the others have none */
    sql(app, "INSERT INTO t VALUES(7)");
    assert_ok(watch_begin_other(&watch, &e), &e);
    assert_int_not_equal(watch.reader[watch.active].slot, 1);
}

static void a_watch_that_closes_leaves_no_lock_behind(void **state)
{
    (void)state;
    guard();
    assert_true(watch_shut_out(&watch));
    watch_close(&watch);
    sql(app, "INSERT INTO t VALUES(6)");
    assert_int_equal(checkpoint(SQLITE_CHECKPOINT_TRUNCATE), SQLITE_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(under_the_watch_a_checkpoint_that_resets_the_wal_is_busy),
        TEST(the_guard_lets_a_wal_that_is_copied_back_be_reset),
        TEST(under_the_guard_no_writer_resets_the_wal),
        TEST(under_the_guard_no_frame_is_copied_back),
        TEST(the_guard_is_refused_while_an_application_reads_in_slot_0),
        TEST(a_reader_that_begins_under_the_guard_can_write_later),
        TEST(other_connections_are_shut_out_only_if_none_has_a_transaction),
        TEST(a_writer_that_is_shut_out_waits_without_a_busy_timeout_and_gets_no_error),
        TEST(the_watch_begins_in_a_slot_that_no_checkpoint_can_wait_for),
        TEST(a_watch_that_closes_leaves_no_lock_behind),
    };
    return cmocka_run_group_tests(tests, begin_all, NULL);
}
