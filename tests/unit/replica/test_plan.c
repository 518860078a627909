/* replica/catalog.h, plan.h and points.h: the objects of a replica, those that give the database after a txid, and
 * restore points. */
#include "unit.h"

#include "claims.h"
#include "failing_alloc.h"
#include "replica_fixture.h"

/* For most tests: the model has 12 commits with a page size of 512; no object is put. */
static int setup(void **state)
{
    (void)state;
    return replica_fixture(20, 12);
}

static int teardown(void **state)
{
    return replica_fixture_release(state);
}

static void list_objects(void)
{
    struct err e;
    catalog_release(&catalog);
    assert_ok(catalog_open(&catalog, store, codec, &e), &e);
}

static void assert_no_plan(uint64_t txid, enum err_code code, const char *story)
{
    struct plan p = {0};
    struct err e;
    assert_error(points_plan(&catalog, txid, &p, &e), &e, code);
    assert_contains(e.msg, story);
}

/* Checks the plan for `txid`. `expected`: its objects in a short form, "0/1 1/2-5 base/4". */
static void assert_plan(uint64_t txid, const char *expected)
{
    struct plan p = {0};
    struct err e;
    char found[2000] = "";
    uint64_t bytes = 0;
    assert_ok(plan_make(&catalog, txid, &p, &e), &e);
    for (size_t i = 0; i < p.source_count; i++) {
        const struct name n = name_parse(p.sources[i].key);
        size_t at = strlen(found);
        if (n.kind == NAME_LEVEL0)
            snprintf(found + at, sizeof found - at, "%s0/%d", at ? " " : "", (int)n.min);
        else if (n.kind == NAME_LEVEL)
            snprintf(found + at, sizeof found - at, "%s%u/%d-%d", at ? " " : "", n.level, (int)n.min, (int)n.max);
        else if (n.kind == NAME_CHUNK && (i == 0 || p.sources[i - 1].kind != OBJECT_CHUNK))
            snprintf(found + at, sizeof found - at, "%sbase/%d", at ? " " : "", (int)n.start);
        else if (n.kind == NAME_PART)
            snprintf(found + at, sizeof found - at, "%spart", at ? " " : "");
        else if (n.kind == NAME_PACK)
            snprintf(found + at, sizeof found - at, "%spack/%d-%d", at ? " " : "", (int)n.min, (int)n.max);
        bytes += p.sources[i].size;
    }
    assert_string_equal(found, expected);
    assert_true(p.bytes == bytes);
    assert_true(p.record.txid == txid && p.record.checksum == r.model.at[txid].record.checksum);
    assert_true(uid_equal(&p.database, &r.database));
    plan_release(&p);
}

static int note_point(void *context, const struct commit_record *record)
{
    uint64_t *txids = context;
    assert_true(record->txid > txids[txids[0]]); /* ascending; txids[0] is their number */
    const struct commit_record *model = &r.model.at[record->txid].record;
    assert_true(record->time_ms == model->time_ms && record->pages == model->pages &&
                record->checksum == model->checksum);
    txids[++txids[0]] = record->txid;
    return 0;
}

static void assert_points(const char *expected)
{
    uint64_t txids[MODEL_TXIDS + 2] = {0};
    char found[400] = "";
    struct err e;
    assert_ok(points_each(&catalog, note_point, txids, &e), &e);
    for (uint64_t i = 1; i <= txids[0]; i++)
        snprintf(found + strlen(found), sizeof found - strlen(found), "%s%d", i > 1 ? " " : "", (int)txids[i]);
    assert_string_equal(found, expected);
}

static int print_range(void *context, const struct point_range *x)
{
    char *found = context;
    char one[80];
    assert_true(x->first_ms == r.model.at[x->first_point].record.time_ms &&
                x->last_ms == r.model.at[x->last_txid].record.time_ms);
    snprintf(one, sizeof one, "%s%d-%d:%d", *found ? " " : "", (int)x->first_txid, (int)x->last_txid, (int)x->points);
    strcat(found, one);
    return 0;
}

/* `expected`: "1-4:4 5-8:1" means all points from 1 to 4, and 5 to 8 as one point. */
static void assert_ranges(const char *expected)
{
    char found[400] = "";
    struct err e;
    assert_ok(points_ranges(&catalog, print_range, found, &e), &e);
    assert_string_equal(found, expected);
}

/* ---- seawall.json and the listing */

static void a_replica_keeps_the_database_id_it_was_made_with(void **state)
{
    struct replica_identity a, b;
    struct err e;
    (void)state;
    assert_ok(replica_identity_obtain(store, NULL, &a, &e), &e);
    assert_ok(replica_identity_read(store, &b, &e), &e);
    assert_true(uid_equal(&a.database, &b.database) && uid_equal(&a.database, &r.database));
    assert_true(a.created_ms > 0 && a.created_ms == b.created_ms);
}

static void without_seawall_json_there_is_no_replica(void **state)
{
    struct replica_identity id;
    struct err e;
    (void)state;
    replica_put_full(&r, 1, 1, SEGMENT_FROM_EMPTY);
    assert_ok(store_remove(store, NAME_IDENTITY, &e), &e);
    assert_error(catalog_open(&catalog, store, codec, &e), &e,
                 ERR_CORRUPT); /* with objects in it the place is not empty */
    assert_contains(e.msg, NAME_IDENTITY);
    assert_ok(store_remove(store, "0/0000000000000001", &e), &e);
    assert_ok(store_put_new(store, "readme.txt", "?", 1, NULL, &e), &e);
    assert_error(catalog_open(&catalog, store, codec, &e), &e, ERR_NOTFOUND);
    assert_error(replica_identity_read(store, &id, &e), &e, ERR_NOTFOUND);
}

static void a_seawall_json_that_is_not_understood_is_refused(void **state)
{
    static const struct {
        const char *text;
        enum err_code code;
    } known[] = {
        {"{\"format\":1,\"database\":\"00112233445566778899aabbccddeeff\",\"encryption\":\"none\",\"created\":5}",
         ERR_NONE},
        {"{\"format\":1,\"database\":\"00112233445566778899aabbccddeeff\",\"encryption\":\"none\"}", ERR_NONE},
        {"{\"format\":1,\"database\":\"00112233445566778899aabbccddeeff\",\"encryption\":\"none\",\"more\":[1,{}]}",
         ERR_NONE},
        {"{\"format\":2,\"database\":\"00112233445566778899aabbccddeeff\",\"encryption\":\"none\"}", ERR_CORRUPT},
        {"{\"format\":\"1\",\"database\":\"00112233445566778899aabbccddeeff\",\"encryption\":\"none\"}", ERR_CORRUPT},
        {"{\"database\":\"00112233445566778899aabbccddeeff\",\"encryption\":\"none\"}", ERR_CORRUPT},
        {"{\"format\":1,\"database\":\"00112233445566778899aabbccddeeff\",\"encryption\":\"aes-256-gcm\"}",
         ERR_CORRUPT},
        {"{\"format\":1,\"database\":\"00112233445566778899aabbccddeeff\"}", ERR_CORRUPT},
        {"{\"format\":1,\"database\":\"00112233445566778899aabbccddeef\",\"encryption\":\"none\"}", ERR_CORRUPT},
        {"{\"format\":1,\"database\":\"00112233445566778899aabbccddeeff00\",\"encryption\":\"none\"}", ERR_CORRUPT},
        {"{\"format\":1,\"database\":\"00112233445566778899AABBCCDDEEFF\",\"encryption\":\"none\"}", ERR_CORRUPT},
        {"{\"format\":1,\"database\":7,\"encryption\":\"none\"}", ERR_CORRUPT},
        {"{\"format\":1,\"encryption\":\"none\"}", ERR_CORRUPT},
        {"[]", ERR_CORRUPT},
        {"", ERR_CORRUPT},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        struct replica_identity id;
        struct err e;
        assert_ok(store_remove(store, NAME_IDENTITY, &e), &e);
        assert_ok(store_put_new(store, NAME_IDENTITY, known[i].text, strlen(known[i].text), NULL, &e), &e);
        if (known[i].code == ERR_NONE) {
            assert_ok(replica_identity_read(store, &id, &e), &e);
            assert_int_equal(id.database.bytes[15], 0xff);
        } else {
            assert_error(replica_identity_read(store, &id, &e), &e, ERR_CORRUPT);
            assert_contains(e.msg, NAME_IDENTITY);
        }
    }
}

