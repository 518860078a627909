/* format/names.h: each name has one key, and any other text is not a key of a replica. */
#include "unit.h"

#include "base/hash.h"
#include "format/names.h"

static void assert_names_equal(const struct name *a, const struct name *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->level, b->level);
    assert_true(a->min == b->min && a->max == b->max && a->start == b->start && a->number == b->number);
    assert_true(uid_equal(&a->run, &b->run));
    assert_int_equal(a->first_page, b->first_page);
}

static struct name random_name(struct dice *d)
{
    struct name n = {.kind = (enum name_kind)dice_between(d, NAME_LEVEL0, NAME_PART)};
    uint64_t a = dice_next(d) >> dice_below(d, 64), b = dice_next(d) >> dice_below(d, 64);
    if (n.kind == NAME_LEVEL0 || n.kind == NAME_LEVEL || n.kind == NAME_PACK)
        n.min = a;
    if (n.kind == NAME_LEVEL || n.kind == NAME_PACK)
        n.max = b;
    if (n.kind == NAME_LEVEL) {
        n.level = dice_between(d, 1, SEGMENT_LEVEL_MAX);
    }
    if (n.kind == NAME_CHUNK || n.kind == NAME_INTERIOR || n.kind == NAME_MARKER)
        n.start = a;
    if (n.kind == NAME_CHUNK || n.kind == NAME_INTERIOR || n.kind == NAME_MARKER || n.kind == NAME_PART)
        dice_fill(d, n.run.bytes, UID_BYTES);
    if (n.kind == NAME_CHUNK)
        n.first_page = (uint32_t)b;
    if (n.kind == NAME_PART)
        n.number = b;
    return n;
}

static void keys_look_as_documented(void **state)
{
    struct uid run = {{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}};
    const struct {
        struct name name;
        const char *key;
    } known[] = {
        {{.kind = NAME_LEVEL0, .min = 0x2a}, "0/000000000000002a"},
        {{.kind = NAME_LEVEL, .level = 9, .min = 1, .max = 0xabcdef}, "9/0000000000000001-0000000000abcdef"},
        {{.kind = NAME_CHUNK, .start = 7, .run = run, .first_page = 0x801},
         "base/0000000000000007-00112233445566778899aabbccddeeff/00000801"},
        {{.kind = NAME_INTERIOR, .start = 7, .run = run},
         "base/0000000000000007-00112233445566778899aabbccddeeff/interior"},
        {{.kind = NAME_MARKER, .start = 7, .run = run},
         "base/0000000000000007-00112233445566778899aabbccddeeff/marker"},
        {{.kind = NAME_PART, .run = run, .number = 3}, "part/00112233445566778899aabbccddeeff-0000000000000003"},
        {{.kind = NAME_PACK, .min = 2, .max = 0x200}, "pack/0000000000000002-0000000000000200"},
    };
    char key[NAME_MAX_BYTES];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        name_format(&known[i].name, key);
        assert_string_equal(key, known[i].key);
        struct name back = name_parse(key);
        assert_names_equal(&back, &known[i].name);
    }
}

static void every_name_reads_back_from_its_key(void **state)
{
    struct dice d = dice_of(2);
    char key[NAME_MAX_BYTES];
    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct name n = random_name(&d);
        name_format(&n, key);
        assert_true(strlen(key) < sizeof((struct listed *)0)->name); /* fits into the list of an object */
        struct name back = name_parse(key);
        assert_names_equal(&back, &n);
    }
}

