/* capture/frame_index.h - page number -> newest captured frame of the current WAL generation. Takes 8 to 16 bytes
 * for each page. */
#ifndef SEAWALL_CAPTURE_FRAME_INDEX_H
#define SEAWALL_CAPTURE_FRAME_INDEX_H

#include "base/err.h"

#include <stdint.h>

/* All zeros: empty. */
struct frame_index {
    struct frame_slot {
        uint32_t pgno; /* 0: the slot is free */
        uint32_t frame;
    } *slots;       /* hash table with open addressing; owned */
    uint32_t count; /* pages */
    uint32_t cap;   /* slots: a power of two; at most three quarters are in use */
};

void frame_index_release(struct frame_index *x); /* frees the memory; the index is empty */
void frame_index_clear(struct frame_index *x);   /* the index is empty; keeps at most 512 KiB of memory */

/* Notes that `frame` is the newest frame of the page. pgno and frame: at least 1. ERR_NOMEM: nothing changed. */
int frame_index_set(struct frame_index *x, uint32_t pgno, uint32_t frame, struct err *e) MUST_CHECK;

/* The newest frame of the page; 0: the WAL has none. pgno: at least 1. */
uint32_t frame_index_get(const struct frame_index *x, uint32_t pgno);

#endif
