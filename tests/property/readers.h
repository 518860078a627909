/* property/readers.h - connections of the replica VFS (src/reader): they open a state, begin a read transaction, read
 * pages of it while the world goes on, and end it. Each page, txid, time and age is compared with what the world knows. */
#ifndef PROPERTY_READERS_H
#define PROPERTY_READERS_H

#include "published.h"

#include "reader/reader.h"

/* One of them does something. Does not change the world. */
void readers_step(void);

/* All faults are over: each store gives its newest state to a new reader, and to those that follow. */
void readers_settle(void);

/* ---- for scenarios: one reader */

enum { READERS = 4 };

/* Opens a reader in a slot. False: it can't be opened now. */
bool reader_slot_open(unsigned slot, struct sim_store *s, const struct moment *moment, bool follows);
void reader_slot_begin(unsigned slot);
bool reader_slot_read(unsigned slot, uint32_t pgno); /* false: the page can't be read */
void reader_slot_end(unsigned slot);
uint64_t reader_slot_txid(unsigned slot);
uint32_t reader_slot_pages(unsigned slot);
uint32_t reader_slot_history(unsigned slot);

#endif
