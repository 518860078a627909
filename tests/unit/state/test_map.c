/* state/map.h: the map, its checksum and its sum. */
#include "failing_alloc.h"
#include "unit.h"

#include "state/map.h"

#include <signal.h>
#include <sys/resource.h>

/* Computes both sums from the entries. */
static void assert_sums(const struct map *m)
{
    uint64_t checksum = 0, sum = 0;
    for (uint32_t pgno = 1; pgno <= m->pages; pgno++) {
        struct map_entry entry = map_get(m, pgno);
        checksum ^= entry.hash;
        sum ^= map_entry_sum(pgno, entry);
    }
    assert_true(m->checksum == checksum);
    assert_true(m->sum == sum);
}

/* The search by groups finds the same pages as a look at each page. */
static void assert_nothing_is_passed_over(struct map *m, struct dice *d)
{
    uint64_t after = dice_below(d, 6);
    uint32_t from = dice_between(d, 1, m->pages + 1), found = map_next_changed(m, from, after);
    assert_true(found >= from && found <= m->pages + 1);
    for (uint32_t pgno = from; pgno < found; pgno++)
        assert_true(map_get(m, pgno).txid <= after);
}

static void the_sums_follow_every_change(void **state)
{
    struct dice d = dice_of(10);
    struct map m;
    struct err e;
    (void)state;
    map_init_memory(&m, 4096);
    for (int round = 0; round < 3000; round++) {
        if (m.pages == 0 || dice_below(&d, 20) == 0)
            assert_ok(map_resize(&m, dice_below(&d, 10) ? dice_below(&d, 300) : dice_below(&d, 20000), &e), &e);
        for (int i = 0; m.pages && i < 10; i++)
            map_set(&m, dice_between(&d, 1, m.pages), (struct map_entry){dice_next(&d), dice_below(&d, 5)});
        if (dice_below(&d, 200) == 0)
            map_clear(&m);
        if (round % 10 == 0)
            assert_sums(&m);
        assert_nothing_is_passed_over(&m, &d);
    }
    assert_sums(&m);
    map_release(&m);
}

static void pages_that_came_back_after_a_shrink_have_no_entry(void **state)
{
    struct map m;
    struct err e;
    (void)state;
    map_init_memory(&m, 4096);
    for (int clear = 0; clear < 2; clear++) {
        assert_ok(map_resize(&m, 10, &e), &e);
        for (uint32_t pgno = 1; pgno <= 10; pgno++)
            map_set(&m, pgno, (struct map_entry){pgno, 1});
        if (clear)
            map_clear(&m);
        else
            assert_ok(map_resize(&m, 3, &e), &e);
        assert_int_equal(map_get(&m, 4).txid, 0);
        assert_ok(map_resize(&m, 10, &e), &e);
        assert_int_equal(map_get(&m, 3).hash, clear ? 0 : 3);
        for (uint32_t pgno = 4; pgno <= 10; pgno++)
            assert_true(map_get(&m, pgno).txid == 0 && map_get(&m, pgno).hash == 0);
        assert_sums(&m);
    }
    map_release(&m);
}

static void there_is_no_entry_outside_the_database(void **state)
{
    struct map m;
    struct err e;
    (void)state;
    map_init_memory(&m, 4096);
    assert_int_equal(map_get(&m, 1).txid, 0);
    assert_ok(map_resize(&m, 2, &e), &e);
    map_set(&m, 2, (struct map_entry){5, 5});
    assert_int_equal(map_get(&m, 0).txid, 0);
    assert_int_equal(map_get(&m, 2).txid, 5);
    assert_int_equal(map_get(&m, 3).txid, 0);
    assert_int_equal(map_get(&m, UINT32_MAX).txid, 0);
    map_release(&m);
    map_release(&m);
}

static void a_page_of_zeros_counts_in_the_sum_and_not_in_the_checksum(void **state)
{
    struct map m;
    struct err e;
    (void)state;
    map_init_memory(&m, 4096);
    assert_ok(map_resize(&m, 2, &e), &e);
    assert_true(m.sum == 0 && m.checksum == 0);
    map_set(&m, 1, (struct map_entry){0, 7});
    assert_true(m.sum != 0 && m.checksum == 0);
    assert_true(map_entry_sum(1, (struct map_entry){0, 7}) != map_entry_sum(2, (struct map_entry){0, 7}));
    assert_true(map_entry_sum(1, (struct map_entry){0, 7}) != map_entry_sum(1, (struct map_entry){0, 8}));
    assert_true(map_entry_sum(1, (struct map_entry){0, 0}) == 0);
    map_release(&m);
}

static void a_full_disk_is_an_error_and_the_map_stays(void **state)
{
    struct rlimit old, small = {0};
    struct err e;
    struct map m = {.page_size = 4096, .offset = 8192};
    (void)state;
    m.fd = open(temp_path("f"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(m.fd >= 0);
    int fd = m.fd;
    assert_ok(map_resize(&m, 100, &e), &e);
    map_set(&m, 100, (struct map_entry){1, 2});
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){.rlim_cur = 1 << 20, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int rc = map_resize(&m, 1000000, &e);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_not_equal(rc, 0);
    assert_int_equal(e.code, ERR_IO);
    assert_int_equal(m.pages, 100);
    assert_int_equal(map_get(&m, 100).txid, 2);
    assert_sums(&m);
    assert_ok(map_resize(&m, 1000000, &e), &e); /* there is room again */
    assert_int_equal(map_get(&m, 100).txid, 2);
    map_release(&m);
    close(fd);
}

static int grow_and_shrink(void *context, struct err *e)
{
    struct map m;
    int rc = 0;
    (void)context;
    map_init_memory(&m, 4096);
    for (uint32_t pages = 1; rc == 0 && pages < 100000; pages *= 3) {
        uint64_t sum = m.sum;
        uint32_t before = m.pages;
        rc = map_resize(&m, pages, e);
        if (rc == 0)
            map_set(&m, pages, (struct map_entry){pages, 1});
        else
            assert_true(m.pages == before && m.sum == sum); /* the map has not changed */
    }
    map_release(&m);
    return rc;
}

static void each_allocation_of_a_map_fails_once(void **state)
{
    (void)state;
    assert_each_allocation_fails_once(grow_and_shrink, NULL);
}

/* Groups only make the search faster. */
static void without_memory_for_groups_every_change_is_found(void **state)
{
    struct map m;
    struct err e;
    (void)state;
    map_init_memory(&m, 4096);
    assert_ok(map_resize(&m, 1000, &e), &e);
    map_set(&m, 700, (struct map_entry){1, 9});
    failing_alloc_arm(1);
    uint32_t found = map_next_changed(&m, 1, 5);
    assert_true(failing_alloc_disarm());
    assert_true(found >= 1 && found <= 700);
    assert_int_equal(map_next_changed(&m, 1, 5), 641); /* the group of page 700 */
    map_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(the_sums_follow_every_change),
        UNIT(pages_that_came_back_after_a_shrink_have_no_entry),
        UNIT(there_is_no_entry_outside_the_database),
        UNIT(a_page_of_zeros_counts_in_the_sum_and_not_in_the_checksum),
        UNIT_IN_TEMP(a_full_disk_is_an_error_and_the_map_stays),
        UNIT(each_allocation_of_a_map_fails_once),
        UNIT(without_memory_for_groups_every_change_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
