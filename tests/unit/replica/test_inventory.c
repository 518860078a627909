/* replica/inventory.h: the levels, bases and orphans of a replica, by names, markers and segments. */
#include "unit.h"

#include "failing_alloc.h"
#include "replica/inventory.h"
#include "replica_fixture.h"

static struct inventory inventory;

/* The model has 12 commits with a page size of 512; no object is put. */
static int setup(void **state)
{
    (void)state;
    return replica_fixture(40, 12);
}

static int teardown(void **state)
{
    inventory_release(&inventory);
    return replica_fixture_release(state);
}

static void look(void)
{
    struct err e;
    inventory_release(&inventory);
    catalog_release(&catalog);
    assert_ok(catalog_open(&catalog, store, codec, &e), &e);
    assert_ok(inventory_take(&inventory, &catalog, &e), &e);
}

static void damage(const char *key)
{
    struct memory_object *m = memory_store_object((struct memory_store *)store, key);
    assert_non_null(m);
    m->bytes[m->size - 20] ^= 1;
}

static void remove_key(const char *key)
{
    struct err e;
    assert_ok(store_remove(store, key, &e), &e);
}

/* The objects that the inventory has listed, in order. */
static struct inventory_object told[200];
static size_t told_count;

static int note(void *context, const struct inventory_object *o)
{
    (void)context;
    assert_true(told_count < COUNT_OF(told));
    told[told_count++] = *o;
    return 0;
}

static void tell(void)
{
    struct err e;
    look();
    told_count = 0;
    assert_ok(inventory_objects(&inventory, note, NULL, &e), &e);
}

static size_t count_kind(enum name_kind kind, bool orphan, bool unknown)
{
    size_t n = 0;
    for (size_t i = 0; i < told_count; i++)
        n += told[i].kind == kind && told[i].orphan == orphan && told[i].unknown == unknown;
    return n;
}

static void levels_are_summed_up(void **state)
{
    (void)state;
    look();
    assert_int_equal(inventory.base_count, 0);
    assert_int_equal(inventory.levels[0].objects, 0);
    for (uint64_t t = 1; t <= 12; t += 2)
        replica_put_full(&r, t, t + 1, t == 1 ? SEGMENT_FROM_EMPTY : 0);
    replica_put_last(&r, 1, 1, 4, SEGMENT_FROM_EMPTY | SEGMENT_IN_PARTS);
    replica_put_last(&r, 1, 5, 8, 0);
    look();
    const struct inventory_level *zero = &inventory.levels[0], *one = &inventory.levels[1];
    assert_true(zero->objects == 6 && zero->first_txid == 1 && zero->last_txid == 12);
    assert_true(one->objects == 2 && one->first_txid == 1 && one->last_txid == 8);
    assert_int_equal(inventory.parts, 2);
    assert_true(zero->bytes + one->bytes + inventory.part_bytes + catalog.identity_size == catalog.bytes);
}

static void a_base_is_complete_when_all_chunks_of_its_marker_exist(void **state)
{
    char marker[NAME_MAX_BYTES], chunk[NAME_MAX_BYTES];
    (void)state;
    replica_put_full(&r, 1, 12, SEGMENT_FROM_EMPTY);
    r.interior = true;
    struct placed *first = replica_put_base(&r, 4, 6), *second = replica_put_base(&r, 8, 8);
    look();
    assert_int_equal(inventory.base_count, 2);
    assert_true(inventory.bases[0].start == 4 && inventory.bases[0].max == 6 && inventory.bases[0].chunks >= 1);
    assert_int_equal(inventory.bases[0].chunks + inventory.bases[1].chunks + 2,
                     catalog.chunk_count); /* interior pages */
    assert_true(inventory.bases[0].state == INVENTORY_COMPLETE && inventory.bases[0].time_ms == 5000);
    assert_int_equal(inventory.bases[1].start, 8);
    uint64_t bytes =
        inventory.bases[0].bytes + inventory.bases[1].bytes + inventory.levels[0].bytes + catalog.identity_size;
    assert_true(bytes == catalog.bytes);
    name_format(&first->name, marker);
    damage(marker);
    assert_int_equal(catalog.chunks[catalog.chunk_count - 1].name.kind, NAME_INTERIOR);
    name_format(&catalog.chunks[catalog.chunk_count - 2].name, chunk);
    remove_key(chunk);
    look();
    assert_int_equal(inventory.bases[0].state, INVENTORY_DAMAGED);
    assert_int_equal(inventory.bases[0].max, 0);
    assert_int_equal(inventory.bases[1].state, INVENTORY_LACKS_CHUNKS);
    replica_remove(&r, first);
    replica_remove(&r, second);
    look();
    assert_int_equal(inventory.bases[0].state, INVENTORY_NOT_COMPLETE);
    assert_int_equal(inventory.base_count, catalog.chunks[catalog.chunk_count - 1].name.start == 8 ? 2 : 1);
}

/* As a program that does not know interior pages leaves it: it deletes the marker and the chunks. */
static void a_base_of_which_only_interior_pages_are_left_was_deleted(void **state)
{
    char key[NAME_MAX_BYTES];
    (void)state;
    replica_put_full(&r, 1, 8, SEGMENT_FROM_EMPTY);
    r.interior = true;
    replica_remove(&r, replica_put_base(&r, 4, 4));
    replica_put_base(&r, 6, 6);
    look();
    assert_int_equal(inventory.bases[0].state, INVENTORY_NOT_COMPLETE);
    for (size_t i = 0; i < catalog.chunk_count; i++) {
        const struct name *n = &catalog.chunks[i].name;
        name_format(n, key);
        if (n->kind == NAME_CHUNK && n->start == 4)
            remove_key(key);
    }
    look();
    assert_int_equal(inventory.base_count, 2);
    assert_int_equal(inventory.bases[0].state, INVENTORY_DELETED);
    assert_true(inventory.bases[0].chunks == 0 && inventory.bases[0].bytes > 0 && inventory.bases[0].max == 0);
    assert_int_equal(inventory.bases[1].state, INVENTORY_COMPLETE);
}

