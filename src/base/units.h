/* base/units.h - numbers with units, as users write them. */
#ifndef SEAWALL_BASE_UNITS_H
#define SEAWALL_BASE_UNITS_H

#include <stdbool.h>
#include <stdint.h>

enum units {
    UNITS_NONE,  /* a count */
    UNITS_BYTES, /* K, M, G: powers of 1024 */
    UNITS_MS,    /* ms, s, m, h, d; a bare number is milliseconds */
    UNITS_RATE,  /* 1/s, 30/m, 600/h; the value is per hour */
};

/* Reads a whole number with a unit. False: it is not a number with a unit of this kind, or too large for *ret_value,
 * which is then undefined. */
bool units_parse(const char *text, enum units units, uint64_t *ret_value);

/* Writes a rounded size for messages, in powers of 1000: 1234567 -> "1.2 MB". */
void units_format_size(uint64_t bytes, char out[32]);

/* Writes a value so that units_parse reads the same value: in the largest unit that divides it. */
void units_format(uint64_t value, enum units units, char out[32]);

#endif
