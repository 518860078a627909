/* base/when.h - moments as people write them. */
#ifndef SEAWALL_BASE_WHEN_H
#define SEAWALL_BASE_WHEN_H

#include <stdbool.h>
#include <stdint.h>

/* RFC 3339 ("2026-03-01T12:00:00.250Z", "2026-03-01 14:00:00+02:00"); without a zone it is local time, without a time of day the
 * beginning of the day; "now"; "90 minutes ago", "2 hours ago", "1 day ago" (s, m, h, d, w; second to week, with or without s). In
 * ms since 1970. False: none of these, or no such day. */
bool when_parse(const char *text, int64_t now_ms, int64_t *ret_ms);

#endif
