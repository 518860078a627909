/* replica/packs.h - packs: objects that hold the commits of many objects of level 0, so that these can go.
 *
 * A pack has every version and every commit record of its objects. It lies beside level 0, under a key of its own, and
 * nothing links to it. So a program that knows no packs restores the same states from the levels, and the newest one
 * always; but it does not know the restore points that only a pack has.
 *
 * What a pack may be:
 *   1. Its objects are full, follow each other, link to each other by their digests, and have one page size. None of them
 *      is from_empty, and no time in them is clamped.
 *   2. It ends where a compacted segment ends, in the same state.
 *   3. No compacted segment reaches from before the pack into its middle: the pack's patches may start from versions that
 *      only objects of level 0 have. Segments that come later can't: they begin at an end of a segment, and end at a
 *      head behind the pack.
 *   4. The head is never in a pack.
 *   5. The first object that a run put is in a pack only if it is older than the grace period. So when a writer was
 *      suspended, and another run went on from its head, the key that it will try is taken.
 *
 * What lies in a pack goes when it has been there for pack_settle_ms. A writer whose clone went on with the same run
 * would find its next key free after that. So before each append, the proof that the head is the head is at most half as
 * old (ship/append.c).
 *
 * The process that writes a pack may die at any moment. A pack is there or not, and both it and its objects may be there. Then
 * the pack counts, and says the same. Packs of two writers may overlap. */
#ifndef SEAWALL_REPLICA_PACKS_H
#define SEAWALL_REPLICA_PACKS_H

#include "base/store.h"
#include "base/trial.h"

#define PACK_SETTLE_MS SCALE(15000, 30000)

/* Whether objects are packed there. A store without exclusive PUT is watched object by object (ship/destination.h). */
static inline bool pack_is_of_use(const struct store *s)
{
    return s->fencing != STORE_FENCING_WEAK;
}

/* How long an object of a store must have been there, in ms, before it may go because of a pack. Where requests cost money
 * it is longer: a writer that commits rarely must list the replica before it appends, if half of that time has passed. */
static inline uint64_t pack_settle_ms(const struct store *s, uint64_t grace_ms)
{
    const uint64_t least = grace_ms < PACK_SETTLE_MS ? grace_ms : PACK_SETTLE_MS;
    return s->costs && grace_ms / 4 > least ? grace_ms / 4 : least;
}

#endif
