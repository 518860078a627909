/* ship/kept.h - the objects of level 0 that this run put last, in memory, so that they can be packed without reading them
 * back: where requests cost money, that would cost as much as it saves.
 *
 * A ship job adds what the store acknowledged, and the job that packs reads it: both at the same time. What is kept
 * is only a copy. If memory is short nothing is kept, and what is missing is read from the store or stays as it is. */
#ifndef SEAWALL_SHIP_KEPT_H
#define SEAWALL_SHIP_KEPT_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

#define KEPT_BYTES_MAX ((size_t)8 << 20)  /* of one replica */
#define KEPT_TOTAL_MAX ((size_t)32 << 20) /* of all replicas of the process */
#define KEPT_OBJECT_MAX 65536             /* a larger object is not kept, and not packed where requests cost money */
#define KEPT_COUNT_MAX 4096

struct kept;

/* NULL: out of memory. All other functions take NULL, which keeps nothing. */
struct kept *kept_new(void);
void kept_free(struct kept *k);

/* Keeps a copy of the object that begins at `min`, and forgets the oldest ones if they are too many. Forgets all if `min` is
 * not greater than that of every object, or if memory is short. */
void kept_add(struct kept *k, uint64_t min, const void *bytes, size_t n);

/* Whether the object that begins at `min`, of `size` bytes, is kept. */
bool kept_has(struct kept *k, uint64_t min, uint64_t size);

/* Makes `out` the bytes of that object. False: it is not kept, or there is no memory for it. Precondition: `out` is empty. */
bool kept_read(struct kept *k, uint64_t min, uint64_t size, struct buf *out);

/* Forgets the objects that begin at `upto` or before: they are packed, or will never be. UINT64_MAX: all. */
void kept_forget(struct kept *k, uint64_t upto);

#endif
