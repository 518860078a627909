/* reader/interior_pages.h - the interior pages of a base, which are in an object of their own. It is fetched while a
 * snapshot is opened, and its pages go into memory (blocks.h).
 *
 * Nothing depends on it: if the object is missing, damaged, too large or not the one that the marker of its base names,
 * the same pages are read from the chunks. */
#ifndef SEAWALL_READER_INTERIOR_PAGES_H
#define SEAWALL_READER_INTERIOR_PAGES_H

#include "reader/origin.h"
#include "replica/catalog.h"

#include <pthread.h>

#define INTERIOR_OBJECT_MAX (8u << 20) /* bytes of an object that is fetched; a writer makes 4 MiB of pages at most */

/* A fetch of one object. Zeroed: there is none. Nobody moves it while it runs. */
struct interior_fetch {
    struct origin *origin; /* borrowed; NULL: nothing is fetched */
    struct name name;
    size_t size;      /* of the object */
    struct buf bytes; /* the object, once it was fetched */
    bool running;     /* in a thread, on a slow store */
    pthread_t thread;
};

/* Begins to fetch the interior pages of the base of `marker`, unless they are in memory or the listing has none.
 * interior_fetch_end must follow. */
void interior_fetch_begin(struct interior_fetch *f, struct origin *o, const struct catalog *c,
                          const struct name *marker);

/* Waits for the fetch, and keeps the pages if they are those of the base of `marker`, which is loaded. NULL: the plan has
 * another base, or none. *ret_id: under which interior_page finds them. Returns whether some may be in memory. */
bool interior_fetch_end(struct interior_fetch *f, const struct segment *marker, uint8_t ret_id[UID_BYTES]);

/* Copies a page, and says of which txid it is. False: it is not in memory. */
bool interior_page(const uint8_t id[UID_BYTES], uint32_t pgno, uint32_t page_size, uint8_t *out, uint64_t *ret_txid);

#endif
