/* replica/ways.h - the segments of the levels in the order of their ends, and what searches for a way have found out
 * about segments. So the next step of a way costs O(log n), however many segments there are.
 *
 * What it knows stays true for as long as the catalog: which segments can't be loaded, and which of them lack parts.
 * Dead ends hold for one round, which all searches in a row for the same target and with the same care share. */
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
    struct mintree all;       /* begins, in the order of `order` */
    struct mintree open[2];   /* the same by enum care, of those that may be taken; MINTREE_NONE: not to be taken */
    struct mintree broken;    /* the same, of those that can't be loaded */

    /* all owned, by catalog_segment_index */
    uint8_t *has_all;          /* enum ways_answer: does the listing have all its parts? */
    struct mintree beginnings; /* begins; of the segments that may be the beginning of a way, as far as is known */
    uint8_t *fault;            /* enum err_code: why it can't be loaded */
    struct ways_round {
        uint64_t target;        /* 0: there is no round */
        uint32_t number;        /* counts the rounds */
        enum err_code hopeless; /* ERR_NONE, or why no way leads to the target, unless one from a base does */
        struct ways_dead {
            uint32_t round;     /* in this round no way through the segment leads to the target, */
            enum err_code code; /* for this reason */
        } * dead;               /* owned; by catalog_segment_index */
    } rounds[2];                /* by enum care */
    size_t *taken;              /* owned; room for the segments of one way */

    size_t *
        recorded; /* owned; by the place in `order` of the first segment that ends at a txid; the place of the one that has
                         the record of the txid, plus 1; 0: not known; ways->count + 1: none can be loaded */
    uint64_t steps; /* of all searches so far: segments and bases that were looked at */
};

/* `segments`: takes the names of the segments of a catalog, by catalog_segment_index. The caller frees *ret_ways by
 * ways_free. ERR_NOMEM. */
typedef const struct name *ways_name_fn(const void *context, size_t index);
struct ways_segments {
    ways_name_fn *name;
    const void *context;
    size_t level0_count, count; /* of level 0; of the levels */
};
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

/* Begins a search for ways to `target`. What the search before with this care found out stays known if it was for the same
 * target. */
void ways_begin(struct ways *w, uint64_t target, enum care care);

/* Forgets what is known of dead ends. */
void ways_forget(struct ways *w);

/* ERR_NONE, or why no way through this segment, by catalog_segment_index, leads to the target; and notes that. */
enum err_code ways_dead_end(const struct ways *w, enum care care, size_t index);
void ways_note_dead_end(struct ways *w, enum care care, size_t index, enum err_code code);

/* The last segment before `below` by catalog_segment_index that begins at `target` or before, and of which it is not
 * known that no way begins with it. False: there is none. */
bool ways_beginning(const struct ways *w, uint64_t target, size_t below, size_t *ret_index);

/* Notes that no way begins with this segment, by catalog_segment_index, or that it can be loaded after all. */
void ways_no_beginning(struct ways *w, size_t index);
void ways_loadable(struct ways *w, size_t index, uint64_t min);

/* Notes that this segment of `order` may not be taken, can't be loaded, or can be loaded after all. */
void ways_drop(struct ways *w, enum care care, const struct ways_place *place);
void ways_break(struct ways *w, const struct ways_place *place, enum err_code code);
void ways_mend(struct ways *w, const struct ways_place *place);

#endif
