/* litestream/crc64.h - CRC-64/ISO (ISO 3309), the checksum of an LTX file. */
#ifndef SEAWALL_LITESTREAM_CRC64_H
#define SEAWALL_LITESTREAM_CRC64_H

#include <stddef.h>
#include <stdint.h>

/* Continues `crc` over n bytes. The CRC of no bytes is 0. */
uint64_t crc64_add(uint64_t crc, const uint8_t *bytes, size_t n);

#endif
