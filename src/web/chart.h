/* web/chart.h - pictures of a page, as SVG without text: their labels are HTML, so that they can be read on a phone. */
#ifndef SEAWALL_WEB_CHART_H
#define SEAWALL_WEB_CHART_H

#include "base/json.h"
#include "web/samples.h"

#include <stdio.h>

/* The lag of the last hours, one bar for each minute; minutes of which nothing is known are marked. */
void chart_lag(FILE *out, const struct samples *s, int64_t now_ms);

/* The value at the top of a chart whose greatest value is `ms`: a round one, at least a second. */
int64_t chart_top_ms(int64_t ms);

/* The restore points of a replica on a line from the oldest to `now_ms`, wall clock. `points`: "restore_points" of its
 * document; nothing is printed if it has no span. `newest_ms`: a restore point that was put later; 0: none is known. */
void chart_points(FILE *out, const struct json *points, int64_t newest_ms, int64_t now_ms);

/* A span of "restore_points"; false: it is none. */
bool chart_span(const struct json *points, size_t index, int64_t *ret_from_ms, int64_t *ret_to_ms);

#endif
