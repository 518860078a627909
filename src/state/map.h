/* state/map.h - for each page of the newest captured state: its hash, and the txid of its last change.
 *
 * An entry has 16 bytes. The map is mapped from the state file, so it survives a kill -9. It has two sums:
 *   checksum  XOR of the page hashes: the database checksum of commit records
 *   sum       XOR of hash(page number, hash, txid) over all entries: tells a map that is torn or stale
 * Both are written to the file only when a state is complete (state_commit). An entry with txid 0 does not count as an
 * entry; that of the lock-byte page always has txid 0. */
#ifndef SEAWALL_STATE_MAP_H
#define SEAWALL_STATE_MAP_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_entry {
    uint64_t hash; /* page_hash(); 0: a page of zeros, or one that the database grew over without writing it */
    uint64_t txid; /* of its last change; 0: no entry */
};

struct map {
    struct map_entry *entries; /* of page pgno: entries[pgno - 1] */
    uint32_t pages;            /* size of the database */
    uint32_t cap;              /* entries that there is room for */
    uint32_t known;            /* entries with a txid */
    uint32_t page_size;        /* 0: not known yet */
    uint64_t checksum, sum;
    int fd;           /* of the state file; -1: memory only */
    uint64_t offset;  /* of the entries in the file */
    uint8_t *mapping; /* owned: mapped memory, or (fd < 0) malloc'ed entries */
    size_t mapped;    /* bytes */
    bool fresh;       /* the memory has only zeros */
    uint64_t *newest; /* owned: for each group of MAP_GROUP pages, no txid is newer; NULL: not made yet */
    size_t groups;    /* elements of `newest` */
    bool claimed;     /* made by map_init_claimed */
    uint64_t backed;  /* of a claimed map: bytes of it that need no budget */
    size_t charged;   /* of a claimed map: bytes that it takes from the budget */
};
#define MAP_GROUP 128u

/* Makes an empty map in memory, without a file. The caller releases it. */
void map_init_memory(struct map *m, uint32_t page_size);

/* The same for a map of the size that a replica claims. `backed`: the bytes of the objects behind the claim. Memory
 * beyond that is taken from the budget (base/claim.h): real pages take more room in objects than in the map, so only a
 * claim of many pages of zeros goes beyond it. Then map_resize can return ERR_CLAIM, with the claim in the message. */
void map_init_claimed(struct map *m, uint32_t page_size, uint64_t backed);
void map_release(struct map *m);

/* The entry of a page; zeros for a page that the map does not have. */
static inline struct map_entry map_get(const struct map *m, uint32_t pgno)
{
    return pgno >= 1 && pgno <= m->pages ? m->entries[pgno - 1] : (struct map_entry){0, 0};
}

/* Sets an entry. Precondition: 1 <= pgno <= pages. */
void map_set(struct map *m, uint32_t pgno, struct map_entry entry);

/* The first page, from `pgno` on, that may have changed after txid `after`; pages + 1: none. Skips whole groups without
 * changes, so that a few changes in a large database are found fast. Precondition: pgno >= 1. */
uint32_t map_next_changed(struct map *m, uint32_t pgno, uint64_t after);

/* Whether every page except the lock-byte page has an entry. */
bool map_is_complete(const struct map *m);

/* Drops entries beyond `pages`, or adds entries with txid 0. An error leaves the map as it was. ERR_NOMEM. ERR_IO: the
 * disk is full. ERR_CLAIM: only of a claimed map. */
int map_resize(struct map *m, uint32_t pages, struct err *e) MUST_CHECK;

/* Drops all entries. */
void map_clear(struct map *m);

/* The share of one entry in `sum`. */
uint64_t map_entry_sum(uint32_t pgno, struct map_entry entry);

#endif
