/* wal/checksum.c */
#include "wal/checksum.h"

#include "base/endian.h"

#include <assert.h>

struct wal_sum wal_sum_add(struct wal_sum sum, enum wal_order order, const uint8_t *bytes, size_t n)
{
    uint32_t s0 = sum.s0, s1 = sum.s1;
    assert(n % 8 == 0);
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
