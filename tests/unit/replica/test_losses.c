/* replica/losses.h: what markers say about lost restore points, and what a writer finds out before it puts one. */
#include "unit.h"

#include "replica_in_memory.h"

#include "replica/losses.h"

static struct codec *codec;
static struct store *store;
static struct replica r;

static int setup(void **state)
{
    (void)state;
    return replica_in_memory(&r, &store, &codec, 7);
}

static int teardown(void **state)
{
    (void)state;
    replica_in_memory_release(&r, store, codec);
    return 0;
}

static struct losses losses_now(void)
{
    struct catalog c;
    struct losses found;
    struct err e;
    assert_ok(catalog_open(&c, store, codec, &e), &e);
    assert_ok(losses_read(&c, &found, &e), &e);
    catalog_release(&c);
    return found;
}

static uint64_t lost_before(uint64_t txid)
{
    struct catalog c;
    uint64_t first = 99;
    struct err e;
    assert_ok(catalog_open(&c, store, codec, &e), &e);
    assert_ok(losses_before(&c, txid, &first, &e), &e);
    catalog_release(&c);
    return first;
}

/* Ten objects of level 0. */
static void put_ten(struct placed *placed[11])
{
    replica_commits(&r, 10, 512);
    for (uint64_t t = 1; t <= 10; t++)
        placed[t] = replica_put_full(&r, t, t, t == 1 ? SEGMENT_FROM_EMPTY : 0);
}

static void a_replica_that_lost_nothing_has_no_loss(void **state)
{
    struct placed *placed[11];
    (void)state;
    put_ten(placed);
    replica_put_base(&r, 6, 8);
    assert_int_equal(losses_now().count, 0);
    assert_int_equal(lost_before(1), 0);
    assert_int_equal(lost_before(10), 0);
}

static void a_marker_tells_which_txids_were_lost_before_its_base(void **state)
{
    struct placed *placed[11];
    (void)state;
    put_ten(placed);
    replica_remove(&r, placed[4]);
    r.lost_min = 4;
    replica_put_base(&r, 7, 8);
    struct losses found = losses_now();
    assert_int_equal(found.count, 1);
    assert_int_equal(found.list[0].first, 4);
    assert_int_equal(found.list[0].last, 7);
    assert_true(losses_explain(&found, 4, 4));
    assert_true(losses_explain(&found, 4, 6));
    assert_false(losses_explain(&found, 4, 7)); /* a restore from the base needs what follows its start */
    assert_false(losses_explain(&found, 7, 7));
    assert_false(losses_explain(&found, 3, 4));
    assert_false(losses_explain(&found, 9, 9));
}

static void objects_that_were_put_back_are_not_lost_any_more(void **state)
{
    struct placed *placed[11];
    (void)state;
    put_ten(placed);
    replica_remove(&r, placed[6]);
    r.lost_min = 4;
    replica_put_base(&r, 8, 8);
    struct losses found = losses_now(); /* 4 and 5 are there again, 6 is not */
    assert_int_equal(found.count, 1);
    assert_int_equal(found.list[0].first, 6);
    assert_int_equal(found.list[0].last, 7);
    replica_put_full(&r, 6, 6, 0);
    found = losses_now();
    assert_true(found.list[0].first > found.list[0].last);
}

static void a_writer_finds_the_first_txid_that_can_not_be_restored(void **state)
{
    struct placed *placed[11];
    (void)state;
    put_ten(placed);
    replica_remove(&r, placed[4]);
    assert_int_equal(lost_before(10), 4);
    assert_int_equal(lost_before(5), 4);
    assert_int_equal(lost_before(4), 0);
    replica_put_base(&r, 6, 6);
    assert_int_equal(lost_before(10), 0);
    replica_remove(&r, placed[8]);
    assert_int_equal(lost_before(10), 8);
    replica_remove(&r, placed[1]);
    replica_remove(&r, placed[6]);
    assert_int_equal(lost_before(6), 1);
}

static void a_chunk_that_is_missing_loses_what_the_base_led_to(void **state)
{
    struct placed *placed[11];
    const struct name chunk = {.kind = NAME_CHUNK, .start = 6, .run = r.run, .first_page = 1};
    char key[NAME_MAX_BYTES];
    struct err e;
    (void)state;
    put_ten(placed);
    replica_put_base(&r, 6, 6);
    for (uint64_t t = 1; t <= 5; t++)
        replica_remove(&r, placed[t]);
    assert_int_equal(lost_before(10), 0);
    name_format(&chunk, key);
    assert_ok(store_remove(store, key, &e), &e);
    assert_int_equal(lost_before(10), 1);
}

static void what_was_never_complete_was_not_lost(void **state)
{
    (void)state;
    replica_commits(&r, 6, 512);
    replica_put_anchor(&r, 1, 1, SEGMENT_FROM_EMPTY);
    replica_put_full(&r, 2, 4, 0);
    replica_put_anchor(&r, 5, 5, SEGMENT_FROM_EMPTY);
    assert_int_equal(lost_before(5), 0);
}

static void only_the_newest_losses_are_kept(void **state)
{
    struct losses l = {.count = 0};
    (void)state;
    for (uint64_t i = 1; i <= LOSSES_MAX + 5; i++)
        losses_add(
            &l, &(struct segment_info){.kind = OBJECT_MARKER, .min = 10 * i, .start = 10 * i + 5, .max = 10 * i + 5});
    assert_int_equal(l.count, LOSSES_MAX);
    assert_int_equal(l.list[0].min, 60);
    assert_false(losses_explain(&l, 50, 51));
    assert_true(losses_explain(&l, 60, 61));
    losses_note_point(&l, 61);
    losses_note_point(&l, 75);
    assert_int_equal(l.list[0].first, 62);
    assert_int_equal(l.list[1].first, 70);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_replica_that_lost_nothing_has_no_loss, setup, teardown),
        cmocka_unit_test_setup_teardown(a_marker_tells_which_txids_were_lost_before_its_base, setup, teardown),
        cmocka_unit_test_setup_teardown(objects_that_were_put_back_are_not_lost_any_more, setup, teardown),
        cmocka_unit_test_setup_teardown(a_writer_finds_the_first_txid_that_can_not_be_restored, setup, teardown),
        cmocka_unit_test_setup_teardown(a_chunk_that_is_missing_loses_what_the_base_led_to, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_never_complete_was_not_lost, setup, teardown),
        cmocka_unit_test(only_the_newest_losses_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
