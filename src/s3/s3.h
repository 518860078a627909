/* s3/s3.h - an S3 bucket, or a prefix in it, as the store.
 *
 * A PUT carries If-None-Match: *, so of two writers of one key one gets 412. After a repeated attempt, 412 can be the
 * answer to our own first attempt: then the object is read, and if it is the one that was sent, with the retention and
 * the encryption that the URL asks for (properties.h), the PUT has succeeded. A server that does not know If-None-Match
 * (501) makes the store weak: each PUT looks for the key before, and the writer must look again after it.
 *
 * Objects are read by ranges. Listings are read page by page and checked: a page that is cut, out of order or does
 * not advance is an error. */
#ifndef SEAWALL_S3_S3_H
#define SEAWALL_S3_S3_H

#include "base/store.h"

extern const struct store_kind s3_store_kind; /* s3://bucket/prefix?key=value&... */

#endif
