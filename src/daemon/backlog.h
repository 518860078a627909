/* daemon/backlog.h - captured commits that a replica still needs, in ascending order of txids. Main thread only.
 *
 * A ship job holds a reference to each batch that it reads. A batch that the backlog drops meanwhile is freed when its
 * last reference goes. */
#ifndef SEAWALL_DAEMON_BACKLOG_H
#define SEAWALL_DAEMON_BACKLOG_H

#include "cargo/batch.h"

struct backlog {
    struct batch *first, *last; /* linked by `next` */
    size_t bytes;
};

/* Appends a batch and takes it over. Precondition: it continues the last one, or begins behind it. */
void backlog_add(struct backlog *b, struct batch *batch);
void backlog_drop_first(struct backlog *b);          /* precondition: there is one */
void backlog_trim(struct backlog *b, uint64_t txid); /* drops the batches that end at or before `txid` */
void backlog_clear(struct backlog *b);

/* Bytes of the batches that end after `txid`. */
size_t backlog_bytes_after(const struct backlog *b, uint64_t txid);

/* Finds consecutive batches of one page size, the first of which holds `txid`: at most `max` of them, and no further
 * batch once they have `bytes` bytes together. Returns how many; 0: that commit is not here. */
size_t backlog_find(const struct backlog *b, uint64_t txid, uint32_t page_size, size_t bytes, struct batch **out,
                    size_t max);

/* References of a job. Main thread only, like everything else here. */
void backlog_hold(struct batch *const *batches, size_t count);
void backlog_let_go(struct batch *const *batches, size_t count);

#endif
