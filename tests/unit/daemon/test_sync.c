/* daemon/sync.h: only a local job that began after the request proves that a commit was captured. */
#include "daemon/sync.h" /* first: <fcntl.h> makes macros of names of watch.h */

#include "unit.h"

static struct database db;
static struct lane lanes[2];
static struct local_job local_job;

/* Two attached replicas, txid 5 captured and durable, nothing runs. */
static int begin(void **state)
{
    (void)state;
    memset(&db, 0, sizeof db);
    memset(lanes, 0, sizeof lanes);
    db.lanes.list = lanes;
    db.lanes.count = 2;
    db.home = &local_job;
    db.lanes.captured.txid = 5;
    db.runs = db.through_run = 3;
    for (size_t i = 0; i < 2; i++) {
        lanes[i].seen.state = DESTINATION_ATTACHED;
        lanes[i].seen.durable = 5;
        lanes[i].look.due_ms = INT64_MAX;
    }
    return 0;
}

static void run_starts(void)
{
    db.home = NULL;
    db.runs++;
    db.signs.news = db.signs.touched = false;
}

static void run_ends(bool through, uint64_t txid)
{
    db.home = &local_job;
    db.lanes.captured.txid = txid;
    if (through)
        db.through_run = db.runs;
}

/* Each store that was asked answers that the newest object is there. */
static void stores_answer(void)
{
    for (size_t i = 0; i < 2; i++)
        if (lanes[i].check.asked > lanes[i].check.done) {
            lanes[i].check.done = ++lanes[i].check.started;
            lanes[i].check.done_ms = 1;
        }
}

static void commits_that_are_durable_already_are_looked_at_once_more(void **state)
{
    struct sync_wait w;
    (void)state;
    sync_begin(&db, &w, SYNC_COMMITS, 1000);
    assert_int_equal(sync_look(&db, &w, 1000), SYNC_WAITING);
    run_starts();
    assert_int_equal(sync_look(&db, &w, 1001), SYNC_WAITING);
    run_ends(true, 5);
    assert_int_equal(sync_look(&db, &w, 1002), SYNC_WAITING);
    stores_answer();
    assert_int_equal(sync_look(&db, &w, 1002), SYNC_DURABLE);
    assert_int_equal(w.txid, 5);
}

/* Something vanished from a folder: the newest object says nothing about the others. */
static void a_look_at_all_objects_that_is_due_has_to_end_first(void **state)
{
    struct sync_wait w;
    (void)state;
    sync_begin(&db, &w, SYNC_COMMITS, 1000);
    run_starts();
    run_ends(true, 5);
    assert_int_equal(sync_look(&db, &w, 1002), SYNC_WAITING);
    stores_answer();
    look_ask(&lanes[1].look, 1200);
    assert_int_equal(sync_look(&db, &w, 1002), SYNC_WAITING);
    lanes[1].look.due_ms = INT64_MAX;
    lanes[1].look.busy = true;
    assert_int_equal(sync_look(&db, &w, 1300), SYNC_WAITING);
    lanes[1].look.busy = false;
    look_ask(&lanes[1].look, 61000); /* nobody waits for the first look after a start */
    assert_int_equal(sync_look(&db, &w, 1300), SYNC_DURABLE);
}

static void a_local_job_that_was_under_way_is_no_proof(void **state)
{
    struct sync_wait w;
    (void)state;
    run_starts();
    sync_begin(&db, &w, SYNC_COMMITS, 1000);
    run_ends(true, 5);
    assert_int_equal(sync_look(&db, &w, 1001), SYNC_WAITING);
    run_starts();
    run_ends(true, 6);
    assert_int_equal(sync_look(&db, &w, 1002), SYNC_WAITING);
    lanes[0].seen.durable = lanes[1].seen.durable = 6;
    assert_int_equal(sync_look(&db, &w, 1003), SYNC_WAITING);
    stores_answer();
    assert_int_equal(sync_look(&db, &w, 1003), SYNC_DURABLE);
}

static void a_local_job_that_did_not_get_through_is_no_proof(void **state)
{
    struct sync_wait w;
    (void)state;
    sync_begin(&db, &w, SYNC_COMMITS, 1000);
    run_starts();
    run_ends(false, 5);
    assert_int_equal(sync_look(&db, &w, 1001), SYNC_WAITING);
}

