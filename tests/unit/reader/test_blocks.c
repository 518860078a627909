/* reader/blocks.h: memory for blocks, bounded; what was used least recently goes. */
#include "unit.h"

#include "reader/blocks.h"

static struct block_key key(uint32_t number)
{
    return (struct block_key){.id = {7}, .number = number, .kind = BLOCKS_BLOCK};
}

static int forget(void **state)
{
    (void)state;
    blocks_set_limit(0);
    blocks_set_limit(BLOCKS_BYTES_MAX);
    return 0;
}

static void put(uint32_t number, size_t n)
{
    uint8_t *bytes = malloc(n);
    const struct block_key k = key(number);
    assert_non_null(bytes);
    memset(bytes, (int)number, n);
    blocks_put(&k, bytes, n);
    free(bytes);
}

static bool has(uint32_t number)
{
    const struct block_key k = key(number);
    uint8_t byte = 0;
    bool found = blocks_get(&k, 0, &byte, 1);
    assert_true(!found || byte == (uint8_t)number);
    return found;
}

static void an_entry_is_read_within_its_bounds_only(void **state)
{
    uint8_t out[10];
    const struct block_key k = key(1), other = {.id = {7}, .number = 1, .kind = BLOCKS_INDEX};
    (void)state;
    put(1, 10);
    assert_true(blocks_get(&k, 0, out, 10) && out[9] == 1);
    assert_true(blocks_get(&k, 10, out, 0));
    assert_false(blocks_get(&k, 1, out, 10));
    assert_false(blocks_get(&k, 11, out, 0));
    assert_false(blocks_get(&other, 0, out, 1));
    assert_true(blocks_has(&k) && !blocks_has(&other));
}

static void what_was_used_least_recently_goes(void **state)
{
    (void)state;
    put(1, 1000);
    const size_t one = blocks_bytes();
    assert_true(one > 1000 && one < 1200);
    blocks_set_limit(3 * one);
    put(2, 1000);
    put(3, 1000);
    assert_true(has(1)); /* uses it */
    put(4, 1000);
    assert_true(has(1) && !has(2) && has(3) && has(4));
    assert_true(blocks_bytes() <= 3 * one);
    put(5, 100000); /* does not fit */
    assert_true(!has(5) && has(1) && has(4));
    blocks_set_limit(one);
    assert_true(has(4) + has(1) == 1);
}

static void a_child_process_begins_empty(void **state)
{
    int status = 0;
    (void)state;
    put(1, 100);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(has(1) || blocks_bytes() > 0 ? 1 : 0);
    assert_true(waitpid(child, &status, 0) == child && WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(has(1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_entry_is_read_within_its_bounds_only, forget, forget),
        cmocka_unit_test_setup_teardown(what_was_used_least_recently_goes, forget, forget),
        cmocka_unit_test_setup_teardown(a_child_process_begins_empty, forget, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
