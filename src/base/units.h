/* base/units.h - numbers as people write them. */
#ifndef SEAWALL_BASE_UNITS_H
#define SEAWALL_BASE_UNITS_H

#include <stdbool.h>
#include <stdint.h>

enum units {
    UNITS_NONE,  /* a count */
    UNITS_BYTES, /* K, M, G: powers of 1024 */
    UNITS_MS,    /* ms, s, m, h, d; a bare number is milliseconds */
    UNITS_RATE,  /* 1/s, 30/m, 600/h: so many an hour */
};

/* False: no such number, or none that fits. */
bool units_parse(const char *text, enum units units, uint64_t *ret_value);

/* For people, not to be read again: 1234567 -> "1.2 MB". Powers of 1000. */
void units_format_size(uint64_t bytes, char out[32]);

/* As units_parse reads it: in the largest unit that leaves nothing over. */
void units_format(uint64_t value, enum units units, char out[32]);

#endif
