/* web/cost.h - what a month costs at the list prices of AWS in us-east-1, in dollars. */
#ifndef SEAWALL_WEB_COST_H
#define SEAWALL_WEB_COST_H

#include "web/summary.h"

#define COST_LEAST_MS 3600000 /* after a shorter time requests say nothing of a month */

/* Of the requests, if each month is like the `ms` in which they were sent. Precondition: ms > 0. */
double cost_of_requests(const uint64_t requests[REQUEST_FIGURES], int64_t ms);

/* Of the bytes that are stored. */
double cost_of_bytes(uint64_t bytes);

#endif