static void put_copy(const char *from, const char *to)
{
    struct err e;
    const struct memory_object *o = memory_store_object((struct memory_store *)store, from);
    assert_non_null(o);
    assert_ok(store_put_new(store, to, o->bytes, o->size, NULL, &e), &e);
}

static void objects_without_an_identity_get_no_new_one(void **state)
{
    struct replica_identity id;
    struct err e;
    (void)state;
    assert_ok(store_put_new(store, "readme.txt", "?", 1, NULL, &e), &e); /* not an object */
    assert_ok(store_remove(store, NAME_IDENTITY, &e), &e);
    assert_ok(replica_identity_obtain(store, NULL, &id, &e), &e);
    replica_put_full(&r, 1, 4, SEGMENT_FROM_EMPTY);
    assert_ok(replica_identity_obtain(store, NULL, &id, &e), &e);
    assert_ok(store_remove(store, NAME_IDENTITY, &e), &e);
    assert_error(replica_identity_obtain(store, NULL, &id, &e), &e, ERR_CORRUPT);
    assert_contains(e.msg, NAME_IDENTITY);
}

static void another_kind_of_object_under_a_level0_name_is_damage(void **state)
{
    struct segment s;
    struct digest digest;
    struct err e;
    (void)state;
    replica_put_full(&r, 1, 4, SEGMENT_FROM_EMPTY);
    replica_put_full(&r, 5, 6, 0);
    replica_put_base(&r, 4, 4);
    assert_ok(object_load_named(store, &(struct name){.kind = NAME_LEVEL0, .min = 5}, codec, &s, &digest, &e), &e);
    segment_release(&s);
    put_copy("0/0000000000000005", "0/0000000000000007"); /* its trailer says that it begins at 5 */
    assert_error(object_load_named(store, &(struct name){.kind = NAME_LEVEL0, .min = 7}, codec, &s, &digest, &e), &e,
                 ERR_CORRUPT);
    struct name marker = {.kind = NAME_MARKER, .start = 4, .run = r.run};
    char key[NAME_MAX_BYTES];
    name_format(&marker, key);
    put_copy(key, "0/0000000000000008");
    assert_error(object_load_named(store, &(struct name){.kind = NAME_LEVEL0, .min = 8}, codec, &s, &digest, &e), &e,
                 ERR_CORRUPT);
    assert_contains(e.msg, "0/0000000000000008");
}

static void the_catalog_sorts_objects_by_kind_and_passes_over_strangers(void **state)
{
    struct err e;
    (void)state;
    replica_put_full(&r, 1, 4, SEGMENT_FROM_EMPTY);
    replica_put_full(&r, 5, 6, 0);
    replica_put_last(&r, 1, 1, 4, SEGMENT_FROM_EMPTY);
    replica_put_base(&r, 6, 6);
    assert_ok(store_put_new(store, "readme.txt", "?", 1, NULL, &e), &e);
    assert_ok(store_put_new(store, "0/zz", "?", 1, NULL, &e), &e);
    list_objects();
    assert_int_equal(catalog.level0_count, 2);
    assert_int_equal(catalog.level_count, 1);
    assert_int_equal(catalog.marker_count, 1);
    assert_true(catalog.objects >= 6); /* with chunks and seawall.json, without the two strangers */
    assert_ptr_equal(catalog_level0_at(&catalog, 4), &catalog.level0[0]);
    assert_ptr_equal(catalog_level0_at(&catalog, 5), &catalog.level0[1]);
    assert_ptr_equal(catalog_level0_at(&catalog, 1000), &catalog.level0[1]);
    assert_null(catalog_level0_at(&catalog, 0));
    uint64_t bytes = 0, objects = 0;
    for (size_t i = 0; i < ((struct memory_store *)store)->count; i++) {
        const struct memory_object *o = &((struct memory_store *)store)->objects[i];
        bool ours = strcmp(o->key, "readme.txt") != 0 && strcmp(o->key, "0/zz") != 0;
        bytes += ours ? o->size : 0;
        objects += ours;
    }
    assert_true(catalog.bytes == bytes && catalog.objects == objects);
}

/* Copies an object to another key. */
static void an_object_under_another_key_is_corrupt(void **state)
{
    static const char *const keys[] = {"0/0000000000000005", "1/0000000000000001-0000000000000004",
                                       "base/0000000000000004-52000000000000000000000000000000/marker"};
    static const char *const wrong[] = {"0/0000000000000006",
                                        "2/0000000000000001-0000000000000004",
                                        "1/0000000000000001-0000000000000005",
                                        "1/0000000000000002-0000000000000004",
                                        "base/0000000000000003-52000000000000000000000000000000/marker",
                                        "base/0000000000000004-53000000000000000000000000000000/marker"};
    (void)state;
    replica_put_full(&r, 5, 5, 0);
    replica_put_last(&r, 1, 1, 4, SEGMENT_FROM_EMPTY);
    replica_put_base(&r, 4, 4);
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        for (size_t k = 0; k < COUNT_OF(keys); k++) {
            struct err e;
            put_copy(keys[k], wrong[i]);
            list_objects();
            struct catalog_object *lists[] = {catalog.level0, catalog.levels, catalog.markers};
            size_t counts[] = {catalog.level0_count, catalog.level_count, catalog.marker_count};
            for (size_t l = 0; l < 3; l++)
                for (size_t n = 0; n < counts[l]; n++) {
                    char key[NAME_MAX_BYTES];
                    name_format(&lists[l][n].name, key);
                    if (strcmp(key, wrong[i]) == 0) {
                        assert_error(catalog_load(&catalog, &lists[l][n], &e), &e, ERR_CORRUPT);
                        assert_contains(e.msg, key);
                    } else {
                        assert_ok(catalog_load(&catalog, &lists[l][n], &e), &e);
                    }
                }
            assert_ok(store_remove(store, wrong[i], &e), &e);
        }
}

static void an_object_of_another_database_is_corrupt(void **state)
{
    (void)state;
    r.database.bytes[3] ^= 1;
    replica_put_full(&r, 1, 2, SEGMENT_FROM_EMPTY);
    list_objects();
    assert_no_plan(2, ERR_CORRUPT, "another database");
}

/* ---- the target */

static void a_target_is_a_commit_record_or_there_is_no_plan(void **state)
{
    (void)state;
    replica_put_full(&r, 1, 3, SEGMENT_FROM_EMPTY);
    replica_put_last(&r, 0, 4, 7, 0);
    replica_put_full(&r, 8, 9, 0);
    list_objects();
    for (uint64_t t = 1; t <= 9; t++) {
        if (t < 4 || t > 6)
            assert_plan(t, t < 4 ? "0/1" : t == 7 ? "0/1 0/4" : "0/1 0/4 0/8");
        else
            assert_no_plan(t, ERR_NOTFOUND, "try 7");
    }
    assert_no_plan(10, ERR_NOTFOUND, "the newest is 9");
    assert_no_plan(UINT64_MAX - 1, ERR_NOTFOUND, "not a restore point");
    assert_points("1 2 3 7 8 9");
}

static void for_a_target_that_retention_deleted_the_nearest_points_are_named(void **state)
{
    (void)state;
    struct placed *first = replica_put_full(&r, 1, 2, SEGMENT_FROM_EMPTY), *second = replica_put_full(&r, 3, 4, 0);
    replica_put_full(&r, 5, 6, 0);
    struct placed *fourth = replica_put_full(&r, 7, 9, 0);
    replica_put_full(&r, 10, 12, 0);
    replica_put_last(&r, 1, 1, 4, SEGMENT_FROM_EMPTY);
    replica_put_last(&r, 1, 7, 9, 0);
    replica_remove(&r, first);
    replica_remove(&r, second);
    replica_remove(&r, fourth);
    list_objects();
    assert_points("4 5 6 9 10 11 12");
    assert_no_plan(8, ERR_NOTFOUND, "the nearest are 6 and 9, the newest is 12");
    assert_no_plan(3, ERR_NOTFOUND, "the oldest is 4, the newest is 12");
    assert_no_plan(13, ERR_NOTFOUND, "the newest is 12");
    assert_plan(9, "1/1-4 0/5 1/7-9");
}

