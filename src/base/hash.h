/* base/hash.h - the hashes of the program, and random bytes. The only door to OpenSSL's digests and to xxHash. */
#ifndef SEAWALL_BASE_HASH_H
#define SEAWALL_BASE_HASH_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_BYTES 32

/* SHA-256 of an object: its name in links between objects. */
struct digest {
    uint8_t bytes[DIGEST_BYTES];
};

int digest_of(const void *bytes, size_t n, struct digest *ret_digest, struct err *e) MUST_CHECK;
/* The same of bytes that come in pieces. */
struct digest_stream;
struct digest_stream *digest_stream_new(void); /* NULL: out of memory */
void digest_stream_free(struct digest_stream *s);
void digest_stream_begin(struct digest_stream *s);
void digest_stream_add(struct digest_stream *s, const void *bytes, size_t n);
struct digest digest_stream_end(struct digest_stream *s);
bool digest_equal(const struct digest *a, const struct digest *b);
bool digest_is_zero(const struct digest *d);

/* HMAC-SHA-256. */
int digest_hmac(const void *key, size_t key_len, const void *bytes, size_t n, struct digest *ret_digest,
                struct err *e) MUST_CHECK;

#define MD5_BYTES 16
/* Only where a protocol asks for it (Content-MD5, SSE-C). ERR_CONFIG: this OpenSSL has none (FIPS). */
int md5_of(const void *bytes, size_t n, uint8_t out[MD5_BYTES], struct err *e) MUST_CHECK;

/* XXH3, 64 bits. Finds damage, proves nothing against an adversary. */
uint64_t hash64(const void *bytes, size_t n);

/* Hash of a database page: XXH3 seeded with the page number. 0 if and only if the page is all zeros, so that such a page
 * counts as nothing in the database checksum, which is the XOR of its page hashes. */
uint64_t page_hash(uint32_t pgno, const uint8_t *page, size_t page_size);

/* Cryptographically random bytes. */
int random_bytes(void *out, size_t n, struct err *e) MUST_CHECK;

/* Writes 2 * n hex digits and a NUL. */
void hex_encode(const uint8_t *bytes, size_t n, char *out);
/* Exactly 2 * n lower-case hex digits. False if they are not. */
bool hex_decode(const char *text, uint8_t *out, size_t n);

/* Base64 with padding; out: 4 * ((n + 2) / 3) + 1 bytes. */
void base64_encode(const uint8_t *bytes, size_t n, char *out);
/* Exactly n bytes, at most 64. False if `text` is something else. */
bool base64_decode(const char *text, uint8_t *out, size_t n);

/* Overwrites what must not stay in memory. */
void wipe(void *bytes, size_t n);

#endif
