/* capture/local.h: the pages of a copy are read while an application commits and checkpoints beside the job. */
#include "capture/local.h"

#include "cargo/piece.h"
#include "sql.h"

#define ROOM (1u << 20)

static struct local local;
static struct options options;
static struct local_report report; /* of the last run */
static uint64_t runs;
static sqlite3 *app;

static void forget_report(void)
{
    while (report.batches) {
        struct batch *next = report.batches->next;
        batch_free(report.batches);
        report.batches = next;
    }
    piece_free(report.piece);
    report.piece = NULL;
}

static void run(struct local_request request)
{
    struct err e;
    forget_report();
    request.run = ++runs;
    request.may_resync = true;
    assert_ok(local_run(&local, &request, &report, &e), &e);
}

static int begin(void **state)
{
    struct err e;
    if (temp_setup(state))
        return -1;
    assert_int_equal(seawall_vfs_register(0), SQLITE_OK);
    app = sql_open(temp_path("app.db"), NULL);
    sql(app, "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(a); INSERT INTO t VALUES(1)");
    options = options_default();
    assert_ok(local_init(&local, temp_path("app.db"), &options, NULL, &e), &e);
    return 0;
}

static int end(void **state)
{
    forget_report();
    local_release(&local);
    sqlite3_close(app);
    return temp_teardown(state);
}

/* Everything is captured and copied back, and the guard is held. */
static void rest(void)
{
    run((struct local_request){.room = ROOM});
    run((struct local_request){.room = ROOM, .settle = true});
    assert_int_equal(report.at, LOCAL_RESTING);
    assert_true(local.watch.guarded);
}

/* As an application whose checkpoints come after each commit. */
static void commit_and_checkpoint(void)
{
    sql(app, "INSERT INTO t VALUES(2)");
    assert_int_equal(sqlite3_wal_checkpoint_v2(app, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL), SQLITE_OK);
}

/* Reads all pages of a copy, one run each, beside that application. `request` says how the runs are made. */
static void read_copy(enum copy_kind kind, struct local_request request)
{
    const struct copy_terms terms = {
        .kind = kind, .page_size = local.state.map.page_size, .end_page = kind == COPY_BASE ? 2 : 0};
    struct copy copy = copy_begin(&terms);
    const uint64_t resyncs = local.resyncs;
    request.terms = terms;
    for (unsigned i = 0; i < 5 && !copy.cursor.read_all; i++) {
        request.cursor = copy.cursor;
        run(request);
        copy.cursor = report.cursor;
        assert_false(copy.cursor.failed);
        assert_int_equal(report.at, LOCAL_FOLLOWING);
        commit_and_checkpoint();
    }
    assert_true(copy.cursor.read_all);
    copy_release(&copy);
    run((struct local_request){.room = ROOM});
    assert_int_equal(local.resyncs, resyncs);
}

/* The watch that takes the place of the guard sees commits that are not captured. A checkpoint can copy those back. */
static void the_guard_ended(struct local_request request)
{
    rest();
    commit_and_checkpoint(); /* the guard lets nothing be copied back */
    read_copy(COPY_CATCH_UP, request);
    rest();
    commit_and_checkpoint();
    read_copy(COPY_BASE, request);
}

/* A commit came between the look at the header and the hand-over. */
static void the_watch_moved_on(struct local_request request)
{
    static const enum copy_kind kinds[] = {COPY_CATCH_UP, COPY_BASE};
    struct err e;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        sql(app, "INSERT INTO t VALUES(3)");
        run((struct local_request){.room = ROOM});
        sql(app, "INSERT INTO t VALUES(4)");
        if (local.watch.active < 0)
            assert_ok(watch_begin_other(&local.watch, &e), &e);
        watch_drop_guard(&local.watch);
        assert_ok(watch_hand_over(&local.watch, &e), &e);
        commit_and_checkpoint();
        read_copy(kinds[i], request);
    }
}

static void a_catch_up_that_holds_commits_back_reads_pages_as_captured(void **state)
{
    (void)state;
    the_guard_ended((struct local_request){.room = ROOM, .hold = true});
    the_watch_moved_on((struct local_request){.room = ROOM, .hold = true});
}

static void without_room_pages_are_read_as_captured(void **state)
{
    (void)state;
    the_guard_ended((struct local_request){.room = 0});
    the_watch_moved_on((struct local_request){.room = 0});
}

static void without_room_and_copy_commits_stay_in_the_wal(void **state)
{
    (void)state;
    rest();
    sql(app, "INSERT INTO t VALUES(2)");
    const uint64_t txid = local.capture.txid;
    run((struct local_request){.room = 0});
    assert_int_equal(local.capture.txid, txid);
    run((struct local_request){.room = ROOM});
    assert_true(local.capture.txid > txid);
}

/* Commits stay in the WAL during a catch-up, so that the copy has an end. */
static void a_catch_up_holds_commits_back_once_the_watch_sees_no_more(void **state)
{
    const struct local_request holding = {.room = ROOM, .hold = true};
    (void)state;
    rest();
    sql(app, "INSERT INTO t VALUES(2)");
    run(holding);
    const uint64_t txid = local.capture.txid;
    sql(app, "INSERT INTO t VALUES(3)");
    run(holding);
    assert_int_equal(local.capture.txid, txid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_catch_up_that_holds_commits_back_reads_pages_as_captured, begin, end),
        cmocka_unit_test_setup_teardown(without_room_pages_are_read_as_captured, begin, end),
        cmocka_unit_test_setup_teardown(without_room_and_copy_commits_stay_in_the_wal, begin, end),
        cmocka_unit_test_setup_teardown(a_catch_up_holds_commits_back_once_the_watch_sees_no_more, begin, end),
    };
    return cmocka_run_group_tests_name("local", tests, NULL, NULL);
}
