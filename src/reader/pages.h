/* reader/pages.h - blocks of objects: from memory, from the folder of the cache, from the store. For snapshot.c. */
#ifndef SEAWALL_READER_PAGES_H
#define SEAWALL_READER_PAGES_H

#include "format/names.h"
#include "reader/origin.h"

#include <pthread.h>

/* What a reader has read last: neighbours that are read one after the other are fetched in larger pieces. A scan reads
 * pages of several places in turn (leaves, interior pages, overflow pages, an index), so there are several streams. Used
 * by one thread. */
#define READ_STREAMS 6
struct read_stream {
    uint8_t id[UID_BYTES]; /* of the object; zeros: pages of the base */
    uint64_t next;         /* the place after what was fetched: a block, or in the base a page */
    uint32_t window;       /* blocks to fetch at a time; 0: the stream is not in use */
    uint64_t used;         /* when, by `turn` */
};
struct read_ahead {
    struct read_stream streams[READ_STREAMS];
    uint64_t turn;
};

/* Whose pages. */
struct pages_of {
    struct origin *origin; /* borrowed */
    uint32_t page_size;
    struct uid database;
};

/* The chunks of a base. Shared by the snapshots that follow each other. */
struct chunk_list {
    atomic_uint users;
    bool has_interior; /* some of its pages may be in memory: interior_page finds them by `interior` */
    uint8_t interior[UID_BYTES];
    size_t count;
    struct chunk {
        char key[NAME_MAX_BYTES];
        uint8_t id[UID_BYTES]; /* the beginning of its digest */
        uint64_t size, max;
        uint32_t first_page, last_page;
    } list[]; /* ascending pages */
};

/* A page in a chunk. txid 0: the chunk does not have it. */
struct chunk_place {
    uint64_t hash, txid;
    uint32_t block, offset;
};

/* Some blocks of an object. */
struct block_source {
    struct origin *origin;
    const char *key;
    const uint8_t *id;
    uint32_t first; /* the number of blocks[0] */
    const struct segment_block *blocks;
    uint32_t count;
};

/* Copies `n` bytes at `offset` of the block number `first` of the source to `out`. If it has to be fetched, it is fetched
 * together with the blocks that follow, as far as the source has them. */
int pages_block(const struct block_source *s, size_t offset, uint8_t *out, size_t n, struct err *e) MUST_CHECK;

/* Blocks of several objects that are read at a time, in threads, into memory. Nobody moves it while it runs. */
#define PAGES_THREADS 8
struct pages_fetch {
    const struct block_source *list; /* borrowed */
    size_t count;
    pthread_t threads[PAGES_THREADS];
    size_t started;
    atomic_size_t next;
    atomic_bool failed;
    struct err e; /* of the first that failed */
};

/* Begins to fetch the first block of each source, as pages_block does. pages_fetch_end must follow. Where no thread can be
 * started, nothing is fetched: who needs a block fetches it then. */
void pages_fetch_begin(struct pages_fetch *f, const struct block_source *list, size_t count);

/* Waits for all. Errors: those of pages_block, of one of them. */
int pages_fetch_end(struct pages_fetch *f, struct err *e) MUST_CHECK;

/* The stream that a read at `place` belongs to, or a new one, with the blocks to fetch. `step`: places in a block. */
struct read_stream *pages_stream(struct read_ahead *ahead, const uint8_t *id, uint64_t place, uint32_t step);

/* Notes the place after what is fetched for a stream. */
void pages_stream_reached(struct read_stream *s, uint64_t place);

/* How many blocks of the source, from its first one on, come before one that is in memory already. The first one is
 * taken for missing. */
uint32_t pages_missing(const struct block_source *s);

/* Finds a page in the index of a chunk, which is fetched if it is not in memory. ERR_CORRUPT, ERR_GONE. */
int pages_in_chunk(const struct pages_of *of, const struct chunk *c, uint32_t pgno, struct chunk_place *ret_place,
                   struct err *e) MUST_CHECK;

/* As pages_block, for the page `pgno`, which is at `place` in a chunk. */
struct chunk_page {
    uint32_t pgno;
    struct chunk_place place;
};
int pages_chunk_block(const struct pages_of *of, const struct chunk *c, const struct chunk_page *page, uint8_t *out,
                      struct read_ahead *ahead, struct err *e) MUST_CHECK;

#endif
