/* litestream/feed.h: the bytes of several objects come in order, however many threads read them. */
#include "unit.h"

#include "base/claim.h"
#include "failing_alloc.h"
#include "litestream/feed.h"
#include "memory_store.h"

enum { ITEMS = 5 };

static struct store *store;
static struct feed_item items[ITEMS];
static uint8_t *contents[ITEMS];
static const size_t sizes[ITEMS] = {10, 0, 3 * FEED_WINDOW + 77, FEED_WINDOW, 1};
static struct err e;

static int setup(void **state)
{
    struct dice d = dice_of(5);
    (void)state;
    store = memory_store_new();
    for (size_t i = 0; i < ITEMS; i++) {
        contents[i] = malloc(sizes[i] + 1);
        dice_fill(&d, contents[i], sizes[i]);
        snprintf(items[i].key, sizeof items[i].key, "%zu", i);
        items[i].bytes = sizes[i];
        assert_ok(memory_store_insert((struct memory_store *)store, items[i].key, contents[i], sizes[i], &e), &e);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < ITEMS; i++)
        free(contents[i]);
    store_close(store);
    return 0;
}

static struct feed *feed_with(unsigned jobs)
{
    struct feed *f = NULL;
    assert_ok(feed_new(store, items, ITEMS, &(struct feed_options){.jobs = jobs}, &f, &e), &e);
    return f;
}

/* Takes a whole object in portions. */
static void take_all(struct feed *f, size_t item, struct dice *d)
{
    for (size_t at = 0; at < sizes[item];) {
        const size_t left = sizes[item] - at, most = 1 + dice_below(d, FEED_TAKE_MAX - 1);
        size_t n = most < left ? most : left;
        assert_int_equal(feed_left(f), left);
        const uint8_t *bytes = dice_below(d, 2) ? feed_take(f, n, &e) : feed_some(f, n, &n, &e);
        if (!bytes)
            fail_msg("%s", e.msg);
        assert_memory_equal(bytes, contents[item] + at, n);
        const size_t back = dice_below(d, 4) == 0 ? dice_below(d, 9) : 0;
        at += n;
        if (back == 1 && n > 1) {
            size_t one = 0;
            bytes = at < sizes[item] ? feed_some(f, 1, &one, &e) : NULL;
            if (bytes)
                feed_unread(f, one);
        }
    }
    assert_int_equal(feed_left(f), 0);
}

static void all_bytes_come_in_order(void **state)
{
    struct dice d = dice_of(1);
    (void)state;
    for (unsigned jobs = 1; jobs <= 4; jobs++) {
        struct feed *f = feed_with(jobs);
        for (size_t i = 0; i < ITEMS; i++) {
            assert_ptr_equal(feed_next(f), &items[i]);
            take_all(f, i, &d);
        }
        assert_null(feed_next(f));
        feed_free(f);
    }
}

static void what_is_not_taken_is_passed_over(void **state)
{
    (void)state;
    for (unsigned jobs = 1; jobs <= 3; jobs++) {
        struct feed *f = feed_with(jobs);
        for (size_t i = 0; i < ITEMS; i++) {
            assert_ptr_equal(feed_next(f), &items[i]);
            const uint8_t *bytes = sizes[i] ? feed_take(f, 1, &e) : NULL;
            if (bytes)
                assert_int_equal(*bytes, contents[i][0]);
        }
        assert_null(feed_next(f));
        feed_free(f);
    }
}

static void more_than_an_object_has_is_an_error(void **state)
{
    (void)state;
    struct feed *f = feed_with(1);
    assert_non_null(feed_next(f));
    assert_null(feed_take(f, 11, &e));
    assert_int_equal(e.code, ERR_CORRUPT);
    assert_non_null(feed_take(f, 10, &e));
    feed_free(f);
}

static void an_object_that_is_gone_spoils_no_other(void **state)
{
    (void)state;
    for (unsigned jobs = 1; jobs <= 3; jobs++) {
        struct feed *f = NULL;
        struct feed_item wrong[ITEMS];
        memcpy(wrong, items, sizeof wrong);
        snprintf(wrong[2].key, sizeof wrong[2].key, "gone");
        assert_ok(feed_new(store, wrong, ITEMS, &(struct feed_options){.jobs = jobs}, &f, &e), &e);
        for (size_t i = 0; i < 3; i++)
            assert_non_null(feed_next(f));
        assert_null(feed_take(f, 5, &e));
        assert_int_equal(e.code, ERR_GONE);
        assert_non_null(feed_next(f));
        assert_memory_equal(feed_take(f, 100, &e), contents[3], 100);
        feed_free(f);
    }
}

static void a_feed_can_be_canceled_and_freed_at_any_time(void **state)
{
    atomic_bool cancel = false;
    (void)state;
    for (unsigned jobs = 1; jobs <= 3; jobs++) {
        struct feed *f = NULL;
        atomic_store(&cancel, false);
        assert_ok(feed_new(store, items, ITEMS, &(struct feed_options){.jobs = jobs, .cancel = &cancel}, &f, &e), &e);
        assert_non_null(feed_next(f));
        assert_non_null(feed_take(f, 1, &e));
        atomic_store(&cancel, true);
        assert_null(feed_take(f, 1, &e));
        assert_int_equal(e.code, ERR_CANCELED);
        feed_free(f);
    }
}

static void with_little_memory_it_reads_one_window_at_a_time(void **state)
{
    struct dice d = dice_of(2);
    (void)state;
    claim_set_limit(3 * FEED_WINDOW);
    struct feed *f = feed_with(4);
    for (size_t i = 0; i < ITEMS; i++) {
        assert_non_null(feed_next(f));
        take_all(f, i, &d);
    }
    feed_free(f);
    claim_set_limit(FEED_WINDOW / 2);
    assert_error(feed_new(store, items, ITEMS, &(struct feed_options){.jobs = 4}, &f, &e), &e, ERR_CLAIM);
    claim_set_limit(CLAIM_LIMIT_DEFAULT);
}

static int make_feed(void *context, struct err *error)
{
    struct feed *f = NULL;
    const struct feed_options *options = context;
    int rc = feed_new(store, items, ITEMS, options, &f, error);
    feed_free(f);
    return rc;
}

static void each_failing_allocation_is_an_error(void **state)
{
    struct feed_options options = {.jobs = 1};
    (void)state;
    assert_each_allocation_fails_once(make_feed, &options);
    options.jobs = 3;
    assert_each_allocation_fails_once(make_feed, &options);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_bytes_come_in_order),
        TEST(what_is_not_taken_is_passed_over),
        TEST(more_than_an_object_has_is_an_error),
        TEST(an_object_that_is_gone_spoils_no_other),
        TEST(a_feed_can_be_canceled_and_freed_at_any_time),
        TEST(with_little_memory_it_reads_one_window_at_a_time),
        TEST(each_failing_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
