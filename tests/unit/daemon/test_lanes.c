/* daemon/lanes.h, lane.h and transfer.h: when commits are shipped, which piece is read, which batches are kept, when to
 * try again. */
#include "daemon/lanes.h" /* first: <fcntl.h> makes macros of names of watch.h */

#include "base/clock.h"
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static struct lanes all;
static struct lane lanes[2];
static struct shipment shipments[2];
static struct store store;
static struct replicate_config config;
static struct commons commons;
static struct ration ration;

/* Two attached replicas whose PUTs cost money, txid 5 captured and durable. */
static int begin(void **state)
{
    (void)state;
    memset(&all, 0, sizeof all);
    memset(lanes, 0, sizeof lanes);
    memset(shipments, 0, sizeof shipments);
    memset(&store, 0, sizeof store);
    store.costs = true;
    config.options = options_default();
    memset(&commons, 0, sizeof commons);
    memset(&ration, 0, sizeof ration);
    all.config = &config;
    all.commons = &commons;
    all.list = lanes;
    all.count = 2;
    all.captured =
        (struct captured_head){.newest = {.txid = 5, .pages = 3}, .page_size = 4096, .txid = 5, .proven = true};
    for (int i = 0; i < 2; i++) {
        lanes[i].all = &all;
        lanes[i].home = &shipments[i];
        lanes[i].asked = true;
        lanes[i].pace.budget = budget_full(config.options.put_rate, config.options.put_burst, 1000);
        shipments[i].d.state = DESTINATION_ATTACHED;
        shipments[i].d.store = &store;
        shipments[i].d.entry.durable_txid = 5;
        shipments[i].d.levels.base_at_ms = clock_mono_ms(); /* no base is due, however long the machine runs */
        lane_look(&lanes[i]);
    }
    return 0;
}

static void capture(uint64_t txid)
{
    struct batch *b = batch_new(all.captured.txid + 1, 4096);
    b->last = txid;
    all.captured.txid = all.captured.newest.txid = txid;
    lanes_take_batches(&all, b);
}

/* ---- when commits are shipped */

static void a_single_commit_is_shipped_at_once(void **state)
{
    (void)state;
    lanes[0].pace.shipped_at_ms = 1000;
    lanes[0].pace.shipped_commits = 1;
    assert_int_equal(lanes_due_ms(&all, &lanes[0], 1000), 1002);
}

static void many_commits_are_gathered_into_one_object(void **state)
{
    (void)state;
    lanes[0].pace.shipped_at_ms = 1000;
    lanes[0].pace.shipped_commits = 2;
    assert_int_equal(lanes_due_ms(&all, &lanes[0], 1000), 1010);
    lanes[0].pace.shipped_commits = 40;
    assert_int_equal(lanes_due_ms(&all, &lanes[0], 1000), 1050);
}

static void without_a_token_commits_wait_for_one_unless_a_sync_needs_them(void **state)
{
    (void)state;
    lanes[0].pace.budget = (struct budget){.per_hour = 3600, .most = 10, .parts = 0, .at_ms = 1000};
    assert_int_equal(lanes_due_ms(&all, &lanes[0], 1000), 2000);
    all.urgent_txid = 6;
    assert_true(lanes_due_ms(&all, &lanes[0], 1000) <= 1000);
    all.urgent_txid = 5; /* is durable already */
    assert_int_equal(lanes_due_ms(&all, &lanes[0], 1000), 2000);
    all.stopping = true;
    assert_true(lanes_due_ms(&all, &lanes[0], 1000) <= 1000);
    all.stopping = false;
    store.costs = false;
    assert_true(lanes_due_ms(&all, &lanes[0], 1000) <= 1000);
}

static void a_full_backlog_does_not_wait_for_a_token(void **state)
{
    (void)state;
    lanes[0].pace.budget = (struct budget){.per_hour = 3600, .most = 10, .parts = 0, .at_ms = 1000};
    config.options.max_batch = 1;
    capture(6);
    all.backlog.first->payload.len = 10;
    assert_true(lanes_due_ms(&all, &lanes[0], 1000) <= 1000);
    all.backlog.first->payload.len = 0;
    backlog_clear(&all.backlog);
}

