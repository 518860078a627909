/* replica/ways.h - the segments of the levels in the order of their ends, and what searches for a way have found out
 * about segments. So the next step of a way costs O(log n), however many segments there are.
 *
 * What it knows stays true for as long as the catalog: which segments can't be loaded, and which of them lack parts.
 * Dead ends hold for one round. */
#ifndef SEAWALL_REPLICA_WAYS_H
#define SEAWALL_REPLICA_WAYS_H

#include "base/mintree.h"
#include "format/names.h"

/* May a plan use an object of which the listing lacks a part or chunk? */
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
    struct mintree all;       /* begins, in the order of `order` */
    struct mintree open[2];   /* the same by enum care, of those that may be taken; MINTREE_NONE: not to be taken */
    struct mintree broken;    /* the same, of those that can't be loaded */

    /* all owned, by catalog_segment_index */
    uint8_t *has_all; /* enum ways_answer: does the listing have all its parts? */
    uint8_t *begins;  /* enum ways_answer: can a way begin with it? */
    uint8_t *fault;   /* enum err_code: why it can't be loaded */
    struct {
        uint32_t round;
        enum err_code code;
    } * dead; /* in `round`: no way through this segment leads to the target, for the reason `code` */
    uint32_t round;
    size_t *taken; /* room for the segments of one way */
};

/* For a catalog with `level0_count` objects of level 0. `levels`: takes the names of its segments of levels. The caller
 * frees *ret_ways by ways_free. ERR_NOMEM. */
typedef const struct name *ways_name_fn(const void *context, size_t index);
struct ways_levels {
    ways_name_fn *name;
    const void *context;
    size_t count;
};
int ways_make(size_t level0_count, const struct ways_levels *levels, struct ways **ret_ways, struct err *e) MUST_CHECK;
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

/* Notes that this segment of `order` may not be taken, can't be loaded, or can be loaded after all. */
void ways_drop(struct ways *w, enum care care, const struct ways_place *place);
void ways_break(struct ways *w, const struct ways_place *place, enum err_code code);
void ways_mend(struct ways *w, const struct ways_place *place);

#endif
