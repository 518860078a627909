/* litestream/names.h: the keys of Litestream's objects, and no others. */
#include "unit.h"

#include "litestream/names.h"

static void each_key_gives_a_name_and_back(void **state)
{
    static const char *const keys[] = {
        "ltx/0/0000000000000001-0000000000000001.ltx",
        "ltx/9/0000000000000001-7fffffffffffffff.ltx",
        "0000/000000000000000c-00000000000000ff.ltx",
        "0009/0000000000000001-0000000000000004.ltx",
        "generations/e833c39a3f303cf7/snapshots/0000001f.snapshot.lz4",
        "generations/e833c39a3f303cf7/wal/00000000_0005c8c0.wal.lz4",
        "generations/0000000000000000/wal/ffffffff_ffffffff.wal.lz4",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        char key[STORE_KEY_MAX];
        struct lite_name n = lite_name_parse(keys[i]);
        assert_int_not_equal(n.kind, LITE_OTHER);
        lite_name_format(&n, key);
        assert_string_equal(key, keys[i]);
    }
}

static void a_name_has_what_its_key_says(void **state)
{
    struct lite_name n = lite_name_parse("0002/000000000000000c-00000000000000ff.ltx");
    (void)state;
    assert_true(n.kind == LITE_LTX && n.flat && n.level == 2 && n.min == 12 && n.max == 255);
    n = lite_name_parse("ltx/9/0000000000000001-0000000000000004.ltx");
    assert_true(n.kind == LITE_LTX && !n.flat && n.level == LITE_SNAPSHOT_LEVEL && n.max == 4);
    n = lite_name_parse("generations/e833c39a3f303cf7/wal/00000003_0005c8c0.wal.lz4");
    assert_true(n.kind == LITE_SEGMENT && n.generation == UINT64_C(0xe833c39a3f303cf7) && n.index == 3);
    assert_int_equal(n.offset, 0x5c8c0);
    n = lite_name_parse("generations/e833c39a3f303cf7/snapshots/00000007.snapshot.lz4");
    assert_true(n.kind == LITE_SNAPSHOT && n.index == 7);
}

static void other_keys_are_not_objects(void **state)
{
    static const char *const keys[] = {
        "",
        "ltx/0/",
        "ltx/a/0000000000000001-0000000000000001.ltx",
        "ltx/10/0000000000000001-0000000000000001.ltx",
        "000a/0000000000000001-0000000000000001.ltx",
        "0/0000000000000001-0000000000000001.ltx",
        "ltx/0000/0000000000000001-0000000000000001.ltx",
        "ltx/0/0000000000000000-0000000000000001.ltx",
        "ltx/0/0000000000000002-0000000000000001.ltx",
        "ltx/0/0000000000000001-8000000000000000.ltx",
        "ltx/0/000000000000000A-000000000000000B.ltx",
        "ltx/0/0000000000000001-0000000000000001.ltx.tmp",
        "ltx/0/0000000000000001-0000000000000001",
        "ltx/0/000000000000001-00000000000000001.ltx",
        "generations/e833c39a3f303cf/wal/00000000_00000000.wal.lz4",
        "generations/e833c39a3f303cf7/wal/00000000.wal.lz4",
        "generations/e833c39a3f303cf7/wal/00000000_00000000.wal",
        "generations/e833c39a3f303cf7/snapshots/00000000_00000000.snapshot.lz4",
        "generations/e833c39a3f303cf7/snapshots/00000000.snapshot.lz4.tmp",
        "generations/e833c39a3f303cf7/00000000.snapshot.lz4",
        "0/0000000000000001",
        "seawall.json",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        if (lite_name_parse(keys[i]).kind != LITE_OTHER)
            fail_msg("'%s' is taken for an object", keys[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(each_key_gives_a_name_and_back),
        UNIT(a_name_has_what_its_key_says),
        UNIT(other_keys_are_not_objects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