static void a_token_of_all_replicas_is_waited_for_in_turn(void **state)
{
    (void)state;
    ration.budget = (struct budget){.per_hour = 3600, .most = 10, .parts = 0, .at_ms = 1000};
    commons.ration = &ration;
    assert_true(lanes_due_ms(&all, &lanes[0], 1000) <= 1000); /* it has to be tried, to be in the queue */
    ration_wait(&ration, &lanes[0].ration);
    assert_true(lanes_due_ms(&all, &lanes[0], 1000) == INT64_MAX);
    all.urgent_txid = 6;
    assert_true(lanes_due_ms(&all, &lanes[0], 1000) <= 1000);
    all.urgent_txid = 5;
    store.costs = false;
    assert_true(lanes_due_ms(&all, &lanes[0], 1000) <= 1000);
}

/* ---- which batches are kept */

static void batches_are_kept_until_every_healthy_replica_has_them(void **state)
{
    (void)state;
    capture(6);
    lanes[0].seen.durable = 6;
    lanes_trim_batches(&all);
    assert_non_null(all.backlog.first);
    lanes[1].seen.durable = 6;
    lanes_trim_batches(&all);
    assert_null(all.backlog.first);
}

static void a_replica_that_is_away_keeps_nothing(void **state)
{
    (void)state;
    lanes[1].seen.state = DESTINATION_DETACHED;
    capture(6);
    lanes[0].seen.durable = 6;
    lanes_trim_batches(&all);
    assert_null(all.backlog.first);
    lanes[0].seen.state = DESTINATION_DETACHED;
    capture(7);
    assert_null(all.backlog.first); /* no replica is there that could take them */
    assert_false(lanes_any_keeps(&all));
}

/* At a start its head may be where the WAL goes on: then each of these commits becomes a restore point. */
static void a_replica_that_was_not_asked_yet_keeps_batches(void **state)
{
    (void)state;
    lanes[1].seen.state = DESTINATION_DETACHED;
    lanes[1].asked = false;
    capture(6);
    lanes[0].seen.durable = 6;
    lanes_trim_batches(&all);
    assert_non_null(all.backlog.first);
    assert_true(lanes_any_keeps(&all));
    lanes[1].asked = true;
    lanes_trim_batches(&all);
    assert_null(all.backlog.first);
}

/* ---- which piece is read */

static void begin_copy(struct transfer *t, enum copy_kind kind)
{
    const struct copy_terms terms = {
        .kind = kind, .page_size = 4096, .end_page = 3, .after = kind == COPY_BASE ? 0 : 2};
    const struct copy copy = copy_begin(&terms);
    transfer_begin(t, &copy);
}

static void a_catch_up_comes_first_and_a_base_last(void **state)
{
    (void)state;
    assert_null(lanes_wanting_piece(&all));
    begin_copy(&lanes[0].copy, COPY_BASE);
    assert_ptr_equal(lanes_wanting_piece(&all), &lanes[0].copy);
    begin_copy(&lanes[0].level, COPY_LEVEL);
    assert_ptr_equal(lanes_wanting_piece(&all), &lanes[0].level);
    begin_copy(&lanes[1].copy, COPY_CATCH_UP);
    assert_ptr_equal(lanes_wanting_piece(&all), &lanes[1].copy);
    assert_int_equal(lanes_need_after(&all), 0); /* the base */
    transfer_abandon(&lanes[0].copy);
    transfer_abandon(&lanes[0].level);
    assert_int_equal(lanes_need_after(&all), 2);
    transfer_abandon(&lanes[1].copy);
}

static void commits_wait_for_a_catch_up_only_if_no_healthy_replica_follows(void **state)
{
    (void)state;
    assert_false(lanes_catch_up(&all));
    begin_copy(&lanes[1].copy, COPY_CATCH_UP);
    assert_false(lanes_catch_up(&all));
    lanes[0].pace.backoff_ms = 1000; /* the other one can't take them */
    assert_true(lanes_catch_up(&all));
    lanes[0].pace.backoff_ms = 0;
    begin_copy(&lanes[0].copy, COPY_CATCH_UP);
    assert_true(lanes_catch_up(&all));
    transfer_abandon(&lanes[0].copy);
    transfer_abandon(&lanes[1].copy);
}

