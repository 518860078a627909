/* verify/examine.h - checks one object by itself. Private to the room. */
#ifndef SEAWALL_VERIFY_EXAMINE_H
#define SEAWALL_VERIFY_EXAMINE_H

#include "verify/crew.h"

/* Reads and checks items[index]: rules 1 to 3, with VERIFY_FULL also rule 7. Notes problems. Afterwards a sound item
 * has its trailer and list loaded, and its records if there is memory for them. For crew_each. */
int examine_item(struct check *c, struct worker *w, size_t index, struct err *e) MUST_CHECK;

/* The same for named[index], of which nothing stays loaded. Precondition: its owner was examined, and was sound. */
int examine_named(struct check *c, struct worker *w, size_t index, struct err *e) MUST_CHECK;

#endif
