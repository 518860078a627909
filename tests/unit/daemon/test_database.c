/* daemon/database.h: when the local job runs. */
#include "daemon/database.h" /* first: <fcntl.h> makes macros of names of watch.h */

#include "base/clock.h"
#include "daemon/status.h"
#include "unit.h"

#include <string.h>
#include <unistd.h>

static struct database db;
static struct lane lanes[1];
static struct shipment shipment;
static struct local_job local_job;
static struct replicate_config config;

/* The database is open and at rest, and its one replica is up to date. */
static int begin(void **state)
{
    (void)state;
    memset(&db, 0, sizeof db);
    memset(lanes, 0, sizeof lanes);
    memset(&shipment, 0, sizeof shipment);
    memset(&local_job, 0, sizeof local_job);
    config.options = options_default();
    local_job.local.watch.checkpointer.db = (sqlite3 *)(void *)&db; /* the files are open */
    db.home = &local_job;
    db.config = db.lanes.config = &config;
    db.lanes.list = lanes;
    db.lanes.count = 1;
    db.lanes.captured.proven = true;
    db.rested = db.stamped = true;
    lanes[0].home = &shipment;
    lanes[0].asked = true;
    shipment.d.state = DESTINATION_ATTACHED;
    lane_look(&lanes[0]);
    return 0;
}

static void at_rest_nothing_runs(void **state)
{
    (void)state;
    assert_false(database_local_due(&db, 1000));
    db.signs.any = true; /* an event alone starts no job */
    assert_false(database_local_due(&db, 1000));
}

static void at_rest_the_database_gets_its_stamp(void **state)
{
    (void)state;
    db.stamped = false;
    db.pace.stamp_at_ms = 1500;
    assert_false(database_local_due(&db, 1499));
    assert_true(database_local_due(&db, 1500));
    db.rested = false;
    db.pace.rest_at_ms = 9000;
    assert_false(database_local_due(&db, 1500));
    db.rested = config.as_it_is = true; /* a snapshot leaves no trace */
    assert_false(database_local_due(&db, 1500));
    config.as_it_is = false;
}

static void news_starts_a_job_after_the_pause_of_the_last_one(void **state)
{
    (void)state;
    db.signs.news = true;
    db.pace.pass_at_ms = 1005;
    assert_false(database_local_due(&db, 1004));
    assert_true(database_local_due(&db, 1005));
}

static void a_job_that_runs_is_not_started_again(void **state)
{
    (void)state;
    db.signs.news = true;
    db.home = NULL;
    assert_false(database_local_due(&db, 1000));
}

static void after_an_error_the_files_stay_closed_for_a_while(void **state)
{
    (void)state;
    local_job.local.watch.checkpointer.db = NULL;
    db.pace.open_at_ms = 2000;
    assert_false(database_local_due(&db, 1999));
    assert_true(database_local_due(&db, 2000));
}

static void a_job_that_changed_nothing_waits_for_an_event_or_its_deadline(void **state)
{
    (void)state;
    db.signs.news = true;
    db.pace.again_ms = 40;
    db.pace.again_at_ms = 1040;
    assert_false(database_local_due(&db, 1039));
    assert_true(database_local_due(&db, 1040));
    db.signs.any = true;
    assert_true(database_local_due(&db, 1000));
}

/* How long the next job waits after one that reported this. */
static int64_t wait_after(const struct local_report *r, bool woken)
{
    db.woken = woken;
    database_note_change(&db, r, 1000);
    db.figures = *r;
    return db.pace.again_at_ms - 1000;
}

static void without_an_event_the_wait_doubles_up_to_a_second(void **state)
{
    const struct local_report nothing = {.at = LOCAL_RESTING};
    const int64_t expected[] = {10, 20, 40, 80, 160, 320, 640, 1000, 1000};
    (void)state;
    db.figures.at = LOCAL_RESTING;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        assert_int_equal(wait_after(&nothing, false), expected[i]);
}

