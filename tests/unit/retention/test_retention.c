/* retention/retention.h: which objects go and which stay; every promised restore point is there after each single
 * deletion. */
#include "unit.h"

#include "claims.h"
#include "failing_alloc.h"
#include "memory_store.h"
#include "replica.h"

#include "replica/packs.h"
#include "replica/whole.h"
#include "retention/retention.h"

#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static struct codec *codec;
static struct store *store;
static struct memory_store *memory;
static struct replica r;
static struct catalog catalog;
static struct retention_plan decided;

static const struct retention_policy usual = {
    .grace_ms = HOUR, .keep_all_ms = DAY, .keep_levels_ms = 7 * DAY, .keep_daily = 7};

static void begin(uint64_t seed)
{
    store = memory_store_new();
    assert_non_null(store);
    memory = (struct memory_store *)store;
    memory->now_ms = 1000 * DAY;
    replica_init(&r, store, codec, seed);
}

static void end(void)
{
    retention_plan_release(&decided);
    catalog_release(&catalog);
    replica_release(&r);
    store_close(store);
}

/* For most tests: the model has 12 commits with a page size of 512; no object is put. */
static int setup(void **state)
{
    (void)state;
    codec = codec_new();
    if (!codec)
        return -1;
    begin(20);
    replica_commits(&r, 12, 512);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    end();
    codec_free(codec);
    return 0;
}

static void later(int64_t ms)
{
    memory->now_ms += ms;
    r.time_ms = memory->now_ms;
}

static int decide(const struct retention_policy *policy, struct err *e)
{
    int64_t now = 0;
    retention_plan_release(&decided);
    catalog_release(&catalog);
    if (store_time(store, &now, e) || catalog_open(&catalog, store, codec, e))
        return -1;
    return retention_decide(&catalog, policy, now, &decided, e);
}

/* "0/1" for 0/0000000000000001, "1/1-4", "base/4", "chunk/4", "part". */
static void short_name(const struct name *n, char out[64])
{
    if (n->kind == NAME_LEVEL0)
        snprintf(out, 64, "0/%d", (int)n->min);
    else if (n->kind == NAME_LEVEL)
        snprintf(out, 64, "%u/%d-%d", n->level, (int)n->min, (int)n->max);
    else if (n->kind == NAME_MARKER)
        snprintf(out, 64, "base/%d", (int)n->start);
    else if (n->kind == NAME_INTERIOR)
        snprintf(out, 64, "interior/%d", (int)n->start);
    else if (n->kind == NAME_CHUNK)
        snprintf(out, 64, "chunk/%d", (int)n->start);
    else if (n->kind == NAME_PACK)
        snprintf(out, 64, "pack/%d-%d", (int)n->min, (int)n->max);
    else
        snprintf(out, 64, "%s", n->kind == NAME_PART ? "part" : NAME_IDENTITY);
}

/* Checks which objects go. `expected`: "0/1 0/2 base/4 chunk/4"; several chunks or parts of one base are named once. */
static void assert_goes(const struct retention_policy *policy, const char *expected)
{
    char found[4000] = "", last[64] = "", name[64];
    struct err e;
    assert_ok(decide(policy, &e), &e);
    for (size_t i = 0; i < decided.count; i++) {
        short_name(&decided.verdicts[i].name, name);
        if (!decided.verdicts[i].goes || strcmp(name, last) == 0)
            continue;
        snprintf(found + strlen(found), sizeof found - strlen(found), "%s%s", *found ? " " : "", name);
        memcpy(last, name, sizeof last);
    }
    assert_string_equal(found, expected);
}

static void assert_reason(const char *object, enum retention_reason reason)
{
    char name[64];
    for (size_t i = 0; i < decided.count; i++) {
        short_name(&decided.verdicts[i].name, name);
        if (strcmp(name, object) != 0)
            continue;
        assert_string_equal(retention_reason_text(decided.verdicts[i].reason), retention_reason_text(reason));
        return;
    }
    fail_msg("no verdict of '%s'", object);
}

struct told_progress {
    uint64_t done, total;
};

static void note_progress(void *context, uint64_t done, uint64_t total)
{
    *(struct told_progress *)context = (struct told_progress){done, total};
}

static void prune(const struct retention_policy *policy)
{
    struct retention_figures f;
    struct err e;
    assert_ok(decide(policy, &e), &e);
    struct told_progress told = {.done = 0};
    decided.progress = note_progress;
    decided.context = &told;
    assert_ok(retention_apply(store, &decided, &f, &e), &e);
    assert_int_equal(told.done, decided.delete_count);
    assert_int_equal(told.total, decided.delete_count);
    decided.progress = NULL;
    assert_true(f.objects == decided.delete_count && f.bytes == decided.delete_bytes);
}

static bool can_plan(uint64_t txid)
{
    struct plan p = {0};
    struct map m = {0};
    struct err e;
    if (plan_make(&catalog, txid, &p, &e))
        return false;
    int rc = plan_map(&catalog, &p, &m, &e);
    if (rc == 0)
        map_release(&m);
    plan_release(&p);
    return rc == 0;
}

static void list_objects(void)
{
    struct err e;
    catalog_release(&catalog);
    assert_ok(catalog_open(&catalog, store, codec, &e), &e);
}

/* ---- the rules, one by one */

/* Puts 0/1 to 0/12, with one commit each. */
static void put_level0(void)
{
    for (uint64_t t = 1; t <= 12; t++)
        replica_put_full(&r, t, t, t == 1 ? SEGMENT_FROM_EMPTY : 0);
}

static void a_policy_that_keeps_nothing_is_refused(void **state)
{
    struct retention_policy nothing = {.grace_ms = HOUR};
    struct err e;
    (void)state;
    put_level0();
    later(DAY);
    assert_error(decide(&nothing, &e), &e, ERR_CONFIG);
    assert_contains(e.msg, "HINT");
    nothing.keep_monthly = 1;
    assert_ok(decide(&nothing, &e), &e);
}

static void a_segment_goes_when_a_higher_level_older_than_keep_all_has_it(void **state)
{
    (void)state;
    put_level0();
    replica_put_last(&r, 1, 1, 4, SEGMENT_FROM_EMPTY);
    later(DAY);
    replica_put_last(&r, 1, 5, 8, 0);
    assert_goes(&usual, ""); /* exactly as old as keep-all is not older */
    assert_reason("0/1", RETENTION_KEEP_ALL);
    later(1);
    assert_goes(&usual, "0/1 0/2 0/3 0/4");
    assert_reason("0/5", RETENTION_COVER_YOUNG);
    assert_reason("0/9", RETENTION_ALONE);
    assert_reason("0/12", RETENTION_HEAD);
    assert_reason("1/1-4", RETENTION_ALONE);
    assert_reason(NAME_IDENTITY, RETENTION_IDENTITY);
    prune(&usual);
    later(DAY);
    assert_goes(&usual, "0/5 0/6 0/7 0/8");
}

