/* replica/presence.h: whether a restore would find all its objects. */
#include "unit.h"

#include "replica_fixture.h"

#include "replica/presence.h"

#define TXIDS 6

static int setup(void **state)
{
    (void)state;
    if (replica_fixture(5, TXIDS))
        return -1;
    for (uint64_t t = 1; t <= TXIDS; t++)
        replica_put_full(&r, t, t, t == 1 ? SEGMENT_FROM_EMPTY : 0);
    return 0;
}

static int teardown(void **state)
{
    return replica_fixture_release(state);
}

static struct presence look(void)
{
    struct replica_handle handle = replica_handle_borrow(store, codec);
    struct presence found = {0};
    struct err e;
    assert_ok(presence_look(&handle, TXIDS, &found, &e), &e);
    catalog_release(&handle.catalog);
    return found;
}

static void remove_object(const char *key)
{
    struct err e;
    assert_ok(store_remove(store, key, &e), &e);
}

static void an_object_that_is_gone_is_missed(void **state)
{
    (void)state;
    assert_true(look().whole);
    remove_object("0/0000000000000004");
    assert_false(look().whole);
}

static void a_damaged_pack_is_not_missed_while_what_lies_in_it_is_there(void **state)
{
    (void)state;
    replica_put_pack(&r, 2, 5);
    struct memory_object *pack =
        memory_store_object((struct memory_store *)store, "pack/0000000000000002-0000000000000005");
    pack->bytes[pack->size - 20] ^= 1;
    assert_true(look().whole);
    remove_object("0/0000000000000004");
    assert_false(look().whole);
    pack = memory_store_object((struct memory_store *)store, "pack/0000000000000002-0000000000000005");
    pack->bytes[pack->size - 20] ^= 1;
    assert_true(look().whole);
}

#define PRESENCE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PRESENCE_TEST(an_object_that_is_gone_is_missed),
        PRESENCE_TEST(a_damaged_pack_is_not_missed_while_what_lies_in_it_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
