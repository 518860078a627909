/* capture/capture.h - turns the committed frames of the WAL into versions of pages, and keeps the page map up to
 * date.
 *
 * The position is where in the WAL the newest captured commit T ends. Nothing beyond the mxFrame of a consistent
 * wal-index header is captured, and only frames that provably continue the position: by salts, frame number and
 * cumulative checksum. Four things can continue it:
 *   - The same WAL generation, further on.
 *   - After a reset of ours, the new generation. Its first writer may draw new salts. While the watch was held
 *     without a break nobody else can have reset the WAL, so the new salts are accepted.
 *   - After a reset by another process's checkpoint while the WAL was guarded (watch.h), the new generation. That
 *     reset is possible only where everything was captured.
 *   - After a crash, the generation before the reset, whose bytes were still in the file: from exactly the
 *     position where it ended.
 * Anything else is a gap. Then capture_resync must read every page and compare hashes.
 *
 * All functions belong to the local job. Exception: capture_is_current and capture_record, between two runs of the
 * job. */
#ifndef SEAWALL_CAPTURE_CAPTURE_H
#define SEAWALL_CAPTURE_CAPTURE_H

#include "capture/frame_index.h"
#include "capture/watch.h"
#include "cargo/batch.h"
#include "state/state.h"
#include "wal/reader.h"

#include <stdatomic.h>

struct page_cache; /* newest images of pages that changed lately: the next version is compared with them */
struct dirty;      /* what changed in a page lately: for compacted segments */

struct capture {
    struct watch *watch; /* borrowed */
    struct state *state; /* borrowed: the page map is changed here */
    uint64_t txid;       /* T: the newest captured commit */
    int64_t time_ms;     /* of its record */
    int64_t clock_ms;    /* of its record */
    uint32_t commits;    /* captured so far: at most what `change` of the wal-index grew by, if it was not recovered */
    struct wal_pos pos;  /* where T ends */
    struct wal_pos pos_before_reset; /* where the generation before ended; frame UINT32_MAX: not known */
    bool stamped;                    /* the position in the state file has a stamp */
    bool proven;                     /* `pos` and the map are those of T; false: capture_resync is needed */
    struct wal_reader reader;        /* valid if `reader_ready` */
    bool reader_ready;
    struct frame_index frames; /* of the current generation up to `pos` */
    struct page_cache *cache;  /* NULL: none yet, or out of memory */
    struct dirty *dirty;       /* NULL: none yet, or out of memory; then no changes are known */
    atomic_llong *beat_ms;     /* when progress was last made, for a watchdog; borrowed, may be NULL */
    uint8_t *chunk;            /* frames that are being read; owned */
    size_t chunk_cap;          /* bytes */
};

/* Starts at the position of the state file. Nothing is proven yet. `watch` and `state` must outlive the capture. */
void capture_init(struct capture *c, struct watch *watch, struct state *state);
void capture_release(struct capture *c);

/* Does the WAL still continue the position of the state file? `proven` is the answer. Before: the watch was just
 * opened, in WAL mode. ERR_IO, ERR_SQLITE, ERR_NOMEM. */
int capture_resume(struct capture *c, struct err *e) MUST_CHECK;

enum capture_end {
    CAPTURE_DONE,  /* everything up to `target` is captured */
    CAPTURE_MORE,  /* the batch is full: call again with a new one */
    CAPTURE_LARGE, /* the last commit was too large for a batch: the map follows, but T has no versions */
    CAPTURE_GAP,   /* the WAL does not continue the position: capture_resync is needed */
};

enum capture_grain {
    CAPTURE_EACH,   /* each commit is a restore point */
    CAPTURE_GROUPS, /* commits whose frames are read together are one: far fewer versions */
};

/* Captures whole commits up to the header `target`. `batch` NULL: only the map follows, and no versions are kept.
 * `batch` must be empty and begin with the txid T + 1. Damaged frames are CAPTURE_GAP.
 * ERR_SQLITE, ERR_IO, ERR_NOMEM: a commit may be captured by half. Then `proven` is false. The whole commits
 * before it are in the batch. */
int capture_pass(struct capture *c, const struct wal_index_header *target, struct batch *batch,
                 enum capture_grain grain, enum capture_end *ret_end, struct err *e) MUST_CHECK;

/* What a replica holds at its head. */
struct capture_reference {
    uint64_t head_txid;
    int64_t head_time_ms;  /* of its newest commit: times never fall within a replica */
    const struct map *map; /* of the replica at its head; borrowed. NULL: not known, or the replica holds nothing */
    bool by_base;          /* it gets every page by a base: what it holds does not matter, it only needs a new txid */
};

struct resync_request {
    const struct capture_reference *references; /* replicas to compare with; borrowed */
    size_t reference_count;
    bool lost; /* the map was lost before this start, so no replica relies on it except the references */
};

struct resync_result {
    bool changed;       /* a new txid was used */
    uint32_t pages;     /* that were compared */
    uint32_t differing; /* of these: not as the map says, or not as each reference holds them */
};

/* Reads all pages under the watch and compares their hashes with the map and with the references. Before: the
 * watch is active, or the database is held still, and `target` is a consistent header. Afterwards `proven` is
 * true, and for each reference but those with by_base: an entry of the map is newer than its head, or equals its
 * entry. If there are references, a new txid is used. On error nothing is proven. ERR_SQLITE, ERR_IO, ERR_NOMEM,
 * ERR_CORRUPT, ERR_LIMIT. */
int capture_resync(struct capture *c, const struct wal_index_header *target, const struct resync_request *request,
                   struct resync_result *ret_result, struct err *e) MUST_CHECK;

/* We reset the WAL exactly at the captured position. `header` is the one after the reset; its mx_frame is 0. */
void capture_note_reset(struct capture *c, const struct wal_index_header *header);

/* If the header shows that another process's checkpoint reset the WAL while it was guarded, moves the position to the
 * beginning of the new generation. Before: guarded, and held without a break. Call it before the guard is dropped. */
void capture_follow_reset(struct capture *c, const struct wal_index_header *header);

/* Is everything up to this header captured, and nothing else? */
bool capture_is_current(const struct capture *c, const struct wal_index_header *header);

/* Reads n pages from `first` on, as of T, from the WAL and the database file, into `out` (n * page_size bytes).
 * The pages are not checked against the map. Before: first >= 1, and the pages are part of the database.
 * ERR_SQLITE, ERR_IO, ERR_CORRUPT. */
int capture_read_pages(struct capture *c, uint32_t first, uint32_t n, uint8_t *out, struct err *e) MUST_CHECK;

/* Records T, the position and the stamp of the database file in the state file. Before: `proven`. */
void capture_commit_state(struct capture *c);

/* Records the same, and that the database file is complete as it looks now (the stamp: state/state.h). Before: proven,
 * the WAL is empty and kept from being reset, and the database file is synced. False: nothing was recorded, because
 * the file was written too lately, or a commit came. Sets `stamped`. */
bool capture_stamp(struct capture *c);

/* Whether the database file that looks like `now` was not written since the position was recorded: it has its stamp,
 * in the boot in which that was taken. */
bool capture_has_stamp(const struct state_position *at, const struct file_stamp *now);

/* Frees caches. They are made again when they are needed. */
void capture_shrink(struct capture *c);

struct commit_record capture_record(const struct capture *c); /* of T */

#endif