static void jobs_that_events_woke_do_not_make_the_next_one_wait_longer(void **state)
{
    const struct local_report nothing = {.at = LOCAL_RESTING};
    (void)state;
    db.figures.at = LOCAL_RESTING;
    for (int i = 0; i < 9; i++)
        assert_int_equal(wait_after(&nothing, true), 10);
}

static void after_a_change_nothing_waits(void **state)
{
    const struct local_report changes[] = {
        {.at = LOCAL_RESTING, .commits = true},      {.at = LOCAL_RESTING, .opened = true},
        {.at = LOCAL_RESTING, .resynced = true},     {.at = LOCAL_RESTING, .moved = true},
        {.at = LOCAL_UNPROVEN, .more = true}, /* a gap: compare at once */
        {.at = LOCAL_RESTING, .cursor.failed = true}};
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        db.figures.at = LOCAL_RESTING;
        db.pace.again_ms = 1000;
        assert_int_equal(wait_after(&changes[i], false), 0);
    }
}

/* The loop must not turn again and again while no job can start. */
static void the_loop_sleeps_while_nothing_can_start(void **state)
{
    (void)state;
    int64_t now = clock_mono_ms();
    db.state = &local_job.local.state;
    db.signs.news = true;
    db.pace.open_at_ms = now + 600000; /* after an error */
    assert_true(database_timeout_ms(&db) > 100);
    db.state = NULL; /* the database has not appeared yet */
    assert_true(database_timeout_ms(&db) > 100);
    db.pace.open_at_ms = 0;
    db.state = &local_job.local.state;
    assert_int_equal(database_timeout_ms(&db), 1); /* otherwise it looks for news soon */
    db.lost = true;                                /* it waits for the jobs that run */
    assert_true(database_timeout_ms(&db) > 100);
    db.lost = false;
    db.failed = true; /* it waits for the jobs that run */
    assert_true(database_timeout_ms(&db) > 100);
}

static void the_file_is_completed_at_the_time_of_rest_or_when_an_application_closed(void **state)
{
    (void)state;
    db.rested = false;
    db.pace.rest_at_ms = 3000;
    assert_false(database_local_due(&db, 2999));
    assert_true(database_local_due(&db, 3000));
    db.signs.closed = true;
    assert_true(database_local_due(&db, 1000));
}

static void after_a_close_the_file_is_completed_when_nobody_came_for_three_quarters_of_the_time(void **state)
{
    (void)state;
    db.rested = false;
    db.pace.rest_at_ms = INT64_MAX;
    for (int visit = 0; visit < 2; visit++) { /* each close begins a new wait */
        db.pace.closed_rest_at_ms = 0;
        int64_t before = clock_mono_ms();
        database_closed(&db);
        assert_in_range(db.pace.closed_rest_at_ms, before + 750, clock_mono_ms() + 750);
    }
    assert_false(database_local_due(&db, db.pace.closed_rest_at_ms - 1));
    assert_true(database_local_due(&db, db.pace.closed_rest_at_ms));
}

static void after_a_close_the_wait_follows_a_short_rest_after_and_no_long_one(void **state)
{
    (void)state;
    config.options.rest_after_ms = 100;
    int64_t before = clock_mono_ms();
    database_closed(&db);
    assert_in_range(db.pace.closed_rest_at_ms, before + 75, clock_mono_ms() + 75);
    config.options.rest_after_ms = 3600000;
    before = clock_mono_ms();
    database_closed(&db);
    assert_in_range(db.pace.closed_rest_at_ms, before + 750, clock_mono_ms() + 750);
}

static void a_replica_that_waits_for_a_comparison_starts_a_job(void **state)
{
    (void)state;
    shipment.d.state = DESTINATION_RESYNC;
    assert_true(database_local_due(&db, 1000));
    lanes[0].asked = false; /* not before all replicas were asked */
    assert_false(database_local_due(&db, 1000));
}

