/* verify/listing.h - lists the objects of the replica. Private to the room. */
#ifndef SEAWALL_VERIFY_LISTING_H
#define SEAWALL_VERIFY_LISTING_H

#include "verify/check.h"

/* Lists the replica into the catalog, and makes an item of each segment and marker. If it notes a problem and makes no
 * item, nothing more can be checked. Precondition: `c` has no items.
 * ERR_NOTFOUND: there is no replica, or only seawall.json. ERR_REMOTE: the listing lacks an object that exists.
 * ERR_CORRUPT: it has a key twice. */
int listing_take(struct check *c, struct err *e) MUST_CHECK;

#endif
