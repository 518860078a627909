/* daemon/backlog.h: captured commits that some replica still needs. */
#include "unit.h"

#include "daemon/backlog.h"

#define PAGE 512

/* A batch with commits first..last, one page image each. */
static struct batch *batch_of(uint64_t first, uint64_t last, uint32_t page_size)
{
    static const uint8_t page[4096];
    struct batch *b = batch_new(first, page_size);
    struct err e;
    assert_non_null(b);
    for (uint64_t txid = first; txid <= last; txid++) {
        struct version v = {.pgno = 1, .kind = VERSION_IMAGE, .txid = txid, .hash = txid};
        batch_begin_commit(b);
        assert_ok(batch_add(b, &v, page, &e), &e);
        assert_ok(batch_end_commit(b, &(struct commit_record){.txid = txid, .pages = 1}, &e), &e);
    }
    return b;
}

/* Batches of the txids 1 to 3, 4 to 5, 6, 7 to 10. */
static struct backlog four_batches(void)
{
    struct backlog b = {.bytes = 0};
    backlog_add(&b, batch_of(1, 3, PAGE));
    backlog_add(&b, batch_of(4, 5, PAGE));
    backlog_add(&b, batch_of(6, 6, PAGE));
    backlog_add(&b, batch_of(7, 10, PAGE));
    return b;
}

static void its_bytes_are_those_of_its_batches(void **state)
{
    struct backlog b = four_batches();
    size_t sum = 0;
    (void)state;
    for (const struct batch *batch = b.first; batch; batch = batch->next)
        sum += batch_bytes(batch);
    assert_true(sum > 0);
    assert_int_equal(b.bytes, sum);
    assert_int_equal(backlog_bytes_after(&b, 0), sum);
    backlog_drop_first(&b);
    assert_int_equal(b.bytes, backlog_bytes_after(&b, 3));
    backlog_clear(&b);
    assert_int_equal(b.bytes, 0);
    assert_null(b.first);
    assert_null(b.last);
}

static void a_batch_counts_as_long_as_one_of_its_commits_is_needed(void **state)
{
    struct backlog b = four_batches();
    (void)state;
    assert_int_equal(backlog_bytes_after(&b, 2), b.bytes);
    assert_int_equal(backlog_bytes_after(&b, 3), b.bytes - batch_bytes(b.first));
    assert_int_equal(backlog_bytes_after(&b, 9), batch_bytes(b.last));
    assert_int_equal(backlog_bytes_after(&b, 10), 0);
    backlog_clear(&b);
}

static void trimming_drops_whole_batches_only(void **state)
{
    struct backlog b = four_batches();
    (void)state;
    backlog_trim(&b, 4);
    assert_int_equal(b.first->first, 4);
    backlog_trim(&b, 5);
    assert_int_equal(b.first->first, 6);
    backlog_trim(&b, 100);
    assert_null(b.first);
    assert_int_equal(b.bytes, 0);
    backlog_add(&b, batch_of(11, 11, PAGE));
    assert_ptr_equal(b.first, b.last);
    backlog_clear(&b);
}

static void it_finds_consecutive_batches_from_the_one_that_holds_the_txid(void **state)
{
    struct backlog b = four_batches();
    struct batch *found[4];
    (void)state;
    assert_int_equal(backlog_find(&b, 1, PAGE, SIZE_MAX, found, 4), 4);
    assert_int_equal(backlog_find(&b, 5, PAGE, SIZE_MAX, found, 4), 3);
    assert_int_equal(found[0]->first, 4);
    assert_int_equal(found[2]->last, 10);
    assert_int_equal(backlog_find(&b, 4, PAGE, SIZE_MAX, found, 2), 2);
    assert_int_equal(found[1]->first, 6);
    backlog_clear(&b);
}

