/* reader/interior_pages.h - the interior pages of a base, which are in an object of their own. It is fetched while a
 * snapshot is opened, and its pages go into memory (blocks.h).
 *
 * Nothing depends on it: if the object is missing, damaged, too large or not the one that the marker of its base names,
 * the same pages are read from the chunks. So
 *
 *   - it is asked for once, and nothing waits for it much longer than for the marker and the segments beside it: as long
 *     again as these took, but INTERIOR_WAIT_MIN_MS at least and INTERIOR_WAIT_MAX_MS at most. That is enough for a
 *     megabyte on a connection on which it saves time. What has not come by then is given up, and no thread stays;
 *   - a process asks for that of one base once, whatever comes: an object that a base does not name, or that is
 *     damaged, would be fetched at each open. If it was right, and memory has lost it, it is fetched again. */
#ifndef SEAWALL_READER_INTERIOR_PAGES_H
#define SEAWALL_READER_INTERIOR_PAGES_H

#include "reader/origin.h"
#include "replica/catalog.h"

#include <pthread.h>

#define INTERIOR_OBJECT_MAX (8u << 20) /* bytes of an object that is fetched; a writer makes 4 MiB of pages at most */

#define INTERIOR_WAIT_MIN_MS 250
#define INTERIOR_WAIT_MAX_MS 1000

/* A fetch of one object. Zeroed: there is none. Nobody moves it while it runs. */
struct interior_fetch {
    struct origin *origin; /* borrowed; NULL: nothing is fetched */
    struct name name;
    size_t size;      /* of the object */
    struct buf bytes; /* the object, once it was fetched */
    bool on_disk;     /* the folder of the cache had `bytes` */
    int64_t begun_ms; /* monotonic */
    bool running;     /* in a thread, on a slow store; then the rest is in use */
    pthread_t thread;
    atomic_bool given_up;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done; /* guarded by the lock */
};

/* Begins to fetch the interior pages of `base`, a marker, unless they are in memory, the listing has none, this process has
 * asked for them, or the marker is loaded and names none. interior_fetch_end must follow. */
void interior_fetch_begin(struct interior_fetch *f, struct origin *o, const struct catalog *c,
                          const struct catalog_object *base);

/* Waits for the fetch, and keeps the pages if `marker`, that of their base, names them. NULL: it could not be loaded;
 * nothing waits then, and the next open may ask. */
void interior_fetch_end(struct interior_fetch *f, const struct segment *marker);

/* Under which id interior_page may find pages of the base of this marker. False: the marker names none. */
bool interior_id(const struct segment *marker, uint8_t ret_id[UID_BYTES]);

/* Copies a page, and says of which txid it is. False: it is not in memory. */
bool interior_page(const uint8_t id[UID_BYTES], uint32_t pgno, uint32_t page_size, uint8_t *out, uint64_t *ret_txid);

/* Forgets which were asked for. For tests. */
void interior_forget(void);

#endif
