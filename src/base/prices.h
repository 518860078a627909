/* base/prices.h - what requests cost at the list prices of S3 Standard in us-east-1, in dollars for a million. Deletions cost
 * nothing. Other providers charge less, or nothing: then what is saved by these prices is saved in time. */
#ifndef SEAWALL_BASE_PRICES_H
#define SEAWALL_BASE_PRICES_H

#define PRICE_WRITE 5.0 /* PUT, LIST */
#define PRICE_READ 0.4  /* GET, HEAD */

#endif