static void an_object_that_no_other_names_is_an_orphan_unless_one_of_those_can_not_be_read(void **state)
{
    (void)state;
    replica_put_full(&r, 1, 2, SEGMENT_FROM_EMPTY);
    struct placed *large = replica_put_last(&r, 0, 3, 6, SEGMENT_IN_PARTS);
    replica_put_full(&r, 7, 8, 0);
    r.interior = true;
    struct placed *base = replica_put_base(&r, 6, 6);
    tell();
    assert_int_equal(count_kind(NAME_PART, false, false), 2);
    assert_int_equal(count_kind(NAME_CHUNK, false, false), catalog.chunk_count - 1);
    assert_int_equal(count_kind(NAME_INTERIOR, false, false), 1);
    for (size_t i = 0; i < told_count; i++)
        if (told[i].kind == NAME_PART)
            assert_true(told[i].min == 3 && told[i].max >= 3 && told[i].max <= 6);
    replica_remove(&r, large);
    replica_remove(&r, base);
    tell();
    assert_int_equal(count_kind(NAME_PART, true, false), 2);
    assert_int_equal(count_kind(NAME_CHUNK, true, false), catalog.chunk_count - 1);
    assert_int_equal(count_kind(NAME_INTERIOR, true, false), 1);
    damage("0/0000000000000001");
    tell();
    assert_int_equal(count_kind(NAME_PART, false, true), 2);
    assert_true(told[0].damaged && !told[1].damaged);
}

static void flags_and_txids_are_those_of_the_object(void **state)
{
    (void)state;
    replica_put_full(&r, 1, 2, SEGMENT_FROM_EMPTY);
    replica_put_anchor(&r, 3, 5, 0);
    replica_put_last(&r, 2, 1, 5, SEGMENT_FROM_EMPTY);
    tell();
    assert_int_equal(told_count, 4);
    assert_string_equal(told[0].key, "0/0000000000000001");
    assert_true(told[0].min == 1 && told[0].max == 2 && told[0].flags == SEGMENT_FROM_EMPTY && told[0].time_ms == 5000);
    assert_true(told[1].min == 3 && told[1].max == 5 && told[1].flags == (SEGMENT_LAST_ONLY | SEGMENT_BASE_ONLY));
    assert_true(told[2].level == 2 && told[2].min == 1 && told[2].max == 5);
    assert_string_equal(told[3].key, NAME_IDENTITY);
}

/* Also if nothing that was read is kept. */
static void every_object_of_any_replica_is_listed_once(void **state)
{
    static struct replica any;
    (void)state;
    for (unsigned seed = 0; seed < 200; seed++) {
        struct store *s = memory_store_new(), *kept = store;
        uint64_t bytes = 0;
        struct err e;
        assert_non_null(s);
        replica_init(&any, s, codec, seed);
        replica_random(&any);
        store = s;
        look();
        catalog.bytes_kept = seed % 2 ? 2 * CATALOG_BYTES_MAX : catalog.bytes_kept;
        told_count = 0;
        assert_ok(inventory_objects(&inventory, note, NULL, &e), &e);
        assert_true(told_count == catalog.objects);
        for (size_t i = 0; i < told_count; i++) {
            bytes += told[i].size;
            assert_true(i + 2 > told_count || strcmp(told[i].key, told[i + 1].key) < 0);
            assert_non_null(memory_store_object((struct memory_store *)s, told[i].key));
        }
        assert_true(bytes == catalog.bytes);
        inventory_release(&inventory);
        catalog_release(&catalog);
        replica_release(&any);
        store_close(s);
        store = kept;
    }
}

#define INVENTORY_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* ---- out of memory */

static int count_object(void *context, const struct inventory_object *o)
{
    assert_false(o->damaged || o->orphan || o->unknown);
    ++*(unsigned *)context;
    return 0;
}

static int take_all(void *context, struct err *e)
{
    unsigned count = 0;
    (void)context;
    inventory_release(&inventory);
    catalog_release(&catalog);
    if (catalog_open(&catalog, store, codec, e) || inventory_take(&inventory, &catalog, e) ||
        inventory_objects(&inventory, count_object, &count, e))
        return -1;
    assert_true(count == catalog.objects);
    return 0;
}

static void each_allocation_of_the_inventory_fails_once(void **state)
{
    (void)state;
    replica_put_full(&r, 1, 4, SEGMENT_FROM_EMPTY);
    replica_put_last(&r, 0, 5, 8, SEGMENT_IN_PARTS);
    replica_put_base(&r, 4, 8);
    replica_put_last(&r, 1, 1, 8, SEGMENT_FROM_EMPTY);
    assert_each_allocation_fails_once(take_all, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        INVENTORY_TEST(levels_are_summed_up),
        INVENTORY_TEST(a_base_is_complete_when_all_chunks_of_its_marker_exist),
        INVENTORY_TEST(a_base_of_which_only_interior_pages_are_left_was_deleted),
        INVENTORY_TEST(an_object_that_no_other_names_is_an_orphan_unless_one_of_those_can_not_be_read),
        INVENTORY_TEST(flags_and_txids_are_those_of_the_object),
        INVENTORY_TEST(every_object_of_any_replica_is_listed_once),
        INVENTORY_TEST(each_allocation_of_the_inventory_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
