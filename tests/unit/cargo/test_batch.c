/* cargo/batch.h: keeps whole commits, and drops a commit that is too large. */
#include "failing_alloc.h"

#include "cargo/batch.h"

#define PAGE 65536u

static const uint8_t page[PAGE];
static uint8_t counted[4096]; /* each byte has the number of its granule */

static void add(struct batch *b, uint64_t txid, uint32_t pgno)
{
    struct version v = {.pgno = pgno, .kind = VERSION_IMAGE, .txid = txid};
    struct err e;
    assert_ok(batch_add(b, &v, page, &e), &e);
}

static void end(struct batch *b, uint64_t txid)
{
    struct err e;
    assert_ok(batch_end_commit(b, &(struct commit_record){.txid = txid, .pages = 1}, &e), &e);
}

/* The largest number of pages with which a commit is kept. */
static uint32_t pages_that_fit(void)
{
    uint32_t n = 0;
    for (size_t bytes = 0; bytes + PAGE <= BATCH_BYTES_MAX; bytes += PAGE + sizeof(struct captured))
        n++;
    return n;
}

static void a_new_batch_is_empty(void **state)
{
    struct batch *b = batch_new(7, PAGE);
    (void)state;
    assert_int_equal(batch_bytes(b), 0);
    assert_int_equal(b->first, 7);
    assert_int_equal(b->last, 6);
    batch_free(b);
    batch_free(NULL);
}

static void it_keeps_each_version_with_its_bytes(void **state)
{
    struct batch *b = batch_new(1, 4096);
    struct version patch = {.pgno = 2, .kind = VERSION_PATCH, .txid = 2, .from = 1, .mask = 1u << 3 | 1u << 5};
    struct version zero = {.pgno = 3, .kind = VERSION_ZERO, .txid = 2};
    struct version image = {.pgno = 4, .kind = VERSION_IMAGE, .txid = 2};
    struct err e;
    (void)state;
    for (size_t i = 0; i < sizeof counted; i++)
        counted[i] = (uint8_t)(i / (sizeof counted / 64));
    batch_begin_commit(b);
    end(b, 1);
    batch_begin_commit(b);
    assert_ok(batch_add(b, &patch, counted, &e), &e);
    assert_ok(batch_add(b, &zero, NULL, &e), &e);
    assert_ok(batch_add(b, &image, counted, &e), &e);
    end(b, 2);
    assert_int_equal(b->last, 2);
    assert_int_equal(b->record_count, 2);
    assert_int_equal(b->version_count, 3);
    assert_int_equal(b->payload.len, 2 * 64 + 0 + 4096);
    assert_int_equal(b->payload.data[b->versions[0].at], 3);
    assert_int_equal(b->payload.data[b->versions[0].at + 64], 5);
    assert_int_equal(b->versions[2].at, 128);
    assert_memory_equal(b->payload.data + b->versions[2].at, counted, 4096);
    batch_free(b);
}

static void the_largest_commit_that_fits_is_kept(void **state)
{
    struct batch *b = batch_new(1, PAGE);
    (void)state;
    batch_begin_commit(b);
    for (uint32_t pgno = 1; pgno <= pages_that_fit(); pgno++)
        add(b, 1, pgno);
    assert_false(b->overflow);
    end(b, 1);
    assert_int_equal(b->last, 1);
    assert_int_equal(b->version_count, pages_that_fit());
    batch_free(b);
}

static void a_commit_with_one_page_more_is_taken_out_whole(void **state)
{
    struct batch *b = batch_new(1, PAGE);
    (void)state;
    batch_begin_commit(b);
    add(b, 1, 1);
    end(b, 1);
    size_t before = batch_bytes(b);
    batch_begin_commit(b);
    for (uint32_t pgno = 1; pgno <= pages_that_fit() + 1; pgno++)
        add(b, 2, pgno);
    assert_true(b->overflow);
    assert_int_equal(batch_bytes(b), before);
    add(b, 2, 99999); /* another page of the commit, which is not kept */
    end(b, 2);
    assert_int_equal(b->last, 1);
    assert_int_equal(b->record_count, 1);
    assert_int_equal(b->version_count, 1);
    assert_int_equal(batch_bytes(b), before);
    batch_free(b);
}

/* The limit is for one commit: earlier commits of the batch do not count. */
static void commits_that_fit_one_by_one_are_kept_together(void **state)
{
    struct batch *b = batch_new(1, PAGE);
    uint32_t half = (uint32_t)(BATCH_BYTES_TARGET / PAGE) - 1;
    (void)state;
    batch_begin_commit(b);
    for (uint32_t pgno = 1; pgno <= half; pgno++)
        add(b, 1, pgno);
    end(b, 1);
    batch_begin_commit(b);
    for (uint32_t pgno = 1; pgno <= pages_that_fit(); pgno++)
        add(b, 2, pgno);
    end(b, 2);
    assert_false(b->overflow);
    assert_int_equal(b->last, 2);
    batch_free(b);
}

static void an_aborted_commit_leaves_nothing(void **state)
{
    struct batch *b = batch_new(1, PAGE);
    (void)state;
    batch_begin_commit(b);
    add(b, 1, 1);
    add(b, 1, 2);
    batch_abort_commit(b);
    assert_int_equal(batch_bytes(b), 0);
    batch_begin_commit(b);
    add(b, 1, 3);
    end(b, 1);
    assert_int_equal(b->version_count, 1);
    assert_int_equal(b->versions[0].version.pgno, 3);
    batch_free(b);
}

static void a_page_that_is_written_again_replaces_its_version_in_the_same_commit_only(void **state)
{
    struct batch *b = batch_new(1, PAGE);
    (void)state;
    batch_begin_commit(b);
    add(b, 1, 5);
    end(b, 1);
    batch_begin_commit(b);
    add(b, 2, 5);
    add(b, 2, 6);
    batch_forget(b, 5);
    add(b, 2, 5);
    end(b, 2);
    assert_false(b->versions[0].dead);
    assert_true(b->versions[1].dead);
    assert_false(b->versions[2].dead);
    assert_false(b->versions[3].dead);
    batch_free(b);
}

static int fill(void *context, struct err *e)
{
    struct batch *b = batch_new(1, 4096);
    struct version v = {.pgno = 1, .kind = VERSION_IMAGE, .txid = 1};
    struct commit_record record = {.txid = 1, .pages = 100};
    int rc = 0;
    (void)context;
    if (!b)
        return err_nomem(e, sizeof *b);
    batch_begin_commit(b);
    for (; v.pgno <= record.pages && rc == 0; v.pgno++)
        rc = batch_add(b, &v, page, e);
    if (rc == 0)
        rc = batch_end_commit(b, &record, e);
    if (rc == 0)
        assert_int_equal(b->version_count, record.pages);
    batch_free(b);
    return rc;
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    assert_each_allocation_fails_once(fill, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(a_new_batch_is_empty),
        UNIT(it_keeps_each_version_with_its_bytes),
        UNIT(the_largest_commit_that_fits_is_kept),
        UNIT(a_commit_with_one_page_more_is_taken_out_whole),
        UNIT(commits_that_fit_one_by_one_are_kept_together),
        UNIT(an_aborted_commit_leaves_nothing),
        UNIT(a_page_that_is_written_again_replaces_its_version_in_the_same_commit_only),
        UNIT(each_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
