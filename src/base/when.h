/* base/when.h - moments, as users write them. */
#ifndef SEAWALL_BASE_WHEN_H
#define SEAWALL_BASE_WHEN_H

#include <stdbool.h>
#include <stdint.h>

/* Reads a moment, in ms since 1970. `now_ms`: the wall clock, for "now" and "ago".
 *   - RFC 3339: "2026-03-01T12:00:00.250Z", "2026-03-01 14:00:00+02:00". Without a zone: local time. Without a time of
 *     day: the beginning of the day.
 *   - "now"
 *   - "90 minutes ago", "2 hours ago", "1 day ago", "5m ago": units are s, sec, second, m, min, minute, h, hour, d,
 *     day, w and week, also with an s at the end
 * False: it is none of these, or that day or time of day does not exist. */
bool when_parse(const char *text, int64_t now_ms, int64_t *ret_ms);

#endif