static struct piece *piece_of(unsigned index, bool last)
{
    struct piece *p = calloc(1, sizeof *p);
    p->index = index;
    p->first_page = index + 1;
    p->last = last;
    return p;
}

/* The local job reads one piece. */
static void read_piece(struct transfer *t, unsigned index, bool last)
{
    struct copy_terms terms;
    struct copy_cursor cursor;
    transfer_lend_cursor(t, &terms, &cursor);
    assert_true(transfer_is_lent(t));
    assert_false(transfer_wants_piece(t));
    cursor.pieces = index + 1;
    cursor.next_page = index + 2;
    cursor.read_all = last;
    transfer_take_cursor(t, &cursor, piece_of(index, last));
}

static void a_copy_has_as_many_pieces_in_memory_as_may_be_in_flight(void **state)
{
    (void)state;
    struct transfer *t = &lanes[0].copy;
    begin_copy(t, COPY_BASE);
    for (unsigned i = 0; i < COPY_IN_FLIGHT; i++) {
        assert_true(transfer_wants_piece(t));
        read_piece(t, i, false);
    }
    assert_false(transfer_wants_piece(t));
    assert_int_equal(transfer_next(t)->index, 0);
    transfer_abandon(t);
}

static void a_level_has_one_piece_at_a_time_and_a_ship_job_takes_it_along(void **state)
{
    (void)state;
    struct transfer *t = &lanes[0].level;
    struct shipment *s = lanes[0].home;
    begin_copy(t, COPY_LEVEL);
    read_piece(t, 0, false);
    assert_false(transfer_wants_piece(t));
    transfer_load(t, s);
    assert_int_equal(s->piece->index, 0);
    assert_true(transfer_is_lent(t));
    assert_false(transfer_wants_piece(t));
    transfer_unload(t, s);
    piece_free(s->piece);
    s->piece = NULL;
    read_piece(t, 1, true);
    assert_false(transfer_wants_piece(t));
    assert_true(transfer_all_put(t));
    transfer_load(t, s);
    assert_true(s->piece->last);
    transfer_unload(t, s);
    piece_free(s->piece);
    s->piece = NULL;
    transfer_abandon(t);
}

static void a_base_that_is_paused_reads_again_what_was_not_put(void **state)
{
    (void)state;
    begin_copy(&lanes[0].copy, COPY_BASE);
    read_piece(&lanes[0].copy, 0, false);
    read_piece(&lanes[0].copy, 1, false);
    lane_pause_base(&lanes[0]);
    assert_false(transfer_under_way(&lanes[0].copy));
    lane_resume_base(&lanes[0]);
    assert_int_equal(lanes[0].copy.copy.cursor.pieces, 0);
    assert_int_equal(lanes[0].copy.copy.cursor.next_page, 1);
    assert_true(transfer_wants_piece(&lanes[0].copy));
    transfer_abandon(&lanes[0].copy);
}

/* ---- when to try again */

static void failures_wait_longer_each_time_and_longest_where_a_person_must_act(void **state)
{
    struct err e;
    int64_t least = 0;
    (void)state;
    err_set(&e, ERR_REMOTE, 503, "slow down");
    for (int i = 0; i < 20; i++) {
        lane_failed(&lanes[0], &e, 1000);
        assert_in_range(lanes[0].pace.retry_at_ms, 1050, 1000 + 50 + 30000);
        assert_true(lanes[0].pace.backoff_ms >= least);
        least = lanes[0].pace.backoff_ms;
    }
    assert_int_equal(least, 30000);
    assert_false(lane_is_healthy(&lanes[0]));
    lane_succeeded(&lanes[0]);
    assert_true(lane_is_healthy(&lanes[0]));
    err_set(&e, ERR_CONFIG, 403, "access denied");
    lane_failed(&lanes[0], &e, 1000);
    assert_in_range(lanes[0].pace.retry_at_ms, 3500, 1000 + 2500 + 5000);
}