static void a_segment_that_ends_after_the_higher_one_stays(void **state)
{
    (void)state;
    replica_put_full(&r, 1, 3, SEGMENT_FROM_EMPTY);
    replica_put_full(&r, 4, 6, 0);
    replica_put_full(&r, 7, 12, 0);
    replica_put_last(&r, 1, 1, 5, SEGMENT_FROM_EMPTY);
    later(2 * DAY);
    assert_goes(&usual, "0/1");
    assert_reason("0/4", RETENTION_ALONE);
}

static void nothing_younger_than_the_grace_period_goes(void **state)
{
    struct retention_policy hasty = {.grace_ms = HOUR, .keep_daily = 1};
    (void)state;
    replica_put_last(&r, 1, 1, 4, SEGMENT_FROM_EMPTY); /* as if the segments had been copied here after it */
    later(HOUR);
    put_level0();
    later(1);
    assert_goes(&hasty, "");
    assert_reason("0/1", RETENTION_YOUNG);
    later(HOUR);
    assert_goes(&hasty, "0/1 0/2 0/3 0/4");
}

static void what_lies_in_a_pack_goes_when_the_pack_has_settled(void **state)
{
    (void)state;
    later(MINUTE);
    put_level0();
    replica_put_last(&r, 1, 2, 4, 0);
    later(MINUTE);
    replica_put_pack(&r, 2, 4);
    later(PACK_SETTLE_MS);
    assert_goes(&usual, ""); /* exactly as old is not older */
    assert_reason("0/2", RETENTION_PACK_YOUNG);
    later(1);
    assert_goes(&usual, "0/2 0/3 0/4");
    assert_reason("0/2", RETENTION_PACKED);
    assert_reason("0/1", RETENTION_YOUNG);
    assert_reason("pack/2-4", RETENTION_YOUNG);
    assert_reason("1/2-4", RETENTION_YOUNG); /* no higher level has its txids */
    prune(&usual);
    assert_goes(&usual, "");
}

static void a_pack_goes_as_a_whole_like_an_object_of_level_0(void **state)
{
    (void)state;
    put_level0();
    replica_put_pack(&r, 2, 8);
    replica_put_last(&r, 1, 2, 4, 0);
    later(2 * DAY);
    assert_goes(&usual, "0/2 0/3 0/4 0/5 0/6 0/7 0/8");
    assert_reason("pack/2-8", RETENTION_ALONE); /* 1/2-4 has a part of it */
    prune(&usual);
    replica_put_last(&r, 1, 5, 8, 0);
    replica_put_last(&r, 2, 2, 8, 0);
    later(DAY);
    assert_goes(&usual, "1/2-4 1/5-8"); /* the pack has their points */
    assert_reason("pack/2-8", RETENTION_COVER_YOUNG);
    later(1);
    assert_goes(&usual, "pack/2-8 1/2-4 1/5-8");
    assert_reason("pack/2-8", RETENTION_COVERED);
}

static void a_segment_in_a_pack_goes_when_a_higher_level_has_it_too(void **state)
{
    (void)state;
    put_level0();
    replica_put_last(&r, 1, 2, 4, 0);
    replica_put_last(&r, 1, 5, 8, 0);
    replica_put_pack(&r, 2, 8);
    later(PACK_SETTLE_MS + 1);
    assert_goes(&usual, "0/2 0/3 0/4 0/5 0/6 0/7 0/8");
    replica_put_last(&r, 2, 2, 8, 0);
    assert_goes(&usual, "1/2-4 1/5-8 0/2 0/3 0/4 0/5 0/6 0/7 0/8");
    assert_reason("1/2-4", RETENTION_LEVEL_PACKED);
}

/* Of two prunes at a time one could delete the segment because of the pack, and the other the pack because of it. */
static void of_a_pack_and_a_segment_with_its_txids_one_stays(void **state)
{
    (void)state;
    put_level0();
    replica_put_last(&r, 1, 2, 4, 0);
    replica_put_pack(&r, 2, 4);
    later(DAY - PACK_SETTLE_MS);
    replica_put_last(&r, 2, 2, 8, 0);
    later(PACK_SETTLE_MS + 1);
    assert_goes(&usual, "0/2 0/3 0/4"); /* another prune may not know 2/2-8 */
    assert_reason("pack/2-4", RETENTION_COVER_YOUNG);
    assert_reason("1/2-4", RETENTION_COVER_YOUNG);
    later(HOUR);
    assert_goes(&usual, "1/2-4 0/2 0/3 0/4");
    assert_reason("pack/2-4", RETENTION_COVER_YOUNG);
    later(DAY);
    assert_goes(&usual, "pack/2-4 0/5 0/6 0/7 0/8 1/2-4 0/2 0/3 0/4");
}

static void a_damaged_segment_keeps_no_pack(void **state)
{
    const struct name part = {.kind = NAME_PART, .run = r.run, .number = 8 * 16 + 2 * 2};
    char key[NAME_MAX_BYTES];
    struct err e;
    (void)state;
    put_level0();
    replica_put_last(&r, 1, 2, 4, 0);
    replica_put_pack(&r, 2, 4);
    replica_put_last(&r, 2, 2, 8, SEGMENT_IN_PARTS);
    name_format(&part, key);
    assert_ok(store_remove(store, key, &e), &e);
    later(DAY + 1);
    assert_goes(&usual, "pack/2-4 0/2 0/3 0/4");
}

/* Nothing else lets the segment go. */
static void a_pack_goes_for_the_only_segment_with_its_txids(void **state)
{
    (void)state;
    put_level0();
    replica_put_pack(&r, 2, 4);
    replica_put_last(&r, 1, 2, 4, 0);
    later(DAY + 1);
    assert_goes(&usual, "pack/2-4 0/2 0/3 0/4");
    assert_reason("1/2-4", RETENTION_ALONE);
}

static void smaller_packs_go_for_a_larger_one(void **state)
{
    (void)state;
    put_level0();
    replica_put_pack(&r, 2, 4);
    replica_put_pack(&r, 5, 8);
    replica_put_pack(&r, 2, 8);
    later(PACK_SETTLE_MS + 1);
    assert_goes(&usual, "0/2 pack/2-4 0/3 0/4 0/5 pack/5-8 0/6 0/7 0/8");
    prune(&usual);
}