static void it_finds_nothing_for_a_commit_that_is_not_there(void **state)
{
    struct backlog b = four_batches();
    struct batch *found[4];
    (void)state;
    assert_int_equal(backlog_find(&b, 11, PAGE, SIZE_MAX, found, 4), 0);
    backlog_trim(&b, 3);
    assert_int_equal(backlog_find(&b, 3, PAGE, SIZE_MAX, found, 4), 0);
    assert_int_equal(backlog_find(&b, 4, PAGE, SIZE_MAX, found, 4), 3);
    backlog_clear(&b);
    assert_int_equal(backlog_find(&b, 1, PAGE, SIZE_MAX, found, 4), 0);
}

static void a_gap_or_another_page_size_ends_what_it_finds(void **state)
{
    struct backlog b = {.bytes = 0};
    struct batch *found[4];
    (void)state;
    backlog_add(&b, batch_of(1, 2, PAGE));
    backlog_add(&b, batch_of(4, 4, PAGE));
    backlog_add(&b, batch_of(5, 5, 2 * PAGE));
    assert_int_equal(backlog_find(&b, 1, PAGE, SIZE_MAX, found, 4), 1);
    assert_int_equal(backlog_find(&b, 3, PAGE, SIZE_MAX, found, 4), 0);
    assert_int_equal(backlog_find(&b, 4, PAGE, SIZE_MAX, found, 4), 1);
    assert_int_equal(backlog_find(&b, 5, PAGE, SIZE_MAX, found, 4), 0);
    assert_int_equal(backlog_find(&b, 5, 2 * PAGE, SIZE_MAX, found, 4), 1);
    backlog_clear(&b);
}

/* The last batch may exceed the limit: otherwise a large batch would never be shipped. */
static void the_batch_that_reaches_the_bytes_is_the_last(void **state)
{
    struct backlog b = four_batches();
    struct batch *found[4];
    size_t first = batch_bytes(b.first);
    (void)state;
    assert_int_equal(backlog_find(&b, 1, PAGE, 1, found, 4), 1);
    assert_int_equal(backlog_find(&b, 1, PAGE, first, found, 4), 1);
    assert_int_equal(backlog_find(&b, 1, PAGE, first + 1, found, 4), 2);
    backlog_clear(&b);
}

/* `make check-asan` finds leaks and a use after the end. */
static void a_batch_that_jobs_hold_lives_until_the_last_one_gives_it_back(void **state)
{
    struct backlog b = four_batches();
    struct batch *one[2], *other[1];
    (void)state;
    assert_int_equal(backlog_find(&b, 1, PAGE, SIZE_MAX, one, 2), 2);
    assert_int_equal(backlog_find(&b, 1, PAGE, SIZE_MAX, other, 1), 1);
    backlog_hold(one, 2);
    backlog_hold(other, 1);
    backlog_clear(&b);
    assert_int_equal(other[0]->first, 1);
    backlog_let_go(one, 2);
    assert_int_equal(other[0]->last, 3);
    assert_int_equal(other[0]->record_count, 3);
    backlog_let_go(other, 1);
}

static void a_batch_that_a_job_gives_back_stays_while_a_replica_needs_it(void **state)
{
    struct backlog b = four_batches();
    struct batch *found[1];
    (void)state;
    assert_int_equal(backlog_find(&b, 6, PAGE, SIZE_MAX, found, 1), 1);
    backlog_hold(found, 1);
    backlog_let_go(found, 1);
    assert_int_equal(backlog_find(&b, 6, PAGE, SIZE_MAX, found, 1), 1);
    assert_int_equal(found[0]->references, 0);
    backlog_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(its_bytes_are_those_of_its_batches),
        UNIT(a_batch_counts_as_long_as_one_of_its_commits_is_needed),
        UNIT(trimming_drops_whole_batches_only),
        UNIT(it_finds_consecutive_batches_from_the_one_that_holds_the_txid),
        UNIT(it_finds_nothing_for_a_commit_that_is_not_there),
        UNIT(a_gap_or_another_page_size_ends_what_it_finds),
        UNIT(the_batch_that_reaches_the_bytes_is_the_last),
        UNIT(a_batch_that_jobs_hold_lives_until_the_last_one_gives_it_back),
        UNIT(a_batch_that_a_job_gives_back_stays_while_a_replica_needs_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