static void txid_0_is_the_empty_state(void **state)
{
    struct plan p = {.source_count = 5};
    struct err e;
    (void)state;
    list_objects();
    assert_ok(plan_make(&catalog, 0, &p, &e), &e);
    assert_int_equal(p.source_count, 0);
    assert_int_equal(p.record.pages, 0);
    assert_true(p.record.checksum == 0);
    plan_release(&p);
}

static void the_newest_is_the_end_of_the_last_segment_that_has_a_plan(void **state)
{
    struct plan p = {0};
    struct err e;
    (void)state;
    list_objects();
    assert_no_plan(POINT_NEWEST, ERR_NOTFOUND, "no restore point yet");
    struct placed *anchor = replica_put_anchor(&r, 1, 2, SEGMENT_FROM_EMPTY);
    list_objects();
    assert_no_plan(POINT_NEWEST, ERR_NOTFOUND, "complete");
    replica_remove(&r, anchor);
    replica_put_full(&r, 1, 3, SEGMENT_FROM_EMPTY);
    for (int i = 0; i < 2; i++) {
        list_objects();
        assert_ok(points_plan(&catalog, POINT_NEWEST, &p, &e), &e);
        assert_true(p.record.txid == 3);
        plan_release(&p);
        if (i == 0)
            replica_put_anchor(&r, 4, 5, 0); /* its base is not there yet: what came before still counts */
    }
    replica_put_base(&r, 5, 5);
    list_objects();
    assert_plan(5, "base/5");
    assert_ok(points_plan(&catalog, POINT_NEWEST, &p, &e), &e);
    assert_true(p.record.txid == 5);
    plan_release(&p);
}

/* ---- the walk */

static void a_chain_is_taken_in_order(void **state)
{
    (void)state;
    replica_put_full(&r, 1, 1, SEGMENT_FROM_EMPTY);
    replica_put_full(&r, 2, 5, 0);
    replica_put_last(&r, 0, 6, 8, 0);
    replica_put_full(&r, 9, 12, 0);
    list_objects();
    assert_plan(1, "0/1");
    assert_plan(3, "0/1 0/2");
    assert_plan(8, "0/1 0/2 0/6");
    assert_plan(10, "0/1 0/2 0/6 0/9");
    assert_points("1 2 3 4 5 8 9 10 11 12");
}

static void a_higher_level_is_taken_in_place_of_the_segments_that_it_covers(void **state)
{
    (void)state;
    for (uint64_t t = 1; t <= 12; t += 2)
        replica_put_full(&r, t, t + 1, t == 1 ? SEGMENT_FROM_EMPTY : 0);
    replica_put_last(&r, 1, 1, 4, SEGMENT_FROM_EMPTY);
    replica_put_last(&r, 1, 5, 8, 0);
    replica_put_last(&r, 2, 1, 8, SEGMENT_FROM_EMPTY);
    replica_put_last(&r, 3, 1, 8, SEGMENT_FROM_EMPTY);
    list_objects();
    assert_plan(3, "0/1 0/3");
    assert_plan(4, "1/1-4");
    assert_plan(7, "1/1-4 0/5 0/7");
    assert_plan(8, "3/1-8"); /* all reach equally far, so the highest level is taken */
    assert_plan(12, "3/1-8 0/9 0/11");
}

static void a_segment_may_begin_before_the_position(void **state)
{
    (void)state;
    replica_put_full(&r, 1, 2, SEGMENT_FROM_EMPTY);
    replica_put_full(&r, 3, 6, 0);
    replica_put_full(&r, 7, 8, 0);
    replica_put_base(&r, 4, 4);
    list_objects();
    assert_plan(5, "base/4 0/3");
    assert_plan(8, "base/4 0/3 0/7");
}

static void a_pack_takes_the_place_of_what_lies_in_it(void **state)
{
    (void)state;
    for (uint64_t t = 1; t <= 12; t++)
        replica_put_full(&r, t, t, t == 1 ? SEGMENT_FROM_EMPTY : 0);
    replica_put_pack(&r, 2, 4);
    replica_put_pack(&r, 2, 8);
    list_objects();
    assert_plan(1, "0/1");
    assert_plan(5, "0/1 pack/2-8"); /* a restore leaves out what comes after its target */
    assert_plan(12, "0/1 pack/2-8 0/9 0/10 0/11 0/12");
    assert_points("1 2 3 4 5 6 7 8 9 10 11 12");
    assert_ranges("1-12:12");
    assert_int_equal(catalog.packed_count, 8);
    for (uint64_t t = 2; t <= 8; t++)
        replica_remove(&r, &r.placed[t - 1]);
    list_objects();
    assert_plan(12, "0/1 pack/2-8 0/9 0/10 0/11 0/12");
    assert_points("1 2 3 4 5 6 7 8 9 10 11 12");
    assert_int_equal(catalog.packed_count, 1);
}

static void what_lies_in_a_damaged_pack_takes_its_place(void **state)
{
    (void)state;
    for (uint64_t t = 1; t <= 12; t++)
        replica_put_full(&r, t, t, t == 1 ? SEGMENT_FROM_EMPTY : 0);
    replica_put_pack(&r, 2, 4);
    replica_put_pack(&r, 2, 8);
    for (uint64_t t = 2; t <= 4; t++)
        replica_remove(&r, &r.placed[t - 1]);
    struct memory_object *large =
        memory_store_object((struct memory_store *)store, "pack/0000000000000002-0000000000000008");
    large->bytes[large->size - 20] ^= 1;
    list_objects();
    assert_plan(3, "0/1 pack/2-4");
    assert_plan(10, "0/1 pack/2-4 0/5 0/6 0/7 0/8 0/9 0/10");
    assert_points("1 2 3 4 5 6 7 8 9 10 11 12");
    assert_ranges("1-12:12");
    assert_int_equal(catalog.packed_count, 1);
    for (uint64_t t = 5; t <= 8; t++)
        replica_remove(&r, &r.placed[t - 1]);
    list_objects();
    assert_points("1 2 3 4"); /* the smaller pack is all that is left of it */
}

static void each_point_of_a_pack_is_listed_though_segments_end_in_it(void **state)
{
    (void)state;
    replica_put_full(&r, 1, 1, SEGMENT_FROM_EMPTY);
    replica_put_last(&r, 1, 2, 4, 0);
    replica_put_last(&r, 1, 5, 7, 0);
    replica_put_pack(&r, 2, 9);
    replica_put_full(&r, 10, 12, 0);
    list_objects();
    assert_points("1 2 3 4 5 6 7 8 9 10 11 12");
    assert_plan(6, "0/1 pack/2-9");
    replica_remove(&r, &r.placed[0]);
    replica_put_base(&r, 3, 5);
    list_objects();
    assert_points("5 6 7 8 9 10 11 12");
    for (uint64_t t = 5; t <= 12; t++) {
        struct plan p = {0};
        struct err e;
        assert_ok(plan_make(&catalog, t, &p, &e), &e);
        plan_release(&p);
    }
}

static void packs_of_two_writers_may_overlap(void **state)
{
    (void)state;
    replica_put_full(&r, 1, 1, SEGMENT_FROM_EMPTY);
    replica_put_pack(&r, 2, 6);
    replica_put_pack(&r, 4, 9);
    replica_put_full(&r, 10, 12, 0);
    list_objects();
    assert_plan(5, "0/1 pack/2-6");
    assert_plan(8, "0/1 pack/2-6 pack/4-9");
    assert_plan(12, "0/1 pack/2-6 pack/4-9 0/10");
    assert_points("1 2 3 4 5 6 7 8 9 10 11 12");
}