static void later_commits_are_not_waited_for(void **state)
{
    struct sync_wait w;
    (void)state;
    sync_begin(&db, &w, SYNC_COMMITS, 1000);
    run_starts();
    run_ends(true, 6);
    assert_int_equal(sync_look(&db, &w, 1001), SYNC_WAITING);
    run_starts();
    run_ends(true, 9);
    lanes[0].seen.durable = lanes[1].seen.durable = 6;
    assert_int_equal(sync_look(&db, &w, 1002), SYNC_WAITING);
    stores_answer();
    assert_int_equal(sync_look(&db, &w, 1002), SYNC_DURABLE);
    assert_int_equal(db.lanes.urgent_txid, 6);
}

static void every_replica_must_have_the_commits(void **state)
{
    struct sync_wait w;
    (void)state;
    sync_begin(&db, &w, SYNC_COMMITS, 1000);
    run_starts();
    run_ends(true, 6);
    lanes[0].seen.durable = 6;
    assert_int_equal(sync_look(&db, &w, 1001), SYNC_WAITING);
    lanes[1].seen.durable = 6;
    lanes[1].seen.state = DESTINATION_DETACHED; /* what it holds is not known */
    assert_int_equal(sync_look(&db, &w, 1002), SYNC_WAITING);
    lanes[1].seen.state = DESTINATION_ATTACHED;
    lanes[1].seen.base_owed = true;
    assert_int_equal(sync_look(&db, &w, 1003), SYNC_WAITING);
    lanes[1].seen.base_owed = false;
    assert_int_equal(sync_look(&db, &w, 1004), SYNC_WAITING);
    stores_answer();
    assert_int_equal(sync_look(&db, &w, 1004), SYNC_DURABLE);
}

static void a_conflict_is_reported_when_the_other_replicas_have_the_commits(void **state)
{
    struct sync_wait w;
    (void)state;
    lanes[0].seen.state = DESTINATION_CONFLICT;
    sync_begin(&db, &w, SYNC_COMMITS, 1000);
    run_starts();
    run_ends(true, 6);
    assert_int_equal(sync_look(&db, &w, 1001), SYNC_WAITING);
    lanes[1].seen.durable = 6;
    assert_int_equal(sync_look(&db, &w, 1002), SYNC_WAITING);
    stores_answer();
    assert_int_equal(sync_look(&db, &w, 1002), SYNC_CONFLICT);
}

static void a_commit_that_waits_asks_no_store(void **state)
{
    struct sync_wait w;
    (void)state;
    sync_begin(&db, &w, SYNC_PUT, 1000);
    run_starts();
    run_ends(true, 6);
    lanes[0].seen.durable = 6;
    assert_int_equal(sync_look(&db, &w, 1001), SYNC_WAITING);
    lanes[1].seen.durable = 6;
    lanes[1].loss.since_ms = 900;
    assert_int_equal(sync_look(&db, &w, 1001), SYNC_WAITING);
    lanes[1].loss.since_ms = 0;
    assert_int_equal(sync_look(&db, &w, 1001), SYNC_DURABLE);
    assert_int_equal(lanes[0].check.asked, 0);
    assert_int_equal(lanes[1].check.asked, 0);
}

static void for_a_commit_that_waits_for_any_replica_one_is_enough(void **state)
{
    struct sync_wait w;
    (void)state;
    sync_begin(&db, &w, SYNC_ANY, 1000);
    run_starts();
    run_ends(true, 6);
    lanes[0].seen.state = DESTINATION_CONFLICT;
    lanes[0].seen.durable = 6;
    assert_int_equal(sync_look(&db, &w, 1001), SYNC_WAITING);
    lanes[1].seen.durable = 6;
    lanes[1].seen.base_owed = true; /* nothing can be restored before it is complete */
    assert_int_equal(sync_look(&db, &w, 1001), SYNC_WAITING);
    lanes[1].seen.base_owed = false;
    assert_int_equal(sync_look(&db, &w, 1001), SYNC_DURABLE);
    lanes[1].seen.state = DESTINATION_CONFLICT;
    assert_int_equal(sync_look(&db, &w, 1001), SYNC_CONFLICT);
}

