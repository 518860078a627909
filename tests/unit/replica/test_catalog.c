/* replica/catalog.h: the catalog of a listing, in any order, with keys that come twice, and with things that are not
 * objects. */
#include "unit.h"

#include "replica_in_memory.h"

#include "retention/retention.h"
#include "verify/verify.h"

#include <inttypes.h>

static struct codec *codec;
static struct store *store;
static struct memory_store *memory;
static struct replica r;

static int setup(void **state)
{
    (void)state;
    if (replica_in_memory(&r, &store, &codec, 5))
        return -1;
    memory = (struct memory_store *)store;
    replica_commits(&r, 12, 512);
    for (uint64_t t = 1; t <= 12; t++)
        replica_put_full(&r, t, t, t == 1 ? SEGMENT_FROM_EMPTY : 0);
    replica_put_last(&r, 1, 1, 4, SEGMENT_FROM_EMPTY | SEGMENT_IN_PARTS);
    replica_put_last(&r, 1, 5, 8, 0);
    replica_put_last(&r, 2, 1, 8, SEGMENT_FROM_EMPTY);
    r.interior = true;
    replica_put_base(&r, 4, 4);
    replica_put_base(&r, 8, 9);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    replica_in_memory_release(&r, store, codec);
    return 0;
}

static void assert_same_list(const struct catalog_object *a, size_t a_count, const struct catalog_object *b,
                             size_t b_count)
{
    assert_int_equal(a_count, b_count);
    assert_true(a_count > 0);
    for (size_t i = 0; i < a_count; i++) {
        char x[NAME_MAX_BYTES], y[NAME_MAX_BYTES];
        name_format(&a[i].name, x);
        name_format(&b[i].name, y);
        assert_string_equal(x, y);
        assert_int_equal(a[i].size, b[i].size);
    }
}

static void a_listing_in_any_order_gives_the_same_catalog(void **state)
{
    struct catalog sorted, c;
    struct err e;
    (void)state;
    assert_ok(catalog_open(&sorted, store, codec, &e), &e);
    for (memory->shuffled = 1; memory->shuffled <= 20; memory->shuffled++) {
        assert_ok(catalog_open(&c, store, codec, &e), &e);
        assert_same_list(c.level0, c.level0_count, sorted.level0, sorted.level0_count);
        assert_same_list(c.levels, c.level_count, sorted.levels, sorted.level_count);
        assert_same_list(c.markers, c.marker_count, sorted.markers, sorted.marker_count);
        assert_same_list(c.chunks, c.chunk_count, sorted.chunks, sorted.chunk_count);
        assert_same_list(c.parts, c.part_count, sorted.parts, sorted.part_count);
        assert_true(c.objects == sorted.objects && c.bytes == sorted.bytes && c.identity_listed);
        for (uint64_t t = 1; t <= 12; t++) {
            struct plan p = {0};
            assert_ok(plan_make(&c, t, &p, &e), &e);
            plan_release(&p);
        }
        catalog_release(&c);
    }
    catalog_release(&sorted);
}

static const char *doubled;

static unsigned show(const char *key)
{
    return strcmp(key, doubled) == 0 ? 2 : 1;
}

static void any_key_that_comes_twice_is_refused_and_named(void **state)
{
    struct catalog c;
    struct err e;
    (void)state;
    memory->shown = show;
    for (size_t i = 0; i < memory->count; i++)
        for (memory->shuffled = 0; memory->shuffled < 3; memory->shuffled++) {
            doubled = memory->objects[i].key;
            assert_error(catalog_open(&c, store, codec, &e), &e, ERR_CORRUPT);
            assert_contains(e.msg, doubled);
            assert_contains(e.msg, "twice");
            assert_contains(e.msg, "HINT");
        }
}

static void a_thing_that_is_not_an_object_is_counted(void **state)
{
    struct catalog c;
    struct err e;
    (void)state;
    memory->strange = 3; /* for example FIFOs */
    assert_ok(store_put_new(store, "notes.txt", "x", 1, NULL, &e), &e);
    assert_ok(store_put_new(store, "0/x", "x", 1, NULL, &e), &e);
    assert_ok(store_put_new(store, "0/0000000000000000", "x", 1, NULL, &e), &e);   /* txid 0 does not exist */
    assert_ok(store_put_new(store, STORE_PROBE_PREFIX "x", "x", 1, NULL, &e), &e); /* passed over without a word */
    assert_ok(catalog_open(&c, store, codec, &e), &e);
    assert_int_equal(c.foreign, 6);
    catalog_release(&c);
}

