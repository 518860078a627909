/* base/clock.h - the wall clock for dates, the monotonic clock for waiting. */
#ifndef SEAWALL_BASE_CLOCK_H
#define SEAWALL_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CLOCK_TEXT_MAX 40

int64_t clock_wall_ms(void); /* since 1970-01-01 UTC; can jump in both directions */
int64_t clock_mono_ns(void); /* never jumps; its zero has no meaning */
int64_t clock_boot_ms(void); /* as the monotonic clock, but it also counts while the machine is suspended */
static inline int64_t clock_mono_ms(void)
{
    return clock_mono_ns() / 1000000;
}
/* A number of this boot of the machine, or of the container's host; 0: it is not known. */
uint64_t clock_boot_id(void);
void clock_sleep_us(int64_t us); /* a signal ends the sleep early */

/* Writes RFC 3339 in UTC with milliseconds: 2026-03-01T12:00:00.250Z. Every time can be written: the year then has more
 * than four digits, or a minus sign. */
void clock_format(int64_t wall_ms, char out[CLOCK_TEXT_MAX]);

#endif
