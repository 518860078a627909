/* litestream/contents.h and plan.h: which points a replica of Litestream has, and from which objects they are restored. The
 * replicas have names and times, and no contents: a plan needs no others. */
#include "unit.h"

#include "failing_alloc.h"
#include "litestream/contents.h"
#include "litestream/plan.h"
#include "memory_store.h"

static struct store *store;
static struct lite_contents contents;
static struct err e;

static int setup(void **state)
{
    (void)state;
    store = memory_store_new();
    contents = (struct lite_contents){0};
    return store ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    lite_release(&contents);
    store_close(store);
    return 0;
}

static void put(const struct lite_name *n, int64_t time_ms)
{
    char key[STORE_KEY_MAX];
    struct memory_store *m = (struct memory_store *)store;
    lite_name_format(n, key);
    m->now_ms = time_ms;
    assert_ok(memory_store_insert(m, key, "x", 1, &e), &e);
}

static void file(unsigned level, uint64_t min, uint64_t max)
{
    put(&(struct lite_name){.kind = LITE_LTX, .level = level, .min = min, .max = max}, (int64_t)max);
}

static void snapshot(uint64_t generation, uint32_t index, int64_t time_ms)
{
    put(&(struct lite_name){.kind = LITE_SNAPSHOT, .generation = generation, .index = index}, time_ms);
}

static void segment(uint64_t generation, uint32_t index, uint32_t offset, int64_t time_ms)
{
    put(&(struct lite_name){.kind = LITE_SEGMENT, .generation = generation, .index = index, .offset = offset}, time_ms);
}

static bool beside; /* of the last listing */

static void list(void)
{
    lite_release(&contents);
    assert_ok(lite_list(&contents, store, &beside, &e), &e);
}

/* Writes the objects of a plan: "1-4 5-6", "s0 0+0 0+10". "": the error is `code`. */
static const char *planned(struct lite_target t, enum err_code code)
{
    static char text[512];
    struct lite_plan p;
    text[0] = 0;
    if (code) {
        assert_error(lite_plan_make(&contents, &t, &p, &e), &e, code);
        return text;
    }
    assert_ok(lite_plan_make(&contents, &t, &p, &e), &e);
    for (size_t i = 0; i < p.count; i++) {
        const struct lite_name *n = &p.objects[i]->name;
        char *at = text + strlen(text);
        const size_t room = sizeof text - strlen(text);
        const char *blank = i ? " " : "";
        if (n->kind == LITE_LTX)
            snprintf(at, room, "%s%d-%d", blank, (int)n->min, (int)n->max);
        else if (n->kind == LITE_SNAPSHOT)
            snprintf(at, room, "%ss%u", blank, n->index);
        else
            snprintf(at, room, "%s%u+%u", blank, n->index, n->offset);
    }
    lite_plan_release(&p);
    return text;
}

static const struct lite_target newest = {.txid = 0};

static struct lite_target at_txid(uint64_t txid)
{
    return (struct lite_target){.txid = txid};
}

static struct lite_target at_time(int64_t ms)
{
    return (struct lite_target){.by_time = true, .time_ms = ms};
}

static void a_plan_has_the_fewest_files(void **state)
{
    (void)state;
    for (uint64_t t = 1; t <= 12; t++)
        file(0, t, t);
    file(1, 1, 4);
    file(1, 5, 8);
    file(2, 1, 8);
    file(LITE_SNAPSHOT_LEVEL, 1, 4);
    list();
    assert_true(contents.top == 12 && contents.beyond == 0);
    assert_string_equal(planned(newest, 0), "1-8 9-9 10-10 11-11 12-12");
    assert_string_equal(planned(at_txid(12), 0), "1-8 9-9 10-10 11-11 12-12");
    assert_string_equal(planned(at_txid(8), 0), "1-8");
    assert_string_equal(planned(at_txid(7), 0), "1-4 5-5 6-6 7-7");
    assert_string_equal(planned(at_txid(1), 0), "1-1");
    assert_string_equal(planned(at_time(7), 0), "1-4 5-5 6-6 7-7");
    planned(at_time(0), ERR_NOTFOUND);
    planned(at_txid(13), ERR_NOTFOUND);
    assert_contains(e.msg, "the nearest is 12;");
}

static void files_may_overlap(void **state)
{
    (void)state;
    file(LITE_SNAPSHOT_LEVEL, 1, 10);
    file(2, 5, 14);
    file(1, 13, 16);
    list();
    assert_string_equal(planned(newest, 0), "1-10 5-14 13-16");
    planned(at_txid(12), ERR_NOTFOUND);
    assert_contains(e.msg, "the nearest are 10 and 14;");
}

