/* capture/capture.h - committed frames of the WAL become versions of pages; the page map follows.
 *
 * Nothing is captured beyond the mxFrame of a consistent wal-index header, and only what is proven to continue the position: salts,
 * frame number and cumulative checksum. What continues it:
 *   - the same generation, further on;
 *   - after a reset of ours, the new generation. Its first writer may draw new salts: while the watch was held without a break
 *     nobody else can have reset the log;
 *   - after a crash, the generation before the reset, whose bytes were still in the file: at exactly the position where it ended.
 * Anything else is a gap: capture_resync reads every page and compares hashes. */
#ifndef SEAWALL_CAPTURE_CAPTURE_H
#define SEAWALL_CAPTURE_CAPTURE_H

#include "capture/frame_index.h"
#include "capture/watch.h"
#include "cargo/batch.h"
#include "state/state.h"
#include "wal/reader.h"

#include <stdatomic.h>

struct page_cache; /* newest images of pages that changed lately: what the next version is compared with */
struct dirty;      /* what changed in pages lately: for compacted segments */

struct capture {
    struct watch *watch; /* borrowed */
    struct state *state; /* borrowed: the map is written here */
    uint64_t txid;       /* T: newest captured commit */
    int64_t time_ms;     /* of its record */
    uint32_t
        commits; /* captured so far: `change` of the wal-index has grown by as many at least, if nobody recovered it */
    struct wal_pos pos, pos_before_reset;
    bool proven;              /* pos is known to lead to T; false: resync */
    struct wal_reader reader; /* valid with reader_ready */
    bool reader_ready;
    struct frame_index frames; /* of the current generation up to pos */
    struct page_cache *cache;
    struct dirty *dirty;   /* made when it is needed; NULL: nothing is known */
    atomic_llong *beat_ms; /* borrowed, may be NULL: the time of the last progress, for a watchdog */
    uint8_t *chunk;        /* of frames being read */
    size_t chunk_cap;      /* bytes */
};

void capture_init(struct capture *c, struct watch *watch, struct state *state);
void capture_release(struct capture *c);

/* After watch_open: is the position of the state file a proof for what the WAL holds now? Sets `proven`. */
int capture_resume(struct capture *c, struct err *e) MUST_CHECK;

enum capture_end {
    CAPTURE_DONE,  /* everything up to `target` */
    CAPTURE_MORE,  /* the batch is full: come again */
    CAPTURE_LARGE, /* the last commit was too large for the batch: T has no versions */
    CAPTURE_GAP,   /* what is there does not continue T: resync */
};

/* Captures commits up to the header `target`. `batch` NULL: only the map follows, versions are not kept.
 * ERR_IO, ERR_NOMEM: the map may be half-way; `proven` is false then. */
int capture_pass(struct capture *c, const struct wal_index_header *target, struct batch *batch,
                 enum capture_end *ret_end, struct err *e) MUST_CHECK;

/* A reference for resync: what a replica holds at its head. */
struct capture_reference {
    uint64_t head_txid;
    int64_t head_time_ms;  /* commit times never fall within a replica */
    const struct map *map; /* NULL: not known, or nothing */
};

struct resync_result {
    bool changed;       /* a new txid was used */
    uint32_t pages;     /* that were compared */
    uint32_t differing; /* of these: not what was known locally, or not what each reference holds */
};

/* `lost`: the map was lost before this start, so that no replica relies on it but those that are compared with.
 * Reads all pages under the watch and compares hashes with the local map and with the references. Afterwards for each reference: an
 * entry is newer than its head, or is what it has. */
int capture_resync(struct capture *c, const struct wal_index_header *target, const struct capture_reference *references,
                   size_t count, bool lost, struct resync_result *ret_result, struct err *e) MUST_CHECK;

/* The WAL was reset at the captured position by us. `header` is the one after it. */
void capture_note_reset(struct capture *c, const struct wal_index_header *header);

/* True if the header says exactly what was captured. */
bool capture_is_current(const struct capture *c, const struct wal_index_header *header);

/* Reads n pages from `first` on as of T, from WAL and database file. `out`: n * page_size bytes. Not checked against the map. */
int capture_read_pages(struct capture *c, uint32_t first, uint32_t n, uint8_t *out, struct err *e) MUST_CHECK;

/* Makes T and pos the state file's newest whole state. */
void capture_commit_state(struct capture *c);
void capture_shrink(struct capture *c); /* at rest: gives caches back */

struct commit_record capture_record(const struct capture *c); /* of T */

#endif