static void a_copy_that_needs_a_piece_starts_a_job(void **state)
{
    const struct copy_terms terms = {.kind = COPY_BASE, .page_size = 4096, .end_page = 3};
    const struct copy copy = copy_begin(&terms);
    (void)state;
    transfer_begin(&lanes[0].copy, &copy);
    assert_true(database_local_due(&db, 1000));
    transfer_abandon(&lanes[0].copy);
}

static void a_catch_up_holds_commits_back_for_a_moment(void **state)
{
    const struct copy_terms terms = {.kind = COPY_CATCH_UP, .page_size = 4096};
    const struct copy copy = copy_begin(&terms);
    (void)state;
    transfer_begin(&lanes[0].copy, &copy);
    lanes[0].copy.copy.cursor.read_all = true;
    db.signs.news = true;
    db.pace.pass_at_ms = 1000;
    assert_false(database_local_due(&db, 1049));
    assert_true(database_local_due(&db, 1050));
    transfer_abandon(&lanes[0].copy);
}

static void stopping_takes_one_last_pass(void **state)
{
    (void)state;
    db.stopping = true;
    assert_true(database_local_due(&db, 1000));
    db.final_done = true;
    db.signs.news = true;
    assert_false(database_local_due(&db, 1000));
}

/* Each command can ask from the first moment on, before a job has opened anything. */
static void before_it_is_opened_its_status_names_it(void **state)
{
    (void)state;
    static const struct commons nothing_shared;
    const struct pool_size size = {.local = 1, .of_stores = 1};
    const struct verification none = {.records = {.list = NULL}};
    char target[PATH_TEXT_MAX];
    struct database opened;
    struct workers *workers;
    struct pool *pool;
    struct err e;
    const char *const link = temp_path("link.db"), *const url = temp_path("replica");
    const struct replicate_config given = {.db_path = link, .urls = &url, .url_count = 1, .options = options_default()};
    assert_true(path_resolve(temp_path("target.db"), target));
    assert_int_equal(file_write(target, "", 0), 0);
    assert_int_equal(symlink(target, link), 0);
    assert_ok(pool_start(&size, &pool, &e), &e);
    assert_ok(workers_open(pool, NULL, NULL, &workers, &e), &e);
    assert_ok(database_init(&opened, &given, &nothing_shared, workers, &e), &e);
    opened.lanes.count = 0; /* of a replica there is more to say than of its database */
    struct json *j = status_of(&opened, &none);
    opened.lanes.count = 1;
    assert_string_equal(json_get_text(j, "database"), target);
    assert_string_equal(json_get_text(j, "condition"), "starting");
    json_free(j);
    database_release(&opened);
    workers_close(workers);
    pool_stop(pool);
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(at_rest_nothing_runs),
        TEST(at_rest_the_database_gets_its_stamp),
        TEST(news_starts_a_job_after_the_pause_of_the_last_one),
        TEST(a_job_that_runs_is_not_started_again),
        TEST(after_an_error_the_files_stay_closed_for_a_while),
        TEST(a_job_that_changed_nothing_waits_for_an_event_or_its_deadline),
        TEST(without_an_event_the_wait_doubles_up_to_a_second),
        TEST(jobs_that_events_woke_do_not_make_the_next_one_wait_longer),
        TEST(after_a_change_nothing_waits),
        TEST(the_loop_sleeps_while_nothing_can_start),
        TEST(the_file_is_completed_at_the_time_of_rest_or_when_an_application_closed),
        TEST(after_a_close_the_file_is_completed_when_nobody_came_for_three_quarters_of_the_time),
        TEST(after_a_close_the_wait_follows_a_short_rest_after_and_no_long_one),
        TEST(a_replica_that_waits_for_a_comparison_starts_a_job),
        TEST(a_copy_that_needs_a_piece_starts_a_job),
        TEST(a_catch_up_holds_commits_back_for_a_moment),
        TEST(stopping_takes_one_last_pass),
        UNIT_IN_TEMP(before_it_is_opened_its_status_names_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