static void an_append_that_has_to_look_again_waits_from_the_second_time_on(void **state)
{
    (void)state;
    lane_detoured(&lanes[0], 1000);
    assert_int_equal(lanes[0].pace.retry_at_ms, 0);
    lane_detoured(&lanes[0], 1000);
    assert_int_equal(lanes[0].pace.retry_at_ms, 1200);
    for (int i = 0; i < 20; i++)
        lane_detoured(&lanes[0], 1000);
    assert_int_equal(lanes[0].pace.retry_at_ms, 31000);
}

/* ---- the end */

static void all_is_durable_only_with_what_history_owes(void **state)
{
    (void)state;
    assert_true(lanes_all_durable(&all));
    shipments[1].d.entry.base_owed = 5;
    assert_false(lanes_all_durable(&all));
    shipments[1].d.entry.base_owed = 0;
    lanes[1].base_wanted = true;
    assert_false(lanes_all_durable(&all));
    lanes[1].base_wanted = false;
    shipments[1].d.entry.durable_txid = 4;
    assert_false(lanes_all_durable(&all));
    lanes[1].seen.state = DESTINATION_CONFLICT; /* a conflict is reported separately */
    assert_true(lanes_all_durable(&all));
    lanes[0].home = NULL;
    assert_false(lanes_all_durable(&all));
    assert_true(lanes_running(&all));
}

/* The state file was lost, and the process goes on: counters stay, and the replica is asked at once. */
static void a_replica_that_starts_over_is_asked_at_once_and_counts_on(void **state)
{
    struct lane l;
    struct err e;
    char dir[] = "/tmp/seawall-lane-XXXXXX";
    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(lane_open(&l, dir, &e), 0);
    l.home->d.objects = 7;
    l.home->d.bytes = 700;
    l.home->d.entry.durable_txid = 5;
    l.asked = true;
    l.pace.retry_at_ms = 60000;
    assert_int_equal(lane_start_over(&l, &e), 0);
    assert_int_equal(l.appended, 7);
    assert_int_equal(l.appended_bytes, 700);
    assert_int_equal(l.seen.durable, 0);
    assert_int_equal(l.pace.retry_at_ms, 0);
    assert_false(l.asked);
    lane_close(&l);
    rmdir(dir);
}

