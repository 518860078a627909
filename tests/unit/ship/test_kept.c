/* ship/kept.h: what is kept, and what is forgotten. */
#include "unit.h"

#include "base/claim.h"
#include "ship/kept.h"

static uint8_t bytes[KEPT_OBJECT_MAX + 1];
static struct kept *k;

static int setup(void **state)
{
    (void)state;
    memset(bytes, 0x5a, sizeof bytes);
    k = kept_new();
    return k ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    kept_free(k);
    return 0;
}

static void an_object_is_read_by_its_first_txid_and_size(void **state)
{
    struct buf out = BUF_INIT(1000);
    (void)state;
    bytes[0] = 7;
    kept_add(k, 5, bytes, 10);
    bytes[0] = 8;
    kept_add(k, 9, bytes, 20);
    assert_true(kept_has(k, 5, 10) && kept_has(k, 9, 20));
    assert_false(kept_has(k, 5, 11) || kept_has(k, 4, 10) || kept_has(k, 10, 20));
    assert_false(kept_read(k, 9, 10, &out));
    assert_true(kept_read(k, 9, 20, &out));
    assert_true(out.len == 20 && out.data[0] == 8 && out.data[19] == 0x5a);
    buf_release(&out);
    out.max = 19;
    assert_false(kept_read(k, 9, 20, &out));
}

static void the_oldest_go_when_there_are_too_many_bytes(void **state)
{
    const uint64_t most = KEPT_BYTES_MAX / KEPT_OBJECT_MAX;
    (void)state;
    for (uint64_t t = 1; t <= most; t++)
        kept_add(k, t, bytes, KEPT_OBJECT_MAX);
    assert_true(kept_has(k, 1, KEPT_OBJECT_MAX));
    kept_add(k, most + 1, bytes, 1);
    assert_false(kept_has(k, 1, KEPT_OBJECT_MAX));
    assert_true(kept_has(k, 2, KEPT_OBJECT_MAX) && kept_has(k, most + 1, 1));
}

static void the_oldest_go_when_there_are_too_many(void **state)
{
    (void)state;
    for (uint64_t t = 1; t <= 3 * KEPT_COUNT_MAX; t++)
        kept_add(k, t, bytes, 1);
    assert_false(kept_has(k, 2 * KEPT_COUNT_MAX, 1));
    for (uint64_t t = 2 * KEPT_COUNT_MAX + 1; t <= 3 * KEPT_COUNT_MAX; t++)
        assert_true(kept_has(k, t, 1));
}

static void a_large_object_is_not_kept_and_harms_none(void **state)
{
    (void)state;
    kept_add(k, 1, bytes, KEPT_OBJECT_MAX);
    kept_add(k, 2, bytes, KEPT_OBJECT_MAX + 1);
    assert_true(kept_has(k, 1, KEPT_OBJECT_MAX));
    assert_false(kept_has(k, 2, KEPT_OBJECT_MAX + 1));
}

static void all_replicas_together_have_a_limit(void **state)
{
    const size_t replicas = KEPT_TOTAL_MAX / KEPT_BYTES_MAX, each = KEPT_BYTES_MAX / KEPT_OBJECT_MAX;
    struct kept *others[KEPT_TOTAL_MAX / KEPT_BYTES_MAX];
    (void)state;
    for (size_t i = 0; i < replicas; i++) {
        others[i] = kept_new();
        for (uint64_t t = 1; t <= each; t++)
            kept_add(others[i], t, bytes, KEPT_OBJECT_MAX);
    }
    kept_add(k, 1, bytes, 1);
    assert_false(kept_has(k, 1, 1));
    kept_free(others[0]);
    kept_add(k, 2, bytes, 1);
    assert_true(kept_has(k, 2, 1));
    for (size_t i = 1; i < replicas; i++)
        kept_free(others[i]);
}

static void nothing_is_kept_when_memory_is_short(void **state)
{
    struct err e;
    (void)state;
    kept_add(k, 1, bytes, 1);
    claim_set_limit(100);
    assert_int_equal(claim_take(51, &e), 0);
    kept_add(k, 2, bytes, 1);
    claim_give(51);
    claim_set_limit(CLAIM_LIMIT_DEFAULT);
    assert_false(kept_has(k, 1, 1) || kept_has(k, 2, 1));
}

static void another_history_begins_without_the_old_one(void **state)
{
    (void)state;
    kept_add(k, 1, bytes, 1);
    kept_add(k, 5, bytes, 1);
    kept_add(k, 5, bytes, 2);
    assert_false(kept_has(k, 1, 1) || kept_has(k, 5, 1));
    assert_true(kept_has(k, 5, 2));
}

static void what_is_packed_is_forgotten(void **state)
{
    (void)state;
    for (uint64_t t = 1; t <= 9; t++)
        kept_add(k, t, bytes, 1);
    kept_forget(k, 4);
    assert_false(kept_has(k, 4, 1));
    assert_true(kept_has(k, 5, 1));
    kept_forget(k, UINT64_MAX);
    assert_false(kept_has(k, 9, 1));
    kept_add(k, 2, bytes, 1);
    assert_true(kept_has(k, 2, 1));
}

static void none_keeps_nothing(void **state)
{
    struct buf out = BUF_INIT(10);
    (void)state;
    kept_add(NULL, 1, bytes, 1);
    assert_false(kept_has(NULL, 1, 1) || kept_read(NULL, 1, 1, &out));
    kept_forget(NULL, 1);
    kept_free(NULL);
}

#define KEPT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KEPT_TEST(an_object_is_read_by_its_first_txid_and_size),
        KEPT_TEST(the_oldest_go_when_there_are_too_many_bytes),
        KEPT_TEST(the_oldest_go_when_there_are_too_many),
        KEPT_TEST(a_large_object_is_not_kept_and_harms_none),
        KEPT_TEST(all_replicas_together_have_a_limit),
        KEPT_TEST(nothing_is_kept_when_memory_is_short),
        KEPT_TEST(another_history_begins_without_the_old_one),
        KEPT_TEST(what_is_packed_is_forgotten),
        KEPT_TEST(none_keeps_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
