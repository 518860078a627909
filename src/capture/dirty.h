/* capture/dirty.h - which granules of a page changed, and since when: what a compacted segment needs to store the page as a
 * patch.
 *
 * Of each page that changed lately there are some spans (from, to], side by side, each with a mask that covers everything that
 * differs between the versions `from` and `to` of the page. A segment (a, b] takes the newest spans back to one that begins at or
 * before a: a patch may cover more than it has to, and may begin earlier (format/patch.h). So one table serves all levels of all
 * replicas. When a page has too many spans, two neighbours become one.
 *
 * A page of which something is not known (an image, a zero version, a change that was not looked at) has no spans, or some that do
 * not end with its newest version: then it is stored as an image. So losing all of this costs bytes, never correctness. It lives in
 * memory, and is bounded: pages that changed longest ago give way. */
#ifndef SEAWALL_CAPTURE_DIRTY_H
#define SEAWALL_CAPTURE_DIRTY_H

#include "format/segment.h"

struct dirty;
struct dirty *dirty_new(void); /* NULL: out of memory */
void dirty_free(struct dirty *d);
void dirty_clear(struct dirty *d);

/* The page has a new version. */
void dirty_note(struct dirty *d, const struct version *v);

/* What changed between some version not after `after` (*ret_from) and the version `txid`, which is the newest. False: not known. */
bool dirty_since(const struct dirty *d, uint32_t pgno, uint64_t txid, uint64_t after, uint64_t *ret_from,
                 uint64_t *ret_mask);

#endif