/* Also after any small change of a key: a text that is parsed is written again as the same text. */
static void any_other_text_is_not_a_key(void **state)
{
    static const char *const others[] = {"",
                                         "0",
                                         "0/",
                                         "0/2a",
                                         "0/000000000000002A",
                                         "0/000000000000002g",
                                         "0/000000000000002a0",
                                         "0/000000000000002a-000000000000002b",
                                         "0/000000000000002a/",
                                         "/0/000000000000002a",
                                         " 0/000000000000002a",
                                         "0//000000000000002a",
                                         "00/000000000000002a",
                                         "10/0000000000000001-0000000000000002",
                                         "1/0000000000000001",
                                         "1/0000000000000001-",
                                         "1/0000000000000001_0000000000000002",
                                         "base/",
                                         "base/0000000000000007/marker",
                                         "base/0000000000000007-00112233445566778899aabbccddeeff",
                                         "base/0000000000000007-00112233445566778899aabbccddeeff/",
                                         "base/0000000000000007-00112233445566778899aabbccddeeff/Marker",
                                         "base/0000000000000007-00112233445566778899aabbccddeeff/marker2",
                                         "base/0000000000000007-00112233445566778899aabbccddeeff/000000801",
                                         "base/0000000000000007-00112233445566778899AABBCCDDEEFF/marker",
                                         "pack/0000000000000001",
                                         "pack/0000000000000001-000000000000000g",
                                         "pack/0000000000000001-0000000000000002-",
                                         "Pack/0000000000000001-0000000000000002",
                                         "part/00112233445566778899aabbccddeeff",
                                         "part/00112233445566778899aabbccddeef-0000000000000003",
                                         "seawall.json"};
    struct dice d = dice_of(3);
    (void)state;
    for (size_t i = 0; i < COUNT_OF(others); i++)
        assert_int_equal(name_parse(others[i]).kind, NAME_OTHER);
    for (int round = 0; round < 50000; round++) {
        struct name n = random_name(&d);
        char key[NAME_MAX_BYTES + 1], again[NAME_MAX_BYTES];
        name_format(&n, key);
        size_t length = strlen(key), at = dice_below(&d, (uint32_t)length);
        switch (dice_below(&d, 3)) {
        case 0:
            key[at] = (char)dice_between(&d, 1, 127);
            break;
        case 1:
            key[at] = 0;
            break;
        default:
            memmove(key + at + 1, key + at, length + 1 - at);
        }
        n = name_parse(key);
        name_format(&n, again);
        if (n.kind != NAME_OTHER)
            assert_string_equal(again, key);
        else
            assert_string_equal(again, "");
    }
}

static void keys_sort_as_history(void **state)
{
    char before[NAME_MAX_BYTES], after[NAME_MAX_BYTES];
    (void)state;
    for (uint64_t txid = 1; txid < (uint64_t)1 << 62; txid = txid * 3 + 1) {
        name_format(&(struct name){.kind = NAME_LEVEL0, .min = txid}, before);
        name_format(&(struct name){.kind = NAME_LEVEL0, .min = txid + 1}, after);
        assert_true(strcmp(before, after) < 0);
    }
}

static void numbers_that_no_object_can_have_are_out_of_range(void **state)
{
    static const struct {
        const char *key;
        bool in_range;
    } known[] = {
        {"0/0000000000000001", true},
        {"0/7fffffffffffffff", true},
        {"0/0000000000000000", false},
        {"0/8000000000000000", false},
        {"1/0000000000000001-0000000000000001", true},
        {"9/0000000000000001-7fffffffffffffff", true},
        {"1/0000000000000002-0000000000000001", false},
        {"1/0000000000000000-0000000000000001", false},
        {"1/0000000000000001-ffffffffffffffff", false},
        {"base/0000000000000000-00112233445566778899aabbccddeeff/fffffffe", true},
        {"base/7fffffffffffffff-00112233445566778899aabbccddeeff/marker", true},
        {"base/0000000000000001-00112233445566778899aabbccddeeff/ffffffff", false},
        {"base/8000000000000000-00112233445566778899aabbccddeeff/00000001", false},
        {"base/ffffffffffffffff-00112233445566778899aabbccddeeff/marker", false},
        {"part/00112233445566778899aabbccddeeff-ffffffffffffffff", true},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        struct name n = name_parse(known[i].key);
        assert_int_not_equal(n.kind, NAME_OTHER);
        assert_int_equal(name_in_range(&n), known[i].in_range);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(keys_look_as_documented),
        UNIT(every_name_reads_back_from_its_key),
        UNIT(any_other_text_is_not_a_key),
        UNIT(keys_sort_as_history),
        UNIT(numbers_that_no_object_can_have_are_out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