static void a_base_in_the_middle_of_a_pack_leads_on_through_it(void **state)
{
    (void)state;
    replica_put_full(&r, 1, 1, SEGMENT_FROM_EMPTY);
    replica_put_pack(&r, 2, 8);
    replica_put_full(&r, 9, 12, 0);
    replica_put_base(&r, 4, 6);
    list_objects();
    assert_plan(5, "0/1 pack/2-8");
    assert_plan(7, "base/4 pack/2-8");
    assert_plan(12, "base/4 pack/2-8 0/9");
}

/* The pack's patches may start from versions that the segment does not have. */
static void a_segment_that_ends_in_a_pack_does_not_lead_into_it(void **state)
{
    (void)state;
    replica_put_full(&r, 1, 1, SEGMENT_FROM_EMPTY);
    replica_put_last(&r, 2, 2, 6, 0);
    replica_put_pack(&r, 4, 8);
    replica_put_full(&r, 9, 12, 0);
    list_objects();
    assert_plan(6, "0/1 2/2-6");
    assert_no_plan(7, ERR_NOTFOUND, "no segment continues the state after txid 6");
    replica_put_last(&r, 1, 2, 3, 0);
    list_objects();
    assert_plan(3, "0/1 1/2-3");
}

static void a_plan_begins_at_the_newest_base_that_is_not_after_the_target(void **state)
{
    (void)state;
    for (uint64_t t = 1; t <= 12; t += 2)
        replica_put_full(&r, t, t + 1, t == 1 ? SEGMENT_FROM_EMPTY : 0);
    replica_put_base(&r, 4, 6);
    replica_put_base(&r, 8, 10);
    list_objects();
    assert_plan(3, "0/1 0/3");
    assert_plan(5, "0/1 0/3 0/5"); /* a chunk of the base was read after 5 */
    assert_plan(6, "base/4 0/5");
    assert_plan(9, "base/4 0/5 0/7 0/9");
    assert_plan(10, "base/8 0/9");
    assert_plan(12, "base/8 0/9 0/11");
}

static void a_base_without_its_marker_does_not_count(void **state)
{
    (void)state;
    replica_put_full(&r, 1, 6, SEGMENT_FROM_EMPTY);
    struct placed *base = replica_put_base(&r, 6, 6);
    list_objects();
    assert_plan(6, "base/6");
    replica_remove(&r, base);
    list_objects();
    assert_plan(6, "0/1");
}

static void behind_a_gap_a_plan_begins_at_an_older_base_or_there_is_none(void **state)
{
    (void)state;
    struct placed *first = replica_put_full(&r, 1, 2, SEGMENT_FROM_EMPTY), *second = replica_put_full(&r, 3, 4, 0);
    replica_put_full(&r, 5, 6, 0);
    replica_put_full(&r, 7, 8, 0);
    replica_put_base(&r, 4, 4);
    struct placed *newer = replica_put_base(&r, 6, 6);
    replica_remove(&r, first);
    list_objects();
    assert_no_plan(3, ERR_NOTFOUND, "txid 3");
    assert_plan(4, "base/4");
    assert_plan(8, "base/6 0/7");
    replica_remove(&r, newer);
    list_objects();
    assert_plan(8, "base/4 0/5 0/7");
    replica_remove(&r, second);
    list_objects();
    assert_no_plan(4, ERR_NOTFOUND, "not a restore point"); /* its record is gone, though the base is there */
    assert_plan(8, "base/4 0/5 0/7");
    assert_points("5 6 7 8");
}

static void segments_that_contradict_each_other_are_corrupt(void **state)
{
    (void)state;
    replica_put_full(&r, 1, 4, SEGMENT_FROM_EMPTY);
    r.checksum_before_lie = 1;
    replica_put_full(&r, 5, 6, 0);
    r.checksum_before_lie = 0;
    replica_put_full(&r, 7, 8, 0);
    list_objects();
    assert_plan(4, "0/1");
    assert_no_plan(6, ERR_CORRUPT, "0/0000000000000005");
    assert_no_plan(8, ERR_CORRUPT, "checksums differ");
    replica_put_base(&r, 6, 6); /* a base behind the contradiction */
    list_objects();
    assert_plan(8, "base/6 0/7");
}

static void a_page_size_that_changes_without_a_new_beginning_is_corrupt(void **state)
{
    (void)state;
    replica_put_full(&r, 1, 12, SEGMENT_FROM_EMPTY);
    replica_commits(&r, 2, 1024);
    replica_put_full(&r, 13, 14, 0);
    list_objects();
    assert_no_plan(14, ERR_CORRUPT, "page size");
}

static void objects_before_a_new_beginning_are_not_fetched(void **state)
{
    (void)state;
    replica_put_full(&r, 1, 12, SEGMENT_FROM_EMPTY);
    replica_commits(&r, 4, 1024);
    replica_put_full(&r, 13, 14, SEGMENT_FROM_EMPTY);
    replica_put_full(&r, 15, 16, 0);
    list_objects();
    assert_plan(12, "0/1");
    assert_plan(14, "0/13");
    assert_plan(16, "0/13 0/15");
    replica_put_base(&r, 12, 12);
    list_objects();
    assert_plan(16, "0/13 0/15");
}

/* A new beginning needs no object before it, so none of those can be missed. list must show only points that restore
 * gives. */
static void a_new_beginning_can_be_restored_when_everything_before_it_is_gone(void **state)
{
    (void)state;
    struct placed *old = replica_put_full(&r, 1, 11, SEGMENT_FROM_EMPTY), *gap = replica_put_full(&r, 12, 12, 0);
    replica_commits(&r, 4, 1024);
    replica_put_full(&r, 13, 14, SEGMENT_FROM_EMPTY);
    replica_put_full(&r, 15, 16, 0);
    replica_remove(&r, gap);
    list_objects();
    assert_points("1 2 3 4 5 6 7 8 9 10 11 13 14 15 16");
    assert_plan(13, "0/13");
    assert_plan(16, "0/13 0/15");
    replica_remove(&r, old);
    list_objects();
    assert_plan(16, "0/13 0/15");
}

static void a_segment_without_pages_is_passed_by_a_base_only(void **state)
{
    (void)state;
    replica_put_full(&r, 1, 4, SEGMENT_FROM_EMPTY);
    replica_put_anchor(&r, 5, 8, 0);
    replica_put_full(&r, 9, 10, 0);
    list_objects();
    assert_no_plan(8, ERR_NOTFOUND, "txid 8");
    assert_no_plan(10, ERR_NOTFOUND, "txid 10");
    assert_points("1 2 3 4");
    replica_put_base(&r, 4, 4); /* too old */
    list_objects();
    assert_no_plan(8, ERR_NOTFOUND, "txid 8");
    replica_put_base(&r, 8, 10);
    list_objects();
    assert_no_plan(8, ERR_NOTFOUND, "txid 8"); /* some of its pages are of txid 10 */
    assert_plan(10, "base/8 0/9");
    assert_points("1 2 3 4 10");
}

/* The newest object waits for its base. It is read more than once. */
static void a_store_that_does_not_answer_is_no_damage(void **state)
{
    struct memory_store *m = (struct memory_store *)store;
    unsigned refused = 0;
    (void)state;
    replica_put_full(&r, 1, 4, SEGMENT_FROM_EMPTY);
    replica_put_anchor(&r, 5, 8, 0);
    for (unsigned reads = 0; reads < 8; reads++) {
        struct plan p = {0};
        struct err e;
        m->unread = NULL;
        list_objects();
        m->unread = "0/0000000000000005";
        m->answered = reads;
        if (points_plan(&catalog, POINT_NEWEST, &p, &e) == 0) {
            assert_int_equal(p.record.txid, 4);
            plan_release(&p);
        } else {
            assert_int_equal(e.code, ERR_REMOTE);
            refused++;
        }
    }
    assert_in_range(refused, 1, 7);
    m->unread = NULL;
}

