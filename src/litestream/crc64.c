/* litestream/crc64.c - eight bytes at a time, with a table for the place of each. */
#include "litestream/crc64.h"

#include "base/endian.h"

#include <pthread.h>
#include <string.h>

#define POLYNOMIAL 0xd800000000000000u /* x^64 + x^4 + x^3 + x + 1, lowest term in the highest bit */
#define STEP 8

static uint64_t tables[STEP][256]; /* tables[k][b]: the CRC of byte b, followed by k zeros */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill(void)
{
    for (unsigned b = 0; b < 256; b++) {
        uint64_t crc = b;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL : crc >> 1;
        tables[0][b] = crc;
    }
    for (unsigned k = 1; k < STEP; k++)
        for (unsigned b = 0; b < 256; b++)
            tables[k][b] = tables[k - 1][b] >> 8 ^ tables[0][tables[k - 1][b] & 0xff];
}

uint64_t crc64_add(uint64_t crc, const uint8_t *bytes, size_t n)
{
    pthread_once(&once, fill);
    crc = ~crc;
    for (; n >= STEP; n -= STEP, bytes += STEP) {
        const uint64_t v = crc ^ get_le64(bytes);
        crc = 0;
        for (unsigned k = 0; k < STEP; k++)
            crc ^= tables[STEP - 1 - k][v >> (8 * k) & 0xff];
    }
    for (; n > 0; n--, bytes++)
        crc = tables[0][(crc ^ *bytes) & 0xff] ^ crc >> 8;
    return ~crc;
}
