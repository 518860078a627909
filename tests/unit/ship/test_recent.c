/* ship/recent.h: compares the objects that were put last with the entries of a listing. */
#include "unit.h"

#include "ship/recent.h"

#include "base/hash.h"

#define MD5_OF_HELLO "5d41402abc4b2a76b9719d911017c592" /* RFC 1321, of "hello" */

static void put(struct recent *r, uint64_t min)
{
    struct digest digest;
    struct err e;
    assert_ok(digest_of(&min, sizeof min, &digest, &e), &e);
    recent_add(r, min, &digest, "hello", 5);
}

static bool fits(struct recent *r, uint64_t min, uint64_t size, const char *etag)
{
    const struct store_entry entry = {.key = "0/1", .size = size, .etag = etag};
    const struct recent_object *o = recent_find(r, min);
    assert_non_null(o);
    return recent_fits(o, &entry);
}

static void an_object_fits_by_its_size_and_its_md5(void **state)
{
    struct recent r = {.count = 0};
    (void)state;
    put(&r, 7);
    assert_true(fits(&r, 7, 5, "\"" MD5_OF_HELLO "\""));
    assert_true(fits(&r, 7, 5, MD5_OF_HELLO));
    assert_true(fits(&r, 7, 5, "\"5D41402ABC4B2A76B9719D911017C592\""));
    assert_true(fits(&r, 7, 5, NULL)); /* a store without tags */
    assert_false(fits(&r, 7, 6, NULL));
    assert_false(fits(&r, 7, 6, "\"" MD5_OF_HELLO "\""));
    assert_false(fits(&r, 7, 5, "\"" MD5_OF_HELLO "-1\""));
    assert_false(fits(&r, 7, 5, ""));
}

static void a_tag_that_is_not_the_md5_is_learned(void **state)
{
    struct recent r = {.count = 0};
    (void)state;
    put(&r, 7);
    assert_false(fits(&r, 7, 5, "\"opaque\""));
    recent_learn(recent_find(&r, 7), "\"opaque\"");
    assert_true(fits(&r, 7, 5, "\"opaque\""));
    assert_false(fits(&r, 7, 5, "\"" MD5_OF_HELLO "\""));
}

static void objects_that_are_not_listed_are_forgotten(void **state)
{
    struct recent r = {.count = 0};
    (void)state;
    for (uint64_t min = 1; min <= 4; min++)
        put(&r, min);
    assert_false(recent_forget_unlisted(&r, (bool[RECENT_MAX]){true, true, true, true}));
    assert_true(recent_forget_unlisted(&r, (bool[RECENT_MAX]){false, true, false, true}));
    assert_int_equal(r.count, 2);
    assert_int_equal(r.objects[0].min, 2);
    assert_int_equal(r.objects[1].min, 4);
    assert_false(recent_forget_unlisted(&r, (bool[RECENT_MAX]){true, true}));
}

static void only_the_newest_objects_are_kept(void **state)
{
    struct recent r = {.count = 0};
    (void)state;
    for (uint64_t min = 1; min <= RECENT_MAX + 1; min++)
        put(&r, min);
    assert_int_equal(r.count, RECENT_MAX);
    assert_null(recent_find(&r, 1));
    assert_int_equal(recent_find(&r, 2)->min, 2);
    assert_int_equal(recent_find(&r, RECENT_MAX + 1)->min, RECENT_MAX + 1);
    assert_null(recent_find(&r, RECENT_MAX + 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_fits_by_its_size_and_its_md5),
        cmocka_unit_test(a_tag_that_is_not_the_md5_is_learned),
        cmocka_unit_test(only_the_newest_objects_are_kept),
        cmocka_unit_test(objects_that_are_not_listed_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
