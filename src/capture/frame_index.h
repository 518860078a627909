/* capture/frame_index.h - page number -> newest captured frame of the current WAL generation. 8 to 16 bytes a distinct page. */
#ifndef SEAWALL_CAPTURE_FRAME_INDEX_H
#define SEAWALL_CAPTURE_FRAME_INDEX_H

#include "base/err.h"

#include <stdint.h>

struct frame_index {
    struct frame_slot {
        uint32_t pgno, frame; /* pgno 0: free */
    } * slots;                /* owned; open addressing, a power of two, at most three quarters full */
    uint32_t count, cap;
};

void frame_index_release(struct frame_index *x);
void frame_index_clear(struct frame_index *x); /* gives memory back if there was much */
int frame_index_set(struct frame_index *x, uint32_t pgno, uint32_t frame, struct err *e) MUST_CHECK;
uint32_t frame_index_get(const struct frame_index *x, uint32_t pgno); /* 0: not in the WAL */

#endif
