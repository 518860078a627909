/* ship/pack.h: which objects of level 0 become a pack, and that each restore point is in it. */
#include "unit.h"

#include "failing_alloc.h"
#include "replica_fixture.h"

#include "ship/pack.h"

#define TXIDS 24
#define HOUR INT64_C(3600000)

static struct pack_terms terms;

static int setup(void **state)
{
    (void)state;
    terms = (struct pack_terms){.writer = {{0x57}}, .codec = codec};
    if (replica_fixture(7, TXIDS))
        return -1;
    r.time_ms = 1000000; /* no time is clamped */
    return 0;
}

static int teardown(void **state)
{
    return replica_fixture_release(state);
}

/* Packs what can be packed, hours after everything was put. Returns how many packs were put. */
static uint64_t pack_now(struct err *e)
{
    struct pack_figures done = {0};
    int64_t now_ms = 0;
    terms.codec = codec;
    terms.grace_ms = HOUR;
    terms.objects = terms.objects ? terms.objects : 4;
    terms.packs = terms.packs ? terms.packs : 3;
    terms.bytes = terms.bytes ? terms.bytes : 1u << 20;
    catalog_release(&catalog);
    assert_ok(store_time(store, &now_ms, e), e);
    assert_ok(catalog_open(&catalog, store, codec, e), e);
    terms.now_ms = now_ms + 10 * HOUR;
    if (pack_all(&catalog, &terms, &done, e))
        return UINT64_MAX;
    return done.packs;
}

static uint64_t must_pack(void)
{
    struct err e;
    const uint64_t packs = pack_now(&e);
    if (packs == UINT64_MAX)
        fail_msg("%s", e.msg);
    return packs;
}

/* The packs in the list of level 0: "2-8 9-12". */
static void assert_packs(const char *expected)
{
    char found[400] = "";
    struct err e;
    catalog_release(&catalog);
    assert_ok(catalog_open(&catalog, store, codec, &e), &e);
    for (size_t i = 0; i < catalog.level0_count; i++)
        if (catalog.level0[i].name.kind == NAME_PACK)
            snprintf(found + strlen(found), sizeof found - strlen(found), "%s%d-%d", *found ? " " : "",
                     (int)catalog.level0[i].name.min, (int)catalog.level0[i].name.max);
    assert_string_equal(found, expected);
}

static void remove_packs(void)
{
    struct err e;
    for (size_t i = 0; i < catalog.level0_count; i++)
        if (catalog.level0[i].name.kind == NAME_PACK) {
            char key[NAME_MAX_BYTES];
            name_format(&catalog.level0[i].name, key);
            assert_ok(store_remove(store, key, &e), &e);
        }
}

/* Puts 0/1 to 0/last with one commit each, and a segment of level 1 for each `fanout` of them. */
static void put_history(uint64_t last, uint64_t fanout)
{
    for (uint64_t t = 1; t <= last; t++)
        replica_put_full(&r, t, t, t == 1 ? SEGMENT_FROM_EMPTY : 0);
    for (uint64_t t = 2; t + fanout - 1 <= last; t += fanout)
        replica_put_last(&r, 1, t, t + fanout - 1, 0);
}

/* Each txid has a plan whose pages are those of the model, without what lies in packs. */
static void assert_all_points(uint64_t last)
{
    struct err e;
    for (size_t i = 0; i < catalog.packed_count; i++) {
        char key[NAME_MAX_BYTES];
        name_format(&catalog.packed[i].name, key);
        assert_ok(store_remove(store, key, &e), &e);
    }
    catalog_release(&catalog);
    assert_ok(catalog_open(&catalog, store, codec, &e), &e);
    assert_int_equal(catalog.packed_count, 0);
    for (uint64_t t = 1; t <= last; t++) {
        struct plan p = {0};
        struct map m = {.fd = -1};
        const struct model_state *s = &r.model.at[t];
        assert_ok(plan_make(&catalog, t, &p, &e), &e);
        assert_ok(plan_map(&catalog, &p, &m, &e), &e);
        assert_true(p.record.time_ms == s->record.time_ms && m.pages == s->record.pages);
        for (uint32_t pgno = 1; pgno <= m.pages; pgno++) {
            const struct map_entry found = map_get(&m, pgno);
            assert_true(found.hash == s->page[pgno].hash && found.txid == s->page[pgno].txid);
        }
        map_release(&m);
        plan_release(&p);
    }
}

static void what_is_compacted_is_packed_and_keeps_each_restore_point(void **state)
{
    (void)state;
    put_history(TXIDS, 4);
    assert_int_equal(must_pack(), 1);
    assert_packs("2-21"); /* 0/1 begins the history, no segment ends behind 0/21, and 0/24 is the head */
    assert_all_points(TXIDS);
    assert_int_equal(must_pack(), 0);
}