static void a_damaged_pack_replaces_nothing(void **state)
{
    (void)state;
    put_level0();
    replica_put_pack(&r, 2, 4);
    replica_put_last(&r, 1, 2, 4, 0);
    later(PACK_SETTLE_MS + 1);
    struct memory_object *o = memory_store_object(memory, "pack/0000000000000002-0000000000000004");
    o->bytes[o->size - 20] ^= 1;
    assert_goes(&usual, "");
    assert_reason("pack/2-4", RETENTION_PACK_DAMAGED);
    assert_reason("0/2", RETENTION_YOUNG); /* it takes the place of the pack */
    later(2 * DAY);
    assert_goes(&usual, "0/2 0/3 0/4");
    assert_reason("0/2", RETENTION_COVERED);
    assert_reason("pack/2-4", RETENTION_PACK_DAMAGED);
}

static void a_pack_with_a_damaged_page_replaces_nothing(void **state)
{
    (void)state;
    put_level0();
    replica_put_pack(&r, 2, 8);
    replica_put_last(&r, 1, 2, 4, 0);
    replica_put_last(&r, 2, 2, 8, 0);
    later(PACK_SETTLE_MS + 1);
    struct memory_object *o = memory_store_object(memory, "pack/0000000000000002-0000000000000008");
    o->bytes[SEGMENT_HEADER_BYTES + 10] ^= 1;
    assert_goes(&usual, "");
    assert_reason("0/2", RETENTION_PACK_DAMAGED);
    o->bytes[SEGMENT_HEADER_BYTES + 10] ^= 1;
    assert_goes(&usual, "1/2-4 0/2 0/3 0/4 0/5 0/6 0/7 0/8");
}

static void a_pack_is_read_whole_once(void **state)
{
    (void)state;
    struct whole_packs known = {.next = 0};
    struct retention_policy policy = usual;
    policy.whole = &known;
    put_level0();
    replica_put_pack(&r, 2, 4);
    later(PACK_SETTLE_MS + 1);
    assert_goes(&policy, "0/2 0/3 0/4");
    assert_int_equal(known.next, 1);
    assert_goes(&policy, "0/2 0/3 0/4");
    assert_int_equal(known.next, 1);
}

static void where_requests_cost_money_what_lies_in_a_pack_waits_for_a_quarter_of_the_grace_period(void **state)
{
    (void)state;
    put_level0();
    replica_put_pack(&r, 2, 4);
    store->costs = true;
    later(HOUR / 4);
    assert_goes(&usual, "");
    later(1);
    assert_goes(&usual, "0/2 0/3 0/4");
    store->costs = false;
}

static void the_newest_of_level_0_never_goes(void **state)
{
    (void)state;
    put_level0();
    replica_put_last(&r, 1, 1, 12, SEGMENT_FROM_EMPTY);
    later(1000 * DAY);
    assert_goes(&usual, "0/1 0/2 0/3 0/4 0/5 0/6 0/7 0/8 0/9 0/10 0/11");
    assert_reason("0/12", RETENTION_HEAD);
}

static void a_damaged_object_of_a_higher_level_replaces_nothing(void **state)
{
    (void)state;
    put_level0();
    replica_put_last(&r, 1, 1, 4, SEGMENT_FROM_EMPTY);
    replica_put_last(&r, 1, 5, 8, 0);
    replica_put_last(&r, 2, 1, 8, SEGMENT_FROM_EMPTY);
    later(2 * DAY);
    struct memory_object *o = memory_store_object(memory, "2/0000000000000001-0000000000000008");
    o->bytes[o->size - 20] ^= 1;
    assert_goes(&usual, "0/1 0/2 0/3 0/4 0/5 0/6 0/7 0/8");
    assert_reason("1/1-4", RETENTION_COVER_DAMAGED);
    o = memory_store_object(memory, "1/0000000000000001-0000000000000004");
    o->bytes[o->size - 20] ^= 1;
    assert_goes(&usual, "0/5 0/6 0/7 0/8");
    assert_reason("0/1", RETENTION_COVER_DAMAGED);
}

static void a_segment_that_lacks_a_part_replaces_nothing(void **state)
{
    struct err e;
    (void)state;
    put_level0();
    replica_put_last(&r, 1, 1, 4, SEGMENT_FROM_EMPTY | SEGMENT_IN_PARTS);
    later(2 * DAY);
    assert_goes(&usual, "0/1 0/2 0/3 0/4");
    assert_reason("part", RETENTION_PART_STAYS);
    char key[NAME_MAX_BYTES];
    name_format(&catalog.parts[0].name, key);
    assert_ok(store_remove(store, key, &e), &e);
    assert_goes(&usual, "");
}

static void parts_go_after_their_segment(void **state)
{
    (void)state;
    replica_put_last(&r, 0, 1, 4, SEGMENT_FROM_EMPTY | SEGMENT_IN_PARTS);
    replica_put_full(&r, 5, 12, 0);
    replica_put_last(&r, 1, 1, 4, SEGMENT_FROM_EMPTY);
    later(2 * DAY);
    assert_goes(&usual, "0/1 part");
    struct retention_figures f;
    struct err e;
    memory->removes = 1;
    assert_error(retention_apply(store, &decided, &f, &e), &e, ERR_REMOTE);
    assert_null(memory_store_object(memory, "0/0000000000000001"));
    memory->removes = UINT_MAX;
    assert_goes(&usual, ""); /* the run that put them has put the newest object too, so it may be about to name them */
    assert_reason("part", RETENTION_PART_WAITS);
    r.run.bytes[0]++;
    r.model.newest = 12;
    replica_commits(&r, 1, 512);
    replica_put_full(&r, 13, 13, 0);
    assert_goes(&usual, "part");
}

static void parts_of_a_segment_that_is_under_way_stay(void **state)
{
    struct err e;
    char key[NAME_MAX_BYTES];
    (void)state;
    replica_put_full(&r, 1, 4, SEGMENT_FROM_EMPTY);
    r.run.bytes[0]++;
    struct placed *o = replica_put_last(&r, 0, 5, 8, SEGMENT_IN_PARTS);
    name_format(&o->name, key);
    assert_ok(store_remove(store, key, &e), &e);
    replica_put_last(&r, 1, 1, 4, SEGMENT_FROM_EMPTY);
    later(30 * DAY);
    assert_goes(&usual, ""); /* txid 5 is not put yet */
    assert_reason("part", RETENTION_PART_WAITS);
    r.run.bytes[0]++;
    replica_put_full(&r, 5, 12, 0);
    assert_goes(&usual, "0/1 part");
}

/* ---- bases */

/* Puts one object a day, the txids 1 to 12, and after each of them a base. */
static void put_days(void)
{
    for (uint64_t t = 1; t <= 12; t++) {
        replica_put_full(&r, t, t, t == 1 ? SEGMENT_FROM_EMPTY : 0);
        later(1);
        replica_put_base(&r, t, t);
        later(DAY - 1);
    }
}