static void parts_come_before_the_segment_that_names_them(void **state)
{
    (void)state;
    replica_put_last(&r, 0, 1, 6, SEGMENT_FROM_EMPTY | SEGMENT_IN_PARTS);
    replica_put_full(&r, 7, 8, 0);
    list_objects();
    assert_plan(8, "part part 0/1 0/7");
}

/* Removes one of the objects that `o` names. */
static void remove_named(const struct placed *o)
{
    struct memory_store *m = (struct memory_store *)store;
    enum name_kind kind = o->name.kind == NAME_MARKER ? NAME_CHUNK : NAME_PART;
    struct err e;
    for (size_t i = 0; i < m->count; i++) {
        const struct name n = name_parse(m->objects[i].key);
        bool of_it = kind == NAME_CHUNK ? n.start == o->start : n.number / 16 == o->max;
        if (n.kind == kind && of_it) {
            assert_ok(store_remove(store, m->objects[i].key, &e), &e);
            return;
        }
    }
    fail_msg("nothing is named");
}

static void a_base_without_one_of_its_chunks_is_passed_over_while_there_is_another_way(void **state)
{
    (void)state;
    struct placed *first = replica_put_full(&r, 1, 4, SEGMENT_FROM_EMPTY);
    replica_put_full(&r, 5, 6, 0);
    replica_put_full(&r, 7, 8, 0);
    struct placed *older = replica_put_base(&r, 4, 4), *newer = replica_put_base(&r, 6, 6);
    remove_named(newer);
    list_objects();
    assert_plan(8, "base/4 0/5 0/7");
    remove_named(older);
    list_objects();
    assert_plan(8, "0/1 0/5 0/7");
    replica_remove(&r, first);
    list_objects();
    assert_plan(8, "base/6 0/7"); /* there is no other way; a restore names the missing object */
}

static void a_segment_without_one_of_its_parts_is_passed_over_while_there_is_another_way(void **state)
{
    (void)state;
    replica_put_full(&r, 1, 2, SEGMENT_FROM_EMPTY);
    struct placed *fine = replica_put_full(&r, 3, 4, 0);
    struct placed *covering = replica_put_last(&r, 1, 1, 4, SEGMENT_FROM_EMPTY | SEGMENT_IN_PARTS);
    list_objects();
    assert_plan(4, "part part 1/1-4");
    remove_named(covering);
    list_objects();
    assert_plan(4, "0/1 0/3");
    replica_remove(&r, fine);
    list_objects();
    assert_plan(4, "part part 1/1-4");
}

/* It leads nowhere, but it has the record of the state that a base holds. */
static void a_base_is_a_point_with_the_record_of_a_segment_without_one_of_its_parts(void **state)
{
    (void)state;
    replica_put_full(&r, 1, 2, SEGMENT_FROM_EMPTY);
    struct placed *catch_up = replica_put_last(&r, 0, 3, 6, SEGMENT_IN_PARTS);
    replica_put_full(&r, 7, 8, 0);
    remove_named(catch_up);
    list_objects();
    assert_points("1 2");
    replica_put_base(&r, 6, 6);
    list_objects();
    assert_points("1 2 6 7 8");
    assert_plan(6, "base/6");
}

static void a_catch_up_without_one_of_its_parts_is_passed_over_too(void **state)
{
    (void)state;
    replica_put_full(&r, 1, 2, SEGMENT_FROM_EMPTY);
    struct placed *catch_up = replica_put_last(&r, 0, 3, 6, SEGMENT_IN_PARTS);
    replica_put_last(&r, 1, 3, 4, 0);
    replica_put_last(&r, 1, 5, 6, 0);
    replica_put_full(&r, 7, 8, 0);
    list_objects();
    assert_plan(8, "0/1 part part 0/3 0/7");
    remove_named(catch_up);
    list_objects();
    assert_plan(8, "0/1 1/3-4 1/5-6 0/7");
}

static void a_part_of_another_size_does_not_count(void **state)
{
    struct memory_store *m = (struct memory_store *)store;
    (void)state;
    replica_put_full(&r, 1, 4, SEGMENT_FROM_EMPTY);
    replica_put_last(&r, 1, 1, 4, SEGMENT_FROM_EMPTY | SEGMENT_IN_PARTS);
    for (size_t i = 0; i < m->count; i++)
        m->objects[i].size -= name_parse(m->objects[i].key).kind == NAME_PART;
    list_objects();
    assert_plan(4, "0/1");
}

/* A marker or a segment of a store can be forged. It must not be able to name objects of another kind. */
static void names_in_a_list_must_be_of_its_own_kind(void **state)
{
    static const char *const names[] = {"",
                                        "0/0000000000000001",
                                        "../../etc/passwd",
                                        "/etc/passwd",
                                        "seawall.json",
                                        "base/0000000000000004-52000000000000000000000000000000/marker",
                                        "part/52000000000000000000000000000000-0000000000000001"};
    (void)state;
    replica_put_full(&r, 1, 4, SEGMENT_FROM_EMPTY);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct listed listed = {.first_page = 1, .last_page = 9, .max = 4};
        struct name name = {.kind = NAME_MARKER, .start = 4, .run = r.run};
        struct object_parts marker = {.info = replica_info(&r, OBJECT_MARKER, 0, 4), .list = &listed, .list_count = 1};
        struct err e;
        struct plan p = {0};
        marker.info.start = 4;
        snprintf(listed.name, sizeof listed.name, "%s", names[i]);
        replica_put(&r, &name, &marker, packing_new(), NULL);
        list_objects();
        assert_ok(plan_make(&catalog, 4, &p, &e), &e); /* the base is passed over */
        assert_int_equal(p.source_count, 1);
        plan_release(&p);
        replica_remove(&r, &(struct placed){.name = name});
    }
}

/* ---- ranges */

static void points_side_by_side_are_one_range(void **state)
{
    (void)state;
    list_objects();
    assert_ranges("");
    replica_put_full(&r, 1, 3, SEGMENT_FROM_EMPTY);
    replica_put_full(&r, 4, 4, 0);
    list_objects();
    assert_ranges("1-4:4");
    replica_put_last(&r, 0, 5, 5, 0); /* it has one commit, which stays a point */
    replica_put_last(&r, 0, 6, 8, 0);
    list_objects();
    assert_ranges("1-5:5 6-8:1");
    replica_put_last(&r, 0, 9, 10, 0);
    replica_put_full(&r, 11, 12, 0);
    list_objects();
    assert_ranges("1-5:5 6-10:2 11-12:2");
}

static void a_range_is_one_point_where_only_a_compacted_segment_is_left(void **state)
{
    struct placed *zero[6];
    (void)state;
    for (uint64_t t = 1; t <= 12; t += 2)
        zero[t / 2] = replica_put_full(&r, t, t + 1, t == 1 ? SEGMENT_FROM_EMPTY : 0);
    replica_put_last(&r, 1, 1, 4, SEGMENT_FROM_EMPTY);
    replica_put_last(&r, 1, 5, 8, 0);
    replica_put_last(&r, 2, 1, 8, SEGMENT_FROM_EMPTY);
    list_objects();
    assert_ranges("1-12:12");
    replica_remove(&r, zero[1]);
    list_objects();
    assert_ranges("1-2:2 3-4:1 5-12:8");
    for (int i = 0; i < 4; i++)
        replica_remove(&r, zero[i]);
    list_objects();
    assert_ranges("1-8:2 9-12:4");
}

static void no_way_leads_through_a_segment_of_a_level_without_pages(void **state)
{
    (void)state;
    for (uint64_t t = 1; t <= 6; t++)
        replica_put_full(&r, t, t, t == 1 ? SEGMENT_FROM_EMPTY : 0);
    replica_put_last(&r, 1, 2, 5, SEGMENT_BASE_ONLY);
    replica_put_last(&r, 2, 1, 5, SEGMENT_BASE_ONLY | SEGMENT_FROM_EMPTY);
    list_objects();
    assert_plan(6, "0/1 0/2 0/3 0/4 0/5 0/6");
    assert_plan(5, "0/1 0/2 0/3 0/4 0/5");
}