static void few_objects_are_not_packed(void **state)
{
    (void)state;
    terms.objects = 30;
    put_history(TXIDS, 4);
    assert_int_equal(must_pack(), 0);
}

static void a_pack_ends_where_a_segment_ends_that_reaches_across_its_begin(void **state)
{
    (void)state;
    put_history(TXIDS, 4);
    replica_put_pack(&r, 2, 5);
    replica_put_last(&r, 2, 2, 13, 0);
    assert_int_equal(must_pack(), 2);
    assert_packs("2-5 6-13 14-21");
    assert_all_points(TXIDS);
}

static void small_packs_are_packed_again(void **state)
{
    (void)state;
    put_history(TXIDS, 4);
    replica_put_pack(&r, 2, 5);
    replica_put_pack(&r, 6, 9);
    terms.objects = 30;
    assert_int_equal(must_pack(), 0);
    replica_put_pack(&r, 10, 13);
    assert_int_equal(must_pack(), 1);
    assert_packs("2-13");
    assert_all_points(TXIDS);
}

/* The writer before may still try to put under the key of that object. */
static void the_first_object_of_a_run_is_packed_only_after_the_grace_period(void **state)
{
    struct err e;
    struct pack_figures done;
    (void)state;
    for (uint64_t t = 1; t <= TXIDS; t++) {
        r.run.bytes[0] = t < 10 ? 1 : 2;
        replica_put_full(&r, t, t, t == 1 ? SEGMENT_FROM_EMPTY : 0);
    }
    replica_put_last(&r, 1, 2, 9, 0);
    replica_put_last(&r, 1, 11, 22, 0);
    must_pack();
    assert_packs("2-22"); /* everything is old here */
    remove_packs();
    catalog_release(&catalog);
    assert_ok(catalog_open(&catalog, store, codec, &e), &e);
    terms.now_ms = 1000000 + HOUR; /* exactly as old as the grace period is not older */
    assert_ok(pack_all(&catalog, &terms, &done, &e), &e);
    assert_packs("2-9 11-22"); /* 0/2 follows 0/1, which is of the same run; but 0/10 begins one */
}

static void an_object_behind_a_pack_begins_a_run_if_the_last_one_in_it_is_of_another(void **state)
{
    struct err e;
    struct pack_figures done;
    (void)state;
    for (uint64_t t = 1; t <= TXIDS; t++) {
        r.run.bytes[0] = t < 10 ? 1 : 2;
        replica_put_full(&r, t, t, t == 1 ? SEGMENT_FROM_EMPTY : 0);
        if (t == 13) {
            replica_put_last(&r, 1, 2, 9, 0);
            must_pack();
            assert_packs("2-9");
        }
    }
    replica_put_last(&r, 1, 10, 21, 0);
    catalog_release(&catalog);
    assert_ok(catalog_open(&catalog, store, codec, &e), &e);
    terms.now_ms = 1000000 + HOUR; /* exactly as old as the grace period is not older */
    assert_ok(pack_all(&catalog, &terms, &done, &e), &e);
    assert_packs("2-9 11-21");
}

static void a_catch_up_and_a_clamped_time_are_not_packed(void **state)
{
    (void)state;
    for (uint64_t t = 1; t <= TXIDS; t++) {
        if (t == 9)
            replica_put_last(&r, 0, 9, 9, SEGMENT_LAST_ONLY);
        else
            replica_put_full(&r, t, t, t == 1 ? SEGMENT_FROM_EMPTY : 0);
        r.time_ms = t == 14 ? 1 : 100000; /* 0/15 was written at 1 ms, and its commit has a later time */
    }
    for (uint64_t t = 2; t < TXIDS; t++)
        replica_put_last(&r, 1, t, t, 0);
    must_pack();
    assert_packs("2-8 10-14 16-23");
    assert_all_points(TXIDS);
}

static void what_does_not_link_is_not_packed(void **state)
{
    (void)state;
    for (uint64_t t = 1; t <= TXIDS; t++) {
        if (t == 12)
            r.head.bytes[0] ^= 1;
        replica_put_full(&r, t, t, t == 1 ? SEGMENT_FROM_EMPTY : 0);
    }
    for (uint64_t t = 2; t < TXIDS; t++)
        replica_put_last(&r, 1, t, t, 0);
    must_pack();
    assert_packs("2-11 12-23");
}

static void what_can_never_be_packed_is_read_once(void **state)
{
    struct pack_refused refused = {.next = 0};
    (void)state;
    put_history(8, 4);
    r.time_ms = 1; /* the clock was ahead */
    for (uint64_t t = 9; t <= 16; t++)
        replica_put_full(&r, t, t, 0);
    replica_put_last(&r, 1, 6, 15, 0);
    terms.refused = &refused;
    must_pack();
    assert_packs("2-5");
    assert_true(refused.ranges[0].first == 1 && refused.ranges[0].last == 1);
    assert_true(refused.ranges[1].first == 9 && refused.ranges[1].last == 12);
    assert_int_equal(refused.next, 2);
    ((struct memory_store *)store)->unread = "0/000000000000000c";
    assert_int_equal(must_pack(), 0);
    ((struct memory_store *)store)->unread = NULL;
}

