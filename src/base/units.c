/* base/units.c */
#include "base/units.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    enum units units;
    const char *text;
    uint64_t factor;
} known[] = {{UNITS_NONE, "", 1},         {UNITS_BYTES, "G", 1 << 30}, {UNITS_BYTES, "M", 1 << 20},
             {UNITS_BYTES, "K", 1 << 10}, {UNITS_BYTES, "", 1},        {UNITS_MS, "d", 86400000},
             {UNITS_MS, "h", 3600000},    {UNITS_MS, "m", 60000},      {UNITS_MS, "s", 1000},
             {UNITS_MS, "ms", 1},         {UNITS_MS, "", 1},           {UNITS_RATE, "/s", 3600},
             {UNITS_RATE, "/m", 60},      {UNITS_RATE, "/h", 1}};

bool units_parse(const char *text, enum units units, uint64_t *ret_value)
{
    char *end = NULL;
    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].units == units && strcmp(known[i].text, end) == 0) {
            *ret_value = n * known[i].factor;
            return errno == 0 && n <= UINT64_MAX / known[i].factor;
        }
    return false;
}

void units_format(uint64_t value, enum units units, char out[32])
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].units == units && value % known[i].factor == 0 && (value > 0 || known[i].factor == 1)) {
            snprintf(out, 32, "%" PRIu64 "%s", value / known[i].factor, known[i].text);
            return;
        }
    snprintf(out, 32, "%" PRIu64, value);
}

void units_format_size(uint64_t bytes, char out[32])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    double v = (double)bytes;
    size_t i = 0;
    while (v >= 1000 && i + 1 < sizeof units / sizeof units[0]) {
        v /= 1000;
        i++;
    }
    snprintf(out, 32, i ? "%.1f %s" : "%.0f %s", v, units[i]);
}