static void without_a_base_older_than_the_window_all_bases_stay(void **state)
{
    (void)state;
    for (uint64_t t = 1; t <= 6; t++) {
        replica_put_full(&r, t, t, t == 1 ? SEGMENT_FROM_EMPTY : 0);
        replica_put_base(&r, t, t);
        later(DAY);
    }
    struct retention_policy p = usual;
    p.keep_daily = 1;
    assert_goes(&p, "");
    assert_reason("base/3", RETENTION_BASE_NO_ANCHOR);
    assert_reason("base/5", RETENTION_BASE_BEFORE_ALL);
    assert_reason("base/6", RETENTION_BASE_NEWEST);
}

static void all_bases_younger_than_keep_all_stay(void **state)
{
    static const struct retention_policy p = {.grace_ms = HOUR, .keep_all_ms = DAY};
    (void)state;
    put_level0();
    for (uint64_t t = 1; t <= 6; t++) {
        replica_put_base(&r, t, t);
        later(8 * HOUR); /* at the end they are 48, 40, 32, 24, 16 and 8 hours old */
    }
    assert_goes(&p, "0/1 0/2 base/1 base/2 chunk/1 chunk/2");
    assert_reason("base/3", RETENTION_BASE_BEFORE_ALL);
    assert_reason("base/4", RETENTION_KEEP_ALL);
    assert_reason("base/5", RETENTION_KEEP_ALL);
    assert_reason("base/6", RETENTION_BASE_NEWEST);
}

static void bases_stay_by_the_calendar_and_each_keeps_its_point(void **state)
{
    static const struct retention_policy p = {
        .grace_ms = HOUR, .keep_all_ms = DAY, .keep_levels_ms = 2 * DAY, .keep_daily = 4, .keep_weekly = 2};
    (void)state;
    put_days();
    /* Day 1000 was a Wednesday: the base of txid 5 is of a Sunday, that of txid 12 of the next Sunday. */
    assert_goes(
        &p,
        "0/1 0/2 0/3 0/4 0/6 0/7 0/8 base/1 base/2 base/3 base/4 base/6 base/7 base/8 chunk/1 chunk/2 chunk/3 chunk/4 "
        "chunk/6 chunk/7 chunk/8");
    assert_reason("base/12", RETENTION_BASE_NEWEST);
    assert_reason("base/11", RETENTION_BASE_BEFORE_ALL);
    assert_reason("base/10", RETENTION_BASE_ANCHOR);
    assert_reason("base/9", RETENTION_BASE_DAILY);
    assert_reason("base/5", RETENTION_BASE_WEEKLY);
    prune(&p);
    list_objects();
    for (uint64_t t = 1; t <= 12; t++)
        assert_true(can_plan(t) == (t == 5 || t >= 9));
    assert_goes(&p, "");
}

/* Another prune that decides while this one deletes may begin its window there. */
static void a_base_that_is_the_anchor_soon_stays(void **state)
{
    static const struct retention_policy p = {.grace_ms = HOUR, .keep_all_ms = DAY, .keep_levels_ms = 3 * DAY};
    (void)state;
    put_days(); /* the base of txid 10 is three days old, less 1 ms */
    assert_goes(&p, "0/1 0/2 0/3 0/4 0/5 0/6 0/7 0/8 base/1 base/2 base/3 base/4 base/5 base/6 base/7 base/8 chunk/1 "
                    "chunk/2 chunk/3 chunk/4 chunk/5 chunk/6 chunk/7 chunk/8");
    assert_reason("base/9", RETENTION_BASE_ANCHOR);
    assert_reason("base/10", RETENTION_BASE_ANCHOR_SOON);
    later(2); /* base/12 is the newest one that is older than keep_all now */
    assert_goes(&p,
                "0/1 0/2 0/3 0/4 0/5 0/6 0/7 0/8 0/9 base/1 base/2 base/3 base/4 base/5 base/6 base/7 base/8 base/9 "
                "base/11 chunk/1 chunk/2 chunk/3 chunk/4 chunk/5 chunk/6 chunk/7 chunk/8 chunk/9 chunk/11");
    assert_reason("base/10", RETENTION_BASE_ANCHOR);
}

static void months_and_hours_are_counted_where_they_have_a_base(void **state)
{
    static const struct retention_policy p = {.grace_ms = HOUR, .keep_hourly = 2, .keep_monthly = 3};
    (void)state;
    for (uint64_t t = 1; t <= 12; t++) {
        replica_put_full(&r, t, t, t == 1 ? SEGMENT_FROM_EMPTY : 0);
        replica_put_base(&r, t, t);
        later(t < 9 ? 15 * DAY : 45 * MINUTE);
    }
    later(
        DAY); /* 1972-09-27, 10-12, 10-27, 11-11, 11-26, 12-11, 12-26, 1973-01-10, then 01-25: 00:00, 00:45, 01:30, 02:15 */
    assert_goes(&p, "0/1 0/2 0/3 0/4 0/6 0/8 0/9 0/10 base/1 base/2 base/3 base/4 base/6 base/8 base/9 base/10 chunk/1 "
                    "chunk/2 chunk/3 "
                    "chunk/4 chunk/6 chunk/8 chunk/9 chunk/10");
    assert_reason("base/11", RETENTION_BASE_HOURLY);
    assert_reason("base/7", RETENTION_BASE_MONTHLY);
    assert_reason("base/5", RETENTION_BASE_MONTHLY);
}

/* If levels grow, the object that has the last txid of the base ends days after it. */
static void the_point_of_a_base_does_not_move_when_levels_grow(void **state)
{
    struct retention_policy p = usual;
    (void)state;
    p.keep_levels_ms = 0;
    replica_put_full(&r, 1, 2, SEGMENT_FROM_EMPTY);
    replica_put_full(&r, 3, 3, 0);
    replica_put_full(&r, 4, 4, 0);
    replica_put_full(&r, 5, 12, 0);
    replica_put_base(&r, 2, 3);
    replica_put_last(&r, 1, 1, 12, SEGMENT_FROM_EMPTY);
    later(DAY);
    replica_commits(&r, 1, 512);
    replica_put_full(&r, 13, 13, 0);
    replica_put_base(&r, 13, 13);
    later(2 * DAY);
    assert_goes(&p, "0/1 0/4 0/5 1/1-12"); /* the base of txid 13 is the anchor */
    assert_reason("0/3", RETENTION_POINT_OF_BASE);
    prune(&p);
    list_objects();
    assert_true(can_plan(3) && can_plan(13) && !can_plan(4) && !can_plan(12));
}