static void a_txid_that_can_not_be_restored_is_in_no_range(void **state)
{
    (void)state;
    replica_put_full(&r, 1, 4, SEGMENT_FROM_EMPTY);
    replica_put_anchor(&r, 5, 8, 0);
    replica_put_full(&r, 9, 12, 0);
    list_objects();
    assert_ranges("1-4:4");
    replica_put_base(&r, 8, 10); /* one of its pages is of txid 10: it gives no earlier state */
    list_objects();
    assert_ranges("1-4:4 10-12:3");
}

static void a_base_alone_gives_the_point_at_which_it_was_read(void **state)
{
    (void)state;
    replica_put_anchor(&r, 1, 5, SEGMENT_FROM_EMPTY);
    struct placed *head = replica_put_full(&r, 6, 9, 0);
    replica_put_base(&r, 5, 5);
    replica_put_base(&r, 8, 8);
    list_objects();
    assert_ranges("1-5:1 6-9:4");
    replica_remove(&r, head);
    list_objects();
    assert_ranges("1-5:1"); /* no object has the record of 8 */
}

/* ---- damage */

static void damage(const struct placed *o)
{
    char key[NAME_MAX_BYTES];
    name_format(&o->name, key);
    struct memory_object *m = memory_store_object((struct memory_store *)store, key);
    assert_non_null(m);
    m->bytes[m->size - 20] ^= 1;
}

static void a_damaged_object_is_passed_over_when_another_reaches(void **state)
{
    (void)state;
    struct placed *a = replica_put_full(&r, 1, 2, SEGMENT_FROM_EMPTY);
    replica_put_full(&r, 3, 4, 0);
    struct placed *one = replica_put_last(&r, 1, 1, 4, SEGMENT_FROM_EMPTY);
    replica_put_full(&r, 5, 6, 0);
    damage(a);
    list_objects();
    assert_plan(6, "1/1-4 0/5");
    assert_no_plan(2, ERR_CORRUPT, "0/0000000000000001");
    assert_points("4 5 6");
    damage(a); /* repairs it */
    damage(one);
    list_objects();
    assert_plan(6, "0/1 0/3 0/5");
    assert_points("1 2 3 4 5 6");
}

static void with_a_damaged_base_the_plan_begins_at_an_older_one(void **state)
{
    (void)state;
    replica_put_full(&r, 1, 4, SEGMENT_FROM_EMPTY);
    replica_put_full(&r, 5, 8, 0);
    replica_put_base(&r, 4, 4);
    damage(replica_put_base(&r, 8, 8));
    list_objects();
    assert_plan(8, "base/4 0/5");
}

static void where_damage_leaves_no_way_it_is_named(void **state)
{
    (void)state;
    replica_put_full(&r, 1, 4, SEGMENT_FROM_EMPTY);
    damage(replica_put_full(&r, 5, 6, 0));
    replica_put_full(&r, 7, 8, 0);
    list_objects();
    assert_no_plan(5, ERR_CORRUPT, "0/0000000000000005");
    assert_no_plan(8, ERR_CORRUPT, "0/0000000000000005");
    assert_plan(4, "0/1");
}

/* The store fails for a moment at an object of level 1. Without it level 0 leads, up to where it has a hole. */
static void what_the_store_does_not_give_now_is_not_missing(void **state)
{
    (void)state;
    struct memory_store *m = (struct memory_store *)store;
    struct plan p = {0};
    struct err e;
    char key[NAME_MAX_BYTES];
    replica_put_full(&r, 1, 2, SEGMENT_FROM_EMPTY);
    struct placed *one = replica_put_last(&r, 1, 1, 4, SEGMENT_FROM_EMPTY);
    replica_put_full(&r, 5, 6, 0);
    replica_put_full(&r, 8, 8, 0);
    name_format(&one->name, key);
    m->unread = key;
    list_objects();
    assert_no_plan(6, ERR_REMOTE, "does not answer");
    assert_error(plan_try(&catalog, 6, &p, &e), &e, ERR_REMOTE);
    assert_plan(2, "0/1"); /* it needs no other object */
    m->unread = NULL;
    list_objects();
    assert_plan(6, "1/1-4 0/5");
    assert_no_plan(8, ERR_NOTFOUND, "after txid 6"); /* this object is missing */
}

/* A new beginning that can't be read now may be the way. */
static void a_new_beginning_that_the_store_does_not_give_now_is_not_missing(void **state)
{
    (void)state;
    struct memory_store *m = (struct memory_store *)store;
    char key[NAME_MAX_BYTES];
    replica_put_full(&r, 1, 1, SEGMENT_FROM_EMPTY);
    struct placed *again = replica_put_full(&r, 3, 4, SEGMENT_FROM_EMPTY);
    replica_put_full(&r, 5, 6, 0);
    name_format(&again->name, key);
    m->unread = key;
    list_objects();
    assert_no_plan(6, ERR_REMOTE, "can't be read now");
    m->unread = NULL;
    list_objects();
    assert_plan(6, "0/3 0/5");
}

/* Several compacted segments end at the target. One that is sound is enough. */
static void a_record_is_found_in_any_sound_segment_that_ends_there(void **state)
{
    (void)state;
    struct placed *zero = replica_put_full(&r, 1, 4, SEGMENT_FROM_EMPTY);
    struct placed *one = replica_put_last(&r, 1, 1, 4, SEGMENT_FROM_EMPTY);
    struct placed *two = replica_put_last(&r, 2, 1, 4, SEGMENT_FROM_EMPTY);
    replica_put_full(&r, 5, 6, 0);
    damage(zero);
    damage(two);
    list_objects();
    assert_plan(4, "1/1-4");
    damage(one);
    damage(two);
    list_objects();
    assert_points("4 5 6");
    assert_plan(4, "2/1-4");
}

/* ---- the map of a target */

static void the_map_of_a_plan_is_that_of_the_database(void **state)
{
    (void)state;
    replica_put_full(&r, 1, 4, SEGMENT_FROM_EMPTY);
    replica_put_last(&r, 0, 5, 8, SEGMENT_IN_PARTS);
    replica_put_full(&r, 9, 12, 0);
    replica_put_base(&r, 4, 8);
    list_objects();
    for (uint64_t t = 1; t <= 12; t++) {
        struct plan p = {0};
        struct map map;
        struct err e;
        if (t > 4 && t < 8)
            continue;
        assert_ok(plan_make(&catalog, t, &p, &e), &e);
        assert_ok(plan_map(&catalog, &p, &map, &e), &e);
        assert_int_equal(map.pages, r.model.at[t].record.pages);
        assert_true(map.checksum == r.model.at[t].record.checksum);
        for (uint32_t pgno = 1; pgno <= map.pages; pgno++) {
            assert_true(map_get(&map, pgno).hash == r.model.at[t].page[pgno].hash);
            assert_true(map_get(&map, pgno).txid == r.model.at[t].page[pgno].txid);
        }
        map_release(&map);
        plan_release(&p);
    }
}

/* ---- any replica */

struct point_set {
    bool found[MODEL_TXIDS + 2];
    const struct replica *replica;
};

static int add_to_set(void *context, const struct commit_record *record)
{
    struct point_set *s = context;
    const struct commit_record *model = &s->replica->model.at[record->txid].record;
    assert_true(record->txid >= 1 && record->txid <= s->replica->model.newest && !s->found[record->txid]);
    assert_true(record->time_ms == model->time_ms && record->pages == model->pages &&
                record->checksum == model->checksum);
    s->found[record->txid] = true;
    return 0;
}

struct range_check {
    const struct point_set *points;
    uint64_t last, count;
};

static int check_range(void *context, const struct point_range *x)
{
    struct range_check *k = context;
    const struct replica *any = k->points->replica;
    uint64_t points = 0, first = 0;
    assert_true(x->first_txid > k->last && x->last_txid >= x->first_txid && x->last_txid <= any->model.newest);
    for (uint64_t t = x->first_txid; t <= x->last_txid; t++)
        if (k->points->found[t] && ++points == 1)
            first = t;
    assert_true(points == x->points && first == x->first_point && k->points->found[x->last_txid]);
    assert_true(point_range_every(x) == (points == x->last_txid - x->first_txid + 1));
    assert_true(x->first_ms == any->model.at[first].record.time_ms &&
                x->last_ms == any->model.at[x->last_txid].record.time_ms);
    k->last = x->last_txid;
    k->count += points;
    return 0;
}

