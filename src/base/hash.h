/* base/hash.h - hashes, encodings and random bytes. Only hash.c uses OpenSSL's digests and xxHash. */
#ifndef SEAWALL_BASE_HASH_H
#define SEAWALL_BASE_HASH_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_BYTES 32

/* SHA-256 of an object. Objects name each other by it. */
struct digest {
    uint8_t bytes[DIGEST_BYTES];
};

int digest_of(const void *bytes, size_t n, struct digest *ret_digest, struct err *e) MUST_CHECK; /* ERR_NOMEM */

/* A digest of bytes that are added one block after the other: begin, add, ..., end. */
struct digest_stream;
struct digest_stream *digest_stream_new(void); /* NULL: out of memory */
void digest_stream_free(struct digest_stream *s);
void digest_stream_begin(struct digest_stream *s);
void digest_stream_add(struct digest_stream *s, const void *bytes, size_t n);
struct digest digest_stream_end(struct digest_stream *s);
bool digest_equal(const struct digest *a, const struct digest *b);
bool digest_is_zero(const struct digest *d);

/* HMAC-SHA-256. ERR_NOMEM. */
int digest_hmac(const void *key, size_t key_len, const void *bytes, size_t n, struct digest *ret_digest,
                struct err *e) MUST_CHECK;

#define MD5_BYTES 16
/* Only for protocols that need it (Content-MD5, SSE-C). ERR_CONFIG: this OpenSSL has no MD5 (FIPS). */
int md5_of(const void *bytes, size_t n, uint8_t out[MD5_BYTES], struct err *e) MUST_CHECK;

/* XXH3, 64 bits. Finds damage, but does not protect against an attacker. */
uint64_t hash64(const void *bytes, size_t n);

/* Hash of a database page: XXH3 seeded with the page number. It is 0 if and only if the page has only zeros. The XOR of
 * all page hashes is the database checksum, so that pages of zeros do not change it. Precondition: page_size > 0. */
uint64_t page_hash(uint32_t pgno, const uint8_t *page, size_t page_size);

/* Cryptographically random bytes. ERR_IO. */
int random_bytes(void *out, size_t n, struct err *e) MUST_CHECK;

/* Writes 2 * n lower-case hex digits and a NUL. */
void hex_encode(const uint8_t *bytes, size_t n, char *out);

/* Eight random bytes in hexadecimal, for a name that nobody can foresee. Errors: those of random_bytes. */
#define RANDOM_HEX_BYTES 17 /* with NUL */
int random_hex(char out[RANDOM_HEX_BYTES], struct err *e) MUST_CHECK;

/* Reads exactly 2 * n lower-case hex digits. False: `text` is something else. */
bool hex_decode(const char *text, uint8_t *out, size_t n);

/* Writes Base64 with padding: 4 * ((n + 2) / 3) + 1 bytes, the last of which is NUL. */
void base64_encode(const uint8_t *bytes, size_t n, char *out);

/* Reads Base64 of exactly n bytes. Precondition: n is at most 64. False: `text` is something else. */
bool base64_decode(const char *text, uint8_t *out, size_t n);

/* From now on this process leaves no core file, and only processes of root can read its memory, its environment or
 * /proc/PID/fd. This does not extend to programs that it starts. Call it before a secret is in memory. */
void hide_memory(void);

/* Overwrites a secret in memory. The compiler can't optimise this away. */
void wipe(void *bytes, size_t n);

#endif
