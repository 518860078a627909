/* base/hash.h: the hashes of the format, and hex. */
#include "unit.h"

#include "base/hash.h"
#include "base/page.h"

#include <openssl/crypto.h>
#include <sys/wait.h>
#include <unistd.h>

static void digests_are_sha256(void **state)
{
    struct err e;
    struct digest d, s;
    char hex[65];
    (void)state;
    assert_ok(digest_of("abc", 3, &d, &e), &e);
    hex_encode(d.bytes, sizeof d.bytes, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"); /* FIPS 180-2, B.1 */
    s = d;
    assert_true(digest_equal(&d, &s));
    s.bytes[31] ^= 1;
    assert_false(digest_equal(&d, &s));
    assert_false(digest_is_zero(&d));
    s = (struct digest){{0}};
    assert_true(digest_is_zero(&s));
}

/* HMAC-SHA-256 of a key of `key_len` bytes, as hex. */
static const char *hmac_hex(const void *key, size_t key_len, const char *bytes)
{
    static char hex[65];
    struct digest d;
    struct err e;
    assert_ok(digest_hmac(key, key_len, bytes, strlen(bytes), &d, &e), &e);
    hex_encode(d.bytes, sizeof d.bytes, hex);
    return hex;
}

static void the_hmac_is_that_of_rfc_4231(void **state)
{
    uint8_t key[131];
    (void)state;
    memset(key, 0xaa, sizeof key);
    assert_string_equal(hmac_hex("Jefe", 4, "what do ya want for nothing?"), /* 4.3 */
                        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_string_equal(hmac_hex(key, 131, "Test Using Larger Than Block-Size Key - Hash Key First"), /* 4.7 */
                        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    /* keys of a block, and of one byte more; by Python's hmac */
    assert_string_equal(hmac_hex(key, 64, "x"), "ce3c639dcb9d8baae5d44c3b8b5e233faab4d1860e07489af5c84f213998bd79");
    assert_string_equal(hmac_hex(key, 65, "x"), "c2b9a0a013df029c7d812c5ac18388feef0194ee64fcc5f321d149c06137caa3");
    assert_string_equal(hmac_hex("", 0, ""), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

/* OpenSSL frees what it has when the process ends, and threads of an application may read on. */
static void hashes_need_nothing_that_openssl_frees_at_the_end(void **state)
{
    int status = -1;
    (void)state;
    const pid_t child = fork();
    if (child == 0) {
        struct digest before = {{0}}, after = {{1}};
        uint8_t md5[MD5_BYTES];
        struct err e;
        int rc = digest_hmac("key", 3, "abc", 3, &before, &e);
        OPENSSL_cleanup();
        rc = rc || digest_hmac("key", 3, "abc", 3, &after, &e) || !digest_equal(&before, &after) ||
             digest_of("abc", 3, &after, &e) || md5_of("abc", 3, md5, &e);
        _exit(rc ? 1 : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* The values are part of the format: they must never change. XXH3 of no bytes is in xxHash's own tests. */
static void hashes_of_bytes_and_pages_are_xxh3(void **state)
{
    uint8_t page[512];
    (void)state;
    for (size_t i = 0; i < sizeof page; i++)
        page[i] = (uint8_t)i;
    assert_true(hash64("", 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(hash64(page, sizeof page) == UINT64_C(0x1059105ad19bfa09));
    assert_true(page_hash(7, page, sizeof page) == UINT64_C(0x82381142f3703860));
}

static void the_hash_of_a_page_depends_on_its_number(void **state)
{
    uint8_t page[512] = {1};
    (void)state;
    assert_true(page_hash(1, page, sizeof page) != page_hash(2, page, sizeof page));
}

static void the_hash_is_zero_if_and_only_if_the_page_is(void **state)
{
    static uint8_t page[PAGE_SIZE_MAX];
    (void)state;
    for (uint32_t size = PAGE_SIZE_MIN; size <= PAGE_SIZE_MAX; size *= 2) {
        assert_true(page_hash(1, page, size) == 0);
        for (size_t at = 0; at < size; at += at < 16 || at >= size - 16 ? 1 : size / 16 - 2) {
            page[at] = 1;
            assert_true(page_hash(1, page, size) != 0);
            page[at] = 0;
        }
    }
}

static void hex_decodes_exactly_what_hex_encodes(void **state)
{
    static const char *const wrong[] = {"",           "0",        "00112",    "0011223",     "001122334",
                                        "0011223344", "0011223G", "0011 223", "0011223\xff", "AABBCCDD"};
    const uint8_t bytes[4] = {0x00, 0x1f, 0xa0, 0xff};
    uint8_t back[4] = {0};
    char text[9];
    (void)state;
    hex_encode(bytes, 4, text);
    assert_string_equal(text, "001fa0ff");
    assert_true(hex_decode(text, back, 4));
    assert_memory_equal(back, bytes, 4);
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_false(hex_decode(wrong[i], back, 4));
}

static void page_sizes_are_powers_of_two_from_512_to_65536(void **state)
{
    (void)state;
    unsigned valid = 0;
    for (uint32_t size = 0; size <= 2 * PAGE_SIZE_MAX; size++)
        valid += page_size_valid(size);
    assert_int_equal(valid, 8);
    assert_true(page_size_valid(512) && page_size_valid(65536));
    assert_int_equal(lock_byte_page(512), 2097153);
    assert_int_equal(lock_byte_page(4096), 262145);
    assert_int_equal(lock_byte_page(65536), 16385);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(digests_are_sha256),
        UNIT(the_hmac_is_that_of_rfc_4231),
        UNIT(hashes_need_nothing_that_openssl_frees_at_the_end),
        UNIT(hashes_of_bytes_and_pages_are_xxh3),
        UNIT(the_hash_of_a_page_depends_on_its_number),
        UNIT(the_hash_is_zero_if_and_only_if_the_page_is),
        UNIT(hex_decodes_exactly_what_hex_encodes),
        UNIT(page_sizes_are_powers_of_two_from_512_to_65536),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
