/* wal/checksum.h - SQLite's WAL checksum: a Fibonacci-weighted pair of 32-bit sums over 8-byte steps.
 * Source: SQLite "Database File Format", section 4.2 ("Checksum Algorithm"). */
#ifndef SEAWALL_WAL_CHECKSUM_H
#define SEAWALL_WAL_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wal_sum {
    uint32_t s0, s1;
};

/* Byte order of the 32-bit words that are added. The magic number of the WAL header says which one a WAL uses. */
enum wal_order { WAL_LITTLE_ENDIAN, WAL_BIG_ENDIAN };

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define WAL_NATIVE_ORDER WAL_LITTLE_ENDIAN
#else
#define WAL_NATIVE_ORDER WAL_BIG_ENDIAN
#endif

/* Continues `sum` over n bytes. Precondition: n is a multiple of 8. */
struct wal_sum wal_sum_add(struct wal_sum sum, enum wal_order order, const uint8_t *bytes, size_t n);

static inline bool wal_sum_equal(struct wal_sum a, struct wal_sum b)
{
    return a.s0 == b.s0 && a.s1 == b.s1;
}

#endif
