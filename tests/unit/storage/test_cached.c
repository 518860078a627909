/* storage/cached.h: how much of an end a prefetch keeps. */
#include "unit.h"

#include "memory_store.h"
#include "storage/cached.h"

#define KEY "0/000000000000002a"
#define SIZE (2u << 20)

static struct store *memory, *cached;

static int setup(void **state)
{
    static uint8_t bytes[SIZE];
    struct err e;
    (void)state;
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)(i >> 12);
    memory = memory_store_new();
    return !memory || store_put_new(memory, KEY, bytes, SIZE, NULL, &e) || cached_store_new(memory, &cached, &e) ? -1
                                                                                                                 : 0;
}

static int teardown(void **state)
{
    (void)state;
    store_close(cached);
    return 0;
}

/* Whether the last `n` bytes are kept: the store below is not asked. */
static bool keeps(size_t n)
{
    struct buf tail = BUF_INIT(SIZE);
    uint64_t size = 0;
    struct err e;
    ((struct memory_store *)memory)->unread = KEY;
    const bool kept = store_read_tail(cached, KEY, n, &tail, &size, &e) == 0;
    ((struct memory_store *)memory)->unread = NULL;
    assert_true(!kept || (size == SIZE && tail.len == n && tail.data[0] == (uint8_t)((SIZE - n) >> 12)));
    buf_release(&tail);
    return kept;
}

static void a_prefetch_keeps_as_much_of_an_end_as_was_asked_for(void **state)
{
    const struct store_end end = {KEY, 100000};
    (void)state;
    assert_false(keeps(1000));
    store_prefetch(cached, &end, 1);
    assert_true(keeps(1000) && keeps(100000));
    assert_false(keeps(100001));
}

static void a_prefetch_keeps_the_end_of_most_objects_at_least(void **state)
{
    const struct store_end end = {KEY, 1};
    (void)state;
    store_prefetch(cached, &end, 1);
    assert_true(keeps(CACHED_TAIL_MAX));
    assert_false(keeps(CACHED_TAIL_MAX + 1));
}

static void a_prefetch_of_a_very_large_end_is_bounded(void **state)
{
    const struct store_end end = {KEY, SIZE};
    (void)state;
    store_prefetch(cached, &end, 1);
    assert_true(keeps(CACHED_LARGER_MAX));
    assert_false(keeps(CACHED_LARGER_MAX + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_prefetch_keeps_as_much_of_an_end_as_was_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(a_prefetch_keeps_the_end_of_most_objects_at_least, setup, teardown),
        cmocka_unit_test_setup_teardown(a_prefetch_of_a_very_large_end_is_bounded, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