/* Opens the catalog and compares its list of level 0: "1-3 4 5". */
static void assert_level0(const char *expected)
{
    struct catalog c;
    struct err e;
    char text[400] = "";
    assert_ok(catalog_open(&c, store, codec, &e), &e);
    for (size_t i = 0; i < c.level0_count; i++) {
        const struct name *n = &c.level0[i].name;
        const size_t len = strlen(text);
        const char *format = n->kind == NAME_PACK ? "%s%" PRIu64 "-%" PRIu64 : "%s%" PRIu64;
        snprintf(text + len, sizeof text - len, format, i ? " " : "", n->min, n->max);
    }
    assert_string_equal(text, expected);
    catalog_release(&c);
}

static void remove_level0(uint64_t from, uint64_t upto)
{
    struct err e;
    for (uint64_t t = from; t <= upto; t++) {
        char key[NAME_MAX_BYTES];
        const struct name name = {.kind = NAME_LEVEL0, .min = t};
        name_format(&name, key);
        assert_ok(store_remove(store, key, &e), &e);
    }
}

static void a_pack_that_came_after_the_listing_of_level_0_is_passed_over(void **state)
{
    struct catalog c;
    struct err e;
    (void)state;
    replica_put_pack(&r, 2, 4);
    replica_put_pack(&r, 5, 8);
    assert_level0("1 2-4 5-8 9 10 11 12");
    replica_put_pack(&r, 9, 12); /* the newest object is never packed */
    assert_level0("1 2-4 5-8 9 10 11 12");
    remove_level0(2, 8);
    replica_put_pack(&r, 2, 12); /* of small packs */
    assert_level0("1 2-4 5-8 9 10 11 12");
    assert_ok(catalog_open(&c, store, codec, &e), &e);
    assert_true(c.later.kind == NAME_PACK && c.later.max == 12);
    assert_int_equal(c.packed_count, 0);
    catalog_release(&c);
}

static void a_name_that_no_pack_can_have_is_passed_over(void **state)
{
    struct err e;
    (void)state;
    assert_ok(store_put_new(store, "pack/0000000000000001-0000000000ffffff", "stray\n", 6, NULL, &e), &e);
    assert_level0("1 2 3 4 5 6 7 8 9 10 11 12");
}

static void a_pack_stays_if_the_objects_from_its_begin_on_are_lost(void **state)
{
    (void)state;
    replica_put_pack(&r, 2, 8);
    remove_level0(2, 5);
    remove_level0(7, 12);
    assert_level0("1 2-8");
    remove_level0(1, 1);
    remove_level0(6, 6);
    assert_level0("2-8");
}

/* ---- each command on a listing that is out of order, or has a key twice */

static int note_point(void *context, const struct commit_record *record)
{
    *(uint64_t *)context += record->txid;
    return 0;
}

static int list_points(struct err *e)
{
    struct catalog c = {0};
    uint64_t sum = 0;
    int rc = catalog_open(&c, store, codec, e);
    if (rc == 0)
        rc = points_each(&c, note_point, &sum, e);
    if (rc == 0)
        assert_int_equal(sum, 12 * 13 / 2);
    catalog_release(&c);
    return rc;
}

static int plan_newest(struct err *e)
{
    struct catalog c = {0};
    struct plan p = {0};
    struct map m;
    int rc = catalog_open(&c, store, codec, e);
    if (rc == 0)
        rc = points_plan(&c, POINT_NEWEST, &p, e);
    if (rc == 0 && (rc = plan_map(&c, &p, &m, e)) == 0) {
        assert_int_equal(p.record.txid, 12);
        map_release(&m);
    }
    plan_release(&p);
    catalog_release(&c);
    return rc;
}

static int verify(struct err *e)
{
    const struct verify_options options = {.flags = VERIFY_FULL};
    struct replica_handle handle = replica_handle_borrow(store, codec);
    struct verify_result found = {0};
    int rc = verify_run(&handle, &options, &found, e);
    if (rc == 0)
        assert_true(found.problem_total == 0 && found.points == 12);
    verify_result_release(&found);
    replica_handle_close(&handle);
    return rc;
}

static int prune(struct err *e)
{
    static const struct retention_policy policy = {.grace_ms = 1, .keep_all_ms = 1, .keep_levels_ms = 1};
    struct replica_handle handle = replica_handle_borrow(store, codec);
    struct retention_plan p = {0};
    memory->now_ms = 10000000;
    int rc = retention_decide_now(&handle, &policy, &p, e);
    if (rc == 0)
        assert_true(p.delete_count > 0);
    retention_plan_release(&p);
    replica_handle_close(&handle);
    return rc;
}