static void a_gap_ends_what_can_be_restored(void **state)
{
    (void)state;
    file(0, 1, 1);
    file(0, 2, 2);
    file(0, 4, 4);
    file(1, 5, 6);
    list();
    assert_true(contents.top == 2 && contents.beyond == 4);
    planned(newest, ERR_CORRUPT);
    assert_contains(e.msg, "--txid 2 restores");
    assert_string_equal(planned(at_txid(2), 0), "1-1 2-2");
    assert_string_equal(planned(at_time(100), 0), "1-1 2-2");
    planned(at_txid(6), ERR_NOTFOUND);
}

static void without_a_snapshot_nothing_can_be_restored(void **state)
{
    (void)state;
    file(0, 2, 2);
    file(0, 3, 3);
    list();
    assert_true(contents.top == 0 && contents.beyond == 2);
    planned(newest, ERR_CORRUPT);
    planned(at_txid(3), ERR_NOTFOUND);
    planned(at_time(100), ERR_NOTFOUND);
}

static void a_damaged_file_is_passed_over(void **state)
{
    (void)state;
    file(0, 1, 1);
    file(0, 2, 2);
    file(1, 1, 2);
    list();
    for (size_t i = 0; i < contents.files.count; i++)
        contents.files.all[i].damaged = contents.files.all[i].name.level == 1;
    lite_find_points(&contents);
    assert_string_equal(planned(newest, 0), "1-1 2-2");
}

static void a_generation_is_a_snapshot_and_the_segments_after_it(void **state)
{
    (void)state;
    snapshot(7, 0, 10);
    segment(7, 0, 0, 11);
    segment(7, 0, 50, 12);
    segment(7, 1, 0, 13);
    segment(7, 1, 80, 14);
    list();
    assert_string_equal(planned(newest, 0), "s0 0+0 0+50 1+0 1+80");
    assert_string_equal(planned(at_time(12), 0), "s0 0+0 0+50");
    planned(at_time(11), ERR_NOTFOUND); /* does the first segment have all that was in the WAL at 10? */
    planned(at_txid(1), ERR_NOTFOUND);
    assert_contains(e.msg, "has no txids");
}

static void a_snapshot_alone_is_the_last_resort(void **state)
{
    (void)state;
    snapshot(7, 0, 10);
    snapshot(7, 1, 20);
    list();
    assert_string_equal(planned(newest, 0), "s1");
    assert_string_equal(planned(at_time(19), 0), "s0");
    planned(at_time(9), ERR_NOTFOUND);
    segment(7, 1, 0, 21);
    list();
    assert_string_equal(planned(newest, 0), "s1 1+0"); /* the end of the generation */
    planned(at_time(20), ERR_NOTFOUND);
}

static void a_snapshot_is_not_used_for_segments_that_may_lack_what_it_has(void **state)
{
    (void)state;
    snapshot(7, 0, 10);
    segment(7, 0, 0, 11);
    segment(7, 1, 0, 20);
    segment(7, 1, 50, 21);
    snapshot(7, 1, 25);
    segment(7, 1, 90, 30);
    segment(7, 1, 99, 31);
    list();
    assert_string_equal(planned(at_time(21), 0), "s0 0+0 1+0 1+50");
    assert_string_equal(planned(at_time(26), 0), "s0 0+0 1+0 1+50");
    assert_string_equal(planned(at_time(30), 0), "s0 0+0 1+0 1+50 1+90");
    assert_string_equal(planned(newest, 0), "s1 1+0 1+50 1+90 1+99");
}

static void a_snapshot_of_a_later_index_needs_segments_too(void **state)
{
    (void)state;
    snapshot(7, 0, 10);
    segment(7, 0, 0, 11);
    segment(7, 0, 50, 20);
    snapshot(7, 1, 21);
    list();
    assert_string_equal(planned(newest, 0), "s0 0+0 0+50");
    assert_string_equal(planned(at_time(20), 0), "s0 0+0 0+50");
}

static void at_rest_the_newest_snapshot_is_newer_than_all_segments(void **state)
{
    (void)state;
    snapshot(7, 3, 100);
    segment(7, 3, 0, 20);
    segment(7, 3, 50, 21);
    list();
    assert_string_equal(planned(newest, 0), "s3 3+0 3+50");
}

static void a_missing_index_ends_what_can_be_restored(void **state)
{
    (void)state;
    snapshot(7, 0, 10);
    segment(7, 0, 0, 11);
    segment(7, 0, 50, 12);
    segment(7, 2, 0, 20);
    list();
    planned(newest, ERR_CORRUPT);
    assert_contains(e.msg, "HINT: --time 1970-01-01T00:00:00.012Z");
    assert_string_equal(planned(at_time(1000), 0), "s0 0+0 0+50");
}