static void a_base_that_lacks_a_chunk_does_not_count(void **state)
{
    struct retention_policy p = usual;
    struct err e;
    char key[NAME_MAX_BYTES];
    (void)state;
    p.keep_levels_ms = 0;
    p.keep_daily = 0;
    put_level0();
    replica_put_base(&r, 2, 2);
    replica_put_base(&r, 6, 6);
    replica_put_base(&r, 12, 12);
    list_objects();
    for (size_t i = 0; i < catalog.chunk_count; i++)
        if (catalog.chunks[i].name.start == 12) {
            name_format(&catalog.chunks[i].name, key);
            assert_ok(store_remove(store, key, &e), &e);
            break;
        }
    later(2 * DAY);
    assert_goes(&p, "0/1 0/2 0/3 0/4 0/5 base/2 chunk/2"); /* 0/6 has the record of the base that stays */
    assert_reason("base/12", RETENTION_BASE_INCOMPLETE);
    assert_reason("base/6", RETENTION_BASE_NEWEST);
    replica_commits(&r, 1, 512);
    replica_put_full(&r, 13, 13, 0);
    replica_put_base(&r, 13, 13);
    later(2 * DAY);
    assert_goes(
        &p,
        "0/1 0/2 0/3 0/4 0/5 0/6 0/7 0/8 0/9 0/10 0/11 0/12 base/2 base/6 base/12 chunk/2 chunk/6"); /* it was the only chunk */
    assert_reason("base/12", RETENTION_BASE_GIVEN_UP);
}

static void chunks_without_a_marker_go_when_a_later_base_is_complete(void **state)
{
    struct retention_policy p = usual;
    struct placed *b;
    (void)state;
    put_level0();
    b = replica_put_base(&r, 4, 5);
    replica_remove(&r, b);
    later(20 * DAY);
    assert_goes(&p, "");
    assert_reason("chunk/4", RETENTION_CHUNK_WAITS);
    replica_put_base(&r, 12, 12);
    later(HOUR);
    assert_goes(&p, "");
    later(1);
    assert_goes(&p, "chunk/4");
    assert_reason("chunk/4", RETENTION_CHUNK_GIVEN_UP);
}

static void interior_pages_stay_and_go_with_their_base(void **state)
{
    struct retention_policy p = usual;
    struct placed *b;
    (void)state;
    p.keep_levels_ms = 0;
    p.keep_daily = 0;
    r.interior = true;
    put_level0();
    replica_put_base(&r, 2, 2);
    b = replica_put_base(&r, 4, 5); /* was never completed */
    replica_remove(&r, b);
    replica_put_base(&r, 6, 6);
    later(2 * DAY);
    assert_goes(&p, "0/1 0/2 0/3 0/4 0/5 base/2 chunk/2 interior/2 chunk/4 interior/4");
    assert_reason("interior/2", RETENTION_CHUNK_GOES);
    assert_reason("interior/4", RETENTION_CHUNK_GIVEN_UP);
    assert_reason("interior/6", RETENTION_CHUNK_STAYS);
    prune(&p);
    list_objects();
    assert_true(can_plan(6) && can_plan(12));
}

/* Of a base whose other objects are gone, and of one that lacks its interior pages. */
static void interior_pages_neither_keep_a_base_nor_hide_one(void **state)
{
    struct retention_policy p = usual;
    struct err e;
    char key[NAME_MAX_BYTES];
    (void)state;
    p.keep_levels_ms = 0;
    p.keep_daily = 0;
    r.interior = true;
    put_level0();
    replica_put_base(&r, 2, 2);
    replica_put_base(&r, 6, 6);
    list_objects();
    for (size_t i = 0; i < catalog.marker_count + catalog.chunk_count; i++) {
        const bool marker = i < catalog.marker_count;
        const struct name *n = marker ? &catalog.markers[i].name : &catalog.chunks[i - catalog.marker_count].name;
        if ((n->kind == NAME_INTERIOR) != (n->start == 6))
            continue;
        name_format(n, key);
        assert_ok(store_remove(store, key, &e), &e);
    }
    later(2 * DAY);
    assert_goes(&p, "0/1 0/2 0/3 0/4 0/5 interior/2");
    assert_reason("interior/2", RETENTION_INTERIOR_LEFT);
    assert_reason("base/6", RETENTION_BASE_NEWEST);
}

/* A marker never changes, so no marker will. */
static void interior_pages_that_the_marker_of_their_base_does_not_name_go(void **state)
{
    struct retention_policy p = usual;
    (void)state;
    put_level0();
    replica_put_base(&r, 6, 6);
    struct segment_info marker = replica_info(&r, OBJECT_MARKER, 0, 6);
    const struct listed chunk = {.first_page = 1, .last_page = r.model.at[6].record.pages, .max = 6};
    marker.start = 6;
    later(DAY);
    replica_put_interior(&r, &marker, &chunk, 1);
    assert_goes(&p, "");
    assert_reason("interior/6", RETENTION_YOUNG);
    later(DAY);
    assert_goes(&p, "interior/6");
    assert_reason("interior/6", RETENTION_INTERIOR_UNNAMED);
    prune(&p);
    list_objects();
    assert_true(can_plan(6) && can_plan(12));
}

/* ---- listings that lie */

static const char *hidden, *doubled;
static unsigned hidden_times;

static unsigned show(const char *key)
{
    if (hidden && strncmp(key, hidden, strlen(hidden)) == 0 && hidden_times > 0) {
        hidden_times -= strcmp(key, hidden) == 0;
        return 0;
    }
    return doubled && strcmp(key, doubled) == 0 ? 2 : 1;
}

static void put_what_can_go(void)
{
    put_level0();
    replica_put_last(&r, 1, 1, 4, SEGMENT_FROM_EMPTY);
    replica_put_base(&r, 2, 2);
    replica_put_base(&r, 6, 6);
    later(20 * DAY);
    memory->shown = show;
    hidden = doubled = NULL;
}

static void a_listing_that_fails_is_empty_or_has_a_key_twice_deletes_nothing(void **state)
{
    static const char *const keys[] = {"0/0000000000000002", "0/000000000000000c",
                                       "1/0000000000000001-0000000000000004",
                                       "base/0000000000000002-52000000000000000000000000000000/marker",
                                       "base/0000000000000002-52000000000000000000000000000000/00000001"};
    struct err e;
    (void)state;
    put_what_can_go();
    assert_ok(decide(&usual, &e), &e);
    assert_true(decided.delete_count > 0);
    memory->list_fails = true;
    assert_error(decide(&usual, &e), &e, ERR_REMOTE);
    memory->list_fails = false;
    hidden = "";
    hidden_times = UINT_MAX;
    assert_error(decide(&usual, &e), &e, ERR_NOTFOUND);
    hidden = "0/";
    assert_error(decide(&usual, &e), &e, ERR_NOTFOUND);
    assert_contains(e.msg, "nothing is deleted");
    hidden = NULL;
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        assert_non_null(memory_store_object(memory, keys[i]));
        doubled = keys[i];
        assert_error(decide(&usual, &e), &e, ERR_CORRUPT);
        assert_contains(e.msg, "twice");
    }
}

