/* reader/blocks.h - the memory of this process for bytes of replicas that were read: blocks, indexes of chunks, pages.
 *
 * All readers of a process share it. It is bounded: what was used least recently goes. Objects never change, and an id
 * is that of one object for ever, so nothing in here is ever out of date. All functions are safe in any thread. */
#ifndef SEAWALL_READER_BLOCKS_H
#define SEAWALL_READER_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOCKS_BYTES_MAX ((size_t)32 << 20) /* all that is kept, with its administration */

/* Whose bytes. A block: the id of its object, and its index. The index of a chunk: BLOCKS_INDEX. A page: an id made
 * from its version, and BLOCKS_PAGE. Interior pages of a base: reader/interior_pages.c. */
struct block_key {
    uint8_t id[16];
    uint32_t number;
    uint32_t kind;
};
enum { BLOCKS_BLOCK, BLOCKS_INDEX, BLOCKS_PAGE, BLOCKS_INTERIOR };

/* Copies `n` bytes at `offset` of an entry. False: it is not there, or is shorter. */
bool blocks_get(const struct block_key *key, size_t offset, void *out, size_t n);

/* Whether the entry is there. */
bool blocks_has(const struct block_key *key);

/* Keeps a copy of `n` bytes, if memory allows it. */
void blocks_put(const struct block_key *key, const void *bytes, size_t n);

/* Changes the limit, in bytes. For tests. */
void blocks_set_limit(size_t bytes);

/* What is kept now, in bytes. */
size_t blocks_bytes(void);

#endif