/* Everything was put, and each store is asked once whether its newest object is there. */
static void an_older_answer_of_the_store_does_not_count(void **state)
{
    struct sync_wait w;
    (void)state;
    lanes[0].check = lanes[1].check = (struct check){.started = 4, .done = 4, .done_ms = 900};
    sync_begin(&db, &w, SYNC_COMMITS, 1000);
    run_starts();
    run_ends(true, 5);
    assert_int_equal(sync_look(&db, &w, 1001), SYNC_WAITING);
    assert_int_equal(lanes[0].check.asked, 5);
    assert_int_equal(lanes[1].check.asked, 5);
    lanes[0].check.done = 4; /* the answer to an earlier question */
    assert_int_equal(sync_look(&db, &w, 1001), SYNC_WAITING);
    stores_answer();
    lanes[1].look.missed = 1; /* while a look misses something, the answer does not count */
    assert_int_equal(sync_look(&db, &w, 1002), SYNC_WAITING);
    lanes[1].look.missed = 0;
    lanes[1].loss.since_ms = 1;
    assert_int_equal(sync_look(&db, &w, 1003), SYNC_WAITING);
    lanes[1].loss.since_ms = 0;
    assert_int_equal(sync_look(&db, &w, 1004), SYNC_DURABLE);
}

/* After a resync the head can have a larger txid and still lack the commits that the sync waits for. */
static void after_a_comparison_of_all_pages_the_sync_waits_for_the_new_txid(void **state)
{
    struct sync_wait w;
    (void)state;
    sync_begin(&db, &w, SYNC_COMMITS, 1000);
    run_starts();
    run_ends(true, 6);
    lanes[0].seen.durable = 6;
    assert_int_equal(sync_look(&db, &w, 1001), SYNC_WAITING);
    run_starts();
    run_ends(true, 20);
    db.figures.resyncs++;
    lanes[1].seen.durable = 19;
    assert_int_equal(sync_look(&db, &w, 1002), SYNC_WAITING);
    lanes[0].seen.durable = lanes[1].seen.durable = 20;
    assert_int_equal(sync_look(&db, &w, 1003), SYNC_WAITING);
    stores_answer();
    assert_int_equal(sync_look(&db, &w, 1003), SYNC_DURABLE);
}

/* A sync makes a failing replica try again. Many syncs must not make many tries. */
static void a_replica_that_fails_is_tried_again_at_most_once_a_second(void **state)
{
    struct sync_wait w;
    (void)state;
    lanes[0].pace.started_at_ms = 1000;
    lanes[0].pace.retry_at_ms = 60000;
    lanes[1].pace.retry_at_ms = 900;
    lanes[1].pace.started_at_ms = 1000;
    sync_begin(&db, &w, SYNC_COMMITS, 1500);
    assert_int_equal(lanes[0].pace.retry_at_ms, 2000);
    assert_int_equal(lanes[1].pace.retry_at_ms, 900);
}

#define SYNC_UNIT(test) cmocka_unit_test_setup(test, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SYNC_UNIT(commits_that_are_durable_already_are_looked_at_once_more),
        SYNC_UNIT(a_look_at_all_objects_that_is_due_has_to_end_first),
        SYNC_UNIT(a_local_job_that_was_under_way_is_no_proof),
        SYNC_UNIT(a_local_job_that_did_not_get_through_is_no_proof),
        SYNC_UNIT(later_commits_are_not_waited_for),
        SYNC_UNIT(every_replica_must_have_the_commits),
        SYNC_UNIT(a_conflict_is_reported_when_the_other_replicas_have_the_commits),
        SYNC_UNIT(a_commit_that_waits_asks_no_store),
        SYNC_UNIT(for_a_commit_that_waits_for_any_replica_one_is_enough),
        SYNC_UNIT(an_older_answer_of_the_store_does_not_count),
        SYNC_UNIT(after_a_comparison_of_all_pages_the_sync_waits_for_the_new_txid),
        SYNC_UNIT(a_replica_that_fails_is_tried_again_at_most_once_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
