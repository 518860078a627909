/* s3/s3.h - an S3 bucket, or a prefix in it, as the store.
 *
 * A PUT carries If-None-Match: *, so that of two writers of one key one gets 412. If an attempt was repeated, 412 may be the answer
 * to our own first one: then the object there is read, and if it is what we sent, the PUT has succeeded. A server that does not
 * know If-None-Match (501) makes the store weak: the key is looked at before each PUT, and whoever appends has to look again
 * afterwards.
 *
 * Objects are read by ranges, listings page by page and checked: a page that is cut, out of order or does not advance is an error.
 */
#ifndef SEAWALL_S3_S3_H
#define SEAWALL_S3_S3_H

#include "base/store.h"

int s3_store_open(const char *url, enum store_mode mode, struct store **ret_store, struct err *e) MUST_CHECK;

#endif
