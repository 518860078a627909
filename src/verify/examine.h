/* verify/examine.h - one object by itself. Private to the room. */
#ifndef SEAWALL_VERIFY_EXAMINE_H
#define SEAWALL_VERIFY_EXAMINE_H

#include "verify/crew.h"

/* Reads and checks items[index]: rules 1 to 3, with VERIFY_FULL rule 7 too. Problems are noted. A segment or
 * marker that is sound has its records loaded afterwards. For crew_each. */
int examine_item(struct check *c, struct worker *w, size_t index, struct err *e) MUST_CHECK;

/* The same for named[index]. Its owner must be examined. */
int examine_named(struct check *c, struct worker *w, size_t index, struct err *e) MUST_CHECK;

#endif
