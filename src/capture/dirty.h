/* capture/dirty.h - which granules of a page changed, and since when. A compacted segment needs this to store a
 * page as a patch.
 *
 * A page that changed lately has up to three spans (from, to], each beginning where the one before ends. The mask
 * of a span covers every granule in which the versions `from` and `to` of the page differ. A segment (a, b] of the
 * page takes the newest spans, back to one that begins at or before a. It may take too much: a patch may cover
 * more granules than differ, and may begin earlier (format/patch.h). So one table serves all levels of all
 * replicas. When a page has too many spans, two neighbours become one.
 *
 * If something about a page is not known (an image, a zero version, a change that was missed), it has no spans, or
 * its spans do not end with its newest version. Then it is stored as an image. So losing the table costs bytes,
 * never correctness. The table is in memory and is bounded (10 MiB): the pages that changed longest ago give way. */
#ifndef SEAWALL_CAPTURE_DIRTY_H
#define SEAWALL_CAPTURE_DIRTY_H

#include "format/segment.h"

struct dirty;
struct dirty *dirty_new(void);    /* NULL: out of memory */
void dirty_free(struct dirty *d); /* NULL is fine */
void dirty_clear(struct dirty *d);

/* The page v->pgno (at least 1) has this new version. Never fails: without memory the table does not grow. */
void dirty_note(struct dirty *d, const struct version *v);

/* Which granules changed between *ret_from, some version at or before `after`, and the version `txid`? `txid` must
 * be the newest version of the page. False: not known. */
bool dirty_since(const struct dirty *d, uint32_t pgno, uint64_t txid, uint64_t after, uint64_t *ret_from,
                 uint64_t *ret_mask);

#endif