static void a_missing_first_segment_is_found_by_its_offset(void **state)
{
    (void)state;
    snapshot(7, 0, 10);
    segment(7, 0, 50, 11);
    list();
    planned(newest, ERR_CORRUPT);
}

static void the_generation_with_the_newest_point_counts(void **state)
{
    (void)state;
    snapshot(9, 0, 10);
    segment(9, 0, 0, 11);
    snapshot(4, 0, 20);
    segment(4, 0, 0, 21);
    list();
    assert_string_equal(planned(newest, 0), "s0 0+0");
    struct lite_plan p;
    assert_ok(lite_plan_make(&contents, &newest, &p, &e), &e);
    assert_true(p.last->name.generation == 4);
    lite_plan_release(&p);
    const struct lite_target before = at_time(15);
    assert_ok(lite_plan_make(&contents, &before, &p, &e), &e);
    assert_true(p.last->name.generation == 9);
    lite_plan_release(&p);
}

static void of_both_formats_the_newer_point_counts(void **state)
{
    (void)state;
    snapshot(9, 0, 10);
    segment(9, 0, 0, 11);
    file(0, 1, 1);
    file(0, 2, 20); /* its time is 20 */
    list();
    assert_string_equal(planned(newest, 0), "1-1 2-20");
    assert_string_equal(planned(at_time(15), 0), "s0 0+0");
}

static void an_empty_place_has_no_replica(void **state)
{
    (void)state;
    assert_error(lite_list(&contents, store, &beside, &e), &e, ERR_NOTFOUND);
    assert_ok(memory_store_insert((struct memory_store *)store, "seawall.json", "{}", 2, &e), &e);
    assert_error(lite_list(&contents, store, &beside, &e), &e, ERR_NOTFOUND);
}

static void beside_a_replica_of_seawall_there_is_none(void **state)
{
    static const char *const ours[] = {"seawall.json", "0/0000000000000001", "1/0000000000000001-0000000000000040",
                                       "base/0000000000000001-0123456789abcdef0123456789abcdef/marker"};
    struct memory_store *m = (struct memory_store *)store;
    (void)state;
    file(0, 1, 1);
    list();
    assert_false(beside);
    for (size_t i = 0; i < COUNT_OF(ours); i++) {
        assert_ok(memory_store_insert(m, ours[i], "{}", 2, &e), &e);
        lite_release(&contents);
        assert_error(lite_list(&contents, store, &beside, &e), &e, ERR_NOTFOUND);
        assert_true(beside);
        assert_ok(store_remove(store, ours[i], &e), &e);
    }
    assert_ok(memory_store_insert(m, "another/file", "{}", 2, &e), &e);
    list();
    assert_int_equal(contents.files.count, 1);
}

static unsigned twice(const char *key)
{
    (void)key;
    return 2;
}

static void a_key_that_comes_twice_is_an_error(void **state)
{
    (void)state;
    file(0, 1, 1);
    ((struct memory_store *)store)->shown = twice;
    assert_error(lite_list(&contents, store, &beside, &e), &e, ERR_CORRUPT);
}

static int list_and_plan(void *context, struct err *error)
{
    const struct lite_target *t = context;
    struct lite_plan p = {0};
    lite_release(&contents);
    int rc = lite_list(&contents, store, &beside, error);
    if (rc == 0)
        rc = lite_plan_make(&contents, t, &p, error);
    lite_plan_release(&p);
    return rc;
}

static void each_failing_allocation_is_an_error(void **state)
{
    struct lite_target t = {.txid = 0};
    (void)state;
    file(0, 1, 1);
    file(0, 2, 2);
    snapshot(9, 0, 1);
    segment(9, 0, 0, 1);
    assert_each_allocation_fails_once(list_and_plan, &t);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_plan_has_the_fewest_files),
        TEST(files_may_overlap),
        TEST(a_gap_ends_what_can_be_restored),
        TEST(without_a_snapshot_nothing_can_be_restored),
        TEST(a_damaged_file_is_passed_over),
        TEST(a_generation_is_a_snapshot_and_the_segments_after_it),
        TEST(a_snapshot_alone_is_the_last_resort),
        TEST(a_snapshot_is_not_used_for_segments_that_may_lack_what_it_has),
        TEST(a_snapshot_of_a_later_index_needs_segments_too),
        TEST(at_rest_the_newest_snapshot_is_newer_than_all_segments),
        TEST(a_missing_index_ends_what_can_be_restored),
        TEST(a_missing_first_segment_is_found_by_its_offset),
        TEST(the_generation_with_the_newest_point_counts),
        TEST(of_both_formats_the_newer_point_counts),
        TEST(beside_a_replica_of_seawall_there_is_none),
        TEST(an_empty_place_has_no_replica),
        TEST(a_key_that_comes_twice_is_an_error),
        TEST(each_failing_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