/* ---- where requests cost money */

/* Keeps the objects of level 0 that begin at `first` to `last`. */
static struct kept *keep(uint64_t first, uint64_t last)
{
    struct kept *k = kept_new();
    assert_non_null(k);
    for (uint64_t t = first; t <= last; t++) {
        char key[NAME_MAX_BYTES];
        const struct name name = {.kind = NAME_LEVEL0, .min = t};
        name_format(&name, key);
        const struct memory_object *o = memory_store_object((struct memory_store *)store, key);
        kept_add(k, t, o->bytes, o->size);
    }
    return k;
}

/* Listings cost so many millionths of a dollar for each object until it would go. */
static void listings_cost(double millionths)
{
    store->costs = true;
    terms.objects = TXIDS;
    terms.interval_ms = 1000;
    terms.keep_ms = (uint64_t)(10 * HOUR + HOUR / 4) + (uint64_t)(millionths * 100 * 1000);
}

static void an_object_is_read_only_if_that_is_cheaper_than_leaving_it(void **state)
{
    (void)state;
    put_history(TXIDS, 4);
    listings_cost(0.68); /* 23 objects, of which each costs 0.4 to read; the pack costs 5 and 4 times 0.4 */
    ((struct memory_store *)store)->unread = "0/0000000000000001";
    assert_int_equal(must_pack(), 0);
    ((struct memory_store *)store)->unread = NULL;
    listings_cost(0.72);
    assert_int_equal(must_pack(), 1);
    assert_packs("2-21");
    assert_all_points(TXIDS);
}

static void what_is_kept_is_packed_without_reading_it(void **state)
{
    struct err e;
    (void)state;
    put_history(TXIDS, 4);
    terms.kept = keep(2, TXIDS);
    listings_cost(0.35);
    ((struct memory_store *)store)->unread = "0/000000000000000c";
    assert_int_equal(must_pack(), 1);
    assert_packs("2-21");
    ((struct memory_store *)store)->unread = NULL;
    assert_all_points(TXIDS);
    assert_false(
        kept_has(terms.kept, 21, memory_store_object((struct memory_store *)store, "0/0000000000000016")->size));
    assert_true(
        kept_has(terms.kept, 22, memory_store_object((struct memory_store *)store, "0/0000000000000016")->size));
    remove_packs();
    assert_int_equal(pack_now(&e), 0); /* nothing is left to pack */
    kept_free(terms.kept);
}

static void a_pack_that_saves_less_than_it_costs_is_not_put(void **state)
{
    (void)state;
    put_history(TXIDS, 4);
    terms.kept = keep(2, TXIDS);
    listings_cost(0.32); /* times 20 is less than 6.6; but for 22 objects it would be more */
    assert_int_equal(must_pack(), 0);
    listings_cost(0.34);
    assert_int_equal(must_pack(), 1);
    kept_free(terms.kept);
}

static void what_is_kept_must_link_like_anything_else(void **state)
{
    (void)state;
    put_history(TXIDS, 4);
    terms.kept = keep(2, 11);
    uint8_t other[4096] = {0};
    const struct memory_object *o = memory_store_object((struct memory_store *)store, "0/000000000000000c");
    memcpy(other, o->bytes, o->size);
    other[SEGMENT_HEADER_BYTES] ^= 1; /* it is sound for its trailer, and is not what the next object links to */
    kept_add(terms.kept, 12, other, o->size);
    listings_cost(2);
    must_pack();
    assert_packs("2-9");
    kept_free(terms.kept);
}

static void where_requests_cost_money_packs_are_not_packed_again(void **state)
{
    (void)state;
    put_history(TXIDS, 4);
    for (uint64_t t = 2; t < 14; t += 4)
        replica_put_pack(&r, t, t + 3);
    listings_cost(0);
    assert_int_equal(must_pack(), 0);
    store->costs = false;
    assert_int_equal(must_pack(), 1);
    assert_packs("2-13");
}

static void of_another_writer_nothing_is_packed(void **state)
{
    struct err e;
    (void)state;
    put_history(TXIDS, 4);
    terms.writer.bytes[0] = 0x58;
    assert_true(pack_now(&e) == UINT64_MAX);
    assert_int_equal(e.code, ERR_CONFLICT);
    assert_packs("");
}

static void a_damaged_object_ends_the_pack(void **state)
{
    (void)state;
    put_history(TXIDS, 4);
    struct memory_object *o = memory_store_object((struct memory_store *)store, "0/000000000000000c");
    o->bytes[o->size - 20] ^= 1;
    must_pack();
    assert_packs("2-9 14-21");
}

