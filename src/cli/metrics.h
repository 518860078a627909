/* cli/metrics.h - a status as Prometheus reads it: the text exposition format, version 0.0.4. */
#ifndef SEAWALL_CLI_METRICS_H
#define SEAWALL_CLI_METRICS_H

#include "base/json.h"

#include <stdio.h>

/* databases: the list of `seawall status --json`. What is not known has no sample. */
void metrics_print(const struct json *databases, FILE *out);

#endif
