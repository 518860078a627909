/* state/map.h - page number -> (hash, txid of its last change), for the newest state that was captured.
 *
 * 16 bytes a page, mapped from the state file, so that it survives kill -9 for free. Two sums are carried along:
 *   checksum  XOR of the page hashes: the database checksum of commit records
 *   sum       XOR of hash(page number, hash, txid) over all entries: shows a map that was torn or is stale
 * `sum` is written to the file only when a state is complete (map_seal). An entry with txid 0 is no entry: the lock-byte page. */
#ifndef SEAWALL_STATE_MAP_H
#define SEAWALL_STATE_MAP_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_entry {
    uint64_t hash; /* page_hash(); 0 for a page of zeros, and for a page that the database grew over but nobody wrote */
    uint64_t txid;
};

struct map {
    struct map_entry *entries; /* of page pgno: entries[pgno - 1] */
    uint32_t pages;            /* size of the database */
    uint32_t cap;              /* entries that have room */
    uint32_t known;            /* entries that are one: all but the lock-byte page's, when a state is complete */
    uint32_t page_size;        /* 0: not known yet */
    uint64_t checksum, sum;
    int fd;           /* of the state file; -1: memory only */
    uint64_t offset;  /* of the entries in the file */
    uint8_t *mapping; /* owned: mapped memory, or (fd < 0) malloc'ed entries */
    size_t mapped;    /* bytes */
    bool fresh;       /* the memory is zeros already */
    uint64_t *newest; /* of each MAP_GROUP pages: no txid in them is newer; made when somebody asks; NULL: not known */
    size_t groups;    /* in it */
};
#define MAP_GROUP 128u

/* In memory: what a replica's indexes say, or a test. */
void map_init_memory(struct map *m, uint32_t page_size);
void map_release(struct map *m);

static inline struct map_entry map_get(const struct map *m, uint32_t pgno)
{
    return pgno >= 1 && pgno <= m->pages ? m->entries[pgno - 1] : (struct map_entry){0, 0};
}
void map_set(struct map *m, uint32_t pgno, struct map_entry entry); /* 1 <= pgno <= pages */

/* The first page from `pgno` on that may have changed after `after`; pages + 1: none. Passes over groups that can't, so that what
 * changed lately in a large database is found without looking at all of it. */
uint32_t map_next_changed(struct map *m, uint32_t pgno, uint64_t after);

/* Every page has an entry but for the lock-byte page. */
bool map_is_complete(const struct map *m);

/* Drops entries beyond `pages`, or adds entries with txid 0. ERR_NOMEM, ERR_IO: disk full. */
int map_resize(struct map *m, uint32_t pages, struct err *e) MUST_CHECK;
void map_clear(struct map *m); /* to no pages */

/* What one entry counts in `sum`. */
uint64_t map_entry_sum(uint32_t pgno, struct map_entry entry);

#endif
