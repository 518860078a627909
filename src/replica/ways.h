/* replica/ways.h - finds ways: rows of segments, each continuing the one before, that lead from a state to a target.
 *
 * It has the segments of the levels in the order of their ends, and what searches have found out about them. So the
 * next step of a way costs O(log n), however many segments there are. It knows which segments can't be loaded, and
 * which lack parts: that stays true for as long as the catalog. A dead end is a segment through which no way leads to
 * the target. It is known for one round: all searches in a row for the same target and with the same care. */
#ifndef SEAWALL_REPLICA_WAYS_H
#define SEAWALL_REPLICA_WAYS_H

#include "base/mintree.h"
#include "format/names.h"

/* Whether a plan may use an object of which the listing lacks a part or chunk. */
enum care { ONLY_COMPLETE, INCOMPLETE_TOO };

enum ways_answer { WAYS_UNKNOWN, WAYS_YES, WAYS_NO };

/* A segment of a level. */
struct ways_place {
    uint64_t min, max;
    unsigned level;
    size_t index; /* in the catalog's list of levels */
};

struct ways {
    size_t level0_count, count;
    struct ways_place *order; /* owned; ascending end, level; then descending begin */
    struct mintree all;       /* the txid that each begins with, in the order of `order` */
    struct mintree open[2];   /* by enum care: the same of those that may be taken; MINTREE_NONE: may not be taken */
    struct mintree broken;    /* the same of those that can't be loaded */

    /* For each segment, by catalog_segment_index; owned. */
    uint8_t *has_all;          /* enum ways_answer: does the listing have all its parts? */
    struct mintree beginnings; /* the txid that it begins with, if a way may begin with it, as far as is known */
    uint8_t *fault;            /* enum err_code: why it can't be loaded */
    struct ways_round {
        uint64_t target;        /* 0: there is no round */
        uint32_t number;        /* counts the rounds */
        enum err_code hopeless; /* why no way without a base leads to the target; ERR_NONE: one may */
        struct ways_dead {
            uint32_t round;     /* in this round no way through the segment leads to the target, */
            enum err_code code; /* for this reason */
        } *dead;                /* owned; by catalog_segment_index */
    } rounds[2];                /* by enum care */
    size_t *taken;              /* owned; room for the segments of one way */

    /* Owned. By the place in `order` of the first segment that ends at a txid: the place of the segment that has the
     * record of the txid, plus 1. 0: not known; ways->count + 1: none can be loaded. */
    size_t *recorded;
    uint64_t steps; /* segments and bases that all searches so far have looked at */

    /* Why the store did not give an object that a search passed over. ERR_NONE: each of them was damaged or gone.
     * Otherwise a search that finds no way proves nothing. */
    enum err_code unread;
};

/* The segments of a catalog. `name` returns the name of one by its catalog_segment_index. */
typedef const struct name *ways_name_fn(const void *context, size_t index);
struct ways_segments {
    ways_name_fn *name;
    const void *context;
    size_t level0_count, count; /* of level 0; of the levels */
};

/* Sorts the segments. The caller frees *ret_ways with ways_free. ERR_NOMEM. */
int ways_make(const struct ways_segments *segments, struct ways **ret_ways, struct err *e) MUST_CHECK;
void ways_free(struct ways *w); /* NULL is allowed */

/* How many segments in `order` end at `txid` or before. */
size_t ways_upto(const struct ways *w, uint64_t txid);

/* The segment that may be taken after the state `pos` and leads furthest, of the first `below` in `order`; of those
 * that lead equally far, the one of the highest level, then the one that begins first. NULL: there is none. */
const struct ways_place *ways_best(const struct ways *w, enum care care, uint64_t pos, size_t below);

/* The same among those that can't be loaded. */
const struct ways_place *ways_broken(const struct ways *w, uint64_t pos, size_t below);

/* The segment with min <= `upto` that ends first, but not before `from`; of those with the same end, the one of the
 * lowest level, then the one that begins first. NULL: there is none. */
const struct ways_place *ways_first_end(const struct ways *w, uint64_t upto, uint64_t from);

/* Begins a search for ways to `target`. If the last search with this care had the same target, its dead ends stay
 * known. */
void ways_begin(struct ways *w, uint64_t target, enum care care);

/* Forgets all dead ends. */
void ways_forget(struct ways *w);

/* Returns why no way through the segment `index` (catalog_segment_index) leads to the target; ERR_NONE: one may. */
enum err_code ways_dead_end(const struct ways *w, enum care care, size_t index);

/* Notes that no way through the segment `index` leads to the target, because of `code`. */
void ways_note_dead_end(struct ways *w, enum care care, size_t index, enum err_code code);

/* Finds the last segment before `below`, by catalog_segment_index, that begins at `target` or before and with which a
 * way may begin. False: there is none. */
bool ways_beginning(const struct ways *w, uint64_t target, size_t below, size_t *ret_index);

/* Notes that no way begins with the segment `index` (catalog_segment_index). */
void ways_no_beginning(struct ways *w, size_t index);

/* Notes that this segment, which begins with the txid `min`, can be loaded after all. */
void ways_loadable(struct ways *w, size_t index, uint64_t min);

/* Note that this segment of `order` may not be taken; that it can't be loaded; that it can be loaded after all. */
void ways_drop(struct ways *w, enum care care, const struct ways_place *place);
void ways_break(struct ways *w, const struct ways_place *place, enum err_code code);
void ways_mend(struct ways *w, const struct ways_place *place);

/* Notes that a search passes over an object with this error. */
void ways_pass_over(struct ways *w, enum err_code code);

#endif
