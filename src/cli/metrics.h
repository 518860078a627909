/* cli/metrics.h - prints a status for Prometheus, in the text exposition format, version 0.0.4. */
#ifndef SEAWALL_CLI_METRICS_H
#define SEAWALL_CLI_METRICS_H

#include "base/json.h"

#include <stdio.h>

/* Prints one sample for each value. `databases`: the list of `seawall status --json`. A value that is missing there, or
 * is null, has no sample. */
void metrics_print(const struct json *databases, FILE *out);

#endif