/* A key is left out once, or always. No promised point may be lost by that. */
static void keys_that_a_listing_leaves_out_do_no_harm(void **state)
{
    char keys[64][STORE_KEY_MAX];
    struct err e;
    size_t count;
    (void)state;
    put_what_can_go();
    count = memory->count;
    for (size_t i = 0; i < count; i++)
        memcpy(keys[i], memory->objects[i].key, STORE_KEY_MAX);
    for (size_t i = 0; i < count; i++) {
        hidden = keys[i];
        hidden_times = 1;
        if (decide(&usual, &e) == 0)
            assert_int_equal(decided.delete_count, 0); /* otherwise the second listing has shown the key */
        hidden_times = UINT_MAX;
        if (decide(&usual, &e))
            continue;
        for (size_t k = 0; k < decided.count; k++) {
            char key[NAME_MAX_BYTES];
            name_format(&decided.verdicts[k].name, key);
            assert_false(decided.verdicts[k].goes && decided.verdicts[k].name.kind == NAME_LEVEL0 &&
                         decided.verdicts[k].name.min > 6);
        }
    }
}

static void chunks_whose_marker_the_listing_hides_stay(void **state)
{
    struct err e;
    (void)state;
    put_level0();
    replica_put_base(&r, 2, 2);
    later(2 * DAY);
    replica_put_base(&r, 6, 6);
    later(20 * DAY);
    memory->shown = show;
    hidden = NULL;
    doubled = NULL;
    assert_goes(&usual, "0/1 0/3 0/4 0/5"); /* both bases stay, each for its day */
    hidden = "base/0000000000000002-52000000000000000000000000000000/marker";
    hidden_times = UINT_MAX;
    assert_non_null(memory_store_object(memory, hidden));
    assert_error(decide(&usual, &e), &e, ERR_REMOTE);
    assert_contains(e.msg, "marker");
}

/* ---- random histories */

struct life {
    struct retention_policy policy;
    uint64_t ends[4][MODEL_TXIDS]; /* of the segments of each level */
    size_t count[4];
    uint32_t page_size;
    uint64_t deleted, pruned, points;
};

static struct retention_policy random_policy(struct dice *d)
{
    struct retention_policy p = {.grace_ms = 10 * MINUTE};
    p.keep_all_ms = dice_below(d, 4) * (uint64_t)HOUR;
    p.keep_levels_ms = dice_below(d, 4) * 3 * (uint64_t)HOUR;
    p.keep_hourly = dice_below(d, 4);
    p.keep_daily = dice_below(d, 3);
    p.keep_weekly = dice_below(d, 2);
    p.keep_monthly = dice_below(d, 2) || p.keep_all_ms == 0;
    return p;
}

static void append(struct life *l)
{
    uint64_t min = r.model.newest + 1;
    unsigned commits = dice_between(&r.dice, 1, 3), kind = dice_below(&r.dice, 20);
    if (min + commits > MODEL_TXIDS)
        return;
    if (dice_below(&r.dice, 20) == 0)
        l->page_size ^= 512 ^ 1024;
    replica_commits(&r, commits, l->page_size);
    uint64_t max = r.model.newest;
    uint32_t flags = r.model.at[max].epoch == min ? SEGMENT_FROM_EMPTY : 0;
    if (kind == 0 && min > 1)
        replica_put_anchor(&r, min, max, flags);
    else if (kind < 4)
        replica_put_last(&r, 0, min, max, flags | (kind == 1 ? SEGMENT_IN_PARTS : 0));
    else
        replica_put_full(&r, min, max, flags);
    l->ends[0][l->count[0]++] = max;
}

/* Puts the next segment of a level, made of two to four segments of the level below. */
static void compact(struct life *l, unsigned level)
{
    uint64_t done = l->count[level] ? l->ends[level][l->count[level] - 1] : 0;
    size_t first = 0, take = dice_between(&r.dice, 2, 4);
    while (first < l->count[level - 1] && l->ends[level - 1][first] <= done)
        first++;
    if (first + take > l->count[level - 1])
        return;
    uint64_t max = l->ends[level - 1][first + take - 1];
    uint32_t flags = r.model.at[max].epoch > done ? SEGMENT_FROM_EMPTY : 0;
    replica_put_last(&r, level, done + 1, max, flags | (dice_below(&r.dice, 5) ? 0 : SEGMENT_IN_PARTS));
    l->ends[level][l->count[level]++] = max;
}

static void put_base(const struct life *l)
{
    size_t back = dice_below(&r.dice, 3);
    if (back >= l->count[0])
        return;
    uint64_t start = l->ends[0][l->count[0] - 1 - back], max = r.model.newest;
    for (size_t i = 0; i < r.placed_count; i++)
        if (r.placed[i].name.kind == NAME_MARKER && r.placed[i].start == start)
            return;
    if (r.model.at[start].epoch != r.model.at[max].epoch)
        return;
    struct placed *o = replica_put_base(&r, start, max);
    if (dice_below(&r.dice, 8) == 0)
        replica_remove(&r, o); /* the base stays incomplete */
}

static bool older(const struct placed *o, uint64_t age)
{
    return memory->now_ms - o->born > (int64_t)age;
}

/* Whether txid t can be restored from this base alone, one segment after the other. A segment that begins from empty
 * may come instead of the base. */
static bool reached_from(const struct placed *base, uint64_t t)
{
    bool reached[MODEL_TXIDS + 1] = {false}, record = false;
    reached[base->start] = base->max <= t;
    for (uint64_t pos = base->start; pos <= t; pos++)
        for (size_t i = 0; i < r.placed_count; i++) {
            const struct placed *o = &r.placed[i];
            if (o->gone || o->name.kind == NAME_MARKER)
                continue;
            bool has = o->max == t || (o->full && o->min <= t && t <= o->max);
            record |= has;
            bool instead = (o->flags & SEGMENT_FROM_EMPTY) && o->min <= base->max && o->max >= base->max;
            if (((reached[pos] && o->min <= pos + 1) || instead) && !(o->flags & SEGMENT_BASE_ONLY) &&
                (o->max <= t || has))
                reached[o->max < t ? o->max : t] = true;
        }
    return record && reached[t];
}

