/* daemon/hoard.h: captured commits of all databases together. */
#include "unit.h"

#include "daemon/hoard.h"

#include <string.h>

#define BATCH_BYTES 1000

static struct hoard hoard;
static struct hoarder users[3];
static struct backlog backlogs[3];

static int begin(void **state)
{
    (void)state;
    hoard = (struct hoard){.limit = UINT64_MAX};
    memset(backlogs, 0, sizeof backlogs);
    for (int i = 0; i < 3; i++)
        hoard_join(&hoard, &users[i], &backlogs[i]);
    return 0;
}

static int end(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        hoard_leave(&users[i]);
        backlog_clear(&backlogs[i]);
    }
    return hoard.bytes == 0 && !hoard.first ? 0 : -1;
}

static void add(int i, unsigned count)
{
    static const uint8_t zeros[BATCH_BYTES];
    struct err e;
    for (unsigned k = 0; k < count; k++) {
        struct batch *b = batch_new(backlogs[i].last ? backlogs[i].last->last + 1 : 1, 4096);
        assert_non_null(b);
        assert_ok(buf_append(&b->payload, zeros, sizeof zeros, &e), &e);
        b->last = b->first;
        backlog_add(&backlogs[i], b);
    }
    hoard_count(&users[i]);
}

static size_t sum(void)
{
    return backlogs[0].bytes + backlogs[1].bytes + backlogs[2].bytes;
}

static void it_counts_what_comes_and_goes(void **state)
{
    (void)state;
    add(0, 5);
    add(1, 3);
    assert_int_equal(hoard.bytes, sum());
    backlog_trim(&backlogs[0], 2);
    hoard_count(&users[0]);
    assert_int_equal(hoard.bytes, sum());
    backlog_clear(&backlogs[1]);
    hoard_leave(&users[1]);
    assert_int_equal(hoard.bytes, backlogs[0].bytes);
}

static void the_one_that_keeps_most_drops_its_oldest(void **state)
{
    (void)state;
    add(0, 20);
    add(1, 3);
    hoard.limit = hoard.bytes + BATCH_BYTES / 2;
    add(2, 2);
    assert_true(sum() <= hoard.limit);
    assert_int_equal(hoard.bytes, sum());
    assert_true(backlogs[0].first->first > 1 && backlogs[0].last->last == 20);
    assert_true(backlogs[1].first->first == 1 && backlogs[2].first->first == 1);
}

static void it_is_never_more_than_the_limit(void **state)
{
    (void)state;
    hoard.limit = 10 * BATCH_BYTES;
    for (unsigned round = 0; round < 50; round++) {
        add((int)(round % 3), 1 + round % 4);
        assert_true(sum() <= hoard.limit);
        assert_int_equal(hoard.bytes, sum());
    }
    hoard.limit = 1;
    add(0, 1);
    assert_int_equal(sum(), 0);
}

static void full_is_at_the_limit(void **state)
{
    const struct hoarder alone = {.of = NULL};
    (void)state;
    add(0, 2);
    assert_false(hoard_is_full(&users[1]));
    hoard.limit = hoard.bytes;
    assert_true(hoard_is_full(&users[1]));
    assert_false(hoard_is_full(&alone));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_counts_what_comes_and_goes, begin, end),
        cmocka_unit_test_setup_teardown(the_one_that_keeps_most_drops_its_oldest, begin, end),
        cmocka_unit_test_setup_teardown(it_is_never_more_than_the_limit, begin, end),
        cmocka_unit_test_setup_teardown(full_is_at_the_limit, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
