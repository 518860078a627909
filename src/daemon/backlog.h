/* daemon/backlog.h - captured commits that some replica still needs, in ascending order. The scheduler's thread alone touches
 * it.
 *
 * A job that builds an object out of batches holds references; a batch that is let go meanwhile is freed by the last of them. */
#ifndef SEAWALL_DAEMON_BACKLOG_H
#define SEAWALL_DAEMON_BACKLOG_H

#include "cargo/batch.h"

struct backlog {
    struct batch *first, *last; /* linked by `next` */
    size_t bytes;
};

void backlog_add(struct backlog *b, struct batch *batch); /* ownership moves */
void backlog_drop_first(struct backlog *b);
void backlog_trim(struct backlog *b, uint64_t txid);                /* drops what ends at or before */
size_t backlog_bytes_after(const struct backlog *b, uint64_t txid); /* of what ends after it */
void backlog_clear(struct backlog *b);

/* Consecutive batches of one page size, of which the first holds `txid`: at most `max` of them and, but for the last, at most
 * `bytes`. Returns how many; 0: that commit is not here any more. */
size_t backlog_find(const struct backlog *b, uint64_t txid, uint32_t page_size, size_t bytes, struct batch **out,
                    size_t max);

void backlog_hold(struct batch *const *batches, size_t count);
void backlog_let_go(struct batch *const *batches, size_t count);

#endif