static void a_damaged_pack_that_came_meanwhile_is_an_error(void **state)
{
    struct err e;
    struct pack_figures done;
    (void)state;
    put_history(TXIDS, 4);
    must_pack();
    assert_packs("2-21");
    remove_packs();
    catalog_release(&catalog);
    assert_ok(catalog_open(&catalog, store, codec, &e), &e);
    replica_put_pack(&r, 2, 21);
    assert_ok(pack_all(&catalog, &terms, &done, &e), &e);
    struct memory_object *o =
        memory_store_object((struct memory_store *)store, "pack/0000000000000002-0000000000000015");
    o->bytes[SEGMENT_HEADER_BYTES + 10] ^= 1;
    assert_error(pack_all(&catalog, &terms, &done, &e), &e, ERR_CORRUPT);
}

/* Damages 2-21 at this byte, counted from the end if it is negative. */
static void damage_pack(int at)
{
    struct memory_object *o =
        memory_store_object((struct memory_store *)store, "pack/0000000000000002-0000000000000015");
    o->bytes[at < 0 ? o->size + (size_t)at : (size_t)at] ^= 1;
}

static void a_damaged_pack_is_replaced_while_its_objects_are_there(void **state)
{
    (void)state;
    const int places[] = {-20, SEGMENT_HEADER_BYTES + 10};
    put_history(TXIDS, 4);
    must_pack();
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        damage_pack(places[i]);
        assert_int_equal(must_pack(), 1);
        assert_packs("2-21");
    }
    assert_all_points(TXIDS);
}

static void a_damaged_pack_stays_if_one_of_its_objects_is_gone(void **state)
{
    struct err e;
    (void)state;
    put_history(TXIDS, 4);
    must_pack();
    damage_pack(-20);
    assert_ok(store_remove(store, "0/000000000000000c", &e), &e);
    must_pack();
    assert_non_null(memory_store_object((struct memory_store *)store, "pack/0000000000000002-0000000000000015"));
}

static int pack_in_memory(void *context, struct err *e)
{
    struct pack_figures done = {0};
    struct err failed;
    (void)context;
    int rc = catalog_open(&catalog, store, codec, e);
    if (rc == 0)
        rc = pack_all(&catalog, &terms, &done, e);
    catalog_release(&catalog);
    const bool armed = failing_alloc_disarm();
    assert_ok(catalog_open(&catalog, store, codec, &failed), &failed);
    if (rc == 0)
        assert_int_equal(catalog.packed_count, 20);
    remove_packs();
    catalog_release(&catalog);
    failing_alloc_arm(armed ? 1 : 1000000);
    if (armed) {
        void *volatile none =
            malloc(1); /* what the caller looks at: that one has failed. volatile: it is really called */
        assert_null(none);
    }
    return rc;
}

static void each_allocation_of_a_pack_fails_once(void **state)
{
    (void)state;
    put_history(TXIDS, 4);
    must_pack();
    remove_packs();
    catalog_release(&catalog);
    assert_each_allocation_fails_once(pack_in_memory, NULL);
}

#define PACK_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PACK_TEST(what_is_compacted_is_packed_and_keeps_each_restore_point),
        PACK_TEST(few_objects_are_not_packed),
        PACK_TEST(a_pack_ends_where_a_segment_ends_that_reaches_across_its_begin),
        PACK_TEST(small_packs_are_packed_again),
        PACK_TEST(the_first_object_of_a_run_is_packed_only_after_the_grace_period),
        PACK_TEST(an_object_behind_a_pack_begins_a_run_if_the_last_one_in_it_is_of_another),
        PACK_TEST(a_catch_up_and_a_clamped_time_are_not_packed),
        PACK_TEST(what_can_never_be_packed_is_read_once),
        PACK_TEST(an_object_is_read_only_if_that_is_cheaper_than_leaving_it),
        PACK_TEST(what_is_kept_is_packed_without_reading_it),
        PACK_TEST(a_pack_that_saves_less_than_it_costs_is_not_put),
        PACK_TEST(what_is_kept_must_link_like_anything_else),
        PACK_TEST(where_requests_cost_money_packs_are_not_packed_again),
        PACK_TEST(what_does_not_link_is_not_packed),
        PACK_TEST(of_another_writer_nothing_is_packed),
        PACK_TEST(a_damaged_object_ends_the_pack),
        PACK_TEST(a_damaged_pack_that_came_meanwhile_is_an_error),
        PACK_TEST(a_damaged_pack_is_replaced_while_its_objects_are_there),
        PACK_TEST(a_damaged_pack_stays_if_one_of_its_objects_is_gone),
        PACK_TEST(each_allocation_of_a_pack_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