static void a_replica_that_fails_for_five_minutes_is_told_once_and_again_after_a_success(void **state)
{
    struct lane *l = &lanes[0];
    (void)state;
    assert_false(lane_fails_for_long(l, 1000000));
    l->failing_since_ms = 1000000;
    assert_false(lane_fails_for_long(l, 1000000 + LANE_LONG_MS - 1));
    assert_true(lane_fails_for_long(l, 1000000 + LANE_LONG_MS));
    assert_false(lane_fails_for_long(l, 1000000 + 2 * LANE_LONG_MS));
    lane_succeeded(l);
    l->failing_since_ms = 5000000;
    assert_true(lane_fails_for_long(l, 5000000 + LANE_LONG_MS));
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

/* ---- a stop */

static void fail_in(struct lane *l, enum err_code code, int sys)
{
    struct err e;
    err_set(&e, code, sys, "made to fail");
    lane_failed(l, &e, 1000);
}

static void fail_with(struct lane *l, enum err_code code)
{
    fail_in(l, code, 0);
}

static void only_replicas_that_a_person_must_mend_end_the_wait_of_a_stop(void **state)
{
    (void)state;
    assert_false(lanes_hopeless(&all));
    capture(6);
    assert_ptr_equal(lanes_owing(&all), &lanes[0]);
    fail_with(&lanes[0], ERR_CONFIG);
    assert_false(lanes_hopeless(&all)); /* the other one may become durable */
    fail_with(&lanes[1], ERR_REMOTE);
    assert_false(lanes_hopeless(&all));
    fail_with(&lanes[1], ERR_CLAIM);
    assert_true(lanes_hopeless(&all));
    fail_with(&lanes[1], ERR_CORRUPT);
    assert_true(lanes_hopeless(&all));
    fail_in(&lanes[1], ERR_IO, ENOSPC); /* retention or another program may make room */
    assert_false(lanes_hopeless(&all));
    fail_in(&lanes[1], ERR_IO, EACCES);
    assert_true(lanes_hopeless(&all));
    lane_succeeded(&lanes[1]);
    assert_false(lanes_hopeless(&all));
    shipments[1].d.entry.durable_txid = 6;
    lane_look(&lanes[1]);
    assert_true(lanes_hopeless(&all));
    lanes[0].home = NULL; /* a job is under way, and may succeed */
    assert_false(lanes_hopeless(&all));
    lanes[0].home = &shipments[0];
    config.once = true; /* it was tried once: that may have been a moment's error */
    assert_false(lanes_hopeless(&all));
    fail_with(&lanes[0], ERR_CONFIG);
    assert_true(lanes_hopeless(&all));
    config.once = false;
    backlog_clear(&all.backlog);
}

static void a_stop_tries_once_more_what_a_person_may_have_mended(void **state)
{
    (void)state;
    fail_with(&lanes[0], ERR_CONFIG);
    fail_with(&lanes[1], ERR_REMOTE);
    const int64_t other = lanes[1].pace.retry_at_ms;
    assert_true(lanes[0].pace.retry_at_ms > 1000);
    lanes_stop(&all, 1000);
    assert_int_equal(lanes[0].pace.retry_at_ms, 1000);
    assert_int_equal(lanes[0].refused, 0);
    assert_int_equal(lanes[1].pace.retry_at_ms, other);
}

/* ---- progress */

static void a_base_that_goes_on_counts_from_where_it_was(void **state)
{
    const struct copy_terms terms = {.kind = COPY_BASE, .page_size = 4096, .end_page = 1000};
    struct copy copy = copy_begin(&terms);
    uint64_t done = 0, total = 0;
    (void)state;
    copy.cursor.next_page = 251;
    transfer_begin(&lanes[0].copy, &copy);
    lane_show_progress(&lanes[0]);
    assert_true(lanes[0].shown);
    assert_int_equal(lanes[0].progress.already, 250 * 4096);
    lanes[0].copy.reading = true; /* the local job has the cursor: what was seen before counts */
    lanes[0].copy.copy.cursor.next_page = 0;
    lane_show_progress(&lanes[0]);
    lane_copied(&lanes[0], &done, &total);
    assert_int_equal(done, 250 * 4096);
    assert_int_equal(total, 1000 * 4096);
    lanes[0].copy.reading = false;
    transfer_abandon(&lanes[0].copy);
    lane_show_progress(&lanes[0]);
    assert_false(lanes[0].shown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_single_commit_is_shipped_at_once),
        TEST(only_replicas_that_a_person_must_mend_end_the_wait_of_a_stop),
        TEST(a_stop_tries_once_more_what_a_person_may_have_mended),
        TEST(a_base_that_goes_on_counts_from_where_it_was),
        TEST(many_commits_are_gathered_into_one_object),
        TEST(without_a_token_commits_wait_for_one_unless_a_sync_needs_them),
        TEST(a_full_backlog_does_not_wait_for_a_token),
        TEST(a_token_of_all_replicas_is_waited_for_in_turn),
        TEST(batches_are_kept_until_every_healthy_replica_has_them),
        TEST(a_replica_that_is_away_keeps_nothing),
        TEST(a_replica_that_was_not_asked_yet_keeps_batches),
        TEST(a_catch_up_comes_first_and_a_base_last),
        TEST(commits_wait_for_a_catch_up_only_if_no_healthy_replica_follows),
        TEST(a_copy_has_as_many_pieces_in_memory_as_may_be_in_flight),
        TEST(a_level_has_one_piece_at_a_time_and_a_ship_job_takes_it_along),
        TEST(a_base_that_is_paused_reads_again_what_was_not_put),
        TEST(failures_wait_longer_each_time_and_longest_where_a_person_must_act),
        TEST(a_replica_that_fails_for_five_minutes_is_told_once_and_again_after_a_success),
        TEST(an_append_that_has_to_look_again_waits_from_the_second_time_on),
        TEST(all_is_durable_only_with_what_history_owes),
        TEST(a_replica_that_starts_over_is_asked_at_once_and_counts_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
