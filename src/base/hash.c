/* base/hash.c */
#define XXH_INLINE_ALL
/* SHA-256 by its direct interface: EVP would load OpenSSL's providers, two megabytes of resident memory for one
 * function. */
#define OPENSSL_API_COMPAT 0x10100000L
#include "base/hash.h"

#include <assert.h>
#include <errno.h>
#include <openssl/evp.h> /* base64 */
#include <openssl/md5.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <xxhash.h>

int digest_of(const void *bytes, size_t n, struct digest *ret_digest, struct err *e)
{
    SHA256_CTX ctx;
    if (SHA256_Init(&ctx) != 1 || SHA256_Update(&ctx, bytes, n) != 1 || SHA256_Final(ret_digest->bytes, &ctx) != 1)
        return err_set(e, ERR_NOMEM, 0, "SHA-256 of %zu bytes failed", n);
    return 0;
}

struct digest_stream {
    SHA256_CTX ctx;
};

struct digest_stream *digest_stream_new(void)
{
    return calloc(1, sizeof(struct digest_stream));
}

void digest_stream_free(struct digest_stream *s)
{
    free(s);
}

void digest_stream_begin(struct digest_stream *s)
{
    SHA256_Init(&s->ctx);
}

void digest_stream_add(struct digest_stream *s, const void *bytes, size_t n)
{
    SHA256_Update(&s->ctx, bytes, n);
}

struct digest digest_stream_end(struct digest_stream *s)
{
    struct digest d;
    SHA256_Final(d.bytes, &s->ctx);
    return d;
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
    return memcmp(a->bytes, b->bytes, DIGEST_BYTES) == 0;
}

bool digest_is_zero(const struct digest *d)
{
    static const struct digest zero;
    return digest_equal(d, &zero);
}

/* The hash of a padded key and of bytes. */
static int hash_with_key(const uint8_t key[SHA256_CBLOCK], uint8_t pad, const void *bytes, size_t n,
                         struct digest *ret_digest)
{
    uint8_t padded[SHA256_CBLOCK];
    SHA256_CTX ctx;
    for (size_t i = 0; i < sizeof padded; i++)
        padded[i] = key[i] ^ pad;
    const bool done = SHA256_Init(&ctx) == 1 && SHA256_Update(&ctx, padded, sizeof padded) == 1 &&
                      SHA256_Update(&ctx, bytes, n) == 1 && SHA256_Final(ret_digest->bytes, &ctx) == 1;
    explicit_bzero(padded, sizeof padded);
    explicit_bzero(&ctx, sizeof ctx);
    return done ? 0 : -1;
}

/* As RFC 2104 has it. The HMAC of OpenSSL goes by its providers, which it frees when the process ends: a thread of an
 * application that still reads a replica then would crash. */
int digest_hmac(const void *key, size_t key_len, const void *bytes, size_t n, struct digest *ret_digest, struct err *e)
{
    uint8_t block[SHA256_CBLOCK] = {0};
    struct digest inner;
    int rc = 0;
    if (key_len <= sizeof block)
        memcpy(block, key, key_len);
    else if ((rc = digest_of(key, key_len, &inner, e)) == 0)
        memcpy(block, inner.bytes, DIGEST_BYTES);
    if (rc == 0 && (hash_with_key(block, 0x36, bytes, n, &inner) ||
                    hash_with_key(block, 0x5c, inner.bytes, DIGEST_BYTES, ret_digest)))
        rc = err_set(e, ERR_NOMEM, 0, "HMAC of %zu bytes failed", n);
    explicit_bzero(block, sizeof block);
    return rc;
}

int md5_of(const void *bytes, size_t n, uint8_t out[MD5_BYTES], struct err *e)
{
    MD5_CTX ctx;
    if (MD5_Init(&ctx) != 1 || MD5_Update(&ctx, bytes, n) != 1 || MD5_Final(out, &ctx) != 1)
        return err_set(e, ERR_CONFIG, 0, "this OpenSSL has no MD5");
    return 0;
}

uint64_t hash64(const void *bytes, size_t n)
{
    return XXH3_64bits(bytes, n);
}

static bool all_zero(const uint8_t *p, size_t n)
{
    return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

uint64_t page_hash(uint32_t pgno, const uint8_t *page, size_t page_size)
{
    assert(page_size > 0);
    if (all_zero(page, page_size))
        return 0;
    uint64_t h = XXH3_64bits_withSeed(page, page_size, pgno);
    return h ? h : 1;
}

/* From the kernel: OpenSSL's generator would cost a megabyte of resident memory for a few names. */
int random_bytes(void *out, size_t n, struct err *e)
{
    uint8_t *at = out;
    while (n > 0) {
        ssize_t got = getrandom(at, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return err_sys(e, errno, "random bytes");
        at += got;
        n -= (size_t)got;
    }
    return 0;
}

void hex_encode(const uint8_t *bytes, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * n] = 0;
}

int random_hex(char out[RANDOM_HEX_BYTES], struct err *e)
{
    uint8_t random[(RANDOM_HEX_BYTES - 1) / 2];
    if (random_bytes(random, sizeof random, e))
        return -1;
    hex_encode(random, sizeof random, out);
    return 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

bool hex_decode(const char *text, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int hi = hex_value(text[2 * i]);
        int lo = hi < 0 ? -1 : hex_value(text[2 * i + 1]);
        if (lo < 0)
            return false;
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    return text[2 * n] == 0;
}

void base64_encode(const uint8_t *bytes, size_t n, char *out)
{
    EVP_EncodeBlock((unsigned char *)out, bytes, (int)n);
}

bool base64_decode(const char *text, uint8_t *out, size_t n)
{
    assert(n <= 64);
    uint8_t whole[68]; /* EVP_DecodeBlock writes multiples of three */
    size_t groups = (n + 2) / 3, padding = 3 * groups - n, len = strlen(text);
    if (len != 4 * groups)
        return false;
    for (size_t i = 0; i < 2; i++) /* it takes padding for zeros */
        if ((text[len - 1 - i] == '=') != (i < padding))
            return false;
    bool ok = EVP_DecodeBlock(whole, (const unsigned char *)text, (int)len) == (int)(3 * groups);
    if (ok)
        memcpy(out, whole, n);
    wipe(whole, sizeof whole);
    return ok;
}

void hide_memory(void)
{
#ifndef SEAWALL_GUEST          /* the memory of an application is its own */
    prctl(PR_SET_DUMPABLE, 0); /* can't fail */
#endif
}

void wipe(void *bytes, size_t n)
{
    explicit_bzero(bytes, n);
}