/* Every restore point is in a range. A range of single points has no other txids. */
static void compare_ranges(const struct point_set *points)
{
    struct range_check k = {.points = points};
    struct err e;
    uint64_t count = 0;
    assert_ok(points_ranges(&catalog, check_range, &k, &e), &e);
    for (uint64_t t = 1; t <= points->replica->model.newest; t++)
        count += points->found[t];
    assert_true(k.count == count);
}

/* Compares three answers to the question which txids can be restored: points_each, plan_make for each txid, and
 * replica_can_restore. */
static void compare_answers(struct replica *any, unsigned seed)
{
    struct point_set points = {.replica = any};
    struct err e;
    if (seed % 2)
        catalog.bytes_kept = 2 * CATALOG_BYTES_MAX; /* as in a full catalog: nothing more is kept */
    assert_ok(points_each(&catalog, add_to_set, &points, &e), &e);
    compare_ranges(&points);
    for (uint64_t t = 1; t <= any->model.newest + 1; t++) {
        struct plan p = {0};
        bool planned = plan_make(&catalog, t, &p, &e) == 0,
             possible = t <= any->model.newest && replica_can_restore(any, t);
        if (!planned && e.code != ERR_NOTFOUND && e.code != ERR_CORRUPT)
            fail_msg("seed %u, txid %d: code %d: %s", seed, (int)t, (int)e.code, e.msg);
        if (planned != possible || points.found[t] != possible)
            fail_msg("seed %u, txid %d: plan_make says %d, points_each %d, the rules %d", seed, (int)t, planned,
                     points.found[t], possible);
        plan_release(&p);
    }
}

/* Looks for the newest point that is not after a moment: at the moment of each txid, and just before it. */
static void compare_moments(struct replica *any, unsigned seed)
{
    struct point_set points = {.replica = any};
    struct err e;
    assert_ok(points_each(&catalog, add_to_set, &points, &e), &e);
    for (uint64_t t = 1; t <= any->model.newest; t++)
        for (int before = 0; before < 2; before++) {
            int64_t ms = any->model.at[t].record.time_ms - before;
            uint64_t wanted = 0, found = 0;
            for (uint64_t i = 1; i <= any->model.newest; i++)
                if (points.found[i] && any->model.at[i].record.time_ms <= ms)
                    wanted = i;
            list_objects(); /* loads nothing, as at the start of a restore */
            int rc = points_at_time(&catalog, ms, &found, &e);
            if (wanted == 0 && (rc == 0 || e.code != ERR_NOTFOUND))
                fail_msg("seed %u: at %d ms there is txid %d, but nothing was restorable then", seed, (int)ms,
                         (int)found);
            if (wanted && (rc || found != wanted))
                fail_msg("seed %u: at %d ms txid %d instead of %d: %s", seed, (int)ms, (int)found, (int)wanted,
                         rc ? e.msg : "");
        }
}

static void try_random_replicas(unsigned first_seed, unsigned count, bool with_damage)
{
    static struct replica any;
    for (unsigned seed = first_seed; seed < first_seed + count; seed++) {
        struct store *s = memory_store_new(), *kept = store;
        assert_non_null(s);
        replica_init(&any, s, codec, seed);
        replica_random(&any);
        store = s;
        for (size_t i = 0; with_damage && i < any.placed_count; i++)
            if (!any.placed[i].gone && dice_below(&any.dice, 5) == 0) {
                damage(&any.placed[i]);
                any.placed[i].gone = true;
            }
        list_objects();
        compare_answers(&any, seed);
        if (seed % 8 == 0)
            compare_moments(&any, seed);
        catalog_release(&catalog);
        replica_release(&any);
        store_close(s);
        store = kept;
    }
}

static void list_and_plan_agree_with_the_rules_on_any_replica(void **state)
{
    (void)state;
    try_random_replicas(1000, 1500, false);
}

static void list_and_plan_agree_with_the_rules_on_any_damaged_replica(void **state)
{
    (void)state;
    try_random_replicas(5000, 1500, true);
}

CLAIMS_FIXTURES

/* ---- lists that lie */

static void a_marker_names_each_of_its_chunks_once_and_nothing_else(void **state)
{
    (void)state;
    static const char *const lists[][2] = {{"base/0000000000000001-00000000000000000000000000000000/00000001",
                                            "base/0000000000000001-00000000000000000000000000000000/00000001"},
                                           {"base/0000000000000001-00000000000000000000000000000000/00000002",
                                            "base/0000000000000001-00000000000000000000000000000000/00000001"},
                                           {"base/0000000000000001-00000000000000000000000000000000/00000001", ""},
                                           {"part/00000000000000000000000000000000-0000000000000001", ""}};
    const struct name name = {.kind = NAME_MARKER, .start = 1};
    char key[NAME_MAX_BYTES];
    name_format(&name, key);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct listed list[2] = {{.first_page = 1, .last_page = 1}, {.first_page = 2, .last_page = 2}};
        struct object_parts parts = {
            .info = {.kind = OBJECT_MARKER, .max = 1, .start = 1, .page_size = 512, .database = r.database},
            .list = list,
            .list_count = 2};
        struct buf object = {0};
        struct digest digest;
        struct segment s;
        struct err e;
        snprintf(list[0].name, sizeof list[0].name, "%s", lists[i][0]);
        snprintf(list[1].name, sizeof list[1].name, "%s", lists[i][1]);
        assert_ok(object_make(codec, &parts, &object, &digest, &e), &e);
        assert_ok(store_remove(store, key, &e), &e);
        assert_ok(store_put_new(store, key, object.data, object.len, NULL, &e), &e);
        buf_release(&object);
        assert_error(object_load(store, key, codec, SEGMENT_WANT_RECORDS, &s, &e), &e, ERR_CORRUPT);
        assert_contains(e.msg, key);
    }
}

/* ---- out of memory
 *
 * The replica has everything that a plan can go through: parts, a base, a base that is under way, a new beginning, a
 * segment that level 0 no longer has. */

static void make_rich(void)
{
    replica_put_full(&r, 1, 3, SEGMENT_FROM_EMPTY);
    replica_put_last(&r, 0, 4, 6, SEGMENT_IN_PARTS);
    replica_remove(&r, replica_put_full(&r, 7, 7, 0));
    replica_put_last(&r, 1, 7, 7, 0);
    replica_put_base(&r, 6, 7);
    replica_put_full(&r, 8, 10, 0);
    replica_put_anchor(&r, 11, 11, 0);
    replica_put_full(&r, 12, 12, 0);
}

static int list_and_load(void *context, struct err *e)
{
    struct catalog c;
    (void)context;
    if (catalog_open(&c, store, codec, e))
        return -1;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < catalog_segment_count(&c); i++)
        rc = catalog_load(&c, catalog_segment(&c, i), e);
    for (size_t i = 0; rc == 0 && i < c.marker_count; i++)
        rc = catalog_load(&c, &c.markers[i], e);
    if (rc == 0)
        assert_true(c.bytes_kept > 0 && c.marker_count == 1);
    catalog_release(&c);
    return rc;
}

static int read_name(void *context, struct err *e)
{
    struct replica_identity id;
    (void)context;
    int rc = replica_identity_read(store, &id, e);
    if (rc == 0)
        assert_true(uid_equal(&id.database, &r.database));
    return rc;
}

static void each_allocation_of_seawall_json_fails_once(void **state)
{
    (void)state;
    assert_true(assert_each_allocation_fails_once(read_name, NULL) > 1);
}

static void each_allocation_of_the_catalog_fails_once(void **state)
{
    (void)state;
    make_rich();
    assert_true(assert_each_allocation_fails_once(list_and_load, NULL) > 10);
}

