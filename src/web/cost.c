/* web/cost.c */
#include "web/cost.h"

#include "base/prices.h"

#include <assert.h>

#define MONTH_MS (30.4375 * 86400000)
#define MILLION 1e6
#define GIB ((double)(1 << 30))
#define DOLLARS_GIB 0.023 /* S3 Standard, up to 50 TB */

/* Dollars for a million; a failed request is counted under its kind. */
static const double prices[REQUEST_FIGURES] = {
    [REQUEST_PUT] = PRICE_WRITE, [REQUEST_LIST] = PRICE_WRITE, [REQUEST_GET] = PRICE_READ, [REQUEST_HEAD] = PRICE_READ};

double cost_of_requests(const uint64_t requests[REQUEST_FIGURES], int64_t ms)
{
    double dollars = 0;
    assert(ms > 0);
    for (unsigned i = 0; i < REQUEST_FIGURES; i++)
        dollars += (double)requests[i] / MILLION * prices[i];
    return dollars * MONTH_MS / (double)ms;
}

double cost_of_bytes(uint64_t bytes)
{
    return (double)bytes / GIB * DOLLARS_GIB;
}
