/* ship/levels.h - the levels of one replica and its newest base: where each ends, how many bytes it has, and what is
 * due next.
 *
 * Levels. A level is due when the level below has `fanout` segments since the last segment of the level. If that
 * makes the level above due too, only the higher one is written: it begins earlier and holds everything that the
 * lower one would hold. So where a level ends, all levels below it end too.
 *
 * Bases. A base is due when a restore would read more than one and a half times the size of the database, or when the
 * newest base is old and something changed since. A restore reads compressed bytes, so a database that compresses
 * well gets fewer bases.
 *
 * The numbers come from the listing at attach, and from what was put since. The first object of a history holds
 * everything, so it counts as a base. This file knows no lane and no database. The struct belongs to the
 * destination. */
#ifndef SEAWALL_SHIP_LEVELS_H
#define SEAWALL_SHIP_LEVELS_H

#include "base/trial.h"
#include "replica/catalog.h"

#define LEVELS (SEGMENT_LEVEL_MAX + 1)
/* Bytes beside a base that never make a new one due, so that a small database does not get bases all the time. */
#define BASE_WEIGHT_MIN SCALE(1u << 20, 12000u)

struct level_end {
    uint64_t txid;     /* the next segment begins after it */
    uint64_t checksum; /* of the database at that txid */
};

struct levels {
    struct level_end
        ends[LEVELS];        /* of level 1 and up: where its last segment, or the last one of a higher level, ends */
    unsigned counts[LEVELS]; /* segments since the last one of the level above */
    uint64_t bytes[LEVELS];  /* of these segments, as far as they are newer than the start of the newest base */
    uint64_t bytes_since
        [LEVELS];        /* of these segments, as far as they are newer than the start of the base that is under way */
    uint64_t base_max;   /* the newest txid in the newest base */
    uint64_t base_bytes; /* of the newest base */
    int64_t base_at_ms;  /* when the newest base was complete; monotonic clock */
};

/* The newest object of the replica, and the time. */
struct levels_head {
    uint64_t txid, checksum;
    uint64_t anew_txid; /* compacted segments begin here or later */
    uint32_t page_size;
    int64_t store_ms; /* the store's clock */
};

/* Fills in *l from the names of the replica. Reads an object of each level, and the newest marker that is sound. An
 * object that is damaged or gone is not an error. ERR_IO, ERR_REMOTE, ERR_NOMEM. */
int levels_survey(struct levels *l, struct catalog *c, const struct levels_head *head, struct err *e) MUST_CHECK;

/* Notes that a level-0 object became the head. `anew`: it begins a new history. */
void levels_note_append(struct levels *l, uint64_t max, uint64_t checksum, uint64_t bytes, bool anew);

/* Notes that a compacted segment was put that ends at the head. `level`: 1 to SEGMENT_LEVEL_MAX. */
void levels_note_segment(struct levels *l, unsigned level, const struct level_end *end, uint64_t bytes);

/* Note that a base begins, and that a base is complete. */
void levels_note_base_begun(struct levels *l);
void levels_note_base(struct levels *l, uint64_t max, uint64_t bytes);

/* Returns the level that is due; 0: none. Precondition: fanout >= 1. */
unsigned levels_due(const struct levels *l, uint64_t fanout);

/* Whether a base is due. `head`: newest txid. `database_bytes`: size of the database. interval_ms UINT64_MAX: age does
 * not count. */
bool levels_base_due(const struct levels *l, uint64_t head, uint64_t database_bytes, uint64_t interval_ms);

#endif