static int plan_and_map(void *context, struct err *e)
{
    const uint64_t txid = *(const uint64_t *)context;
    struct plan p = {0};
    struct map map = {.fd = -1};
    catalog_release(&catalog);
    int rc = catalog_open(&catalog, store, codec, e);
    if (rc == 0)
        rc = points_plan(&catalog, txid, &p, e);
    if (rc == 0)
        rc = plan_map(&catalog, &p, &map, e);
    if (rc == 0)
        assert_true(map.checksum == r.model.at[p.record.txid].record.checksum);
    map_release(&map);
    plan_release(&p);
    return rc;
}

static void each_allocation_of_the_planner_fails_once(void **state)
{
    uint64_t txids[] = {2, 6, 7, 10, POINT_NEWEST};
    (void)state;
    make_rich();
    for (size_t i = 0; i < sizeof txids / sizeof txids[0]; i++)
        assert_each_allocation_fails_once(plan_and_map, &txids[i]);
}

/* Level 1 has everything, and level 0 is damaged. The way through level 1 must not hide ERR_NOMEM. */
static void each_allocation_of_a_plan_around_damage_fails_once(void **state)
{
    uint64_t txid = 12;
    (void)state;
    replica_put_full(&r, 1, 6, SEGMENT_FROM_EMPTY);
    struct placed *damaged = replica_put_full(&r, 7, 12, 0);
    replica_put_last(&r, 1, 1, 12, SEGMENT_FROM_EMPTY);
    damage(damaged);
    assert_each_allocation_fails_once(plan_and_map, &txid);
}

static int find_all(void *context, struct err *e)
{
    uint64_t txids[MODEL_TXIDS + 2] = {0}, txid = 0;
    char ranges[400] = "";
    (void)context;
    catalog_release(&catalog);
    if (catalog_open(&catalog, store, codec, e))
        return -1;
    if (points_each(&catalog, note_point, txids, e) || points_ranges(&catalog, print_range, ranges, e))
        return -1;
    assert_int_equal(txids[0], 3 + 1 + 1 + 3);
    if (points_at_time(&catalog, r.model.at[9].record.time_ms, &txid, e))
        return -1;
    assert_true(r.model.at[txid].record.time_ms == r.model.at[9].record.time_ms);
    return 0;
}

static void each_allocation_of_the_search_for_points_fails_once(void **state)
{
    (void)state;
    make_rich();
    assert_each_allocation_fails_once(find_all, NULL);
}

static int ask_for_no_point(void *context, struct err *e)
{
    struct plan p = {0};
    (void)context;
    catalog_release(&catalog);
    if (catalog_open(&catalog, store, codec, e))
        return -1;
    if (points_plan(&catalog, 5, &p, e) == 0)
        fail_msg("5 is not a restore point");
    if (e->code != ERR_NOTFOUND)
        return -1;
    assert_contains(e->msg, "try 6");
    return 0;
}

static void each_allocation_of_a_search_for_no_point_fails_once(void **state)
{
    (void)state;
    make_rich();
    assert_each_allocation_fails_once(ask_for_no_point, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIMS_TEST(a_replica_keeps_the_database_id_it_was_made_with),
        CLAIMS_TEST(without_seawall_json_there_is_no_replica),
        CLAIMS_TEST(a_seawall_json_that_is_not_understood_is_refused),
        CLAIMS_TEST(objects_without_an_identity_get_no_new_one),
        CLAIMS_TEST(another_kind_of_object_under_a_level0_name_is_damage),
        CLAIMS_TEST(the_catalog_sorts_objects_by_kind_and_passes_over_strangers),
        CLAIMS_TEST(an_object_under_another_key_is_corrupt),
        CLAIMS_TEST(an_object_of_another_database_is_corrupt),
        CLAIMS_TEST(a_target_is_a_commit_record_or_there_is_no_plan),
        CLAIMS_TEST(txid_0_is_the_empty_state),
        CLAIMS_TEST(the_newest_is_the_end_of_the_last_segment_that_has_a_plan),
        CLAIMS_TEST(a_chain_is_taken_in_order),
        CLAIMS_TEST(no_way_leads_through_a_segment_of_a_level_without_pages),
        CLAIMS_TEST(a_higher_level_is_taken_in_place_of_the_segments_that_it_covers),
        CLAIMS_TEST(a_segment_may_begin_before_the_position),
        CLAIMS_TEST(a_pack_takes_the_place_of_what_lies_in_it),
        CLAIMS_TEST(what_lies_in_a_damaged_pack_takes_its_place),
        CLAIMS_TEST(each_point_of_a_pack_is_listed_though_segments_end_in_it),
        CLAIMS_TEST(packs_of_two_writers_may_overlap),
        CLAIMS_TEST(a_base_in_the_middle_of_a_pack_leads_on_through_it),
        CLAIMS_TEST(a_segment_that_ends_in_a_pack_does_not_lead_into_it),
        CLAIMS_TEST(a_plan_begins_at_the_newest_base_that_is_not_after_the_target),
        CLAIMS_TEST(a_base_without_its_marker_does_not_count),
        CLAIMS_TEST(behind_a_gap_a_plan_begins_at_an_older_base_or_there_is_none),
        CLAIMS_TEST(segments_that_contradict_each_other_are_corrupt),
        CLAIMS_TEST(a_page_size_that_changes_without_a_new_beginning_is_corrupt),
        CLAIMS_TEST(objects_before_a_new_beginning_are_not_fetched),
        CLAIMS_TEST(a_new_beginning_can_be_restored_when_everything_before_it_is_gone),
        CLAIMS_TEST(a_segment_without_pages_is_passed_by_a_base_only),
        CLAIMS_TEST(a_store_that_does_not_answer_is_no_damage),
        CLAIMS_TEST(parts_come_before_the_segment_that_names_them),
        CLAIMS_TEST(a_base_without_one_of_its_chunks_is_passed_over_while_there_is_another_way),
        CLAIMS_TEST(a_segment_without_one_of_its_parts_is_passed_over_while_there_is_another_way),
        CLAIMS_TEST(a_base_is_a_point_with_the_record_of_a_segment_without_one_of_its_parts),
        CLAIMS_TEST(a_catch_up_without_one_of_its_parts_is_passed_over_too),
        CLAIMS_TEST(a_part_of_another_size_does_not_count),
        CLAIMS_TEST(for_a_target_that_retention_deleted_the_nearest_points_are_named),
        CLAIMS_TEST(names_in_a_list_must_be_of_its_own_kind),
        CLAIMS_TEST(points_side_by_side_are_one_range),
        CLAIMS_TEST(a_range_is_one_point_where_only_a_compacted_segment_is_left),
        CLAIMS_TEST(a_txid_that_can_not_be_restored_is_in_no_range),
        CLAIMS_TEST(a_base_alone_gives_the_point_at_which_it_was_read),
        CLAIMS_TEST(a_damaged_object_is_passed_over_when_another_reaches),
        CLAIMS_TEST(with_a_damaged_base_the_plan_begins_at_an_older_one),
        CLAIMS_TEST(where_damage_leaves_no_way_it_is_named),
        CLAIMS_TEST(what_the_store_does_not_give_now_is_not_missing),
        CLAIMS_TEST(a_new_beginning_that_the_store_does_not_give_now_is_not_missing),
        CLAIMS_TEST(a_record_is_found_in_any_sound_segment_that_ends_there),
        CLAIMS_TEST(the_map_of_a_plan_is_that_of_the_database),
        CLAIMS_TEST(list_and_plan_agree_with_the_rules_on_any_replica),
        CLAIMS_TEST(list_and_plan_agree_with_the_rules_on_any_damaged_replica),
        CLAIMS_TEST(each_allocation_of_seawall_json_fails_once),
        CLAIMS_TEST(each_allocation_of_the_catalog_fails_once),
        CLAIMS_TEST(a_marker_names_each_of_its_chunks_once_and_nothing_else),
        CLAIMS_TEST(each_allocation_of_the_planner_fails_once),
        CLAIMS_TEST(each_allocation_of_a_plan_around_damage_fails_once),
        CLAIMS_TEST(each_allocation_of_the_search_for_points_fails_once),
        CLAIMS_TEST(each_allocation_of_a_search_for_no_point_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
