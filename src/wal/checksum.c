/* wal/checksum.c */
#include "wal/checksum.h"

#include "base/endian.h"

#include <assert.h>

static struct wal_sum add_words(struct wal_sum sum, enum wal_order order, const uint8_t *bytes, size_t n)
{
    uint32_t s0 = sum.s0, s1 = sum.s1;
    if (order == WAL_LITTLE_ENDIAN) {
        for (size_t i = 0; i < n; i += 8) {
            s0 = (s0 + get_le32(bytes + i)) + s1; /* the sum in brackets does not have to wait for s1 */
            s1 = (s1 + get_le32(bytes + i + 4)) + s0;
        }
    } else {
        for (size_t i = 0; i < n; i += 8) {
            s0 = (s0 + get_be32(bytes + i)) + s1;
            s1 = (s1 + get_be32(bytes + i + 4)) + s0;
        }
    }
    return (struct wal_sum){s0, s1};
}

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>
#include <pthread.h>

/* Each word waits for the sums of the word before it. But the sums are linear, modulo 2^32: those after a block of
 * words are the sums before it and its words, each times a constant. So the words of a block can be added in any order.
 */

#define BLOCK_WORDS 128
#define BLOCK_BYTES (4 * BLOCK_WORDS)

struct factors {
    uint32_t of_words[2][BLOCK_WORDS]; /* of each word in s0, and in s1 */
    uint32_t of_sums[2][2];            /* of s0 and s1 before the block, in s0 and in s1 */
};

static struct factors factors;
static pthread_once_t factors_made = PTHREAD_ONCE_INIT;

/* A factor is what becomes of a single 1. */
static void make_factors(void)
{
    static const uint8_t zeros[BLOCK_BYTES];
    const struct wal_sum of_s0 = add_words((struct wal_sum){1, 0}, WAL_LITTLE_ENDIAN, zeros, BLOCK_BYTES);
    const struct wal_sum of_s1 = add_words((struct wal_sum){0, 1}, WAL_LITTLE_ENDIAN, zeros, BLOCK_BYTES);
    factors.of_sums[0][0] = of_s0.s0;
    factors.of_sums[1][0] = of_s0.s1;
    factors.of_sums[0][1] = of_s1.s0;
    factors.of_sums[1][1] = of_s1.s1;
    for (size_t i = 0; i < BLOCK_WORDS; i++) {
        uint8_t one[BLOCK_BYTES] = {0};
        one[4 * i] = 1;
        const struct wal_sum of_word = add_words((struct wal_sum){0, 0}, WAL_LITTLE_ENDIAN, one, BLOCK_BYTES);
        factors.of_words[0][i] = of_word.s0;
        factors.of_words[1][i] = of_word.s1;
    }
}

__attribute__((target("avx2"))) static uint32_t sum_of(__m256i v)
{
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1));
    return (uint32_t)_mm_cvtsi128_si32(half);
}

__attribute__((target("avx2"))) static struct wal_sum add_block(struct wal_sum sum, const uint8_t *bytes)
{
    __m256i s0 = _mm256_setzero_si256(), s1 = _mm256_setzero_si256();
    for (size_t i = 0; i < BLOCK_WORDS; i += 8) {
        __m256i words = _mm256_loadu_si256((const __m256i *)(const void *)(bytes + 4 * i));
        __m256i in_s0 = _mm256_loadu_si256((const __m256i *)(const void *)&factors.of_words[0][i]);
        __m256i in_s1 = _mm256_loadu_si256((const __m256i *)(const void *)&factors.of_words[1][i]);
        s0 = _mm256_add_epi32(s0, _mm256_mullo_epi32(words, in_s0));
        s1 = _mm256_add_epi32(s1, _mm256_mullo_epi32(words, in_s1));
    }
    return (struct wal_sum){sum_of(s0) + factors.of_sums[0][0] * sum.s0 + factors.of_sums[0][1] * sum.s1,
                            sum_of(s1) + factors.of_sums[1][0] * sum.s0 + factors.of_sums[1][1] * sum.s1};
}

/* Adds whole blocks from the front, if the processor can. Returns how many bytes it has added. */
static size_t add_blocks(struct wal_sum *sum, enum wal_order order, const uint8_t *bytes, size_t n)
{
    size_t at = 0;
    if (order != WAL_LITTLE_ENDIAN || n < BLOCK_BYTES || !__builtin_cpu_supports("avx2"))
        return 0;
    pthread_once(&factors_made, make_factors);
    for (; n - at >= BLOCK_BYTES; at += BLOCK_BYTES)
        *sum = add_block(*sum, bytes + at);
    return at;
}

#else

static size_t add_blocks(struct wal_sum *sum, enum wal_order order, const uint8_t *bytes, size_t n)
{
    (void)sum, (void)order, (void)bytes, (void)n;
    return 0;
}

#endif

struct wal_sum wal_sum_add(struct wal_sum sum, enum wal_order order, const uint8_t *bytes, size_t n)
{
    assert(n % 8 == 0);
    size_t done = add_blocks(&sum, order, bytes, n);
    return add_words(sum, order, bytes + done, n - done);
}
