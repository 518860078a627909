/* web/metrics.h - what `seawall status --metrics` prints and /metrics serves: text for Prometheus.
 *
 * A metric has a name, a type and a help text, which never change; the unit is in the name. A value that is not known
 * has no sample, because 0 would be a lie. */
#ifndef SEAWALL_WEB_METRICS_H
#define SEAWALL_WEB_METRICS_H

#include "web/summary.h"

#include <stdio.h>

/* Prints the status of databases: a list of documents as `seawall status --json` shows them. */
void metrics_print(const struct json *databases, FILE *out);

/* Prints the figures of all databases together. `left_out`: so many are awake or in trouble, and metrics_print did not
 * get them. */
void metrics_print_totals(const struct summary *s, uint64_t left_out, FILE *out);

#endif