static void each_command_is_right_whatever_the_order_and_refuses_a_key_that_comes_twice(void **state)
{
    static int (*const commands[])(struct err *) = {list_points, plan_newest, verify, prune};
    struct err e;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        memory->shown = NULL;
        for (memory->shuffled = 0; memory->shuffled < 6; memory->shuffled++)
            assert_ok(commands[i](&e), &e);
        memory->shown = show;
        for (size_t k = 0; k < memory->count; k++) {
            doubled = memory->objects[k].key;
            memory->shuffled = k;
            assert_error(commands[i](&e), &e, ERR_CORRUPT);
            assert_contains(e.msg, doubled);
        }
    }
}

#define CATALOG_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* ---- hints */

static char announced[1000];

static void note_announced(struct store *s, const struct store_end *ends, size_t count)
{
    (void)s;
    for (size_t i = 0; i < count; i++) {
        const struct name n = name_parse(ends[i].key);
        const size_t at = strlen(announced), room = sizeof announced - at;
        assert_int_equal(ends[i].bytes, OBJECT_TAIL_BYTES); /* these objects are small */
        if (n.kind == NAME_MARKER)
            snprintf(announced + at, room, "base/%" PRIu64 " ", n.start);
        else if (n.kind == NAME_LEVEL)
            snprintf(announced + at, room, "%u/%" PRIu64 "-%" PRIu64 " ", n.level, n.min, n.max);
        else
            snprintf(announced + at, room, "0/%" PRIu64 " ", n.min);
    }
}

static void assert_announces(const struct catalog *c, uint64_t txid, const char *expected)
{
    struct store_ops ops = *store->ops;
    const struct store_ops *own = store->ops;
    ops.prefetch = note_announced;
    store->ops = &ops;
    announced[0] = 0;
    catalog_prefetch_way(c, txid);
    store->ops = own;
    assert_string_equal(announced, expected);
}

static void what_a_plan_will_probably_load_is_announced(void **state)
{
    struct catalog c;
    struct err e;
    (void)state;
    assert_ok(catalog_open(&c, store, codec, &e), &e);
    assert_announces(&c, 12, "base/8 0/8 0/9 0/10 0/11 0/12 "); /* txid 8 for its record */
    assert_announces(&c, 8, "base/8 0/8 ");
    assert_announces(&c, 7, "base/4 0/4 0/5 0/6 0/7 ");
    assert_announces(&c, 3, "0/1 0/2 0/3 ");
    catalog_release(&c);
    for (size_t i = r.placed_count; i-- > 0;)
        if (r.placed[i].name.kind == NAME_MARKER && r.placed[i].start == 8)
            replica_remove(&r, &r.placed[i]);
    assert_ok(catalog_open(&c, store, codec, &e), &e);
    assert_announces(&c, 10, "base/4 2/1-8 0/9 0/10 ");
    assert_announces(&c, 8, "base/4 2/1-8 ");
    catalog_release(&c);
}

static void a_large_segment_has_a_large_end(void **state)
{
    (void)state;
    assert_int_equal(object_end_bytes(0), OBJECT_TAIL_BYTES);
    assert_int_equal(object_end_bytes(64u * OBJECT_TAIL_BYTES), OBJECT_TAIL_BYTES);
    assert_int_equal(object_end_bytes(65u * OBJECT_TAIL_BYTES), 65u * OBJECT_TAIL_BYTES / 64);
    assert_int_equal(object_end_bytes(UINT64_MAX), SEGMENT_BYTES_MAX / 64); /* a listing can say anything */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CATALOG_TEST(a_listing_in_any_order_gives_the_same_catalog),
        CATALOG_TEST(any_key_that_comes_twice_is_refused_and_named),
        CATALOG_TEST(a_thing_that_is_not_an_object_is_counted),
        CATALOG_TEST(a_pack_that_came_after_the_listing_of_level_0_is_passed_over),
        CATALOG_TEST(a_name_that_no_pack_can_have_is_passed_over),
        CATALOG_TEST(a_pack_stays_if_the_objects_from_its_begin_on_are_lost),
        CATALOG_TEST(what_a_plan_will_probably_load_is_announced),
        CATALOG_TEST(a_large_segment_has_a_large_end),
        CATALOG_TEST(each_command_is_right_whatever_the_order_and_refuses_a_key_that_comes_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