/* The first txid that can be restored from this base. 0: none. */
static uint64_t point_of(const struct placed *base)
{
    for (uint64_t t = base->max; t <= r.model.newest; t++)
        if (reached_from(base, t))
            return t;
    return 0;
}

static bool covered(const struct placed *o, uint64_t age)
{
    for (size_t i = 0; i < r.placed_count; i++) {
        const struct placed *c = &r.placed[i];
        if (!c->gone && c->name.kind == NAME_LEVEL && c->name.level > o->name.level && c->min <= o->min &&
            c->max >= o->max && older(c, age))
            return true;
    }
    return false;
}

/* The restore points that retention/retention.h promises, by the model alone. The points of bases come last, because
 * they depend on which bases stay. */
static void promised(const struct retention_policy *p, bool ret_points[MODEL_TXIDS + 1])
{
    const uint64_t all = p->keep_all_ms > p->grace_ms ? p->keep_all_ms : p->grace_ms;
    const uint64_t window = p->keep_levels_ms > all ? p->keep_levels_ms : all;
    const struct placed *anchor = NULL;
    uint64_t newest = 0;
    memset(ret_points, 0, (MODEL_TXIDS + 1) * sizeof *ret_points);
    for (size_t i = 0; i < r.placed_count; i++) {
        const struct placed *o = &r.placed[i];
        if (!o->gone && o->name.kind == NAME_MARKER && older(o, window) && point_of(o) &&
            (!anchor || o->start > anchor->start))
            anchor = o;
    }
    for (size_t i = 0; i < r.placed_count; i++) {
        const struct placed *o = &r.placed[i];
        if (o->gone || o->name.kind == NAME_MARKER)
            continue;
        bool young = o->name.kind == NAME_LEVEL0 && !older(o, all);
        for (uint64_t t = o->full && young ? o->min : o->max; t <= o->max; t++)
            ret_points[t] |= young || (!covered(o, all) && (!anchor || o->min > anchor->max));
    }
    for (uint64_t t = 1; t <= r.model.newest; t++) {
        bool can = replica_can_restore(&r, t);
        ret_points[t] &= can;
        newest = can ? t : newest;
    }
    ret_points[newest] = newest > 0;
}

static void assert_all_restorable(const bool points[MODEL_TXIDS + 1], uint64_t seed, const char *when)
{
    list_objects();
    for (uint64_t t = 1; t <= MODEL_TXIDS; t++)
        if (points[t] && !can_plan(t))
            fail_msg("seed %d: txid %d was promised, and can't be restored %s", (int)seed, (int)t, when);
}

static void note_gone(void)
{
    for (size_t i = 0; i < r.placed_count; i++) {
        char key[NAME_MAX_BYTES];
        name_format(&r.placed[i].name, key);
        r.placed[i].gone |= !memory_store_object(memory, key);
    }
}

/* Deletes one object at a time. After each deletion, as after a kill, all promised points can be restored. */
static void prune_and_check(struct life *l, uint64_t seed)
{
    bool points[MODEL_TXIDS + 1];
    uint64_t base_points[PLACED_MAX] = {0};
    struct retention_figures f;
    struct err e;
    promised(&l->policy, points);
    for (size_t i = 0; i < r.placed_count; i++)
        if (r.placed[i].name.kind == NAME_MARKER && !r.placed[i].gone)
            base_points[i] = point_of(&r.placed[i]);
    if (decide(&l->policy, &e)) {
        bool any = false;
        for (uint64_t t = 1; t <= MODEL_TXIDS; t++)
            any |= points[t];
        if (any) /* otherwise nothing could be restored before either */
            fail_msg("seed %d: %s", (int)seed, e.msg);
        return;
    }
    for (size_t i = 0; i < decided.count; i++) {
        const struct retention_verdict *v = &decided.verdicts[i];
        assert_true(!v->goes || memory->now_ms - v->time_ms > (int64_t)l->policy.grace_ms);
        for (size_t k = 0; !v->goes && v->name.kind == NAME_MARKER && k < r.placed_count; k++)
            if (r.placed[k].name.kind == NAME_MARKER && r.placed[k].start == v->name.start && base_points[k])
                points[base_points[k]] = true;
    }
    for (uint64_t k = 0; k < decided.delete_count; k++) {
        memory->removes = 1;
        bool last = k + 1 == decided.delete_count;
        if (retention_apply(store, &decided, &f, &e) == 0 && !last)
            fail_msg("seed %d: fewer deletions than decided", (int)seed);
        assert_all_restorable(points, seed, "after a deletion");
    }
    memory->removes = UINT_MAX;
    l->deleted += decided.delete_count;
    l->pruned++;
    for (uint64_t t = 1; t <= MODEL_TXIDS; t++)
        l->points += points[t];
    note_gone();
    assert_ok(decide(&l->policy, &e), &e);
    assert_int_equal(decided.delete_count, 0);
}

static void every_promised_point_survives_each_deletion(void **state)
{
    uint64_t deleted = 0, pruned = 0, points = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        end();
        begin(seed);
        memset(&decided, 0, sizeof decided);
        memset(&catalog, 0, sizeof catalog);
        struct life l = {.page_size = 512, .policy = random_policy(&r.dice)};
        for (unsigned step = 0; step < 150; step++) {
            unsigned what = dice_below(&r.dice, 12);
            later(dice_below(&r.dice, 40) * MINUTE);
            if (what < 4)
                append(&l);
            else if (what < 8)
                compact(&l, dice_between(&r.dice, 1, 3));
            else if (what < 9)
                put_base(&l);
            else if (what < 10 && l.count[0] > 0)
                prune_and_check(&l, seed);
            else if (dice_below(&r.dice, 10) == 0)
                l.policy = random_policy(&r.dice);
        }
        deleted += l.deleted;
        pruned += l.pruned;
        points += l.points;
    }
    assert_true(deleted > 1000 && points > pruned); /* enough was tested */
}

/* ---- rare histories */

/* Two writers, or a lost answer, leave segments of one level that do not nest. Retention must work there too. */
static void segments_of_a_level_that_do_not_nest_do_not_stop_it(void **state)
{
    struct err e;
    (void)state;
    put_level0();
    replica_put_last(&r, 1, 2, 6, 0);
    replica_put_last(&r, 1, 4, 5, 0);
    later(2 * DAY);
    assert_ok(decide(&usual, &e), &e);
}

/* During a compaction a base was completed, and then the machine was suspended. When it wakes, the compaction
 * continues. */
