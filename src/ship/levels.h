/* ship/levels.h - the levels of one replica and its newest base: where each ends, what it weighs, and what is due next.
 *
 *   A level is due when the level below has `fanout` segments since the last one. If that would make the level above due too, only
 *   the higher one is written: it begins earlier and holds all of it. So the ends of a level are ends of all levels below it.
 *
 *   A base is due when a restore would read more than one and a half times the size of the database, or when the newest base is old
 *   and anything changed. What a restore reads is compressed, so a database that compresses well affords longer levels.
 *
 * What is kept here follows from the listing at attach, and from what was put since. The first object of a history, which holds
 * everything, counts as a base. Knows no lane and no database; belongs to the destination. */
#ifndef SEAWALL_SHIP_LEVELS_H
#define SEAWALL_SHIP_LEVELS_H

#include "base/trial.h"
#include "replica/catalog.h"

#define LEVELS (SEGMENT_LEVEL_MAX + 1)
#define BASE_WEIGHT_MIN                                                                                                \
    SCALE(1u << 20, 12000u) /* bytes beside a base that are never too many: a small database is no reason for bases */

struct level_end {
    uint64_t txid;     /* the next segment begins after it */
    uint64_t checksum; /* of the database there */
};

struct levels {
    struct level_end ends[LEVELS]; /* of level 1 and up: of its last segment, or of the last one of a higher level */
    unsigned counts[LEVELS];       /* segments since the last one of the level above */
    uint64_t bytes[LEVELS];        /* ... and what they weigh, as far as they come after the start of the base */
    uint64_t bytes_since[LEVELS];  /* ... after the start of the base that is under way */
    uint64_t base_max;             /* the newest state that the newest base knows */
    uint64_t base_bytes;
    int64_t base_at_ms; /* monotonic: when it was complete */
};

/* From the names of the replica; reads an object of each level, and the newest marker. `head`: its newest object. */
struct levels_head {
    uint64_t txid, checksum;
    uint64_t anew_txid; /* what is compacted begins here or later */
    uint32_t page_size;
    int64_t store_ms; /* the store's clock */
};
int levels_survey(struct levels *l, struct catalog *c, const struct levels_head *head, struct err *e) MUST_CHECK;

/* A level-0 object became the head. `anew`: nothing before it counts. */
void levels_note_append(struct levels *l, uint64_t max, uint64_t checksum, uint64_t bytes, bool anew);
/* A compacted segment was put that ends at the head. */
void levels_note_segment(struct levels *l, unsigned level, const struct level_end *end, uint64_t bytes);
void levels_note_base_begun(struct levels *l);
void levels_note_base(struct levels *l, uint64_t max, uint64_t bytes);

unsigned levels_due(const struct levels *l, uint64_t fanout); /* which level; 0: none */
/* `database_bytes`: its size. interval_ms UINT64_MAX: by weight alone. */
bool levels_base_due(const struct levels *l, uint64_t head, uint64_t database_bytes, uint64_t interval_ms);

#endif
