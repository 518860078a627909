/* daemon/prune.h: when the next prune is due. */
#include "unit.h"

#include "daemon/prune.h"

static struct prune p;
static int64_t now_ms, waited_ms;

/* After how many ms the next prune is due, if so many objects are put. */
static int64_t due_in(uint64_t objects)
{
    int64_t low = 0, high = INT64_C(365) * 86400000;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (prune_due(&p, p.objects + objects, now_ms + middle))
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* A prune ends when it is due. Returns after how many ms the next one is due, if nothing is put. */
static int64_t wait_after(bool left, uint64_t deleted, uint64_t packs)
{
    p.left = left;
    p.figures.objects = deleted;
    p.packed.packs = packs;
    now_ms += waited_ms;
    assert_false(prune_ended(&p, now_ms));
    return waited_ms = due_in(0);
}

static void begin(const struct options *o)
{
    prune_init(&p, "x", "x", o, 0);
    now_ms = 1000;
    waited_ms = 0;
}

static void what_waits_for_a_pack_makes_a_prune_due_ever_more_rarely_if_nothing_goes(void **state)
{
    const struct options options = {.prune_interval_ms = 3600000, .grace_ms = 600000};
    (void)state;
    begin(&options);
    assert_int_equal(wait_after(false, 1, 0), 3600000);
    assert_int_equal(wait_after(true, 0, 1), PACK_SETTLE_MS);
    assert_int_equal(wait_after(true, 0, 0), 2 * PACK_SETTLE_MS);
    assert_int_equal(wait_after(true, 0, 0), 4 * PACK_SETTLE_MS);
    assert_int_equal(wait_after(true, 5, 0), PACK_SETTLE_MS);
    for (int i = 0; i < 40; i++)
        assert_true(wait_after(true, 0, 0) >= PACK_SETTLE_MS);
    assert_true(wait_after(true, 0, 0) > 3600000);
    assert_int_equal(wait_after(true, 0, 1), PACK_SETTLE_MS);
}

static void a_prune_that_new_objects_make_due_doubles_no_wait(void **state)
{
    const struct options options = {.prune_interval_ms = 3600000, .grace_ms = 600000};
    (void)state;
    begin(&options);
    assert_int_equal(wait_after(true, 0, 1), PACK_SETTLE_MS);
    waited_ms = 1000;
    assert_int_equal(wait_after(true, 0, 0), PACK_SETTLE_MS);
    assert_int_equal(wait_after(true, 0, 0), 2 * PACK_SETTLE_MS);
}

static void where_requests_cost_money_packs_come_rarely_and_stay_young_for_longer(void **state)
{
    const struct options options = {.prune_interval_ms = 3600000, .grace_ms = 3600000};
    struct store s = {.fencing = STORE_FENCING_STRONG};
    (void)state;
    begin(&options);
    prune_set_store(&p, &s);
    assert_int_equal(wait_after(true, 0, 1), 15000);
    assert_int_equal(due_in(PACK_OBJECTS - 1), 15000);
    assert_int_equal(due_in(PACK_OBJECTS), 1000);
    s.costs = true;
    prune_set_store(&p, &s);
    assert_int_equal(wait_after(true, 0, 1), 900000);
    assert_int_equal(due_in(639), 900000);
    assert_int_equal(due_in(640), 300000);
    begin(&options);
    s.fencing = STORE_FENCING_WEAK;
    prune_set_store(&p, &s);
    assert_int_equal(wait_after(false, 1, 0), 3600000);
    assert_int_equal(due_in(640), 3600000);
    prune_set_store(&p, NULL);
    assert_int_equal(due_in(640), 3600000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prune_that_new_objects_make_due_doubles_no_wait),
        cmocka_unit_test(where_requests_cost_money_packs_come_rarely_and_stay_young_for_longer),
        cmocka_unit_test(what_waits_for_a_pack_makes_a_prune_due_ever_more_rarely_if_nothing_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