static void parts_of_a_compaction_stay_though_a_base_is_newer(void **state)
{
    struct err e;
    char key[NAME_MAX_BYTES];
    (void)state;
    for (uint64_t t = 1; t <= 4; t++)
        replica_put_full(&r, t, t, t == 1 ? SEGMENT_FROM_EMPTY : 0);
    struct placed *o = replica_put_last(&r, 1, 2, 4, SEGMENT_IN_PARTS);
    name_format(&o->name, key);
    assert_ok(store_remove(store, key, &e), &e); /* the segment is not put yet */
    replica_put_base(&r, 4, 4);
    replica_put_full(&r, 5, 12, 0);
    later(8 * DAY);
    assert_ok(decide(&usual, &e), &e);
    assert_reason("part", RETENTION_PART_WAITS);
}

/* A prune was suspended between its decision and its deletions, and wakes days later. Other prunes have deleted
 * meanwhile. */
static void a_decision_of_long_ago_deletes_nothing(void **state)
{
    const struct retention_policy p = {
        .grace_ms = HOUR, .keep_all_ms = DAY, .keep_levels_ms = 7 * DAY, .keep_hourly = 1};
    struct retention_plan old = {0};
    struct retention_figures f;
    struct err e;
    bool points[MODEL_TXIDS + 1];
    (void)state;
    replica_commits(&r, 8, 512);
    for (uint64_t t = 1; t <= 16; t++) {
        replica_put_full(&r, t, t, t == 1 ? SEGMENT_FROM_EMPTY : 0);
        later(1);
        replica_put_base(&r, t, t);
        later(DAY - 1);
        if (t == 12) {
            assert_ok(decide(&p, &e), &e);
            old = decided;
            memset(&decided, 0, sizeof decided);
        }
    }
    prune(&p);
    note_gone();
    promised(&p, points);
    (void)!retention_apply(store, &old, &f, &e);
    retention_plan_release(&old);
    assert_all_restorable(points, 0, "after the deletions of a prune that slept for four days");
}

/* ---- out of memory */

static int decide_usual(void *context, struct err *e)
{
    (void)context;
    if (decide(&usual, e))
        return -1;
    assert_true(decided.delete_count > 0 && decided.keep_count > 0);
    return 0;
}

static void each_allocation_of_a_decision_fails_once(void **state)
{
    (void)state;
    put_days();
    replica_put_last(&r, 1, 1, 4, SEGMENT_FROM_EMPTY | SEGMENT_IN_PARTS);
    replica_put_last(&r, 1, 5, 8, SEGMENT_IN_PARTS);
    replica_put_last(&r, 2, 1, 8, SEGMENT_FROM_EMPTY);
    replica_remove(&r, replica_put_last(&r, 3, 1, 8, SEGMENT_FROM_EMPTY | SEGMENT_IN_PARTS)); /* only its parts stay */
    later(8 * DAY);
    assert_true(assert_each_allocation_fails_once(decide_usual, NULL) > 20);
}

static int apply_decided(void *context, struct err *e)
{
    struct retention_figures f;
    (void)context;
    return retention_apply(store, &decided, &f, e);
}

static void each_allocation_of_a_deletion_fails_once(void **state)
{
    struct err e;
    (void)state;
    put_days();
    assert_ok(decide(&usual, &e), &e);
    assert_each_allocation_fails_once(apply_decided, NULL);
}

CLAIMS_FIXTURES

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIMS_TEST(a_policy_that_keeps_nothing_is_refused),
        CLAIMS_TEST(each_allocation_of_a_decision_fails_once),
        CLAIMS_TEST(each_allocation_of_a_deletion_fails_once),
        CLAIMS_TEST(a_segment_goes_when_a_higher_level_older_than_keep_all_has_it),
        CLAIMS_TEST(a_segment_that_ends_after_the_higher_one_stays),
        CLAIMS_TEST(nothing_younger_than_the_grace_period_goes),
        CLAIMS_TEST(what_lies_in_a_pack_goes_when_the_pack_has_settled),
        CLAIMS_TEST(a_pack_goes_as_a_whole_like_an_object_of_level_0),
        CLAIMS_TEST(a_segment_in_a_pack_goes_when_a_higher_level_has_it_too),
        CLAIMS_TEST(of_a_pack_and_a_segment_with_its_txids_one_stays),
        CLAIMS_TEST(a_damaged_segment_keeps_no_pack),
        CLAIMS_TEST(a_pack_goes_for_the_only_segment_with_its_txids),
        CLAIMS_TEST(smaller_packs_go_for_a_larger_one),
        CLAIMS_TEST(a_damaged_pack_replaces_nothing),
        CLAIMS_TEST(a_pack_with_a_damaged_page_replaces_nothing),
        CLAIMS_TEST(a_pack_is_read_whole_once),
        CLAIMS_TEST(where_requests_cost_money_what_lies_in_a_pack_waits_for_a_quarter_of_the_grace_period),
        CLAIMS_TEST(the_newest_of_level_0_never_goes),
        CLAIMS_TEST(a_damaged_object_of_a_higher_level_replaces_nothing),
        CLAIMS_TEST(a_segment_that_lacks_a_part_replaces_nothing),
        CLAIMS_TEST(parts_go_after_their_segment),
        CLAIMS_TEST(parts_of_a_segment_that_is_under_way_stay),
        CLAIMS_TEST(without_a_base_older_than_the_window_all_bases_stay),
        CLAIMS_TEST(all_bases_younger_than_keep_all_stay),
        CLAIMS_TEST(bases_stay_by_the_calendar_and_each_keeps_its_point),
        CLAIMS_TEST(a_base_that_is_the_anchor_soon_stays),
        CLAIMS_TEST(months_and_hours_are_counted_where_they_have_a_base),
        CLAIMS_TEST(the_point_of_a_base_does_not_move_when_levels_grow),
        CLAIMS_TEST(a_base_that_lacks_a_chunk_does_not_count),
        CLAIMS_TEST(chunks_without_a_marker_go_when_a_later_base_is_complete),
        CLAIMS_TEST(interior_pages_stay_and_go_with_their_base),
        CLAIMS_TEST(interior_pages_neither_keep_a_base_nor_hide_one),
        CLAIMS_TEST(interior_pages_that_the_marker_of_their_base_does_not_name_go),
        CLAIMS_TEST(a_listing_that_fails_is_empty_or_has_a_key_twice_deletes_nothing),
        CLAIMS_TEST(keys_that_a_listing_leaves_out_do_no_harm),
        CLAIMS_TEST(chunks_whose_marker_the_listing_hides_stay),
        CLAIMS_TEST(every_promised_point_survives_each_deletion),
        CLAIMS_TEST(segments_of_a_level_that_do_not_nest_do_not_stop_it),
        CLAIMS_TEST(parts_of_a_compaction_stay_though_a_base_is_newer),
        CLAIMS_TEST(a_decision_of_long_ago_deletes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
